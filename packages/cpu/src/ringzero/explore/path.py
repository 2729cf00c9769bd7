"""The run of a schedule, from its last placement to its end: where the next interrupt may come, and what each step did.

A boundary of a line is where an edge on it would be delivered at once: interrupts are on, no STI or MOV SS holds them
off, and the interrupt controllers let the line through. An edge that comes while they do not is latched, and is the
same as one at the boundary at which it is delivered. At HLT the timer's tick comes anyway: there it is no choice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ringzero.explore.player import Player
from ringzero.explore.schedule import NMI, TIMER, Placement, Schedule, Source
from ringzero.machine.accesses import Accesses, Kind

DEVICE = (Kind.DEVICE_READ.value, Kind.DEVICE_WRITE.value)


@dataclass(frozen=True)
class Path:
    """The run of `schedule` behind its last placement, up to the step `end` of the window.

    `places`: every placement that can follow, in order. `accesses`: what its steps read and wrote; their steps count
    from power-on. `breaks`: steps past which no interrupt may be moved: something came free there, or a device was
    asked whose answer may hang on the time.
    """

    schedule: Schedule
    places: tuple[Placement, ...]
    accesses: Accesses
    breaks: tuple[int, ...]
    end: int

    def next_place(self, like: Placement, after: int, before: int) -> Placement | None:
        """The first placement of the same line and burst with after < at < before."""
        first = bisect_left(self.places, after + 1, key=lambda place: place.at)
        for place in self.places[first:]:
            if place.at >= before:
                return None
            if (place.line, place.burst) == (like.line, like.burst):
                return place
        return None

    def break_after(self, at: int, before: int) -> int | None:
        """The first of `breaks` in [at, before)."""
        first = bisect_left(self.breaks, at)
        return self.breaks[first] if first < len(self.breaks) and self.breaks[first] < before else None


def record_path(player: Player, schedule: Schedule) -> Path:
    """Play a schedule and note its run."""
    machine = player.machine
    player.rewind()
    reached = player.follow(schedule)
    first = player.at
    machine.record_accesses()
    try:
        player.finish()
        accesses = machine.take_accesses()
    finally:
        machine.record_accesses(False)
    free = tuple(at for at in player.progress.breaks if at >= first)
    asked, pic = dict(_devices(accesses)), machine.bus.number(machine.platform.pic)
    timed = {step - player.origin for step, device in asked.items() if device != pic}
    end = player.at
    places = tuple(_places(player, schedule, accesses, free, asked)) if reached else ()
    return Path(schedule, places, accesses, tuple(sorted({*free, *timed})), end)


def _devices(accesses: Accesses) -> Iterator[tuple[int, int]]:
    """The steps that touch a device, and which; of several in a step the one that is no interrupt controller."""
    words = accesses.words.tolist()
    found = [
        (step, what >> 8 & 0xFF)
        for step, what in zip(words[::2], words[1::2], strict=True)
        if what & 15 in DEVICE
    ]
    return iter(sorted(found))


def _places(
    player: Player, schedule: Schedule, accesses: Accesses, free: tuple[int, ...], asked: Iterable[int]
) -> Iterator[Placement]:
    """Go along a recorded run once more, and look at each stretch of boundaries what would come through."""
    player.rewind()
    player.follow(schedule)
    halts, after = set(free), schedule[-1].at if schedule else -1
    for stretch in _stretches(player, accesses, free, asked):
        if not player.advance(stretch.start):
            return
        lines = [source for source in player.experiment.sources if _open(player, source)]
        for at in stretch:
            if at > after:
                for source in lines:
                    yield from _choices(player, source.line, at, halted=at in halts)


def _stretches(
    player: Player, accesses: Accesses, free: tuple[int, ...], asked: Iterable[int]
) -> Iterator[range]:
    """The boundaries, cut where what comes through may change: at accesses to devices, and where things came free."""
    cuts = {step + 1 for step in asked} | {at + player.origin + extra for at in free for extra in (0, 1)}
    windows = accesses.windows
    if any(
        source.line == NMI for source in player.experiment.sources
    ):  # it may come where interrupts are off
        cuts |= {edge for window in windows for edge in (window.start, window.stop)}
        windows = (range(accesses.start, accesses.end),)
    ordered = sorted(cuts)
    for window in windows:
        starts = [window.start, *(cut for cut in ordered if window.start < cut < window.stop)]
        for start, stop in zip(starts, [*starts[1:], window.stop], strict=True):
            yield range(start - player.origin, stop - player.origin)


def choices(player: Player) -> list[Placement]:
    """What may be placed where a player stands; nothing at the window's end."""
    if player.at_end:
        return []
    halted = player.machine.cpu.halted
    lines = [source.line for source in player.experiment.sources if _open(player, source)]
    return [place for line in lines for place in _choices(player, line, player.at, halted=halted)]


def _open(player: Player, source: Source) -> bool:
    """Whether an edge on this line would come through now."""
    if source.line == NMI:
        return True
    spent = player.spent(source.line)
    return player.interruptible and not spent and player.machine.would_interrupt(source.line)


def _choices(player: Player, line: int, at: int, *, halted: bool) -> Iterator[Placement]:
    """What may be placed on a line at a boundary."""
    if line != TIMER:
        yield Placement(at, line)
    elif not halted:
        yield from (Placement(at, line, burst) for burst in range(1, player.experiment.burst + 1))
