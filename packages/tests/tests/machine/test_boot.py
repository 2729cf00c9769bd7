"""Boot protocols: what lies where, and images that lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest

from ringzero.errors import ImageError, UsageError
from ringzero.machine import boot
from ringzero.machine.boot import flat
from ringzero.machine.memory import Memory

MEGABYTE = 1 << 20


@dataclass
class Segment:
    paddr: int
    data: bytes
    memsz: int


@dataclass
class Image:
    segments: list[Segment] = field(default_factory=lambda: [Segment(MEGABYTE, b"\xf4" * 16, 0x2000)])
    pvh_entry: int | None = MEGABYTE


def test_pvh_start_info_is_what_the_protocol_says():
    memory = Memory("16M")
    entry = boot.load(memory, Image(), "config=workqueue x")
    assert entry.registers["rip"] == MEGABYTE
    assert entry.registers["cr0"] & 0x80000001 == 1
    assert entry.registers["rflags"] == 2
    info = memory.read(entry.registers["rbx"], 56)
    magic, version, flags, modules, modlist, command, rsdp, table, count, reserved = struct.unpack(
        "<4I4Q2I", info
    )
    assert (magic, version, flags, modules, modlist, rsdp, reserved) == (0x336EC578, 1, 0, 0, 0, 0, 0)
    assert memory.read(command, 19) == b"config=workqueue x\0"
    ranges = [struct.unpack("<2Q2I", memory.read(table + 24 * index, 24)) for index in range(count)]
    assert ranges == [(0, 0x9FC00, 1, 0), (0x9FC00, 0x60400, 2, 0), (MEGABYTE, 15 * MEGABYTE, 1, 0)]
    assert memory.read(MEGABYTE, 17) == b"\xf4" * 16 + b"\0"
    for name in ("cs", "ds", "es", "ss"):
        segment = entry.segments[name]
        assert (segment.base, segment.limit, segment.attr & 0x400) == (0, 0xFFFFFFFF, 0x400)


def test_the_start_info_moves_out_of_the_image_s_way():
    memory = Memory("16M")
    image = Image([Segment(0x800, b"\x90" * 0x1000, 0x3000)], 0x800)
    entry = boot.load(memory, image)
    assert entry.registers["rbx"] == 0x4000
    assert memory.read(0x800, 0x1000) == b"\x90" * 0x1000


HUGE = (1 << 64) - 0x1000


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image(pvh_entry=None), "speaks no boot protocol"),
        (Image([]), "is in no loaded segment"),
        (Image([Segment(MEGABYTE, b"", 0)]), "is in no loaded segment"),
        (Image(pvh_entry=MEGABYTE + 16), "is in no loaded segment"),
        (Image(pvh_entry=0xFFFFFFFF80100000), "must be a physical address"),
        (Image([Segment(MEGABYTE, b"x" * 9, 8)]), "more bytes in the file than in memory"),
        (Image([Segment(MEGABYTE, b"x", 1 << 40)]), "does not fit into 16 MiB"),
        (Image([Segment(MEGABYTE, b"x", 16), Segment(HUGE, b"x", 0x2000)]), "does not fit"),
        (Image([Segment(MEGABYTE, b"x", 16), Segment(MEGABYTE + 15, b"x", 16)]), "overlaps segment 0"),
        (Image([Segment(0, b"x", 0x9FC00)], 0), "no room for the PVH start info"),
    ],
)
def test_images_that_lie_are_refused_before_a_byte_is_written(image, message):
    memory = Memory("16M")
    before = memory.state_digest()
    with pytest.raises(ImageError, match=message) as error:
        boot.load(memory, image)
    assert "\n" not in str(error.value)
    assert memory.state_digest() == before


@pytest.mark.parametrize("append", ["x" * 2048, "a\0b", "naïve"])
def test_command_lines_that_cannot_be(append):
    with pytest.raises(UsageError, match="command line"):
        boot.load(Memory("16M"), Image(), append)


@pytest.mark.parametrize("size", ["1M", "16M", "1G", "3G"])
def test_flat_long_mode_maps_all_memory_to_itself(size):
    memory = Memory(size)
    entry = flat.load(memory, b"\xf4")
    assert entry.registers["efer"] == 0x500

    def qword(address):
        return int.from_bytes(memory.read(address, 8), "little")

    for address in (0, memory.size - 1):
        directory = qword((qword(entry.registers["cr3"]) & ~0xFFF) + 8 * (address >> 30)) & ~0xFFF
        assert qword(directory + 8 * (address >> 21 & 511)) == address >> 21 << 21 | 0x83


def test_flat_code_must_fit():
    for address, code in ((0x1000, b"\xf4"), (0xFFFFF, b"ab")):
        with pytest.raises(UsageError, match="does not lie between"):
            flat.load(Memory("1M"), code, address=address)
