"""Guest loops on both engines beside unicorn: warm, whole runs, instructions a second."""

from __future__ import annotations

from functools import cache
from typing import Any

import loops
import pytest
from common import Measure, needs_native

NAMES = list(loops.SOURCES)


def machine(name: str, engine: str) -> Any:
    from ringzero import Machine

    return Machine.flat(loops.code(name), address=loops.CODE, engine=engine)


@cache
def steps(name: str) -> int:
    """How many instructions a run of the loop takes."""
    one = machine(name, "auto")
    one.run()
    return int(one.step)


@needs_native
@pytest.mark.parametrize("name", NAMES)
def test_native(measure: Measure, name: str) -> None:
    one = machine(name, "native")
    start = one.snapshot()

    def back() -> None:
        one.restore(start)

    measure(f"loop: {name}", "native", steps(name), "instructions", one.run, setup=back)


@pytest.mark.parametrize("name", NAMES)
def test_python(measure: Measure, name: str) -> None:
    """A bounded part of the loop: the Python engine is no race."""
    one = machine(name, "python")
    part = min(steps(name), 200_000)
    start = one.snapshot()

    def back() -> None:
        one.restore(start)

    measure(
        f"loop: {name}", "python", part, "instructions", lambda: one.run(steps=part), setup=back, rounds=3
    )


@pytest.mark.parametrize("name", NAMES)
def test_unicorn(measure: Measure, name: str) -> None:
    unicorn = pytest.importorskip("unicorn")
    emulator = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    emulator.mem_map(0, 16 << 20)
    code = loops.code(name)
    emulator.mem_write(loops.CODE, code)
    end = loops.CODE + len(code) - 1  # the HLT
    measure(
        f"loop: {name}",
        "unicorn",
        steps(name) - 1,
        "instructions",
        lambda: emulator.emu_start(loops.CODE, end),
    )
