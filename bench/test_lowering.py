"""From bytes to µops, an instruction: what the first execution of every block costs, once in its life."""

from __future__ import annotations

from functools import cache
from typing import Any

from common import Measure, needs_native

BASE = 0x100000


@cache
def code() -> bytes:
    """The kernel's executable segments: what is known to decode whole."""
    from ringzero_kernel import build

    return b"".join(segment.data for segment in build().segments if segment.flags & 1)


def lower_all(lowerer: Any, mode: int, end: int) -> int:
    """Every block of the code, one after the other; how many instructions they have."""
    at, total = BASE, 0
    while at < end:
        block = lowerer.block(at, mode, lambda linear: linear)
        at += block.offsets[-1]
        total += len(block.offsets) - 1
    return total


def lowering(measure: Measure, who: str, decode: Any) -> None:
    from ringzero import Machine
    from ringzero.cpu import mode as M
    from ringzero.cpu.lowering import Lowerer

    machine = Machine.flat(code(), address=BASE, engine="python")
    lowerer = Lowerer(machine.memory, machine.cpu.systems, frozenset(), decode)
    mode = M.LONG | M.LMA | M.PROTECTED
    end = BASE + len(code()) - 16
    total = lower_all(lowerer, mode, end)
    measure(
        "lower: the kernel's code",
        who,
        total,
        "instructions",
        lambda: lower_all(lowerer, mode, end),
        rounds=3,
    )


def test_lowering_python_decoder(measure: Measure) -> None:
    from ringzero.isa.decode import decode

    lowering(measure, "python", decode)


@needs_native
def test_lowering_native_decoder(measure: Measure) -> None:
    from ringzero.cpu.engines import make_engine
    from ringzero.cpu.state import State
    from ringzero.machine.memory import Memory

    _, decode = make_engine("native", State(), Memory("16M"))
    lowering(measure, "native", decode)
