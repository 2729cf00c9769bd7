"""An image: an ELF file as the machine sees it. Ours and other people's come in through the same door.

Everything a boot protocol needs (segments, notes, entry) is read and checked at once, with nothing allocated by a
number that the file only claims. Symbols, and line numbers through pyelftools, are read when somebody first asks.
Whatever is wrong with a file is one ImageError, one line.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

from ringzero.asm import elfread
from ringzero.errors import ImageError

__all__ = ["Image", "ImageError", "Lines", "Note", "Segment", "Symbols"]

Rows = TypeVar("Rows")
XEN_ELFNOTE_PHYS32_ENTRY = 18


class Segment(NamedTuple):
    """A PT_LOAD: `data` at physical `paddr`, zeroes behind it up to `memsz` bytes.

    flags: 1 execute, 2 write, 4 read.
    """

    paddr: int
    vaddr: int
    data: bytes
    memsz: int
    flags: int


class Note(NamedTuple):
    """An ELF note."""

    name: str
    type: int
    desc: bytes


class Symbols:
    """Names and addresses, both ways. `sizes` are bytes, 0 when unknown."""

    def __init__(self, rows: list[tuple[str, int, int]]) -> None:
        self._by_name = {name: value for name, value, _ in reversed(rows)}
        places: dict[int, tuple[str, int]] = {}
        for name, value, size in rows:
            if "." not in name[1:]:
                places.setdefault(value, (name, size))
        self._addresses = sorted(places)
        self._places = places

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def address(self, name: str) -> int | None:
        """The address of a symbol, or None."""
        return self._by_name.get(name)

    def items(self) -> list[tuple[str, int]]:
        """All (name, address), by name."""
        return sorted(self._by_name.items())

    def nearest(self, address: int) -> tuple[str, int] | None:
        """(name, offset) of the last symbol at or below the address, if it reaches there; no local labels."""
        at = bisect_right(self._addresses, address)
        if at == 0:
            return None
        start = self._addresses[at - 1]
        name, size = self._places[start]
        return None if size and address >= start + size else (name, address - start)


class Lines:
    """Line numbers: rows (address, file, line), where file None ends a stretch of code."""

    def __init__(self, rows: list[tuple[int, str | None, int]]) -> None:
        # Where one stretch ends another may begin: the end sorts first.
        self._rows = sorted(rows, key=lambda row: (row[0], row[1] is not None))
        self._addresses = [row[0] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def lookup(self, address: int) -> tuple[str, int] | None:
        """(file, line) of the code at the address, or None."""
        at = bisect_right(self._addresses, address)
        if at == 0:
            return None
        _, file, line = self._rows[at - 1]
        return None if file is None else (file, line)

    def addresses(self, file: str, line: int) -> list[int]:
        """The addresses at which a line's code starts."""
        return [a for a, f, n in self._rows if f == file and n == line]


@dataclass(frozen=True)
class Image:
    """One executable. `data` are the file's bytes, `digest` their SHA-256, `bits` 32 or 64."""

    data: bytes
    bits: int
    entry: int
    segments: tuple[Segment, ...]
    notes: tuple[Note, ...]
    name: str = "image"

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "image") -> Image:
        """Read an ELF file for x86. Raises ImageError, one line that starts with `name`."""
        data = bytes(data)
        try:
            header = elfread.read_header(data)
            programs = elfread.read_programs(data, header)
            segments = tuple(
                Segment(p.paddr, p.vaddr, data[p.offset : p.offset + p.filesz], p.memsz, p.flags)
                for p in programs
                if p.kind == elfread.PT_LOAD
            )
            notes = tuple(Note(*note) for note in elfread.read_notes(data, programs))
        except elfread.Damaged as damage:
            raise ImageError(f"{name}: {damage}") from None
        if not any(segment.memsz for segment in segments):
            raise ImageError(f"{name}: no segment to load; link it as an executable")
        return cls(data, header.bits, header.entry, segments, notes, name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pvh_entry(self) -> int | None:
        """The physical 32-bit entry that a PVH note names, or None."""
        for note in self.notes:
            if note.name == "Xen" and note.type == XEN_ELFNOTE_PHYS32_ENTRY and len(note.desc) in (4, 8):
                return int.from_bytes(note.desc, "little")
        return None

    @cached_property
    def symbols(self) -> Symbols:
        """The symbol table; empty where there is none. Raises ImageError when it is damaged."""
        return Symbols(self._read(elfread.read_symbols))

    @cached_property
    def lines(self) -> Lines:
        """The line numbers; empty where there are none. Raises ImageError when they are damaged."""
        return Lines(self._read(elfread.read_lines))

    def _read(self, reader: Callable[[bytes], Rows]) -> Rows:
        try:
            return reader(self.data)
        except elfread.Damaged as damage:
            raise ImageError(f"{self.name}: {damage}") from None
