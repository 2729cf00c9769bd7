"""ELF files that lie: one clear line, nothing else, and nothing allocated by a number in the file."""

from __future__ import annotations

import random
import struct

import pytest

from ringzero.asm import Image, ImageError, assemble

GOOD = assemble(
    "bits 64\norg 0x100000\nsection .note start=0x100000\ndd 4, 8, 18\ndb 'Xen', 0\ndq _start\n"
    "section .text start=0x101000 vstart=0xffffffff80101000\n_start: mov eax, [rel x]\nx: hlt\n.l: jmp .l\n"
    "section .bss\nresb 64\n"
).binary


def patched(*changes: tuple[int, str, int]) -> bytes:
    """GOOD with fields overwritten: (offset, struct format, value)."""
    data = bytearray(GOOD)
    for at, layout, value in changes:
        struct.pack_into("<" + layout, data, at, value)
    return bytes(data)


PH = 64  # the program headers follow the header: LOAD .note, NOTE, LOAD .text, …
CASES = (
    (b"", "the file is empty"),
    (b"\x7fELF", "truncated: 4 bytes hold no ELF header"),
    (b"MZ" + bytes(100), "not an ELF file"),
    (GOOD[:63], "truncated"),
    (GOOD[:100], "the program headers reach beyond the end"),
    (patched((4, "B", 3)), "not a little-endian ELF file"),
    (patched((5, "B", 2)), "not a little-endian ELF file"),
    (patched((16, "H", 1)), "ELF type 1 is no executable"),
    (patched((18, "H", 183)), "made for machine 183"),
    (patched((32, "Q", (1 << 64) - 8)), "beyond the end of the file"),
    (patched((54, "H", 32)), "program headers of 32 bytes"),
    (patched((56, "H", 0xFFFF)), "65535 program headers"),
    (patched((56, "H", 0)), "no segment to load"),
    (patched((PH + 8, "Q", 1 << 63)), "segment 0 reaches beyond the end of the file"),
    (patched((PH + 32, "Q", (1 << 64) - 1)), "segment 0 reaches beyond the end of the file"),
    (patched((PH + 40, "Q", 1)), "segment 0 has 0x18 bytes in the file but 0x1 in memory"),
    (patched((PH + 40, "Q", (1 << 64) - 1)), "wraps around the end of the address space"),
    (patched((PH + 24, "Q", (1 << 64) - 1)), "wraps around the end of the address space"),
    (patched((PH + 56 + 32, "Q", 1 << 60)), "segment 1 reaches beyond the end of the file"),
    (patched((0x1000, "I", 0xFFFFFFFF)), "a note reaches beyond its segment"),
    (patched((0x1004, "I", 0xFFFFFFF0)), "a note reaches beyond its segment"),
)


@pytest.mark.parametrize(("data", "wanted"), CASES)
def test_hostile_file_is_one_clear_line(data: bytes, wanted: str) -> None:
    with pytest.raises(ImageError) as caught:
        Image.from_bytes(data, "bad.elf")
    assert str(caught.value).startswith("bad.elf: ")
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_good_one_is_good() -> None:
    image = Image.from_bytes(GOOD)
    assert image.pvh_entry == 0xFFFFFFFF80101000
    assert GOOD[0x1000:0x1004] == b"\x04\0\0\0"  # where the cases patch the note
    assert image.digest == Image.from_bytes(GOOD).digest


def test_a_giant_memory_size_allocates_nothing() -> None:
    image = Image.from_bytes(patched((PH + 40, "Q", 1 << 46)))
    assert image.segments[0].memsz == 1 << 46
    assert len(image.segments[0].data) == 0x18


def test_no_symbols_and_no_lines() -> None:
    stripped = patched((40, "Q", 0), (60, "H", 0), (62, "H", 0))
    image = Image.from_bytes(stripped)
    assert len(image.symbols) == len(image.lines) == 0
    assert image.symbols.nearest(0x1000) is None


def test_32_bit_file_with_pvh_note() -> None:
    note = struct.pack("<III", 4, 4, 18) + b"Xen\0" + struct.pack("<I", 0x100000)
    code = b"\xf4\xeb\xfd"
    header = (
        b"\x7fELF\x01\x01\x01"
        + bytes(9)
        + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x100000, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    )
    at = 52 + 64
    load = struct.pack("<IIIIIIII", 1, at, 0xC0100000, 0x100000, len(code), 4096, 5, 4096)
    notes = struct.pack("<IIIIIIII", 4, at + len(code), 0, 0, len(note), len(note), 4, 4)
    image = Image.from_bytes(header + load + notes + code + note)
    assert (image.bits, image.entry, image.pvh_entry) == (32, 0x100000, 0x100000)
    assert image.segments == ((0x100000, 0xC0100000, code, 4096, 5),)


def complaint(data: bytes) -> str | None:
    """Ask an image for everything that a machine and its reports ask; what it says if it is refused."""
    try:
        image = Image.from_bytes(data)
        _ = image.pvh_entry, image.entry, image.digest
        image.symbols.nearest(0x101000)
        image.lines.lookup(0x101000)
    except ImageError as error:
        return str(error)
    return None


def mutated(rng: random.Random, first: int, last: int) -> bytes:
    """GOOD with a few bytes changed between two places."""
    data = bytearray(GOOD)
    for _ in range(rng.randint(1, 6)):
        data[rng.randrange(first, last)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(data)


DEBUG = GOOD.index(b"ringzero assembler") - 64


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [(0, 512, 600), (DEBUG, len(GOOD), 300), (0, len(GOOD), 200)],
    ids=["headers", "symbols and lines", "anywhere"],
)
def test_mutated_files_are_read_or_refused(first: int, last: int, count: int) -> None:
    rng = random.Random(20261122)
    said = [complaint(mutated(rng, first, last)) for _ in range(count)]
    assert any(said)
    assert not [text for text in said if text and ("\n" in text or len(text) > 200)]


def test_truncated_files_are_read_or_refused() -> None:
    said = [complaint(GOOD[:length]) for length in range(0, len(GOOD), 37)]
    assert said[0]
    assert not [text for text in said if text and "\n" in text]
