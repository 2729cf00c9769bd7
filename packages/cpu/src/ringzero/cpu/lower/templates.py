"""Templates: an instruction's µops with its numbers left open, learned once and filled in by the C core.

Rule of this room: nobody says which lowering may be a template. Each is run on symbols (`symbols`), with all of the
record known but immediate, displacement, length and addresses. What it does with those is what the template says; where
it asks for one of their values, the template is for that value alone; where it hangs on an address, there is none.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringzero.cpu.lower import symbols as S
from ringzero.cpu.lower.builder import Builder
from ringzero.cpu.lower.emitter import K, Systems, Value
from ringzero.cpu.lower.symbols import NotExpressible, Symbol
from ringzero.cpu.uops.table import PACKED
from ringzero.isa import record as R
from ringzero.isa.form import Form

#: What a template holds for, by the immediate and by the displacement: all values, those that are 0 or are not, or one.
ANY, ZERO_OR_NOT, ONE_VALUE = range(3)

#: A patch as the C core has it: a factor for each of symbols.ATOMS, the width of the cut, and two bytes of nothing.
PATCH = struct.Struct("<5bB2x")
_NO_PATCH = PATCH.pack(0, 0, 0, 0, 0, 64)
_UNITS: list[S.Terms] = [tuple(int(atom == n) for n in range(len(S.ATOMS))) for atom in range(len(S.ATOMS))]


def _never_zero(_: int) -> bool:
    """Of addresses: the C core uses no template at address 0."""
    return False


_FIELDS = ((S.IMM, R.IMM), (S.DISP, R.DISP))
_NEXT, _RIP, _LENGTH = (Symbol(_UNITS[atom], 0, _never_zero) for atom in (S.NEXT, S.RIP, S.LENGTH))

Lower = Callable[[Builder, R.RecordTuple, int, int], None]


@dataclass(slots=True)
class Template:
    """A lowered instruction. uops: 16 bytes each, index 0; patches: 8 bytes each; target, target_patch: the same of the
    taken branch's address. imm, disp: what it holds for. ended: whether the block ends with it."""

    imm: int
    disp: int
    uops: bytes
    patches: bytes
    target: int
    target_patch: bytes
    ended: bool


class _Trial(Builder):
    """A builder on symbols."""

    def __init__(self, mode: int, systems: Systems, record: R.RecordTuple, known: set[int]) -> None:
        super().__init__(mode, systems)
        self.known, self.asked = known, set[int]()
        self._values = record
        symbolic: list[Any] = list(record)
        symbolic[R.LENGTH] = _LENGTH
        for atom, field in _FIELDS:
            if atom not in known:
                symbolic[field] = Symbol(_UNITS[atom], 0, self._is_zero)
        self.symbolic: R.RecordTuple = tuple(symbolic)

    def _is_zero(self, atom: int) -> bool:
        self.asked.add(atom)
        return self._values[dict(_FIELDS)[atom]] == 0

    def begin(self, record: R.RecordTuple, form: Form | None, rip: int, index: int) -> None:
        super().begin((*record[: R.LENGTH], 1, *record[R.LENGTH + 1 :]), form, rip, index)
        self.record = record
        self.rip, self.next_rip = _RIP, _NEXT  # type: ignore[assignment]

    @staticmethod
    def const(value: Any) -> Value:
        return value if isinstance(value, Symbol) else K(value)  # type: ignore[return-value]

    @staticmethod
    def _immediate(value: Any) -> Any:
        return value if isinstance(value, Symbol) else Builder._immediate(value)

    def holds_for(self, atom: int) -> int:
        return ONE_VALUE if atom in self.known else ZERO_OR_NOT if atom in self.asked else ANY


def _split(value: object) -> tuple[int, bytes]:
    """A number that may be a symbol, as its constant part and its patch."""
    if not isinstance(value, Symbol):
        assert isinstance(value, int)
        return value, _NO_PATCH
    if not all(-128 <= factor <= 127 for factor in value.terms):
        raise NotExpressible(value.atoms, "a multiple")
    return Builder._immediate(value.constant), PATCH.pack(*value.terms, value.bits)


def _frozen(trial: _Trial) -> Template:
    uops, patches = [], []
    slots: list[Any]
    for op, *slots, index, imm in trial.uops:
        for slot in slots:
            if isinstance(slot, Symbol):  # a value that the vocabulary took for a slot
                raise NotExpressible(slot.atoms, "a slot")
        constant, patch = _split(imm)
        uops.append(PACKED.pack(op, *slots, index, constant))
        patches.append(patch)
    target, target_patch = _split(trial.target)
    return Template(
        trial.holds_for(S.IMM), trial.holds_for(S.DISP), b"".join(uops), b"".join(patches),
        Builder._immediate(target), target_patch, trial.ended,
    )  # fmt: skip


def learn(lower: Lower, systems: Systems, record: R.RecordTuple, mode: int) -> Template | None:
    """The template for a valid record in `mode`, or None where there can be none. `lower` lowers one record."""
    known: set[int] = set()
    while True:
        trial = _Trial(mode, systems, record, known)
        try:
            lower(trial, trial.symbolic, 0, 0)
            return _frozen(trial)
        except NotExpressible as wanted:
            if not wanted.atoms <= {S.IMM, S.DISP} - known:
                return None
            known |= wanted.atoms
