"""Every schedule up to a bound, one after the other: what all cleverer ways are held to."""

from __future__ import annotations

from collections.abc import Iterator

from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Trial
from ringzero.explore.schedule import Schedule


def brute_force(player: Player, bound: int) -> Iterator[Trial]:
    """All schedules with no preemption, then with one, ...; those that break the kernel, and what comes of them, too.

    The player stands at the end of the run that was told last.
    """
    level: list[Schedule] = [()]
    for depth in range(bound + 1):
        following: list[Schedule] = []
        for schedule in level:
            trial = player.play(schedule)
            yield trial
            if depth < bound:
                following += [(*schedule, place) for place in record_path(player, schedule).places]
        level = following
