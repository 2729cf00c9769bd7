"""What can come of an experiment: the verdict, the serial bytes and the declared symbols at the end of every schedule.

Rule of this room: the plain way shares nothing with the search but the player. It plays every schedule from the
window's start, also those that go on from one that has failed already: whatever prunes is held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ringzero.explore.experiment import Experiment
from ringzero.explore.oracles import Look
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Failure
from ringzero.explore.schedule import Schedule

Outcome = tuple[str, bytes, tuple[int, ...]]  # what went wrong or "well", serial bytes, the symbols' values
Outcomes = frozenset[Outcome]
Search = Callable[[Experiment, int, Callable[[Player, Failure | None], None]], None]


def outcome(player: Player, failure: Failure | None, symbols: Mapping[str, int]) -> Outcome:
    """What a run has come to; the player stands at its end."""
    look: Look = player.look
    values = tuple(int.from_bytes(look.read(name, size), "little") for name, size in symbols.items())
    return (failure.kind.value if failure else "well"), player.serial, values


def plainly(experiment: Experiment, bound: int, on_end: Callable[[Player, Failure | None], None]) -> None:
    """Every schedule within the bound, one after the other."""
    player = Player(experiment)
    level: list[Schedule] = [()]
    for depth in range(bound + 1):
        following: list[Schedule] = []
        for schedule in level:
            trial = player.play(schedule)
            on_end(player, trial.failure)
            if depth < bound:
                following += [(*schedule, place) for place in record_path(player, schedule).places]
        level = following


def outcomes(
    experiment: Experiment, bound: int, symbols: Mapping[str, int], search: Search = plainly
) -> Outcomes:
    """Every outcome of the schedules within a bound, by a way of going through them."""
    found: set[Outcome] = set()
    search(experiment, bound, lambda player, failure: found.add(outcome(player, failure, symbols)))
    return frozenset(found)
