"""A timer's period is swept: livelocks are proved, by a state that comes again or by ticks that wait at each return."""

from __future__ import annotations

import pytest

from ringzero.explore.player import Player
from ringzero.explore.rates import Metronome, Pace, Sweep
from ringzero_kernel.bugs import BUGS
from ringzero_kernel.rates import Rates, booted, rates


@pytest.fixture(scope="module")
def slow_handler() -> Metronome:
    return Metronome(Player(booted(BUGS["B25"], "B25")))


@pytest.fixture(scope="module")
def sound() -> Metronome:
    return Metronome(Player(booted(BUGS["B5"], None)))


@pytest.mark.parametrize("period", [64, 1_000, 10_000])
def test_a_handler_longer_than_the_period_is_swamped(slow_handler: Metronome, period: int) -> None:
    assert slow_handler.swamped(period, 1)
    assert slow_handler.pace(period, 1) is Pace.LIVELOCK


def test_a_period_longer_than_the_handler_arrives(slow_handler: Metronome) -> None:
    assert not slow_handler.swamped(20_000, 1)
    assert slow_handler.pace(20_000, 1) is Pace.ARRIVES


def test_a_repeated_state_is_a_livelock_only_with_its_timer(sound: Metronome) -> None:
    """Where the ticks' way is as long as the period, the same states come again; a long period always arrives."""
    periods = range(112, 122)
    paces = {period: sound.pace(period, 1) for period in periods}
    assert Pace.LIVELOCK in paces.values()
    assert not any(sound.swamped(period, 1) for period in periods)
    assert sound.pace(400, 1) is sound.pace(400, 300) is Pace.ARRIVES


def test_what_reads_left_out_bytes_proves_nothing(sound: Metronome, monkeypatch: pytest.MonkeyPatch) -> None:
    period = next(period for period in range(112, 122) if sound.pace(period, 1) is Pace.LIVELOCK)
    monkeypatch.setattr(sound.player.comparer, "clock_read", lambda accesses: "jiffies")
    assert sound.pace(period, 1) is Pace.UNDECIDED


def test_many_periods_are_halved_to_two(slow_handler: Metronome) -> None:
    found = Metronome(slow_handler.player).sweep(9_900, 10_400)
    assert not found.each
    assert 10_000 < found.longest < found.shortest < 10_200
    assert found.runs < 30


def test_a_stopped_sweep_says_so(sound: Metronome) -> None:
    found = Metronome(sound.player, stop=lambda: True).sweep(112, 115)
    assert (found.longest, found.shortest, found.runs) == (0, 0, 0)
    assert found.others == (112, 113, 114, 115)


@pytest.mark.parametrize(
    ("bug", "without", "said"),
    [
        (Sweep(1, 9, 5, 6), Sweep(1, 9, 3, 4), ""),
        (Sweep(1, 9, 5, 6), Sweep(1, 9, 0, 1), ""),
        (Sweep(1, 9, 0, 1), Sweep(1, 9, 0, 1), "livelocks at no period"),
        (Sweep(1, 9, 9, 0), Sweep(1, 9, 3, 4), "long enough"),
        (Sweep(1, 9, 5, 6), Sweep(1, 9, 5, 6), "up to 5 steps too"),
        (Sweep(1, 9, 5, 6), Sweep(1, 9, 3, 4, others=(7,)), "does not arrive at a period of 7"),
    ],
)
def test_the_bug_must_livelock_at_longer_periods(bug: Sweep, without: Sweep, said: str) -> None:
    why = Rates(bug, without).why
    assert said in why
    assert bool(why) == bool(said)


def test_what_is_told() -> None:
    told = str(Rates(Sweep(1, 9, 5, 6), Sweep(1, 9)))
    assert told == "5 steps livelock, 6 do not; without it none of 1 to 9 steps livelocks"
    assert str(Sweep(1, 9, 9)) == "9 steps livelock, no longer period arrives"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.periods])
def test_a_bug_of_frequency_needs_a_longer_period_than_the_sound_kernel(name: str) -> None:
    found = rates(BUGS[name], lambda: False)
    assert not found.why
    assert found.bug.shortest > found.bug.longest > found.sound.longest
