"""Bugs of frequency: not where an interrupt comes matters, but how often. The timer's period is swept.

Rule of this room: a period is too short when the scenario does not come to its marker within a fixed number of ticks.
That is a count and no proof; the proof of a livelock is the explorer's, for bugs of place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ringzero.explore.schedule import TIMER
from ringzero.machine.machine import Machine
from ringzero.machine.stop import StopReason
from ringzero_kernel.bugs import Bug
from ringzero_kernel.build import build
from ringzero_kernel.config import MEMORY

TICKS = 300
BOOT = 1_000_000  # steps within which the scenario begins
NARROW = range(100, 161)  # periods about as long as a tick's own way through the kernel, one by one
WIDEST = 20_000


@dataclass(frozen=True)
class Sweep:
    """At these periods the kernel with the bug does not get on, and the one without it does."""

    periods: tuple[int, ...]
    above: int  # the next longer period that was tried
    runs: int


def sweep(bug: Bug, stop: Callable[[], bool]) -> Sweep:
    """Try the periods, shortest first, on the kernel with the bug and, where that does not get on, without it."""
    found: list[int] = []
    tried: list[int] = []
    runs = 0
    for period in periods():
        if stop():
            break
        tried.append(period)
        runs += 1
        if not arrives(bug, bug.id, period):
            runs += 1
            if arrives(bug, None, period):
                found.append(period)
    above = next((period for period in tried if found and period > found[-1]), 0)
    return Sweep(tuple(found), above, runs)


def periods() -> Iterator[int]:
    """One by one where a tick is as long as its period, then each a fifth longer."""
    yield from NARROW
    period = NARROW.stop
    while period < WIDEST:
        yield period
        period += period // 5


def arrives(bug: Bug, name: str | None, period: int) -> bool:
    """Whether the bug's scenario comes to its marker, with a tick every so many steps from its start on."""
    append = f"config=scenarios only={bug.scenario}"
    machine = Machine(build(bug=name), memory=MEMORY, append=append, timer_period=0)
    machine.run(until_symbol="scenario_start", max_steps=BOOT)
    machine.hold_timer()
    for _ in range(TICKS):
        if machine.run(steps=period, until_symbol="stage_passed").reason is StopReason.SYMBOL:
            return True
        machine.raise_irq(TIMER)
    return False
