"""Decoding the kernel's code, over and over, beside iced-x86 and capstone on the same bytes."""

from __future__ import annotations

from functools import cache

import pytest
from common import Measure, needs_native

TURNS = 20


@cache
def code() -> bytes:
    """The kernel's executable segments: what is known to decode whole."""
    from ringzero_kernel import build

    return b"".join(segment.data for segment in build().segments if segment.flags & 1)


@cache
def count() -> int:
    from ringzero.isa.decode import decode

    return len(decode(code(), 64))


@needs_native
def test_native_records(measure: Measure) -> None:
    """Records in an array of C's."""
    from ringzero._native import ffi, lib

    whole = code() * TURNS
    records = ffi.new("rz_insn[]", count() * TURNS + 64)
    source = ffi.from_buffer(whole)
    measure(
        "decode: records", "native", count() * TURNS, "instructions",
        lambda: lib.rz_decode(source, len(whole), 64, records, len(records)),
    )  # fmt: skip


def test_python_records(measure: Measure) -> None:
    from ringzero.isa.decode import decode

    measure("decode: records", "python", count(), "instructions", lambda: decode(code(), 64), rounds=3)


def test_iced(measure: Measure) -> None:
    """Iterated, and length and code read: what a user of the records needs at least."""
    iced = pytest.importorskip("iced_x86")
    whole = code() * TURNS

    def run() -> int:
        total = 0
        for instruction in iced.Decoder(64, whole):
            total += instruction.len + instruction.code
        return total

    measure("decode: records", "iced-x86", count() * TURNS, "instructions", run)


def test_capstone(measure: Measure) -> None:
    capstone = pytest.importorskip("capstone")
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.skipdata = True
    whole = code()
    measure(
        "decode: records", "capstone", count(), "instructions",
        lambda: sum(1 for _ in decoder.disasm_lite(whole, 0)),
    )  # fmt: skip
