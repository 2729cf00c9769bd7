"""Time and memory by the length of a run: a thousand times the steps cost a thousand times the time, and no memory."""

from __future__ import annotations

import os
import sys
import time
from functools import cache

import pytest
from common import Measure, needs_native

PROGRAM = """
import loops
from ringzero import Machine
machine = Machine.flat(loops.code("mixed", 1 << 40), address=loops.CODE, engine="native")
machine.run(steps={steps})
assert machine.step == {steps}
"""


def run(steps: int) -> int:
    """Run a process to its end; the most memory that it had, in KiB."""
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", PROGRAM.format(steps=steps)])
    _, status, usage = os.wait4(child, 0)
    assert status == 0
    return usage.ru_maxrss


@cache
def start() -> float:
    """Seconds of a process that runs nothing: the least of five."""

    def once() -> float:
        began = time.perf_counter()
        run(0)
        return time.perf_counter() - began

    return min(once() for _ in range(5))


@needs_native
@pytest.mark.parametrize("power", [6, 7, 8, 9])
def test_growth(measure: Measure, power: int) -> None:
    steps = 10**power
    measure(
        "growth: mixed", f"10^{power}", steps, "steps", lambda: run(steps), rounds=3,
        start=start(), kib=run(steps),
    )  # fmt: skip
