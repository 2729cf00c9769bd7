"""The PVH protocol, as Xen defines it and QEMU's -kernel speaks it: a note names a 32-bit entry, ebx the start info.

lowest free pages from 0x1000 (usually there):
    +0x000  hvm_start_info, version 1
    +0x040  memory map, one entry of 24 bytes per range
    +0x800  command line, NUL-terminated, at most 2047 bytes
"""

from __future__ import annotations

import struct

from ringzero.errors import ImageError, UsageError
from ringzero.machine.boot.entry import (
    CODE32,
    LIMIT_4G,
    TSS32_BUSY,
    BootImage,
    EntryState,
    Segment,
    check_segments,
    write_segments,
)
from ringzero.machine.memory import Memory

MAGIC = 0x336EC578
VERSION = 1
MAP_OFFSET, COMMAND_OFFSET, INFO_SIZE = 0x40, 0x800, 0x1000
COMMAND_LIMIT = INFO_SIZE - COMMAND_OFFSET - 1
LOW_FIRST, LOW_END, MEGABYTE = 0x1000, 0x9FC00, 0x100000

RAM, RESERVED = 1, 2
_START_INFO = struct.Struct(
    "<4I4Q2I"
)  # magic version flags modules; modlist cmdline rsdp memmap; entries reserved
_MAP_ENTRY = struct.Struct("<2Q2I")


def speaks(image: BootImage) -> bool:
    """The image has the note."""
    return image.pvh_entry is not None


def memory_map(size: int) -> list[tuple[int, int, int]]:
    """(first address, length, type) of a PC with `size` bytes of memory."""
    ranges = [(0, LOW_END, RAM), (LOW_END, MEGABYTE - LOW_END, RESERVED)]
    if size > MEGABYTE:
        ranges.append((MEGABYTE, size - MEGABYTE, RAM))
    return ranges


def command_bytes(append: str) -> bytes:
    """The command line as the guest gets it, without its NUL. Raises UsageError."""
    try:
        line = append.encode("ascii")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"command line: character {append[error.start]!r} is not ASCII; leave it out"
        ) from None
    if len(line) > COMMAND_LIMIT or 0 in line:
        raise UsageError(
            f"command line: {len(line)} bytes or a NUL in it; at most {COMMAND_LIMIT} bytes of text"
        )
    return line


def start_info(where: int, size: int, append: str) -> bytes:
    """The page at `where` with start info, memory map and command line."""
    ranges = memory_map(size)
    line = command_bytes(append)
    info = bytearray(COMMAND_OFFSET + len(line) + 1)
    _START_INFO.pack_into(
        info, 0, MAGIC, VERSION, 0, 0, 0, where + COMMAND_OFFSET, 0, where + MAP_OFFSET, len(ranges), 0
    )
    for number, (first, length, kind) in enumerate(ranges):
        _MAP_ENTRY.pack_into(info, MAP_OFFSET + number * _MAP_ENTRY.size, first, length, kind, 0)
    info[COMMAND_OFFSET : COMMAND_OFFSET + len(line)] = line
    return bytes(info)


def load(memory: Memory, image: BootImage, append: str = "") -> EntryState:
    """Load all segments and the start info. Raises ImageError or UsageError; memory is untouched when the image lies.

    The entry state is the protocol's: 32-bit flat protected mode, paging off, interrupts off, ebx the start info.
    """
    entry = image.pvh_entry
    if entry is None:
        raise ImageError("the image has no PVH note")
    command_bytes(append)
    inside = any(segment.paddr <= entry < segment.paddr + len(segment.data) for segment in image.segments)
    if not inside:
        raise ImageError(f"the PVH entry {entry:#x} is in no loaded segment; it must be a physical address")
    where = check_segments(memory.size, image).find(INFO_SIZE, LOW_FIRST, LOW_END, "the PVH start info")
    write_segments(memory, image)
    memory.write(where, start_info(where, memory.size, append))
    flat = dict.fromkeys(("ds", "es", "ss", "fs", "gs"), Segment(0x18))
    return EntryState(
        protocol="pvh",
        registers={"rip": entry, "rbx": where, "rflags": 2, "cr0": 0x11, "cr4": 0, "efer": 0},
        segments={
            "cs": Segment(0x10, 0, LIMIT_4G, CODE32),
            **flat,
            "tr": Segment(0, 0, 0x67, TSS32_BUSY),
        },
    )
