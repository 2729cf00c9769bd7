"""Footprints in C: see `footprint.PythonFootprint`, which says what they mean, and csrc/footprint.c.

Importing this without the extension raises ImportError.
"""

from __future__ import annotations

from typing import Any

from ringzero._native import ffi, lib
from ringzero.machine.accesses import Accesses
from ringzero.machine.footprint import NEVER, Ranges, ranges

RECORD = ffi.sizeof("rz_record")


def _path(path: Accesses) -> Any:
    """The path as C sees it: made once, and kept by the path."""
    if path.native is None:
        buffers = ffi.from_buffer("rz_record[]", path.data), ffi.from_buffer("rz_record[]", path.walk_data)
        made = ffi.new("rz_path *", [*buffers, len(path.data) // RECORD, len(path.walk_data) // RECORD])
        path.native = made, buffers
    return path.native[0]


def first_read(path: Accesses, span: tuple[int, int], start: int, end: int) -> int | None:
    """See `footprint.first_read`."""
    step = lib.rz_first_read(_path(path), start, end, *span)
    return None if step == NEVER else int(step)


class NativeFootprint:
    """`footprint.Footprint`, in C."""

    def __init__(self) -> None:
        made = lib.rz_footprint_new()
        if made == ffi.NULL:
            raise MemoryError("no memory for a footprint")
        self._made = ffi.gc(made, lib.rz_footprint_free)

    def add(self, path: Accesses, start: int | None = None, end: int | None = None) -> None:
        """See `footprint.Footprint`."""
        first, last = path.start if start is None else start, path.end if end is None else end
        if lib.rz_footprint_add(self._made, _path(path), first, last):
            raise MemoryError("no memory for a footprint")

    def first_conflict(
        self, path: Accesses, start: int | None = None, end: int | None = None, dead: tuple[int, int] = (0, 0)
    ) -> int | None:
        """See `footprint.Footprint`."""
        first, last = path.start if start is None else start, path.end if end is None else end
        step = lib.rz_first_conflict(self._made, _path(path), first, last, *dead)
        return None if step == NEVER else int(step)

    def _ranges(self, which: int) -> Ranges:
        bits = ffi.new("uint64_t[64]")
        pages: list[tuple[int, int]] = []
        while (number := lib.rz_footprint_page(self._made, len(pages), which, bits)) != NEVER:
            pages.append((int(number), int.from_bytes(ffi.buffer(bits), "little")))
        return ranges(pages)

    @property
    def reads(self) -> Ranges:
        return self._ranges(lib.RZ_TOUCHED_READS)

    @property
    def writes(self) -> Ranges:
        return self._ranges(lib.RZ_TOUCHED_WRITES)

    @property
    def walked(self) -> Ranges:
        return self._ranges(lib.RZ_TOUCHED_WALKED)

    @property
    def devices(self) -> frozenset[int]:
        bits = lib.rz_footprint_devices(self._made)
        return frozenset(n for n in range(64) if bits >> n & 1)

    @property
    def system(self) -> bool:
        return bool(lib.rz_footprint_system(self._made))
