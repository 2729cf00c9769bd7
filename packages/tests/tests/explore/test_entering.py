"""Windows of one run share the way to their starts, and nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringzero import Machine
from ringzero.explore import entering
from ringzero.explore.entering import enter
from ringzero.explore.experiment import Experiment
from ringzero_tests.experiments import stage_experiment


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    entering._latest.clear()
    yield
    entering._latest.clear()


def entered(experiment: Experiment) -> Machine:
    machine = Machine(experiment.image, **experiment.machine)
    enter(machine, experiment)
    return machine


def state(machine: Machine) -> tuple[object, ...]:
    saved = machine.snapshot()
    memory = bytes(machine.memory.ram[:])
    return machine.cpu.hashed_state(), saved.clock, saved.devices, saved.schedule, machine.serial, memory


@pytest.mark.parametrize("before", ["wq-basic-execution", "wq-multi-flush"])
def test_a_later_window_goes_on_from_an_earlier_one(before: str) -> None:
    alone = state(entered(stage_experiment(before)))
    entering._latest.clear()
    first = entered(stage_experiment("wq-initialised"))
    (kept,) = entering._latest.values()
    assert kept[0].clock == first.snapshot().clock
    assert state(entered(stage_experiment(before))) == alone


def test_an_earlier_window_starts_at_power_on() -> None:
    alone = state(entered(stage_experiment("wq-initialised")))
    entering._latest.clear()
    entered(stage_experiment("wq-multi-flush"))
    assert state(entered(stage_experiment("wq-initialised"))) == alone


def test_another_run_is_not_gone_on_from() -> None:
    entered(stage_experiment("wq-initialised"))
    other = stage_experiment("kthread-created", machine={"append": "config=boot-stages"})
    assert b"wq-initialised" not in entered(other).serial
    assert list(entering._latest) == [entering.run_of(other)]


def test_a_start_that_was_half_sent_before() -> None:
    """The marker begins before the place from which the way is gone on, and ends behind it."""
    whole = stage_experiment("wq-initialised", start_serial="[stage] wq-initialised\n[stage]")
    alone = state(entered(whole))
    entering._latest.clear()
    entered(stage_experiment("wq-initialised"))
    assert state(entered(whole)) == alone
