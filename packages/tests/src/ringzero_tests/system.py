"""A whole machine's memory and system registers around a case, for judges that need tables: our engines, emulators.

The room's rule: everything that the processor itself looks up (page tables, GDT, IDT, TSS) is drawn here, once, and the
same picture goes to every judge that is not a host process.

Physical memory, 2 MiB::

    0x0_1000  page tables             0x1_3000  handlers: 256 x 8 bytes, each `hlt; jmp $-1`
    0x1_0000  GDT                     0x1_4000  stack of RSP0
    0x1_1000  IDT                     0x1_5000  stack of IST1, on which every gate lands
    0x1_2000  TSS                     0x2_0000  the regions of a case, one after another

Linear: all of it at KERNEL, supervisor; the regions also where `case` puts them, user, A and D set.
A case ends in the handler of some vector; its HLT stops the judge, and the frame on the IST stack says the rest.
The selectors are Linux's, so that silicon's answers fit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ringzero.isa.control import ATTR_BIG
from ringzero.isa.names import RSP
from ringzero_tests.case import (
    FS_BASE,
    GS_BASE,
    PAGE,
    REGIONS,
    REGISTERS,
    USER_SS,
    VISIBLE,
    Case,
    Fault,
    Outcome,
    changed_runs,
    initial_memory,
)

KERNEL = 0xFFFF_F000_0000_0000
MEMORY_SIZE = 2 << 20
TABLES, GDT, IDT, TSS, HANDLERS, IST_STACK_TOP = 0x1000, 0x10000, 0x11000, 0x12000, 0x13000, 0x16000
RSP0_TOP, FIRST_REGION = 0x15000, 0x20000
LDT_CS16 = 7
KERNEL_CS, KERNEL_SS, USER_CS32, USER_CS64, TSS_SELECTOR = 0x10, 0x18, 0x23, 0x33, 0x40
CR0, CR4, EFER = 0x80050033, 0x100A0, 0xD01  # PG AM WP NE ET MP PE; PAE PGE FSGSBASE; NXE LMA LME SCE

_PRESENT, _WRITE, _USER, _SEEN, _LARGE, _NX = 1, 2, 4, 0x60, 0x80, 1 << 63
_HAS_ERROR = {8, 10, 11, 12, 13, 14, 17, 21}

#: Descriptors by index: Linux's user-visible ones. Access bytes have "accessed" set, so loads write nothing.
DESCRIPTORS = {
    1: 0x00CF9B000000FFFF,  # kernel code, 32 bits
    2: 0x00AF9B000000FFFF,  # kernel code, 64 bits
    3: 0x00CF93000000FFFF,  # kernel data
    4: 0x00CFFB000000FFFF,  # user code, 32 bits
    5: 0x00CFF3000000FFFF,  # user data
    6: 0x00AFFB000000FFFF,  # user code, 64 bits
    14: 0x00CF13000000FFFF,  # kernel data, not present
    15: 0x00AF9F000000FFFF,  # kernel code, conforming, 64 bits
    16: 0x00CFF1000000FFFF,  # user data, read only
    17: 0x00CFF2000000FFFF,  # user data, not yet accessed
    18: 0x00AF98000000FFFF,  # kernel code, execute only, not yet accessed, 64 bits
    19: 0x00CFF9000000FFFF,  # user code, execute only, 32 bits
}
# Two words each: a busy TSS where TR points, an available one, an LDT (the GDT's own bytes).
SYSTEM_DESCRIPTORS = {8: (TSS, 103, 0x8B), 10: (TSS, 103, 0x89), 12: (GDT, 0x7F, 0x82)}
GDT_LIMIT = 8 * 20 - 1


@cache
def physical_of(region: int) -> int:
    """Return where a region (by its linear start) lies in physical memory."""
    at = FIRST_REGION
    for start, size, _, _ in REGIONS:
        if start == region:
            return at
        at += size
    raise ValueError(f"no region at {region:#x}")


@cache
def system_image() -> bytes:
    """Return physical memory from 0 to FIRST_REGION: tables and handlers, the same for every case."""
    image = bytearray(FIRST_REGION)
    _put_page_tables(image)
    for index, descriptor in DESCRIPTORS.items():
        struct.pack_into("<Q", image, GDT + 8 * index, descriptor)
    for index, (address, limit, access) in SYSTEM_DESCRIPTORS.items():
        struct.pack_into("<QQ", image, GDT + 8 * index, *_system_descriptor(KERNEL + address, limit, access))
    for vector in range(256):
        struct.pack_into("<QQ", image, IDT + 16 * vector, *_gate(vector))
        image[HANDLERS + 8 * vector : HANDLERS + 8 * vector + 3] = b"\xf4\xeb\xfd"
    struct.pack_into("<Q", image, TSS + 4, KERNEL + RSP0_TOP)
    struct.pack_into("<Q", image, TSS + 36, KERNEL + IST_STACK_TOP)
    struct.pack_into("<H", image, TSS + 102, 104)
    return bytes(image)


def _system_descriptor(base: int, limit: int, access: int) -> tuple[int, int]:
    low = limit | (base & 0xFFFFFF) << 16 | access << 40 | (base >> 24 & 0xFF) << 56
    return low, base >> 32


def _gate(vector: int) -> tuple[int, int]:
    # Linux lets user mode raise #BP and #OF by INT n (its gates have DPL 3), nothing else but its own 0x80.
    handler, privilege = KERNEL + HANDLERS + 8 * vector, 3 if vector in (3, 4) else 0
    access = 0x8E | privilege << 5
    low = handler & 0xFFFF | KERNEL_CS << 16 | 1 << 32 | access << 40 | (handler >> 16 & 0xFFFF) << 48
    return low, handler >> 32


def _put_page_tables(image: bytearray) -> None:
    root, user_directories, kernel_directories, user_directory, kernel_directory = (
        TABLES + PAGE * n for n in range(5)
    )  # fmt: skip
    link = _PRESENT | _WRITE | _SEEN

    def put(table: int, index: int, entry: int) -> None:
        struct.pack_into("<Q", image, table + 8 * index, entry)

    put(root, 0, user_directories | link | _USER)
    put(root, KERNEL >> 39 & 511, kernel_directories | link)
    put(user_directories, 0, user_directory | link | _USER)
    put(kernel_directories, 0, kernel_directory | link)
    put(kernel_directory, 0, link | _LARGE)
    _put_regions(put, user_directory, TABLES + PAGE * 5)


def _put_regions(put: Callable[[int, int, int], None], directory: int, free: int) -> None:
    tables: dict[int, int] = {}
    for start, size, writable, executable in REGIONS:
        index = start >> 21
        if index not in tables:
            tables[index] = free + PAGE * len(tables)
            put(directory, index & 511, tables[index] | _PRESENT | _WRITE | _USER | _SEEN)
        bits = _PRESENT | _USER | _SEEN | (_WRITE if writable else 0) | (0 if executable else _NX)
        for page in range(size // PAGE):
            linear = start + page * PAGE
            put(tables[index], linear >> 12 & 511, physical_of(start) + page * PAGE | bits)


def state_for(case: Case, privilege: int = 3) -> dict[str, int]:
    """Return every register a judge needs, by the names of `ringzero.cpu.state`; privilege 3 or 0."""
    code = (
        (USER_CS64 if case.bits == 64 else USER_CS32)
        if privilege
        else (KERNEL_CS if case.bits == 64 else 0x08)
    )
    stack = USER_SS if privilege else KERNEL_SS
    state = dict(zip(REGISTERS, case.registers, strict=True))
    state |= {"rip": case.address, "rflags": case.flags | 0x202, "cpl": privilege}
    for name, selector in (("cs", code), ("ss", stack), ("ds", USER_SS), ("es", USER_SS)):
        state |= _segment(name, selector)
    if case.bits == 16:  # the code segment that the worker puts into its LDT
        state |= {"cs_selector": LDT_CS16, "cs_attr": state["cs_attr"] & ~ATTR_BIG}
    for name, base in (("fs", FS_BASE), ("gs", GS_BASE)):
        state |= {f"{name}_selector": 0, f"{name}_base": base, f"{name}_limit": 0, f"{name}_attr": 0}
    state |= {"ldtr_selector": 0, "ldtr_base": 0, "ldtr_limit": 0, "ldtr_attr": 0}
    state |= {"tr_selector": TSS_SELECTOR, "tr_base": KERNEL + TSS, "tr_limit": 103, "tr_attr": 0x8B}
    state |= {"gdtr_base": KERNEL + GDT, "gdtr_limit": GDT_LIMIT}
    state |= {"idtr_base": KERNEL + IDT, "idtr_limit": 16 * 256 - 1}
    return state | {"cr0": CR0, "cr2": 0, "cr3": TABLES, "cr4": CR4, "cr8": 0, "efer": EFER}


def _segment(name: str, selector: int) -> dict[str, int]:
    descriptor = DESCRIPTORS[selector >> 3]
    attributes = descriptor >> 40 & 0xFF | (descriptor >> 52 & 0xF) << 8
    return {
        f"{name}_selector": selector,
        f"{name}_base": 0,
        f"{name}_limit": 0xFFFFFFFF,
        f"{name}_attr": attributes,
    }


def memory_for(case: Case) -> dict[int, bytes]:
    """Return the contents of the regions by *physical* address, and so what a judge must put into memory."""
    return {physical_of(start): contents for start, contents in initial_memory(case).items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """What a delivery pushed."""

    vector: int
    error: int
    rip: int
    cs: int
    flags: int
    rsp: int
    ss: int


def read_frame(register: Callable[[str], int], read: Callable[[int, int], bytes]) -> Frame | None:
    """Return the frame of the handler in which the judge has stopped; None if it stopped somewhere else.

    `register` returns a register by name, `read` physical memory (address, bytes).
    """
    handler = register("rip") - KERNEL - HANDLERS
    if not 0 <= handler < PAGE:
        return None
    vector, at, error = handler >> 3, register("rsp") - KERNEL, 0
    if vector in _HAS_ERROR:
        (error,) = struct.unpack("<Q", read(at, 8))
        at += 8
    return Frame(vector, error, *struct.unpack("<5Q", read(at, 40)))


def read_outcome(case: Case, register: Callable[[str], int], read: Callable[[int, int], bytes]) -> Outcome:
    """Make the outcome of a case whose judge has stopped at a HLT: in a handler, or where the case landed."""
    frame = read_frame(register, read)
    memory = _memory_runs(case, read)
    registers = tuple(map(register, REGISTERS))
    if frame is None:
        return Outcome(registers, register("rflags") & VISIBLE, register("rip") - 1, memory)
    registers = (*registers[:RSP], frame.rsp, *registers[RSP + 1 :])
    if frame.vector == 3 and not 0 <= frame.rip - 1 - case.address < len(case.code):
        return Outcome(registers, frame.flags & VISIBLE, frame.rip - 1, memory)
    fault = Fault(frame.vector, frame.error, register("cr2") if frame.vector == 14 else 0)
    return Outcome(registers, frame.flags & VISIBLE, frame.rip, memory, fault)


def _memory_runs(case: Case, read: Callable[[int, int], bytes]) -> tuple[tuple[int, bytes], ...]:
    runs: list[tuple[int, bytes]] = []
    for start, before in initial_memory(case).items():
        runs += changed_runs(start, before, read(physical_of(start), len(before)))
    return tuple(runs)
