"""The decoder in C, reached through cffi: the same records as isa/decode.py, as tuples or as one array.

Importing this without the extension raises ImportError; importing it with an extension built from another table
raises StaleExtension. Nothing falls back silently.
"""

from __future__ import annotations

from typing import Any

from ringzero._native import ffi, lib
from ringzero.errors import RingzeroError
from ringzero.isa import record as R
from ringzero.isa.ctables import digest
from ringzero.isa.record import RecordTuple


class StaleExtension(RingzeroError):
    """The extension was built from another instruction table."""


if (_built := ffi.string(lib.rz_table_digest()).decode()) != digest():
    raise StaleExtension(
        f"ringzero._native was built from table {_built}, this is {digest()}: build it again"
    )


def decode_array(code: bytes | bytearray | memoryview, mode: int = 64, *, limit: int | None = None) -> Any:
    """Decode into one buffer of 32-byte records (layout: record.RECORD), without a Python object for each.

    Arguments as decode.decode. Returns a cffi buffer of len(records) * 32 bytes.
    """
    if mode not in R.MODES:
        raise ValueError(f"decode: no mode {mode}; give 64, 32 or 16")
    most = len(code) if limit is None else min(limit, len(code))
    records = ffi.new("rz_insn[]", most)
    count = lib.rz_decode(ffi.from_buffer("uint8_t[]", code), len(code), mode, records, most)
    return ffi.buffer(records, count * R.RECORD_SIZE)


def decode(
    code: bytes | bytearray | memoryview, mode: int = 64, *, limit: int | None = None
) -> list[RecordTuple]:
    """What decode.decode gives, from C."""
    return list(R.RECORD.iter_unpack(decode_array(code, mode, limit=limit)))
