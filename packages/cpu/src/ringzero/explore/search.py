"""Iterative bounding: every schedule with no preemption, then with one, then with two.

Breadth first, in the order of the placements: so the first counterexample has the fewest preemptions, and among those
the earliest places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ringzero.explore.player import Player
from ringzero.explore.result import Counterexample, Counts, Result, Trial, Verdict
from ringzero.explore.schedule import NMI, Placement, Schedule


def boundaries(player: Player, schedule: Schedule) -> list[Placement]:
    """Every placement that can follow a schedule: the boundaries of its run from its last placement on."""
    player.rewind()
    for placement in schedule:
        if not player.advance(placement.at):
            return []
        player.place(placement)
    if schedule:
        player.advance(player.at + 1)
    found: list[Placement] = []
    while not player.progress.ended:
        if player.interruptible:
            found += choices(player)
        player.advance(player.at + 1)
    return found


def choices(player: Player) -> Iterator[Placement]:
    """What may be placed at this boundary: at HLT the timer comes anyway."""
    for source in player.experiment.sources:
        line = source.line
        if line == NMI:
            yield Placement(player.at, NMI)
        elif player.machine.would_interrupt(line) and not (line == 0 and player.machine.cpu.halted):
            if source.content and player.progress.given.get(line, 0) >= len(source.content):
                continue
            yield from (
                Placement(player.at, line, burst)
                for burst in range(1, 2 if line else player.experiment.burst + 1)
            )


def brute_force(player: Player, bound: int, stop: Callable[[], bool] = lambda: False) -> Result:
    """Play every schedule up to a bound, one after the other: what all cleverer ways are held to."""
    experiment = player.experiment
    name, counts = experiment.name, Counts()

    def result(verdict: Verdict, covered: int, found: Trial | None = None) -> Result:
        example = Counterexample(found.schedule, found.failure) if found and found.failure else None
        return Result(
            name,
            verdict,
            covered,
            bound,
            counts,
            example,
            (),
            player.machine.cpu.engine,
            experiment.image_digest,
        )

    level: list[Schedule] = [()]
    for depth in range(bound + 1):
        following: list[Schedule] = []
        for schedule in level:
            if stop():
                return result(Verdict.UNFINISHED, depth - 1)
            trial = player.play(schedule)
            counts += Counts(covered=1, run=1, steps=trial.steps)
            if trial.failure is not None:
                return result(Verdict.BROKEN, depth, trial)
            if depth < bound:
                places = boundaries(player, schedule)
                if not schedule:
                    counts += Counts(boundaries=len(places), choices=len(places))
                following += [(*schedule, place) for place in places]
        level = following
    return result(Verdict.HOLDS, bound)
