"""Memory as the Python engine's effects meet it: translations kept, and every access that none of them serves.

What cannot be done where it stands leaves by an exception: a guest's fault, `Leaving` or `Alone`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.limits import checked
from ringzero.cpu.address.mmu import Walker, is_canonical, truncated
from ringzero.cpu.engine.log import Log
from ringzero.cpu.engine.pyblocks import Blocks
from ringzero.cpu.exits import (
    ACCESS_READ,
    ACCESS_WRITE,
    CLEAN,
    CODE,
    FETCH,
    IMPLICIT,
    READ,
    TABLE,
    USER,
    WRITE,
    Leave,
)
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.state import SLOT, State
from ringzero.cpu.uops.table import STACK
from ringzero.isa.names import GP, STACK_FAULT

M64 = (1 << 64) - 1
DR7, LEFT, END_STEP = SLOT["dr7"], SLOT["left"], SLOT["end_step"]


class Leaving(Exception):
    """An effect leaves before its instruction."""

    def __init__(self, reason: Leave, address: int = 0, length: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.address, self.length = reason, address, length


class Alone(Exception):
    """An effect is about to store into a page table: its instruction must end the block, for code may move."""


class GuestMemory(Blocks):
    """Loads and stores of µops. `R`: the words of the state while something runs."""

    def __init__(self, state: State, memory: Memory) -> None:
        super().__init__(state, memory)
        self.R: list[int] = state.unpack()
        self.walker = Walker(memory, self._table, self._mark_over_code)
        self.tables: list[int] = []
        self.readable: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.writable: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.user = 0
        self.alone = False  # what runs is the last instruction before a fresh look-up, or a microprogram
        self.bus: Any = None  # set while one instruction runs that may reach beyond RAM
        self.hits: int | None = None  # set then too: breakpoints on data that it has met
        self.on_code_write: Callable[[int, int], None] | None = None
        self.between_runs = False
        self.log: Log | None = None  # while somebody records; nothing is cached then
        self.step = 0  # of the instruction that runs, while there is a log

    # --- the log of accesses -----------------------------------------------------------------------------------------

    def follow(self, log: Log | None) -> None:
        """Tell this log of each access from now on, or none."""
        self.log = log
        self.walker.on_walk = None if log is None else self._log_walk
        self.flush_translations()

    def _log_walk(self, kind: int, entry: int, size: int) -> None:
        assert self.log is not None, "the walker was told of a log"
        words = self.state.words
        self.log.walk(words[END_STEP] - words[LEFT] if self.between_runs else self.step, kind, entry, size)

    def _log_parts(self, parts: list[tuple[int, int]], kind: int) -> None:
        """Tell the log of an access to RAM; the bus tells it of devices."""
        assert self.log is not None, "asked only where there is one"
        for physical, size in parts:
            if physical + size <= self.memory.size:
                self.log.add(self.step, kind, physical, size)

    # --- translations ------------------------------------------------------------------------------------------------

    def flush_translations(self) -> None:
        """Forget every cached translation, and with them which pages were tables: CR3, a table or the like changed."""
        for cache in (*self.readable, *self.writable):
            cache.clear()
        self.forget_entries()
        for page in self.tables:
            self.memory.page_flags[page] &= ~TABLE
        self.tables.clear()

    def _table(self, page: int) -> None:
        """A walk has read entries from this page for the first time since the last flush."""
        self.tables.append(page)
        self.protect()

    def protect(self) -> None:
        for cache in self.writable:
            cache.clear()

    def translate(self, linear: int, access: int) -> int:
        """Physical address; raises GuestFault. Works on the shared state between runs."""
        self.between_runs = True
        try:
            return self.walker.translate(self.state.words, linear, access)
        finally:
            self.between_runs = False

    def peek(self, linear: int) -> int | None:
        """Physical address of a linear one, or None; nothing changes."""
        return self.walker.peek(self.state.words, linear)

    def _mark_over_code(self, address: int, size: int, access: int) -> None:
        """A walk is about to set bits among translated bytes: those blocks go first, as before a store."""
        if self.on_code_write:
            self.on_code_write(address, size)
        elif access & FETCH or self.between_runs:
            self.invalidate(address, size)
        elif any(
            self.overlaps(self.blocks[key].block, address, size) for key in self.pages.get(address >> 12, ())
        ):
            raise Leaving(Leave.CODE, address, size)

    def _walk(self, linear: int, access: int) -> int:
        if not is_canonical(linear):
            raise GuestFault(GP)
        if self.user and not access & IMPLICIT:
            access |= USER
        return self.walker.translate(self.R, linear, access)

    # --- loads and stores --------------------------------------------------------------------------------------------

    def load_slow(self, address: int, width: int, scale: int, access: int = READ) -> int:
        """A load that no cached translation serves; with WRITE in `access` checked as if it were stored to as well."""
        size = width >> 3
        parts = self._parts(address, size, scale, access)
        self._watch(address, size, access, bool(access & WRITE) and self.hits is None)
        if access & WRITE:
            self._check_store(parts)
        if self.log is not None and not (access & WRITE and access & IMPLICIT):  # which ask, and do not look
            self._log_parts(parts, ACCESS_READ)
        return int.from_bytes(b"".join(self._read(*part) for part in parts), "little")

    def store_slow(self, address: int, width: int, value: int, scale: int, access: int = WRITE) -> None:
        """A store that no cached permission serves: all checks first, then all bytes."""
        parts = self._parts(address, width >> 3, scale, access)
        self._watch(address, width >> 3, access, True)
        self._check_store(parts)
        if self.log is not None:
            self._log_parts(parts, ACCESS_WRITE)
        content = (value & ((1 << width) - 1)).to_bytes(width >> 3, "little")
        for physical, size in parts:
            self._write(physical, content[:size])
            content = content[size:]

    def _parts(self, address: int, size: int, scale: int, access: int) -> list[tuple[int, int]]:
        """Physical pieces (address, size) of a linear range of at most two pages; fills the caches."""
        last = address + size - 1 & M64
        for end in (address, last):
            if not is_canonical(end):
                raise GuestFault(STACK_FAULT if scale & STACK else GP)
        head = min(size, 4096 - (address & 0xFFF))
        parts = [(self._translated(address, access), head)]
        if head < size:
            parts.append((self._translated(address + head & M64, access), size - head))
        for physical, length in parts:
            if physical + length > self.memory.size and self.bus is None:
                raise Leaving(Leave.MMIO)
        return parts

    def _watch(self, address: int, size: int, access: int, write: bool) -> None:
        """Leave before an access that a hardware breakpoint waits for, or note it. What is loaded to be stored to
        counts as a write where it leaves; where hits are noted the store notes itself."""
        if not self.R[DR7] & breakpoints.ENABLES:
            return
        hits = breakpoints.data(self.R, truncated(self.R, address, access), size, write)
        if self.hits is not None:
            self.hits |= hits
        elif hits:
            raise Leaving(Leave.WATCH)

    def _translated(self, linear: int, access: int) -> int:
        linear = truncated(self.R, linear, access)
        physical = self._walk(linear, access)
        page = physical >> 12
        cacheable = (
            not self.walker.hangs_on_ac and not breakpoints.on_page(self.R, linear) and self.log is None
        )
        if page < self.memory.pages and cacheable:
            who = self.user and not access & IMPLICIT
            self.readable[who][linear >> 12] = page << 12
            if access & WRITE and not self.memory.page_flags[page]:
                self.writable[who][linear >> 12] = page << 12
        return physical

    def _check_store(self, parts: list[tuple[int, int]]) -> None:
        """Leave before a store into translated code; with `on_code_write` drop those blocks and go on."""
        for physical, size in parts:
            page = physical >> 12
            if page >= self.memory.pages:
                continue
            if self.memory.page_flags[page] & TABLE and not self.alone:
                raise Alone
            if not self.memory.page_flags[page] & CODE:
                continue
            if self.on_code_write:
                self.on_code_write(physical, size)
            elif any(
                self.overlaps(self.blocks[key].block, physical, size) for key in self.pages.get(page, ())
            ):
                raise Leaving(Leave.CODE, physical, size)

    def _read(self, physical: int, size: int) -> bytes:
        if physical + size <= self.memory.size:
            return self.memory.ram[physical : physical + size]
        return int(self.bus.mmio_read(physical, size)).to_bytes(size, "little")

    def _write(self, physical: int, content: bytes) -> None:
        size = len(content)
        if physical + size > self.memory.size:
            self.bus.mmio_write(physical, size, int.from_bytes(content, "little"))
            return
        page = physical >> 12
        marks = self.memory.page_flags[page]
        self.memory.page_flags[page] = marks & ~(CLEAN | TABLE)
        self.memory.ram[physical : physical + size] = content
        if marks & TABLE:
            self.flush_translations()

    def segment(self, segment: int, offset: int, access: int) -> int:
        """The effect SEGMENT: `access` is the size, and 16 for a write."""
        return checked(self.R, segment, offset, access & 15, bool(access & 16))
