"""From bytes to an installed block, an instruction: what the first execution of code costs, once in its life.

Three hundred thousand instructions of a compiler's own code, each lowered once by a fresh machine: learning templates
is part of what is measured.
"""

from __future__ import annotations

from typing import Any

import pytest
from common import Measure, needs_native

from ringzero.cpu import mode as M
from ringzero_tests.realcode import text

BASE = 0x10_0000
BYTES = 1_300_000  # some 300 000 instructions
MODE = M.LONG | M.LMA | M.PROTECTED


def identity(linear: int) -> int:
    return linear


def processor(engine: str) -> Any:
    from ringzero import Machine

    if len(text()) < BYTES + 64:
        pytest.skip("neither cc1 nor a C library with so much code is here")
    return Machine.flat(text()[: BYTES + 64], address=BASE, engine=engine, memory="64M").cpu


def translate(cpu: Any, size: int) -> None:
    """Every block of the first `size` bytes, one after the other."""
    engine, lowerer = cpu._engine, cpu._lowerer
    at = BASE
    while at < BASE + size:
        at += engine.translate_block(lowerer, at, MODE, identity)


def lowering(measure: Measure, who: str, size: int) -> None:
    from ringzero.isa.decode import decode

    def setup() -> tuple[tuple[Any, int], dict[str, Any]]:
        return (processor(who), size), {}

    work = len(decode(text()[:size], 64))
    measure("lower: code of a compiler", who, work, "instructions", translate, rounds=5, setup=setup)


@needs_native
def test_lowering_native(measure: Measure) -> None:
    lowering(measure, "native", BYTES)


def test_lowering_python(measure: Measure) -> None:
    """The Python engine and decoder; a tenth of the code."""
    lowering(measure, "python", BYTES // 10)
