"""Fewer preemptions, then earlier ones: what is told is the smallest schedule that breaks the kernel in the same way.

Rule of this room: what may be tried is counted in steps, never in seconds, so that everybody arrives at the same
schedule. A search that goes breadth first has nothing left to do here; a hunt has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringzero.explore.path import record_path
from ringzero.explore.result import Failure, Kind, Trial
from ringzero.explore.schedule import NMI, Placement, Schedule
from ringzero.explore.sites import go

if TYPE_CHECKING:
    from ringzero.explore.player import Player

PLAY = 10_000  # steps that a play, or a boundary of a run that is gone along, costs beside its own
TOLD_BY_DETAILS = (Kind.DEADLOCK, Kind.LIVELOCK)  # the message is the same for all; who sleeps on what is not


class Trials:
    """Plays schedules until an allowance of steps is used up; from then on `play` returns None."""

    def __init__(self, player: Player, allowance: int) -> None:
        self.player = player
        self.left = allowance

    def play(self, schedule: Schedule) -> Trial | None:
        """Play one, if that may still be."""
        if self.left <= 0:
            return None
        trial = self.player.play(schedule)
        self.left -= trial.steps - self.player.begun + PLAY
        return trial

    def breaks(self, schedule: Schedule, failure: Failure) -> bool:
        """Whether a schedule is known to break the kernel in the same way."""
        trial = self.play(schedule)
        return trial is not None and same(trial.failure, failure)


def same(one: Failure | None, other: Failure) -> bool:
    """Whether two runs went wrong in the same way."""
    if one is None or (one.kind, one.message) != (other.kind, other.message):
        return False
    return one.kind not in TOLD_BY_DETAILS or one.details == other.details


def fewer(player: Player, trial: Trial, allowance: int) -> Schedule:
    """A schedule without what can be left out; nothing is moved."""
    assert trial.failure is not None
    return _fewer(Trials(player, allowance), trial.schedule, trial.failure)


def minimise(player: Player, trial: Trial, allowance: int) -> Trial:
    """The smallest schedule found that goes wrong in the same way, played."""
    assert trial.failure is not None
    schedule = _shorter(Trials(player, allowance // 2), trial.schedule, trial.failure)
    trials = Trials(player, allowance // 2)
    schedule = _fewer(trials, schedule, trial.failure)
    schedule = tuple(canonical(player, schedule))
    schedule = _earlier(trials, schedule, trial.failure)
    last = player.play(schedule)
    return last if same(last.failure, trial.failure) else player.play(trial.schedule)


def _shorter(trials: Trials, schedule: Schedule, failure: Failure) -> Schedule:
    """Put one placement, anywhere, in the place of two or more at the end: the first that will do, of the fewest."""
    for length in range(len(schedule) - 1):
        before = schedule[:length]
        for place in record_path(trials.player, before).places:
            if trials.left <= 0:
                return schedule
            if trials.breaks((*before, place), failure):
                return (*before, place)
    return schedule


def _fewer(trials: Trials, schedule: Schedule, failure: Failure) -> Schedule:
    """Leave out what can be left out, and shorten bursts."""
    at = 0
    while at < len(schedule):
        without = (*schedule[:at], *schedule[at + 1 :])
        if trials.breaks(without, failure):
            schedule, at = without, 0
            continue
        single = (*schedule[:at], replace(schedule[at], burst=1), *schedule[at + 1 :])
        if schedule[at].burst > 1 and trials.breaks(single, failure):
            schedule = single
        at += 1
    return schedule


def canonical(player: Player, schedule: Schedule) -> list[Placement]:
    """Each placement where its interrupt is taken: an edge that comes with interrupts off waits for that boundary."""
    moved: list[Placement] = []
    for placement in schedule:
        if go(player, tuple(moved)):
            player.advance(placement.at)
        while placement.line != NMI and not player.progress.ended and not player.interruptible:
            player.advance(player.at + 1)
        moved.append(placement if player.progress.ended else replace(placement, at=player.at))
    return moved


def _earlier(trials: Trials, schedule: Schedule, failure: Failure) -> Schedule:
    """Move each placement, the first one first, to the earliest boundary that will do."""
    for number, placement in enumerate(schedule):
        before, after = schedule[:number], schedule[number + 1 :]
        for place in record_path(trials.player, before).places:
            if place.at >= placement.at or trials.left <= 0:
                break
            if (place.line, place.burst) != (placement.line, placement.burst):
                continue
            if trials.breaks((*before, place, *after), failure):
                schedule = (*before, place, *after)
                break
    return schedule
