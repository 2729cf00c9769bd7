"""Every placement of one preemption, one after the other: stages of the kernel hold, guests with a window do not."""

from __future__ import annotations

import pytest

from ringzero.errors import UsageError
from ringzero.explore.brute import brute_force
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Kind, Verdict
from ringzero.explore.schedule import Placement
from ringzero.explore.search import search
from ringzero_tests.experiments import stage_experiment


@pytest.mark.parametrize("before", ["wq-initialised", "wq-worker-started"])
def test_a_stage_of_the_kernel_holds_with_one_preemption_anywhere(before: str) -> None:
    experiment = stage_experiment(before)
    player = Player(experiment)
    trials = list(brute_force(player, 1))
    assert not any(trial.failure for trial in trials)
    assert len(trials) == len(record_path(player, ()).places) + 1 > 50
    result = search(experiment, 1)
    assert result.verdict is Verdict.HOLDS
    assert result.counts.covered == len(trials)


def test_a_schedule_is_one_run() -> None:
    player = Player(stage_experiment("wq-worker-started"))
    places = record_path(player, ()).places
    schedule = (places[3], Placement(places[3].at + 200))
    first = player.play(schedule)
    first_hash = player.machine.state_hash()
    player.play(())
    assert player.play(schedule) == first
    assert player.machine.state_hash() == first_hash


def test_an_invariant_that_is_broken_ends_the_run() -> None:
    experiment = stage_experiment("wq-worker-started", invariants=(f"{__name__}:never_in_the_log",))
    trial = Player(experiment).play(())
    assert trial.failure is not None
    assert trial.failure.kind is Kind.INVARIANT
    assert "what was asked for" in trial.failure.message


def never_in_the_log(look: object) -> str:
    return "what was asked for"


def test_a_window_that_is_never_entered_says_so() -> None:
    with pytest.raises(UsageError, match="the window is never entered"):
        Player(stage_experiment("no such"))
