"""An instruction of the source through all passes: which candidate, how long, and at last which bytes.

It is encoded anew in a pass only if something that its bytes depend on has changed. Among the candidates that hold
the values the shortest wins, and the first of equals. A value that is still unknown is taken optimistically, as nasm
does: the shortest branch and immediate, but a full displacement.
"""

from __future__ import annotations

from ringzero.asm.candidates import Candidate, branches, candidates
from ringzero.asm.diagnostics import Mistake
from ringzero.asm.encoder import Encoder, Encoding, NoFit, fits_signed
from ringzero.asm.expressions import Node, Scope, Unknown, Value, add, evaluate
from ringzero.asm.operands import FarOperand, ImmOperand, MemOperand, Operand, RegOperand

#: Their base is 10 unless another one is written (SDM 2A, AAD and AAM).
_DECIMAL = ("aam", "aad")


class Instruction:
    """A parsed instruction. `prefixes` are bytes (lock, rep …); `opsize` what o16, o32, o64 ask for, or 0."""

    __slots__ = (
        "_branch", "_candidates", "_done", "_known", "lock", "mnemonic", "mode", "operands", "opsize", "prefixes",
        "relative", "static",
    )  # fmt: skip

    def __init__(
        self,
        mnemonic: str,
        operands: list[Operand],
        mode: int,
        relative: bool,
        prefixes: bytes = b"",
        opsize: int = 0,
    ) -> None:
        if mnemonic in _DECIMAL and not operands:
            operands = [ImmOperand(10)]
        self.mnemonic = mnemonic
        self.operands = tuple(operands)
        self.mode = mode
        self.relative = relative
        self.prefixes = prefixes
        self.opsize = opsize
        self.lock = 0xF0 in prefixes
        self.static = mnemonic not in branches() and all(
            _is_static(operand, relative) for operand in operands
        )
        self._done: Encoding | None = None
        self._known: tuple[list[object], int] | None = None
        self._branch: tuple[int, int] | None = None
        self._candidates: tuple[Candidate, ...] | None = None

    def encode(self, scope: Scope) -> Encoding:
        """The encoding at `scope.here`; Mistake when no candidate holds the values."""
        if self._done is not None:
            return self._done
        if self._candidates is None:
            found = candidates(self.mnemonic, self.mode, self.operands, self.opsize)
            self._check_lock(found)
            self._candidates = found
        values = [_values(operand, scope) for operand in self.operands]
        best: Encoding | None = None
        reasons: list[str] = []
        for candidate in self._candidates:
            try:
                encoding = Encoder(self, candidate, scope, values).encode()
            except NoFit as reason:
                reasons.append(str(reason))
                continue
            if best is None or len(encoding.code) < len(best.code):
                best = encoding
        if best is None:
            raise Mistake(max(reasons, key=len))
        if self.static:
            self._done = best
        return best

    def size(self, scope: Scope) -> int:
        """The length of the encoding at `scope.here`, without making it where it cannot have changed.

        A length depends on which values are addresses and on the numbers among the values, and for a branch that has
        a short form on the distance.
        """
        if self._done is not None:
            return len(self._done.code)
        if self._branch is not None:
            return self._branch_size(*self._branch, scope)
        values = [_values(operand, scope) for operand in self.operands]
        shape: list[object] = [value if type(value) is int else type(value) for value in values]
        if self._known is not None and self._known[0] == shape:
            return self._known[1]
        length = len(self.encode(scope).code)
        self._note_branch()
        if not any(isinstance(operand, MemOperand) and operand.fixed is None for operand in self.operands):
            self._known = (shape, length)
        return length

    def has_near(self) -> bool:
        """Whether a longer branch may be taken instead of a short one."""
        return any(candidate.form.operands == ("rel",) for candidate in self._candidates or ())

    def _note_branch(self) -> None:
        """Remember both lengths of a branch that has a short and a near form and nothing else to decide."""
        found = self._candidates or ()
        if len(found) == 2 and found[0].form.operands == ("rel8",) and found[1].form.operands == ("rel",):
            near = (
                (2 if found[1].opsize == 2 else 4) + len(self.prefixes) + 1 + (found[1].form.opcode_map != 0)
            )
            if not found[1].opsize_prefix:
                self._branch = (2 + len(self.prefixes), near)

    def _branch_size(self, short: int, near: int, scope: Scope) -> int:
        value = _values(self.operands[0], scope)
        if isinstance(value, Unknown):
            return short
        delta = add(value, scope.here, -1)
        return short if isinstance(delta, int) and fits_signed(delta - short, 1) else near

    def _check_lock(self, found: tuple[Candidate, ...]) -> None:
        memory = any(isinstance(operand, MemOperand) for operand in self.operands)
        if self.lock and not (memory and any(candidate.form.lock for candidate in found)):
            raise Mistake(f"lock is not allowed on this {self.mnemonic}; it needs a destination in memory")


def _is_static(operand: Operand, relative: bool) -> bool:
    """Whether the operand is encoded alike in every place and pass."""
    if isinstance(operand, RegOperand):
        return True
    if not isinstance(operand, MemOperand) or type(operand.disp) is not int:
        return isinstance(operand, ImmOperand) and type(operand.node) is int
    if not operand.terms:
        return not (operand.relative or relative)
    return all(type(count) is int for _, count, _ in operand.terms)


def _values(operand: Operand, scope: Scope) -> Value:
    """The operand's number: an immediate, a target, a displacement, the offset of a far pointer."""
    node: Node = 0
    if isinstance(operand, ImmOperand):
        node = operand.node
    elif isinstance(operand, MemOperand):
        node = operand.disp
    elif isinstance(operand, FarOperand):
        node = operand.offset
    return node if type(node) is int else evaluate(node, scope)
