"""Every configuration at every timer phase, period and layout reaches every stage: on the native engine all, on the
Python engine one each; and equal inputs give equal states every 10 000 steps, on both engines and in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from itertools import product
from typing import Any

import pytest

from ringzero import Machine
from ringzero.machine.harness import Harness, Outcome
from ringzero.machine.stages import StageList, read_stages
from ringzero_kernel import CONFIGURATIONS, STAGES, build
from ringzero_kernel.config import MEMORY, SUCCESS_EXIT

PERIODS = (4_001, 10_007, 50_021, 100_003)
PHASES = (0, 1, 7, 97, 503, 1_009, 2_003, 3_989)
LAYOUTS = (0, 5)
EVERY = 10_000

pytestmark = pytest.mark.matrix


def has_native() -> bool:
    try:
        import ringzero._native  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


needs_native = pytest.mark.skipif(not has_native(), reason="this wheel has no native engine")


@cache
def image(layout: int) -> Any:
    return build(layout)


@cache
def stages() -> StageList:
    return read_stages(STAGES)


def machine(config: str, layout: int = 0, **options: Any) -> Machine:
    command_line = CONFIGURATIONS[config].command_line
    return Machine(image(layout), memory=MEMORY, append=command_line, **options)


def boot(config: str, layout: int = 0, **options: Any) -> Outcome:
    return Harness(
        machine(config, layout, **options), stages(), config, SUCCESS_EXIT, CONFIGURATIONS[config].max_steps
    ).run()


def explain(outcome: Outcome) -> str:
    return "\n".join(
        (outcome.why, *outcome.remarks, *outcome.position, outcome.serial[-2000:].decode("utf-8", "replace"))
    )


@needs_native
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"layout{layout}")
@pytest.mark.parametrize("period", PERIODS, ids=lambda period: f"period{period}")
@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_every_phase_passes(config: str, period: int, layout: int) -> None:
    for phase in PHASES:
        outcome = boot(config, layout, engine="native", timer_period=period, timer_phase=phase)
        assert outcome.passed, f"phase {phase}: {explain(outcome)}"


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_python_engine_passes(config: str) -> None:
    outcome = boot(config, engine="python")
    assert outcome.passed, explain(outcome)


def hashes(config: str, engine: str) -> list[str]:
    """The state's hash every so many steps, to the end."""
    one = machine(config, engine=engine, timer_period=PERIODS[0])
    found = []
    while not found or one.end is None:
        one.run(steps=EVERY)
        found.append(one.state_hash())
        assert one.step <= CONFIGURATIONS[config].max_steps, "the guest does not end"
    return found


@needs_native
@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_engines_agree_at_every_step(config: str) -> None:
    for number, (native, python) in enumerate(
        zip(hashes(config, "native"), hashes(config, "python"), strict=True), start=1
    ):
        assert native == python, f"first difference by step {number * EVERY}"


@needs_native
@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_processes_agree(config: str) -> None:
    """Another process, another hash seed, other addresses: the same states."""
    command = [sys.executable, __file__, config]
    outputs = [
        subprocess.run(
            command, check=True, text=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].split() == hashes(config, "native")


def test_limits_are_the_promised_ones() -> None:
    limits = {name: configuration.max_steps for name, configuration in CONFIGURATIONS.items()}
    assert limits["boot-stages"] <= 3_000_000
    assert limits["kthread-stress"] <= 10_000_000


@pytest.mark.parametrize(("config", "period"), list(product(CONFIGURATIONS, PERIODS[:1])))
def test_a_run_can_change_engines(config: str, period: int) -> None:
    """A snapshot taken on one engine goes on on the other."""
    first = machine(config, engine="auto", timer_period=period)
    first.run(steps=123_457)
    second = machine(config, engine="python", timer_period=period)
    second.restore(first.snapshot())
    for one in (first, second):
        one.run(steps=50_000)
    assert first.state_hash() == second.state_hash()


if __name__ == "__main__":
    print("\n".join(hashes(sys.argv[1], "native")))
