"""Hunts: the same seed plays the same runs, what is found is small, and plays may begin later without being others."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from ringzero.errors import UsageError
from ringzero.explore.experiment import Experiment
from ringzero.explore.hunt import Hunt, depths
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Kind, Result, Verdict
from ringzero.explore.schedule import TIMER, Placement, Source
from ringzero_kernel.explore import stage_experiment


def whole(scenario: str, bug: str | None) -> Experiment:
    """The whole run, from power-on, that leads to a scenario."""
    return replace(stage_experiment(scenario, bug), start=None, start_serial=None, until=None)


@pytest.mark.parametrize(("scenario", "bug", "place"), [
    ("try-wq-park", "B8", "worker_main"),
    ("try-serial-read", "B22", "softirq_disable"),
    ("try-completion", "B2", "wait_for_completion"),
])  # fmt: skip
def test_a_bug_is_found_from_power_on(scenario: str, bug: str, place: str) -> None:
    result = hunted(scenario, bug)
    assert result.verdict is Verdict.BROKEN
    assert result.counterexample is not None
    assert result.counterexample.failure.kind is Kind.DEADLOCK
    (site,) = result.counterexample.sites
    assert site.symbol == place
    assert result.counterexample.replay.startswith("rz1:")


def hunted(scenario: str, bug: str) -> Result:
    return Hunt(whole(scenario, bug), seed=1, runs=2000).run()


def test_the_same_seed_is_the_same_hunt_whenever_it_is_stopped() -> None:
    asked, calls = whole("try-wq-park", "B8"), iter(range(10_000_000))
    first = Hunt(asked, seed=3, told=False, runs=2000).run()
    again = Hunt(asked, seed=3, told=False, runs=2000, stop=lambda: next(calls) > 1_000_000).run()
    assert first == again
    assert first.verdict is Verdict.BROKEN


def test_what_is_sound_is_never_said_to_hold() -> None:
    hunt = Hunt(whole("try-wq-park", None), seed=1, runs=60)
    result = hunt.run()
    assert result.verdict is Verdict.UNFINISHED
    assert result.counts.run == 61
    assert 0 < hunt.chance_of(2) < hunt.chance_of(1) < 1


def test_each_round_goes_deeper() -> None:
    assert list(islice(depths(), 6)) == [1, 1, 2, 1, 2, 3]
    assert max(islice(depths(), 1000)) == 16


def test_a_run_into_which_no_interrupt_can_come() -> None:
    asked = replace(whole("try-wq-park", None), until="kernel_main")
    with pytest.raises(UsageError, match="no interrupt can come"):
        Hunt(asked).run()


def test_plays_that_begin_later_are_the_same_runs() -> None:
    player = Player(whole("try-wq-park", "B8"))
    places = [place for place in record_path(player, ()).places if place.at > 66_000][::100]
    plain = [player.play((place,)) for place in places]
    player.begin_at(66_000)
    assert [player.play((place,)) for place in places] == plain
    assert record_path(player, ()).places[0].at >= 66_000
    player.begin_at(0)
    assert record_path(player, ()).places[0].at < 66_000


def test_what_was_sent_for_a_text_is_seen_over_any_cut() -> None:
    """Placements cut the run inside the text that ends it; it ends there all the same."""
    player = Player(replace(whole("try-wq-park", None), until_serial="interrupt-keeps-registers"))
    plain = player.play(())
    assert plain.failure is None
    assert plain.serial.endswith(b"interrupt-keeps-registers")
    cuts = tuple(Placement(plain.steps - back, TIMER) for back in range(900, 0, -50))
    trial = player.play(cuts)
    assert trial.failure is None
    assert trial.serial == plain.serial
    assert player.experiment.sources == (Source(TIMER),)


def test_declared_clocks_are_left_out_although_they_were_not_mapped_at_power_on() -> None:
    player = Player(whole("try-wq-park", "B8"))
    player.rewind()
    player.advance(66_000)
    before = player.state_key()
    player.machine.memory.write(player.machine.cpu.translate(player.machine.symbol("jiffies")) or 0, bytes(8))
    assert player.state_key() == before
