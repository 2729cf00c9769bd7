"""The state of a machine at one step: in memory it shares its pages with others, in a file it stands alone.

A file is: 8 bytes of magic, the version, the length of the body unpacked, the digest of the packed body, the packed
body (zlib). The body is one value of `codec`: what is no page, and all pages that are not zero. A file is refused in
one line when its version, length, digest or shape is not what is expected; it is written whole or not at all.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringzero.errors import SnapshotError
from ringzero.files import write_atomic
from ringzero.machine.codec import decode, encode
from ringzero.machine.memory import (
    GROUP,
    MAX_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    ZERO_PAGE,
    Page,
    Tree,
    digest,
    empty_tree,
)
from ringzero.machine.pages import with_pages

MAGIC = b"RZSNAP\r\n"
VERSION = 1
_HEADER = struct.Struct("<8sIQ16s")
LEVEL = 6
ROOM = 64 << 20  # for what is no page: output logs and the like


@dataclass(frozen=True)
class Snapshot:
    """One moment of one machine. `kind` names the shape of that machine; only one of the same shape takes it back."""

    kind: bytes
    cpu: bytes
    clock: tuple[Any, ...]
    devices: tuple[tuple[Any, ...], ...]
    schedule: tuple[Any, ...]
    unknown: tuple[Any, ...]
    end: tuple[Any, ...] | None
    tree: Tree

    @property
    def step(self) -> int:
        """The step at which it was taken."""
        steps: int = self.clock[0]
        return steps

    def to_bytes(self) -> bytes:
        """The file's content."""
        count = sum(map(len, self.tree))
        pages = tuple(
            (first * GROUP + index, page.content)
            for first, group in enumerate(self.tree)
            for index, page in enumerate(group)
            if page is not ZERO_PAGE and page.digest != ZERO_PAGE.digest
        )
        rest = (self.kind, self.cpu, self.clock, self.devices, self.schedule, self.unknown, self.end)
        body = encode((*rest, count, pages))
        packed = zlib.compress(body, LEVEL)
        return _HEADER.pack(MAGIC, VERSION, len(body), digest(packed)) + packed

    def save(self, path: str | Path) -> None:
        """Write a file, whole or not at all. Raises SnapshotError when that cannot be done."""
        try:
            write_atomic(path, self.to_bytes())
        except OSError as error:
            raise SnapshotError(f"{path}: cannot be written: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | Path) -> Snapshot:
        """Read a file. Raises SnapshotError with the path in it."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            return cls.from_bytes(content)
        except SnapshotError as error:
            raise SnapshotError(f"{path}: {error}") from None

    @classmethod
    def from_bytes(cls, content: bytes) -> Snapshot:
        """A snapshot from a file's content. Raises SnapshotError."""
        return _from_value(decode(_unpack(content)))


def _unpack(content: bytes) -> bytes:
    """Check the header and unpack the body, never to more than the largest machine needs."""
    if len(content) < _HEADER.size or not content.startswith(MAGIC):
        raise SnapshotError("no snapshot of a Ringzero machine")
    _, version, length, expected = _HEADER.unpack_from(content)
    if version != VERSION:
        raise SnapshotError(
            f"snapshot version {version}, but this Ringzero reads version {VERSION}; take it again"
        )
    packed = content[_HEADER.size :]
    if digest(packed) != expected or length > MAX_SIZE + ROOM:
        raise SnapshotError("the snapshot is cut short or damaged: its digest does not fit")
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(packed, length + 1)
    except zlib.error:
        raise SnapshotError("the snapshot is damaged: it cannot be unpacked") from None
    if len(body) != length:
        raise SnapshotError("the snapshot is damaged: its length does not fit")
    return body


def _from_value(value: Any) -> Snapshot:
    """Check the shape of what a file holds."""
    shape: tuple[Any, ...] = (bytes, bytes, tuple, tuple, tuple, tuple, (tuple, type(None)), int, tuple)
    fits = isinstance(value, tuple) and len(value) == len(shape)
    if not (fits and all(isinstance(part, kind) for part, kind in zip(value, shape, strict=True))):
        raise SnapshotError("the snapshot is damaged: its parts are not those of a machine")
    kind, cpu, clock, devices, schedule, unknown, end, count, pages = value
    if not 0 < count <= MAX_SIZE >> PAGE_SHIFT:
        raise SnapshotError(f"the snapshot is damaged: {count} pages of memory")
    changed = []
    for entry in pages:
        if not (
            isinstance(entry, tuple)
            and len(entry) == 2
            and isinstance(entry[0], int)
            and 0 <= entry[0] < count
            and isinstance(entry[1], bytes)
            and len(entry[1]) == PAGE_SIZE
        ):
            raise SnapshotError("the snapshot is damaged: a page of memory is no page")
        changed.append((entry[0], Page(entry[1])))
    tree = with_pages(empty_tree(count), changed)
    return Snapshot(kind, cpu, clock, devices, schedule, unknown, end, tree)
