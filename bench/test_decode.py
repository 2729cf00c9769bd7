"""Decoding a C library's code, of which those instructions that the table has, beside other decoders."""

from __future__ import annotations

import decoded
import native_decoders
import pytest
from common import Measure, needs_native

pytestmark = pytest.mark.skipif(decoded.library() is None, reason="no C library's file is found on this host")
GROUP, UNIT = "decode: a C library", "instructions"
PART = 100_000  # instructions for those who take a second over that


def code(count: int | None = None) -> bytes:
    return b"".join(decoded.instructions()[:count])


def count() -> int:
    return len(decoded.instructions())


@needs_native
def test_native_records(measure: Measure) -> None:
    """Records in an array of C's."""
    from ringzero._native import ffi, lib

    whole, records = code(), ffi.new("rz_insn[]", count() + 64)
    source = ffi.from_buffer(whole)
    measure(
        GROUP,
        "native",
        count(),
        UNIT,
        lambda: lib.rz_decode(source, len(whole), 64, records, len(records)),
        rounds=15,
    )


def test_python_records(measure: Measure) -> None:
    from ringzero.isa.decode import decode

    part = code(PART)
    measure(GROUP, "python", PART, UNIT, lambda: decode(part, 64), rounds=3)


def test_iced(measure: Measure) -> None:
    """Iterated, and length and code read: what a user of the records needs at least."""
    iced = pytest.importorskip("iced_x86")
    whole = code()

    def run() -> int:
        total = 0
        for instruction in iced.Decoder(64, whole):
            total += instruction.len + instruction.code
        return total

    measure(GROUP, "iced-x86", count(), UNIT, run)


def test_capstone(measure: Measure) -> None:
    capstone = pytest.importorskip("capstone")
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.skipdata = True
    part = code(PART)
    measure(GROUP, "capstone", PART, UNIT, lambda: sum(1 for _ in decoder.disasm_lite(part, 0)))


@pytest.mark.parametrize("library", native_decoders.LIBRARIES, ids=lambda library: library.name)
def test_in_c(measure: Measure, library: native_decoders.Library) -> None:
    if reason := native_decoders.why_not(library):
        pytest.skip(f"{library.name}: {reason}")
    measure(GROUP, f"{library.name} (C)", count(), UNIT, native_decoders.decoder(library, code()), rounds=15)
