"""Operands of a source line: what was written, before any encoding is chosen.

An operand keeps expressions unevaluated. Its `signature` is all that the choice of rows depends on besides values:
equal signatures share one list of candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ringzero.asm.diagnostics import Mistake
from ringzero.asm.expressions import Node, Parser, Scope, Unknown, evaluate, scalar, symbol_in
from ringzero.asm.registers import REGISTERS, Register

SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "tword": 10, "oword": 16, "yword": 32, "zword": 64}
_DISTANCES = ("short", "near", "far", "to")


@dataclass(slots=True)
class RegOperand:
    """A register."""

    register: Register

    @property
    def signature(self) -> Any:
        return self.register.name


@dataclass(slots=True)
class ImmOperand:
    """A number or a branch target. `size` is its size keyword's, or 0; `distance` short, near or nothing."""

    node: Node
    size: int = 0
    strict: bool = False
    distance: str = ""

    @property
    def signature(self) -> Any:
        return ("imm", self.size, self.strict, self.distance)


@dataclass(slots=True)
class FarOperand:
    """selector:offset."""

    selector: Node
    offset: Node
    size: int = 0

    @property
    def signature(self) -> Any:
        return ("far", self.size)


@dataclass(slots=True)
class MemOperand:
    """Memory. `size` is the keyword's, or 0.

    `terms` are the registers as written, (name, count, whether `*` was written); a count is an int or an expression.
    `disp` is the rest. `disp_size` is that of a keyword inside the brackets, `relative` True for rel, False for abs.
    """

    size: int
    terms: list[tuple[str, Node, bool]]
    disp: Node
    segment: int | None = None
    relative: bool | None = None
    disp_size: int = 0
    addr_size: int = 0
    nosplit: bool = False
    far: bool = False
    fixed: tuple[int | None, int | None, int] | None = field(default=None)

    @property
    def signature(self) -> Any:
        offset = not self.terms
        return (
            "far mem" if self.far else "mem",
            self.size,
            offset,
            self.disp_size if offset else 0,
            self.addr_size,
        )

    def registers(self, scope: Scope, mode: int) -> tuple[int | None, int | None, int, int]:
        """(base, index, shift, address size) of this memory operand; Mistake when the processor has no such address."""
        size = self.address_size(mode)
        if self.fixed is None:
            fixed = _base_index(self._counted(scope), self)
            if all(isinstance(count, int) for _, count, _ in self.terms):
                self.fixed = fixed
            return (*fixed, size)
        return (*self.fixed, size)

    def address_size(self, mode: int) -> int:
        """Bytes of the address: the registers', or the mode's."""
        named = self.disp_size if mode != 64 and self.disp_size in (2, 4) else 0
        sizes = {REGISTERS[name].size for name, _, _ in self.terms} or {self.addr_size or named or mode // 8}
        if len(sizes) > 1 or not sizes <= ({4, 8} if mode == 64 else {2, 4}):
            names = " and ".join(name for name, _, _ in self.terms) or "this keyword"
            allowed = "all 32-bit or all 64-bit" if mode == 64 else "all 16-bit or all 32-bit"
            raise Mistake(f"{names} cannot address memory here; write {allowed} registers")
        return sizes.pop()

    def _counted(self, scope: Scope) -> list[tuple[str, int, bool]]:
        counted: dict[str, tuple[int, bool]] = {}
        for name, count, starred in self.terms:
            value = evaluate(count, scope)
            number = 1 if isinstance(value, Unknown) else scalar(value, "the scale of an index")
            before = counted.get(name)
            counted[name] = (before[0] + number if before else number, starred)
        return [(name, count, starred) for name, (count, starred) in counted.items() if count]


def _base_index(terms: list[tuple[str, int, bool]], memory: MemOperand) -> tuple[int | None, int | None, int]:
    """Which register is base, which index, and by how much the index is shifted."""
    if len(terms) > 2:
        raise Mistake("an address has at most two registers, base + index*scale; compute the rest with lea")
    scaled = [t for t in terms if t[1] != 1]
    if len(scaled) == 2:
        raise Mistake("two scaled registers in one address; only one may have a scale")
    if len(terms) == 1:
        return _one_register(terms[0], memory.nosplit)
    if not terms:
        return None, None, 0
    base, index = terms
    as_written = not scaled and index[0] not in ("rsp", "esp") and (index[2] or not base[2])
    if not as_written and not (scaled and scaled[0] is index):
        base, index = index, base
    return REGISTERS[base[0]].number, _index(index[0]), _shift(index[1])


def _one_register(term: tuple[str, int, bool], nosplit: bool) -> tuple[int | None, int | None, int]:
    name, count, starred = term
    number = REGISTERS[name].number
    if count == 1:
        return (None, _index(name), 0) if nosplit and starred else (number, None, 0)
    if count in (3, 5, 9):
        return number, _index(name), _shift(count - 1)
    if count == 2 and not nosplit:
        return number, _index(name), 0  # one displacement byte instead of four
    return None, _index(name), _shift(count)


def _index(name: str) -> int:
    if name in ("rsp", "esp"):
        raise Mistake(
            f"{name} cannot be scaled or be a second register; only as a base does it address memory"
        )
    return REGISTERS[name].number


def _shift(count: int) -> int:
    if count not in (1, 2, 4, 8):
        raise Mistake(f"scale {count} of an index; the processor has 1, 2, 4 and 8")
    return (1, 2, 4, 8).index(count)


Operand = RegOperand | ImmOperand | FarOperand | MemOperand


class OperandParser:
    """Reads the operands of one instruction from tokens without blanks."""

    def __init__(self, tokens: list[str], at: int, local: str) -> None:
        self.tokens = tokens
        self.at = at
        self.local = local

    def _peek(self) -> str:
        return self.tokens[self.at].lower() if self.at < len(self.tokens) else ""

    def operands(self) -> list[Operand]:
        """All operands up to the end of the line."""
        found: list[Operand] = []
        while self.at < len(self.tokens):
            found.append(self._operand())
            if self.at < len(self.tokens):
                if self.tokens[self.at] != ",":
                    raise Mistake(
                        f"comma expected before {self.tokens[self.at]}; separate operands by commas"
                    )
                self.at += 1
                if self.at == len(self.tokens):
                    raise Mistake("operand expected behind the last comma; remove the comma or write one")
        return found

    def _operand(self) -> Operand:
        sized, distance, strict = self._keywords()
        size = SIZES.get(sized, 0)
        word = self._peek()
        if word == "[":
            return self._memory(size, distance == "far")
        if word in REGISTERS and self._ends(self.at + 1):
            self.at += 1
            register = REGISTERS[word]
            if size and size != register.size and register.kind in ("gpr", "high"):
                raise Mistake(f"{word} has {register.size * 8} bits; remove the size keyword")
            return RegOperand(register)
        node = self._expression()
        if self._peek() == ":":
            self.at += 1
            return FarOperand(node, self._expression(), size)
        if distance == "far":
            raise Mistake("far needs selector:offset or memory; write jmp 8:label or jmp far [pointer]")
        return ImmOperand(node, size, strict, distance)

    def _keywords(self) -> tuple[str, str, bool]:
        """The size keyword and the distance in front of an operand, each "" without one, and whether strict."""
        sized, distance, strict = "", "", False
        while (word := self._peek()) in SIZES or word in _DISTANCES or word in ("strict", "ptr"):
            self.at += 1
            if word == "ptr":
                raise Mistake("ptr is not NASM syntax; write dword [address]")
            if word in SIZES:
                sized = _agreeing(sized, word)
            elif word in _DISTANCES:
                distance = _agreeing(distance, word)
            else:
                strict = True
        return sized, distance, strict

    def _ends(self, at: int) -> bool:
        return at >= len(self.tokens) or self.tokens[at] == ","

    def _expression(self, registers: bool = False) -> Node:
        parser = Parser(self.tokens, self.at, local=self.local, registers=registers)
        node = parser.expression()
        self.at = parser.at
        return node

    def _memory(self, size: int, far: bool) -> MemOperand:
        self.at += 1
        memory = MemOperand(size, [], 0, far=far)
        while (word := self._peek()) in SIZES or word in (
            "rel",
            "abs",
            "nosplit",
            "a16",
            "a32",
            "a64",
            "strict",
        ):
            self.at += 1
            if word in ("rel", "abs"):
                memory.relative = word == "rel"
            elif word == "nosplit":
                memory.nosplit = True
            elif word[0] == "a":
                memory.addr_size = int(word[1:]) // 8
            else:
                memory.disp_size = SIZES.get(word, memory.disp_size)
        register = REGISTERS.get(word)
        if register and register.kind == "sreg" and self.tokens[self.at + 1 : self.at + 2] == [":"]:
            memory.segment = register.number
            self.at += 2
            if self._peek() in ("rel", "abs"):
                memory.relative = self._peek() == "rel"
                self.at += 1
        node = self._expression(registers=True)
        if self._peek() != "]":
            raise Mistake(
                f"[ without its ] before {self._peek() or 'the end of the line'}; close the address"
            )
        self.at += 1
        memory.disp = _split(node, 1, False, memory.terms)
        return memory


def _agreeing(before: str, word: str) -> str:
    """A keyword behind another of its sort; of two sizes nasm takes the first without a word."""
    if before not in ("", word):
        raise Mistake(f"{before} and {word} for one operand; write the one that is meant")
    return word


def _split(node: Node, sign: int, starred: bool, terms: list[tuple[str, Node, bool]]) -> Node:
    """Move the registers of an address expression into `terms`; the rest of the expression is returned."""
    if not _has_register(node):
        return node if sign == 1 else (-node if type(node) is int else ("neg", node))
    operator = node[0]
    if operator == "reg":
        if REGISTERS[node[1]].kind != "gpr" or sign < 0:
            raise Mistake(
                f"{node[1]} cannot stand so in an address; write [base + index*scale + displacement]"
            )
        terms.append((node[1], 1, starred))
        return 0
    if operator in ("+", "-"):
        left = _split(node[1], sign, starred, terms)
        right = (
            _split(node[2], sign, starred, terms)
            if operator == "+"
            else _split(node[2], -sign, starred, terms)
        )
        return _sum(left, right)
    if operator == "*" and sign == 1:
        register, count = (node[1], node[2]) if _has_register(node[1]) else (node[2], node[1])
        if register[0] == "reg" and REGISTERS[register[1]].kind == "gpr" and not _has_register(count):
            terms.append((register[1], count, True))
            return 0
    raise Mistake(
        f"{symbol_in(node)} cannot stand so in an address; write [base + index*scale + displacement]"
    )


def _sum(left: Node, right: Node) -> Node:
    if type(left) is int and type(right) is int:
        return left + right
    if left == 0:
        return right
    return left if right == 0 else ("+", left, right)


def _has_register(node: Node) -> bool:
    return type(node) is tuple and (node[0] == "reg" or any(_has_register(part) for part in node[1:]))
