"""Address translation, told in Python: the page walk, its faults, and the accessed and dirty bits (SDM 3A 4.3-4.7).

Three kinds of paging share one walk: two levels of 4-byte entries, PAE with its four PDPTE registers, and four levels
in long mode. The C core has the same walk for its own misses; a test holds them together. A walk marks every page that
it reads entries from as TABLE, and a store into such a page drops all cached translations: what a translation yields
depends on memory alone. The PDPTEs are the one exception that the architecture makes: they are registers, loaded by
`load_pdptes` when CR3 or a paging bit is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ringzero.cpu import mode as M
from ringzero.cpu.exits import (
    ACCESS_MARK,
    ACCESS_WALK,
    CLEAN,
    CODE,
    FETCH,
    IMPLICIT,
    PHYSICAL_BITS,
    TABLE,
    USER,
    WRITE,
)
from ringzero.cpu.faults import PAGE_FAULT, GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.state import SLOT
from ringzero.isa.control import (
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
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
from ringzero.isa.names import GP
from ringzero.isa.rflags import AC

CR0, CR3, CR4, EFER, RFLAGS, MODE = (SLOT[n] for n in ("cr0", "cr3", "cr4", "efer", "rflags", "mode"))
PDPTE = SLOT["pdpte0"]
M32 = 0xFFFF_FFFF
ADDRESS = (1 << 52) - 1 & ~0xFFF
RESERVED = ((1 << 52) - 1) & ~((1 << PHYSICAL_BITS) - 1)
#: Outside long mode bits 62:52 of an entry are reserved too (SDM 3A, tables 4-9 to 4-11).
RESERVED_PAE = RESERVED | 0x7FF << 52
#: PDPTEs have no rights, no A and no NX (SDM 3A, table 4-8).
RESERVED_PDPTE = 1 << 63 | RESERVED_PAE | 0x1E6
#: Of a 4 MiB page: bits 20:13 are bits 39:32 of its address, as far as there are such (PSE-36; SDM 3A, table 4-4).
RESERVED_4M = (1 << 22) - (1 << PHYSICAL_BITS - 19)
PF_P, PF_W, PF_U, PF_RSVD, PF_I = 1, 2, 4, 8, 16


def is_canonical(linear: int) -> bool:
    """Whether bits 63 to 47 are all the same (SDM 1, 3.3.7.1)."""
    return not (linear + 0x8000_0000_0000) >> 48 & 0xFFFF


def truncated(state: Sequence[int], linear: int, access: int) -> int:
    """The address that is translated: 32 bits without paging and outside 64-bit mode.

    In compatibility mode the processor's own accesses keep all 64.
    """
    wide = state[MODE] & M.LONG or (access & IMPLICIT and state[EFER] & EFER_LMA)
    return linear if wide and state[CR0] & CR0_PG else linear & M32


def entry_size(state: Sequence[int]) -> int:
    """Bytes of a page-table entry."""
    return 8 if state[EFER] & EFER_LMA or state[CR4] & CR4_PAE else 4


def read_entry(memory: Memory, address: int, size: int) -> int:
    """An entry, or all ones where nothing answers, as on the bus."""
    if address + size > memory.size:
        return (1 << 8 * size) - 1
    return int.from_bytes(memory.ram[address : address + size], "little")


def load_pdptes(memory: Memory, cr3: int) -> list[int]:
    """The four PDPTEs at CR3, as PAE paging loads them. Raises GuestFault: #GP(0) for reserved bits (SDM 3A 4.4.1)."""
    entries = [read_entry(memory, (cr3 & 0xFFFF_FFE0) + 8 * n, 8) for n in range(4)]
    if any(entry & PTE_P and entry & RESERVED_PDPTE for entry in entries):
        raise GuestFault(GP)
    return entries


class Path(NamedTuple):
    """How far a walk came: its entries from the root on, where they stand, and how many bits of offset are left.

    `failure` is None when the last entry maps a page, otherwise bits of the page fault's error code.
    """

    addresses: list[int]
    entries: list[int]
    shift: int
    size: int
    failure: int | None

    def physical(self, linear: int) -> int:
        """Where an address leads on the page."""
        leaf, offset = self.entries[-1], (1 << self.shift) - 1
        if self.size == 4 and self.shift == 22:
            return leaf & 0xFFC0_0000 | (leaf & 0x1F_E000) << 19 | linear & offset
        return leaf & ADDRESS & ~offset | linear & offset


def descend(state: Sequence[int], linear: int, read: Callable[[int, int], int]) -> Path:
    """Walk the tables of whatever paging the state has. `read` takes an entry's address and size."""
    size = entry_size(state)
    path = Path([], [], 0, size, None)
    bits = 9 if size == 8 else 10
    table, shift = state[CR3], 39
    if size == 4:
        table, shift = table & M32, 22
    elif not state[EFER] & EFER_LMA:
        table, shift = state[PDPTE + (linear >> 30 & 3)], 21
        if not table & PTE_P:
            return path._replace(failure=0)
    while True:
        address = (table & ADDRESS) + (linear >> shift & (1 << bits) - 1) * size
        table = read(address, size)
        path.addresses.append(address)
        path.entries.append(table)
        if not table & PTE_P:
            return path._replace(failure=0)
        large = bool(table & PTE_PS) and shift in (21, 22, 30) and (size == 8 or bool(state[CR4] & CR4_PSE))
        if table & _reserved(state, shift, large, size):
            return path._replace(failure=PF_P | PF_RSVD)
        if large or shift == 12:
            return path._replace(shift=shift)
        shift -= bits


def _reserved(state: Sequence[int], shift: int, large: bool, size: int) -> int:
    """Bits that must be 0 in an entry whose table is indexed from bit `shift` on (SDM 3A, tables 4-4 to 4-20)."""
    if size == 4:
        return RESERVED_4M if large else 0
    bits = RESERVED if state[EFER] & EFER_LMA else RESERVED_PAE
    if not state[EFER] & EFER_NXE:
        bits |= PTE_NX
    if shift == 39:
        bits |= PTE_PS
    if large:
        bits |= ((1 << shift) - 1) & ~0x1FFF  # bit 12 of a large page's entry is PAT
    return bits


class Walker:
    """Walks the page tables in `memory`.

    `on_table` is called with a page's number when it first becomes a TABLE: engines drop their cached permission to
    write it. `on_code` is called with an entry's address and size, and the access, when the entry is about to be
    marked on a page that holds translated code. After `translate`, `hangs_on_ac` tells whether what it allowed may
    change with RFLAGS.AC (SMAP): such a translation must not be cached.
    """

    def __init__(
        self,
        memory: Memory,
        on_table: Callable[[int], None] = lambda page: None,
        on_code: Callable[[int, int, int], None] = lambda address, size, access: None,
    ) -> None:
        self.memory, self.on_table, self.on_code = memory, on_table, on_code
        self.hangs_on_ac = False
        self.on_walk: Callable[[int, int, int], None] | None = (
            None  # kind, address and size of an entry, for a log
        )

    def translate(self, state: Sequence[int], linear: int, access: int) -> int:
        """Physical address of a canonical linear one. `access` is of READ, WRITE, FETCH, USER and IMPLICIT.

        Raises GuestFault (#PF).
        """
        linear = truncated(state, linear, access)
        self.hangs_on_ac = False
        if not state[CR0] & CR0_PG:
            return linear
        path = descend(state, linear, self._entry)
        if path.failure is not None:
            raise self._fault(state, linear, access, path.failure)
        if not self._permitted(state, path.entries, access):
            raise self._fault(state, linear, access, PF_P)
        self._mark(path, access)
        return path.physical(linear)

    def _entry(self, address: int, size: int) -> int:
        page = address >> 12
        if address < self.memory.size and not self.memory.page_flags[page] & TABLE:
            self.memory.page_flags[page] |= TABLE
            self.on_table(page)
        if self.on_walk is not None:
            self.on_walk(ACCESS_WALK, address, size)
        return read_entry(self.memory, address, size)

    @staticmethod
    def _fault(state: Sequence[int], linear: int, access: int, cause: int) -> GuestFault:
        """SDM 3A 4.7: bit 4 tells of a fetch where tables or SMEP can forbid one."""
        error = cause | (PF_W if access & WRITE else 0) | (PF_U if access & USER else 0)
        has_nx = state[EFER] & EFER_NXE and entry_size(state) == 8
        if access & FETCH and (has_nx or state[CR4] & CR4_SMEP):
            error |= PF_I
        return GuestFault(PAGE_FAULT, error, linear)

    def _permitted(self, state: Sequence[int], entries: list[int], access: int) -> bool:
        """Whether the combined rights of all levels allow the access (SDM 3A 4.6)."""
        user_page, writable = (all(entry & bit for entry in entries) for bit in (PTE_U, PTE_W))
        if access & FETCH and any(entry & PTE_NX for entry in entries):
            return False
        if access & USER:
            return user_page and (writable or not access & WRITE)
        if user_page and access & FETCH:
            return not state[CR4] & CR4_SMEP
        if user_page and state[CR4] & CR4_SMAP:
            self.hangs_on_ac = True
            if access & IMPLICIT or not state[RFLAGS] & AC:
                return False
        return writable or not access & WRITE or not state[CR0] & CR0_WP

    def _mark(self, path: Path, access: int) -> None:
        """Accessed at every level, dirty at the last, once nothing can fault any more."""
        marked = [entry | PTE_A for entry in path.entries]
        if access & WRITE:
            marked[-1] |= PTE_D
        changed = [
            (address, new)
            for address, old, new in zip(path.addresses, path.entries, marked, strict=True)
            if new != old and address < self.memory.size
        ]
        flags, size = self.memory.page_flags, path.size
        for address, _ in changed:
            if flags[address >> 12] & CODE:
                self.on_code(address, size, access)
        for address, new in changed:
            self.memory.ram[address : address + size] = new.to_bytes(size, "little")
            flags[address >> 12] &= ~CLEAN
            if self.on_walk is not None:
                self.on_walk(ACCESS_MARK, address, size)

    def peek(self, state: Sequence[int], linear: int) -> int | None:
        """Where a linear address leads, for people who look: no fault, no bit changed, no permission asked."""
        linear = truncated(state, linear, IMPLICIT)
        if not state[CR0] & CR0_PG:
            return linear
        path = descend(state, linear, lambda address, size: read_entry(self.memory, address, size))
        return path.physical(linear) if path.failure is None else None
