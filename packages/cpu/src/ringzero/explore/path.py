"""The run of a schedule, from its last placement to its end: where the next interrupt may come.

A boundary of a line is where an edge on it would be delivered at once: interrupts are on, no STI or MOV SS holds them
off, and the interrupt controllers let the line through. An edge that comes while they do not is latched, and is the
same as one at the boundary at which it is delivered. At HLT the timer's tick comes anyway: there it is no choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ringzero.explore.player import Player
from ringzero.explore.schedule import NMI, TIMER, Placement, Schedule


@dataclass(frozen=True)
class Path:
    """`places`: every placement that can follow the schedule, in order. `end`: the step at which the run ended."""

    schedule: Schedule
    places: tuple[Placement, ...]
    end: int


def record_path(player: Player, schedule: Schedule) -> Path:
    """Play a schedule and note its run."""
    player.rewind()
    if not player.follow(schedule):
        return Path(schedule, (), player.at)
    if schedule:
        player.advance(player.at + 1)
    found: list[Placement] = []
    while not player.progress.ended:
        found += choices(player)
        player.advance(player.at + 1)
    return Path(schedule, tuple(found), player.at)


def choices(player: Player) -> Iterator[Placement]:
    """What may be placed at this boundary."""
    interruptible = player.machine.interruptible
    for source in player.experiment.sources:
        line = source.line
        if line == NMI:
            yield Placement(player.at, NMI)
            continue
        spent = source.content and player.progress.given.get(line, 0) >= len(source.content)
        comes_anyway = line == TIMER and player.machine.cpu.halted
        if interruptible and not spent and not comes_anyway and player.machine.would_interrupt(line):
            bursts = player.experiment.burst if line == TIMER else 1
            yield from (Placement(player.at, line, burst) for burst in range(1, bursts + 1))
