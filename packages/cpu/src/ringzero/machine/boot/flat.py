"""Code without an image, for tests and experiments: 64-bit long mode, flat, everything mapped to itself.

In real mode it is a boot sector without a BIOS: at 0000:7C00, where the stack ends too, and interrupt vectors at 0.

0x0500  GDT: 0x08 32-bit code, 0x10 64-bit code, 0x18 data, 0x20 user data, 0x28 user 64-bit code
0x1000  PML4; 0x2000 PDPT; 0x3000 … page directories of 2 MiB pages, one a GiB
the stack grows down from the code
"""

from __future__ import annotations

import struct
from typing import Literal

from ringzero.errors import UsageError
from ringzero.machine.boot.entry import CODE32, CODE64, LIMIT_4G, TSS64_BUSY, EntryState, Segment
from ringzero.machine.memory import Memory

GDT, PML4, PDPT, DIRECTORIES = 0x500, 0x1000, 0x2000, 0x3000
CODE_ADDRESS = 0x10000
BOOT_SECTOR = 0x7C00
REAL_LIMIT, REAL_ATTR, VECTORS = 0xFFFF, 0x93, 256 * 4
PRESENT_WRITABLE, LARGE = 3, 0x80
# Descriptors: null, 32-bit code, 64-bit code, data, user data, user 64-bit code.
DESCRIPTORS = (
    0,
    0x00CF9B000000FFFF,
    0x00AF9B000000FFFF,
    0x00CF93000000FFFF,
    0x00CFF3000000FFFF,
    0x00AFFB000000FFFF,
)


def _identity_map(memory: Memory) -> None:
    """Map all memory to itself in 2 MiB pages, writable and executable for the kernel."""
    large_pages = -(-memory.size // (2 << 20))
    directories = -(-large_pages // 512)
    entries = [page << 21 | LARGE | PRESENT_WRITABLE for page in range(large_pages)]
    memory.write(DIRECTORIES, struct.pack(f"<{large_pages}Q", *entries))
    tables = [DIRECTORIES + 0x1000 * number | PRESENT_WRITABLE for number in range(directories)]
    memory.write(PDPT, struct.pack(f"<{directories}Q", *tables))
    memory.write(PML4, struct.pack("<Q", PDPT | PRESENT_WRITABLE))


def load(
    memory: Memory, code: bytes, *, address: int | None = None, mode: Literal[16, 32, 64] = 64
) -> EntryState:
    """Put `code` at a physical address and start it there, in flat 64-bit or 32-bit mode or real mode, interrupts off.

    Raises UsageError when the code does not fit above the tables, or below 64 KiB in real mode.
    """
    if mode == 16:
        return _real_mode(memory, code, BOOT_SECTOR if address is None else address)
    address = CODE_ADDRESS if address is None else address
    if address < CODE_ADDRESS or address + len(code) > memory.size:
        raise UsageError(
            f"code at {address:#x}+{len(code):#x} does not lie between {CODE_ADDRESS:#x} and {memory.size:#x}"
        )
    memory.write(GDT, struct.pack(f"<{len(DESCRIPTORS)}Q", *DESCRIPTORS))
    memory.write(address, code)
    registers = {"rip": address, "rsp": address, "rflags": 2, "cr0": 0x11, "cr4": 0, "efer": 0}
    cs = Segment(0x08, 0, LIMIT_4G, CODE32)
    if mode == 64:
        _identity_map(memory)
        registers |= {"cr0": 0x8000_0011, "cr3": PML4, "cr4": 0x20, "efer": 0x500}
        cs = Segment(0x10, 0, LIMIT_4G, CODE64)
    data = dict.fromkeys(("ds", "es", "ss", "fs", "gs"), Segment(0x18))
    return EntryState(
        protocol="flat",
        registers=registers,
        segments={"cs": cs, **data, "tr": Segment(0, 0, 0x67, TSS64_BUSY)},
        gdtr=(GDT, 8 * len(DESCRIPTORS) - 1),
    )


def _real_mode(memory: Memory, code: bytes, address: int) -> EntryState:
    """Real mode as a boot sector finds it: all segments at 0, limits of 64 KiB."""
    if address < VECTORS or address + len(code) > min(memory.size, REAL_LIMIT + 1):
        raise UsageError(
            f"code at {address:#x}+{len(code):#x} does not lie between {VECTORS:#x} and {REAL_LIMIT + 1:#x}"
        )
    memory.write(address, code)
    return EntryState(
        protocol="flat",
        registers={"rip": address, "rsp": BOOT_SECTOR, "rflags": 2, "cr0": 0x10, "cr4": 0, "efer": 0},
        segments=dict.fromkeys(("cs", "ds", "es", "ss", "fs", "gs"), Segment(0, 0, REAL_LIMIT, REAL_ATTR)),
        gdtr=(0, 0),
        idtr=(0, VECTORS - 1),
    )
