"""Address translation, told in Python: the page walk, its faults, and the accessed and dirty bits (SDM 3A 4.5).

The C core has the same walk for its own misses; a test holds them together. A walk marks every page that it reads
entries from as TABLE, and a store into such a page drops all cached translations: what a translation yields depends
on memory alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from ringzero.cpu.exits import CLEAN, CODE, FETCH, IMPLICIT, PHYSICAL_BITS, TABLE, USER, WRITE
from ringzero.cpu.faults import PAGE_FAULT, GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.state import SLOT
from ringzero.isa.control import (
    CR0_PG,
    CR0_WP,
    CR4_SMAP,
    CR4_SMEP,
    EFER_LMA,
    EFER_NXE,
    PTE_A,
    PTE_D,
    PTE_NX,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
)
from ringzero.isa.rflags import AC

CR0, CR3, CR4, EFER, RFLAGS = (SLOT[n] for n in ("cr0", "cr3", "cr4", "efer", "rflags"))
ADDRESS = (1 << 52) - 1 & ~0xFFF
RESERVED = ((1 << 52) - 1) & ~((1 << PHYSICAL_BITS) - 1)
PF_P, PF_W, PF_U, PF_RSVD, PF_I = 1, 2, 4, 8, 16
_ENTRY = struct.Struct("<Q")


def is_canonical(linear: int) -> bool:
    """Whether bits 63 to 47 are all the same (SDM 1, 3.3.7.1)."""
    return not (linear + 0x8000_0000_0000) >> 48 & 0xFFFF


class Walker:
    """Walks the page tables in `memory`.

    `on_table` is called with a page's number when it first becomes a TABLE: engines drop their cached permission to
    write it. `on_code` is called with an address and the access when an entry is about to be marked on a page that
    holds translated code.
    """

    def __init__(
        self,
        memory: Memory,
        on_table: Callable[[int], None] = lambda page: None,
        on_code: Callable[[int, int], None] = lambda address, access: None,
    ) -> None:
        self.memory, self.on_table, self.on_code = memory, on_table, on_code

    def translate(self, state: Sequence[int], linear: int, access: int) -> int:
        """Physical address of a canonical linear one. `access` is of READ, WRITE, FETCH, USER and IMPLICIT.

        Raises GuestFault (#PF).
        """
        if not state[CR0] & CR0_PG:
            return linear
        table, shift, rights, trail = state[CR3] & ADDRESS, 39, PTE_W | PTE_U, []
        executable = True
        while True:
            address = table + (linear >> shift & 0x1FF) * 8
            entry = self._entry(address)
            if not entry & PTE_P:
                raise self._fault(state, linear, access, 0)
            large = shift in (21, 30) and bool(entry & PTE_PS)
            if entry & self._reserved(state, shift, large, entry):
                raise self._fault(state, linear, access, PF_P | PF_RSVD)
            rights &= entry
            executable = executable and not entry & PTE_NX
            trail.append((address, entry))
            if shift == 12 or large:
                break
            table, shift = entry & ADDRESS, shift - 9
        self._permit(state, linear, access, rights, executable)
        self._mark(trail, access)
        offset = (1 << shift) - 1
        return (trail[-1][1] & ADDRESS & ~offset) | (linear & offset)

    def _entry(self, address: int) -> int:
        if address + 8 > self.memory.size:
            return 0xFFFF_FFFF_FFFF_FFFF  # nothing answers there: all ones, as on the bus
        flags, page = self.memory.page_flags, address >> 12
        if not flags[page] & TABLE:
            flags[page] |= TABLE
            self.on_table(page)
        return int(_ENTRY.unpack_from(self.memory.ram, address)[0])

    @staticmethod
    def _reserved(state: Sequence[int], shift: int, large: bool, entry: int) -> int:
        bits = RESERVED
        if not state[EFER] & EFER_NXE:
            bits |= PTE_NX
        if shift == 39:
            bits |= PTE_PS
        if large:
            bits |= ((1 << shift) - 1) & ~0x1FFF  # bit 12 of a large page's entry is PAT
        return bits

    @staticmethod
    def _fault(state: Sequence[int], linear: int, access: int, cause: int) -> GuestFault:
        error = cause | (PF_W if access & WRITE else 0) | (PF_U if access & USER else 0)
        if access & FETCH and (state[EFER] & EFER_NXE or state[CR4] & CR4_SMEP):
            error |= PF_I
        return GuestFault(PAGE_FAULT, error, linear)

    def _permit(self, state: Sequence[int], linear: int, access: int, rights: int, executable: bool) -> None:
        """Raise unless the combined rights of all levels allow the access (SDM 3A 4.6)."""
        user_page = rights & PTE_U
        if access & USER:
            allowed = bool(user_page)
            writable = bool(rights & PTE_W)
        else:
            smap = (
                state[CR4] & CR4_SMAP and (access & IMPLICIT or not state[RFLAGS] & AC) and not access & FETCH
            )
            smep = state[CR4] & CR4_SMEP and access & FETCH
            allowed = not (user_page and (smap or smep))
            writable = bool(rights & PTE_W) or not state[CR0] & CR0_WP
        if access & WRITE and not writable:
            allowed = False
        if access & FETCH and not executable:
            allowed = False
        if not allowed:
            raise self._fault(state, linear, access, PF_P)

    def _mark(self, trail: list[tuple[int, int]], access: int) -> None:
        """Accessed at every level, dirty at the last, once nothing can fault any more."""
        marked = [entry | PTE_A for _, entry in trail]
        if access & WRITE:
            marked[-1] |= PTE_D
        changed = [
            (address, new)
            for (address, old), new in zip(trail, marked, strict=True)
            if new != old and address + 8 <= self.memory.size
        ]
        flags = self.memory.page_flags
        for address, _ in changed:
            if flags[address >> 12] & CODE:
                self.on_code(address, access)
        for address, new in changed:
            _ENTRY.pack_into(self.memory.ram, address, new)
            flags[address >> 12] &= ~CLEAN

    def peek(self, state: Sequence[int], linear: int) -> int | None:
        """Where a linear address leads, for people who look: no fault, no bit changed, no permission asked."""
        if not state[CR0] & CR0_PG:
            return linear
        table, shift = state[CR3] & ADDRESS, 39
        while True:
            address = table + (linear >> shift & 0x1FF) * 8
            if address + 8 > self.memory.size:
                return None
            entry = int(_ENTRY.unpack_from(self.memory.ram, address)[0])
            if not entry & PTE_P:
                return None
            if shift == 12 or (shift in (21, 30) and entry & PTE_PS):
                offset = (1 << shift) - 1
                return (entry & ADDRESS & ~offset) | (linear & offset)
            table, shift = entry & ADDRESS, shift - 9


def paging_is_supported(cr0: int, efer: int) -> bool:
    """Paging outside long mode is not here yet."""
    return not cr0 & CR0_PG or bool(efer & EFER_LMA)
