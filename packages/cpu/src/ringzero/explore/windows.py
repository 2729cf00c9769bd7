"""What else breaks: the other boundaries at which the last preemption does it, and from where on nothing helps.

Rule of this room: as in minimise.py, what may be tried is counted in steps; what was not computed for that reason is
said to be so, and never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ringzero.explore.minimise import PLAY, Trials
from ringzero.explore.path import record_path
from ringzero.explore.result import Failure, Site, Window
from ringzero.explore.schedule import Placement, Schedule
from ringzero.explore.sites import Walk, site

if TYPE_CHECKING:
    pass


def window(
    trials: Trials, schedule: Schedule, failure: Failure, walked: Walk
) -> tuple[Window | None, tuple[str, ...]]:
    """All boundaries at which the last preemption breaks the kernel in the same way, and what is to be said of that.

    `walked`: the run of all placements but the last. First and last are those of the unbroken stretch that has the
    placement in it; the count is of all there are.
    """
    before, last = schedule[:-1], schedule[-1]
    places = [place for place in walked.choices if (place.line, place.burst) == (last.line, last.burst)]
    if last not in places:
        return None, ()

    def breaks(place: Placement) -> bool:
        return trials.breaks((*before, place), failure)

    here = places.index(last)
    first, end = here, here + 1
    while first > 0 and breaks(places[first - 1]):
        first -= 1
    while end < len(places) and breaks(places[end]):
        end += 1
    others = [*places[: max(first - 1, 0)], *places[end + 1 :]]
    count = end - first + sum(breaks(place) for place in others)
    player = trials.player
    ends = [site(player, before, place, walked) for place in (places[first], places[end - 1])]
    return Window(ends[0], ends[1], count, len(places)), _remarks(trials, walked)


def _remarks(trials: Trials, walked: Walk) -> tuple[str, ...]:
    if trials.left <= 0:
        return ("the window may be wider: not every boundary was tried",)
    if not walked.whole:
        return ("the window was looked for around the last preemption only: the run is long",)
    return ()


def no_return(
    trials: Trials, schedule: Schedule, bound: int, walked: Walk
) -> tuple[Site | None, tuple[str, ...]]:
    """The first boundary of the failing run from which no schedule with up to `bound` further preemptions succeeds.

    What can still be done at a boundary can be done at every earlier one; so it lies right behind the last boundary
    at which a preemption, with others behind it, makes the run succeed. It may be the last placement itself.
    `walked`: the failing run.
    """
    if bound < 1 or not schedule:
        return None, ()
    places, saved, level = walked.choices, -1, 1
    while level <= bound and walked.whole:
        found = _last_saved(trials, schedule, places, saved, level)
        if trials.left <= 0:
            break
        saved, level = max(saved, found), level + 1
    if level == 1:
        return None, ("the point of no return was not computed: too many schedules to try",)
    remarks = () if level > bound else (_weaker(level - 1),)
    if saved < 0:
        return site(trials.player, schedule[:-1], schedule[-1], walked), remarks
    later = [at for at in walked.boundaries if at > places[saved].at]
    if not later:
        return None, (*remarks, "up to its last boundary the run can still be saved by a preemption")
    return site(trials.player, schedule, Placement(later[0], places[saved].line), walked), remarks


def _weaker(preemptions: int) -> str:
    """What is to be said where not all further preemptions could be tried."""
    plural = "" if preemptions == 1 else "s"
    return f"the point of no return was computed with up to {preemptions} further preemption{plural} only"


def _last_saved(
    trials: Trials, schedule: Schedule, places: Sequence[Placement], above: int, further: int
) -> int:
    """The last of some places, above one, from which exactly so many preemptions can make the run succeed; or -1."""
    for number in range(len(places) - 1, above, -1):
        if trials.left <= 0:
            break
        if _saves(trials, (*schedule, places[number]), further - 1):
            return number
    return -1


def _saves(trials: Trials, schedule: Schedule, further: int) -> bool:
    """Whether a schedule, or one with so many more preemptions behind it, makes the run succeed."""
    if further == 0:
        trial = trials.play(schedule)
        return trial is not None and trial.failure is None
    following = record_path(trials.player, schedule).places
    trials.left -= PLAY * len(following)
    return any(_saves(trials, (*schedule, place), further - 1) for place in following if trials.left > 0)
