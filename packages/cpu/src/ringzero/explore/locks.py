"""Locks, as a run shows them: words that are taken by one atomic instruction and given back with a zero.

Rule of this room: nothing is declared. A word that was 0 and that XCHG, CMPXCHG or BTS with LOCK made something else
may be a lock; it is one if who took it also gave it back, or if somebody spun on it. Flags and "pending" bits, which
are set in the same way, are set by one and cleared by another, and nobody spins on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringzero.cpu.state import GPRS
from ringzero.errors import RingzeroError
from ringzero.isa import record as R
from ringzero.machine.position import LONGEST_INSTRUCTION, mode

if TYPE_CHECKING:
    from ringzero.machine.machine import Machine

TAKING = frozenset({"bts", "xchg", "cmpxchg"})
SPINS = 3  # tries in a row that show that somebody waits there
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
M64 = (1 << 64) - 1


@dataclass
class Taken:
    """A word that was taken."""

    address: int
    size: int
    owner: int
    handler: bool
    first: int
    end: int | None = None
    ender: int = -1
    tries: int = 0  # that failed
    last: int = -1  # who tried last
    spins: list[int] = field(default_factory=list)  # the first steps of tries in a row


@dataclass(frozen=True)
class Try:
    """An atomic instruction that is next: the word that it is about."""

    address: int
    size: int
    before: int


class LockWatch:
    """Follows the words that may be locks, an instruction at a time."""

    def __init__(self, machine: Machine) -> None:
        from ringzero.asm.disassembler import fastest_decoder

        self.machine = machine
        self._decode = fastest_decoder()
        self._known: dict[int, R.RecordTuple | None] = {}
        self._next: Try | None = None
        self.held: dict[int, Taken] = {}
        self.all: list[Taken] = []

    def before(self) -> None:
        """Look at the instruction that is next."""
        rip = self.machine.registers["rip"]
        if rip not in self._known:
            self._known[rip] = self._atomic()
        found = self._known[rip]
        self._next = None if found is None else self._try(found)

    def after(self, at: int, owner: int, handler: bool) -> Iterator[tuple[str, Taken]]:
        """What step `at` has done: ("lock", "spin" or "unlock", the word)."""
        for address, taken in list(self.held.items()):
            if self._word(address, taken.size) == 0:
                taken.end, taken.ender = at + 1, owner
                del self.held[address]
                yield "unlock", taken
        tried, self._next = self._next, None
        now = self._word(tried.address, tried.size) if tried else None
        if tried is None or not now:
            return
        if tried.address in self.held:
            yield from self._failed(self.held[tried.address], at, owner)
        elif tried.before == 0:
            taken = Taken(tried.address, tried.size, owner, handler, at)
            self.held[tried.address] = taken
            self.all.append(taken)
            yield "lock", taken

    def _failed(self, taken: Taken, at: int, owner: int) -> Iterator[tuple[str, Taken]]:
        """Somebody wanted the word and did not get it; of tries in a row only the first is told."""
        first = taken.last != owner
        taken.tries, taken.last = taken.tries + 1, owner
        if first:
            taken.spins.append(at)
            yield "spin", taken

    def locks(self) -> set[int]:
        """The addresses of the words that have shown that they are locks."""
        return {
            taken.address
            for taken in self.all
            if taken.ender == taken.owner or (taken.end is None and taken.tries >= SPINS)
        }

    def _atomic(self) -> R.RecordTuple | None:
        """The instruction at rip, if it is one that takes a lock."""
        from ringzero.isa.table import FORMS

        machine = self.machine
        at = machine.cpu.where
        try:
            code = machine.read_virtual(at, min(LONGEST_INSTRUCTION, 0x1000 - at % 0x1000))
        except RingzeroError:
            return None
        found = self._decode(code, mode(machine))[0]
        if found[R.FORM] == R.INVALID_FORM or found[R.MOD] == 3:
            return None
        form = FORMS[found[R.FORM]]
        locked = form.mnemonic == "xchg" or found[R.PREFIXES] & R.LOCK
        indexed = form.mnemonic == "bts" and not form.encoding.endswith(
            "ib"
        )  # a bit of a bit map, not a lock
        return found if form.mnemonic in TAKING and locked and not indexed else None

    def _try(self, found: R.RecordTuple) -> Try | None:
        registers, disp = self.machine.registers, found[R.DISP]
        base, index = found[R.BASE], found[R.INDEX]
        address = disp + (registers[f"{SEGMENTS[found[R.SEG]]}_base"] if found[R.SEG] < len(SEGMENTS) else 0)
        if base == R.RIP:
            address += registers["rip"] + found[R.LENGTH]
        elif base != R.NO_REGISTER:
            address += registers[GPRS[base]]
        if index != R.NO_REGISTER:
            address += registers[GPRS[index]] << found[R.SCALE]
        before = self._word(address & M64, found[R.OPSIZE])
        return None if before is None else Try(address & M64, found[R.OPSIZE], before)

    def _word(self, address: int, size: int) -> int | None:
        try:
            return int.from_bytes(self.machine.read_virtual(address, size), "little")
        except RingzeroError:
            return None
