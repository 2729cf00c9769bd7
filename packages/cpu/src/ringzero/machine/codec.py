"""Plain values as bytes and back, for snapshot files: ints, bools, bytes, str, None, and tuples of them.

One byte says what follows, then for all but None and bools comes a length (for a tuple, a count) as a 32-bit word. The
same value always gives the same bytes.
"""

from __future__ import annotations

import struct
from typing import Any

from ringzero.errors import SnapshotError

_LENGTH = struct.Struct("<I")
MAX_DEPTH = 32


def encode(value: Any) -> bytes:
    """Bytes of a value. Raises TypeError for what is no plain value."""
    pieces: list[bytes] = []
    _encode(value, pieces)
    return b"".join(pieces)


def _encode(value: Any, pieces: list[bytes]) -> None:
    if value is None:
        pieces.append(b"N")
    elif isinstance(value, bool):
        pieces.append(b"T" if value else b"F")
    elif isinstance(value, tuple):
        pieces.append(b"t" + _LENGTH.pack(len(value)))
        for item in value:
            _encode(item, pieces)
    else:
        kind, content = _scalar(value)
        pieces.append(kind + _LENGTH.pack(len(content)))
        pieces.append(content)


def _scalar(value: Any) -> tuple[bytes, bytes]:
    if isinstance(value, int):
        return b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, str):
        return b"s", value.encode()
    raise TypeError(f"{type(value).__name__} is no plain value")


def decode(content: bytes) -> Any:
    """The value of `encode`'s bytes. Raises SnapshotError when they are not of that form."""
    value, end = _decode(memoryview(content), 0, 0)
    if end != len(content):
        raise SnapshotError(f"snapshot: {len(content) - end} bytes too many at its end; it is damaged")
    return value


def _decode(content: memoryview, at: int, depth: int) -> tuple[Any, int]:
    kind = bytes(content[at : at + 1])
    if kind in (b"N", b"T", b"F"):
        return {b"N": None, b"T": True, b"F": False}[kind], at + 1
    if at + 5 > len(content) or kind not in (b"t", b"i", b"b", b"s") or depth > MAX_DEPTH:
        raise SnapshotError(f"snapshot: no value at byte {at}; it is damaged")
    (length,) = _LENGTH.unpack_from(content, at + 1)
    at += 5
    if kind == b"t":
        items = []
        for _ in range(length):
            item, at = _decode(content, at, depth + 1)
            items.append(item)
        return tuple(items), at
    if at + length > len(content):
        raise SnapshotError(f"snapshot: a value at byte {at} is longer than the file; it is damaged")
    raw = bytes(content[at : at + length])
    if kind == b"i":
        return int.from_bytes(raw, "little", signed=True), at + length
    if kind == b"b":
        return raw, at + length
    try:
        return raw.decode(), at + length
    except UnicodeDecodeError:
        raise SnapshotError(f"snapshot: text at byte {at} is not UTF-8; it is damaged") from None
