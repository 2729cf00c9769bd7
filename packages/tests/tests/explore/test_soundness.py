"""Reductions lose nothing: on small kernels the search has every outcome that playing every schedule has.

And that would show: each condition of each reduction is broken on purpose, and an outcome is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import pytest

from ringzero.explore import compare, expand, path, search, slices
from ringzero.explore.experiment import Experiment
from ringzero.explore.player import Player
from ringzero.explore.result import Failure
from ringzero.explore.schedule import Placement, Schedule
from ringzero_tests.outcomes import Outcomes, outcomes, plainly
from ringzero_tests.small_kernels import HUGE, OUTCOME, WIDE, bound, small_kernel

pytestmark = pytest.mark.many_runs

SEEDS = 300
FAST = 60
GROUP = 10


def reduced(experiment: Experiment, bound: int, on_end: Callable[[Player, Failure | None], None]) -> None:
    """Every schedule that the search does not leave out."""
    search.search(
        experiment,
        bound,
        every_failure=True,
        on_end=lambda player, trial: on_end(player, trial.failure),
    )


@cache
def plain(seed: int, most: int) -> Outcomes:
    """What the plain way finds with at most so many preemptions."""
    return outcomes(small_kernel(seed).experiment, most, OUTCOME)


def differing(seeds: Iterable[int], most: int = 0) -> list[int]:
    """The seeds of which the search misses an outcome, or has one too many."""
    return [
        seed
        for seed in seeds
        if outcomes(small_kernel(seed).experiment, most or bound(seed), OUTCOME, reduced)
        != plain(seed, most or bound(seed))
    ]


@pytest.mark.parametrize("first", range(0, FAST, GROUP))
def test_no_outcome_is_lost(first: int) -> None:
    assert differing(range(first, first + GROUP)) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FAST, SEEDS, GROUP))
def test_no_outcome_is_lost_on_many_kernels(first: int) -> None:
    assert differing(range(first, first + GROUP)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", sorted(WIDE - HUGE))
def test_no_outcome_is_lost_on_wide_kernels(seed: int) -> None:
    assert differing([seed], 2) == []


def test_the_kernels_are_worth_asking() -> None:
    """They have different outcomes, and some deadlock or find a wrong value."""
    found = [plain(seed, 1) for seed in range(24)]
    kinds = [{kind for kind, _, _ in each} for each in found]
    assert sum(len(each) > 2 for each in found) >= 12
    assert sum(bool(each - {"well"}) for each in kinds) >= 4
    assert len(set().union(*kinds)) >= 3


def test_the_plain_way_plays_every_schedule() -> None:
    experiment = small_kernel(24).experiment
    played: list[int] = []
    plainly(experiment, 2, lambda player, failure: played.append(len(played)))
    player = Player(experiment)
    first = places(player, ())
    assert len(played) == 1 + len(first) + sum(len(places(player, (place,))) for place in first)


def places(player: Player, schedule: Schedule) -> tuple[Placement, ...]:
    """Where one more placement can follow."""
    return path.record_path(player, schedule).places


# A condition, broken; and seeds that show it. Seeds that need seconds are not among them.


def forget_registers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(compare.Comparer, "_rest", lambda self, extra: b"")
    patch.setattr(Player, "register_key", lambda self: b"")


def forget_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(compare.Comparer, "pages", lambda self: [])


def take_the_live_for_dead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        compare.Comparer, "_dead", lambda self: self.spans(self.machine.registers["rsp"] & ~0x3FFF, 0x4000)
    )
    patch.setattr(compare.Comparer, "reads_omitted", lambda self, accesses, step: False)


class NoFootprint:
    """Conflicts with nothing."""

    writes: tuple[tuple[int, int], ...] = ()

    def __init__(self, *_: object) -> None:
        pass

    def first_conflict(self, *_: object) -> None:
        """Never."""


def see_no_conflict(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(slices, "footprint", NoFootprint)


def take_everything_for_dead_in_a_slice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(slices, "dead_bytes", lambda player, rsp, written: (0, 1 << 40))


def see_no_reader(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(expand, "overlap", lambda one, other: False)


@pytest.mark.parametrize(
    ("broken", "seeds"),
    [
        (forget_registers, (32, 52)),
        (forget_memory, (0, 8, 24)),
        (take_the_live_for_dead, (0, 3, 9)),
        (see_no_conflict, (0, 8, 24)),
        (take_everything_for_dead_in_a_slice, (2, 25, 59)),
        (see_no_reader, (1, 5, 8)),
    ],
    ids=["registers", "memory", "live", "conflict", "dead", "reader"],
)
def test_a_broken_condition_shows(
    broken: Callable[[pytest.MonkeyPatch], None], seeds: tuple[int, ...]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        assert differing(seeds)
