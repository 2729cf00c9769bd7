"""A played schedule as people look at it: who ran when, what interrupted whom, who slept, who woke, who held what.

Rule of this room: a timeline is plain values; it can be pickled, compared and told in any form. Making one changes
nothing: the run that was watched ends in the same state as the run that was not. Steps are those of the window; a thing
that is true at step n is true before the instruction that retires n+1 steps into the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringzero.explore.result import Failure
from ringzero.explore.schedule import Schedule

if TYPE_CHECKING:
    from ringzero.explore.player import Player

AROUND = 10_000  # steps before and behind the place of interest that are written down
HANDLERS = 0  # the handlers' lane is always the first


@dataclass(frozen=True)
class Lane:
    """One row: the handlers, a thread, or, where the guest's threads are not told, the processor."""

    name: str
    address: int = 0  # of the thread's structure


@dataclass(frozen=True)
class Span:
    """From step `first` to before step `end` a lane was in one condition.

    kind: "running", "interrupted" (a handler runs on its stack), "handler" (in the handlers' lane; `text` says which),
    or what the guest calls the thread's state: "ready", "blocked", ... `text` of a running one is its state as well.
    """

    lane: int
    first: int
    end: int
    kind: str
    text: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened in step `at`. `other` is the second lane that it is about, -1 for none.

    kind: "placed" (a preemption of the schedule), "tick" (a free one, at idle), "interrupt", "return", "switch",
    "sleep", "wake" (lane: who wakes, other: whom), "start", "end", "lock", "unlock", "spin", "serial".
    """

    at: int
    kind: str
    lane: int
    text: str
    other: int = -1


@dataclass(frozen=True)
class Held:
    """A lock, from the step that took it to the one that gave it back; `end` is None if none did."""

    lane: int
    name: str
    address: int
    first: int
    end: int | None
    handler: bool  # taken in a handler
    spins: tuple[int, ...] = ()  # steps at which somebody began to want it and did not get it


@dataclass(frozen=True)
class Stretch:
    """From step `first` to before step `end` one line of source was executed, by one lane; line 0: no line is known."""

    first: int
    end: int
    lane: int
    symbol: str
    file: str
    line: int


@dataclass(frozen=True)
class Code:
    """An instruction: where it is and what it says."""

    address: int
    symbol: str
    offset: int
    text: str


@dataclass(frozen=True)
class Timeline:
    """One run, from step `first` of the window to `end`, of `steps` that it took.

    registers: the names; `values` has, for each step from `first` to `end`, (number of the register, new value) for
    those that differ from the step before. `codes` are the instructions that were executed, by address.
    """

    schedule: Schedule
    failure: Failure | None
    first: int
    end: int
    steps: int
    ticks: int
    lanes: tuple[Lane, ...]
    spans: tuple[Span, ...]
    events: tuple[Event, ...]
    locks: tuple[Held, ...]
    stretches: tuple[Stretch, ...]
    registers: tuple[str, ...]
    values: tuple[tuple[tuple[int, int], ...], ...]
    codes: tuple[Code, ...]
    state_hash: str  # of the machine at the end

    def of(self, kind: str) -> tuple[Event, ...]:
        """The events of one kind."""
        return tuple(event for event in self.events if event.kind == kind)

    def at(self, step: int) -> Stretch | None:
        """Which line of source was executed in a step."""
        return next((each for each in self.stretches if each.first <= step < each.end), None)


def record(player: Player, schedule: Schedule, around: int | None = None) -> Timeline:
    """Play a schedule and write down what happens, up to `AROUND` steps before and behind `around`.

    around: a step of the window; None is the schedule's last placement. The part of the run that is farther away is
    played and not written down.
    """
    from ringzero.explore.recorder import Recorder

    middle = around if around is not None else max((place.at for place in schedule), default=0)
    recorder = Recorder(player, max(0, middle - AROUND), middle + AROUND)
    player.rewind()
    try:
        recorder.start()
        for placement in schedule:
            if not player.advance(placement.at):
                break
            recorder.placed(placement)
            player.place(placement)
        player.finish()
    finally:
        recorder.close()
    return recorder.timeline(schedule)
