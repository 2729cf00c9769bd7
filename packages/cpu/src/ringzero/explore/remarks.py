"""What one run shows that is no failure of that run: locks that can deadlock, and how long interrupts are off.

Rule of this room: it looks at a watched player after every step and changes nothing.

A lock that is taken in a handler and, elsewhere, with interrupts on, deadlocks as soon as the handler comes while it is
held: that is told although this run went well. Work that a handler has put off, and that runs with interrupts on, is no
handler: it may take what threads take while they hold it off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringzero.explore.locks import LockWatch
from ringzero.explore.path import record_path
from ringzero.explore.result import Failure, Kind, Trial
from ringzero.explore.schedule import Placement, Schedule

if TYPE_CHECKING:
    from ringzero.explore.player import Player

INTERRUPTS_ON = 1 << 9
LONGEST = 20_000  # steps that are looked at
PROBES = 8  # interrupts of each line, where handlers are looked for
EXCEPTIONS = 32  # vectors below are the processor's own


@dataclass
class _Stretch:
    """Steps with interrupts off, in a row."""

    first: int = 0
    last: int = 0
    start: int = 0  # where it began, and where interrupts were on again
    end: int = 0

    @property
    def steps(self) -> int:
        return self.last - self.first


@dataclass
class Watcher:
    """Looks along one run. `play` it, then ask."""

    player: Player
    longest: _Stretch = field(default_factory=_Stretch)
    in_handler: dict[int, int] = field(default_factory=dict)  # lock: where it was taken in a handler
    open_to_it: dict[int, int] = field(default_factory=dict)  # lock: where it was taken with interrupts on
    _frames: dict[int, list[int]] = field(
        default_factory=dict
    )  # thread: the stack at each handler's beginning
    _off: _Stretch | None = None
    _before: tuple[int, int, int, bool] = (0, 0, 0, False)
    _delivered: bool = False

    def play(self, schedule: Schedule = ()) -> None:
        """Play a schedule and look at each step."""
        self._locks = LockWatch(self.player.machine)
        self.player.rewind()
        self.player.machine.cpu.on_delivery.append(self._deliver)
        self.player.watch = self._look
        try:
            self._next()
            self.player.follow(schedule)
            self.player.advance(max(self.player.at, LONGEST))
        finally:
            self.player.watch = None
            self.player.machine.cpu.on_delivery.remove(self._deliver)

    def _deliver(self, vector: int, error: int | None, _: int) -> None:
        pic = self.player.machine.platform.pic
        lines = any(chip.base <= vector < chip.base + 8 for chip in (pic.master, pic.slave))
        self._delivered = lines and vector >= EXCEPTIONS

    def _next(self) -> None:
        """Remember what the next step begins with."""
        registers, thread = self.player.machine.registers, self.player.threads.current
        frames = self._frames.setdefault(thread, [])
        while frames and registers["rsp"] > frames[-1]:
            frames.pop()
        on = bool(registers["rflags"] & INTERRUPTS_ON)
        self._before = (self.player.at, registers["rip"], thread, on)
        self._interrupts(on, registers["rip"])
        self._locks.before()

    def _look(self) -> None:
        at, rip, thread, on = self._before
        if self.player.at == at:
            return
        if self._delivered:
            self._delivered = False
            self._frames.setdefault(thread, []).append(self.player.machine.registers["rsp"])
        else:
            handler = bool(self._frames.get(thread))
            for kind, taken in self._locks.after(at, thread, handler):
                if kind == "lock" and (handler or on):
                    (self.open_to_it if on else self.in_handler).setdefault(taken.address, rip)
        self._next()

    def _interrupts(self, on: bool, rip: int) -> None:
        if not on:
            self._off = self._off or _Stretch(self.player.at, start=rip)
        elif self._off is not None:
            self._off.last, self._off.end = self.player.at, rip
            if self._off.steps > self.longest.steps:
                self.longest = self._off
            self._off = None

    def both(self) -> Iterator[int]:
        """The locks that a handler takes and others take with interrupts on."""
        return (
            address
            for address in sorted(self._locks.locks())
            if {address} <= self.in_handler.keys() & self.open_to_it
        )

    def lock_lines(self) -> Iterator[str]:
        """A line for each of them."""
        for lock in self.both():
            handler, others = self.name(self.in_handler[lock]), self.name(self.open_to_it[lock])
            yield f"the lock {self.name(lock)} is taken in a handler, at {handler}, and with interrupts on, at {others}"

    def name(self, address: int) -> str:
        """An address in words."""
        place = self.player.machine.where(address)
        return f"{place.symbol}+{place.offset:#x}" if place.offset else place.symbol or f"{address:#x}"


def remarks(player: Player, schedule: Schedule = ()) -> tuple[str, ...]:
    """What one run shows, a line each. It is single-stepped: some 10 000 steps a second."""
    watcher = Watcher(player)
    watcher.play(schedule)
    name, longest = watcher.name, watcher.longest
    told = list(watcher.lock_lines())
    if longest.steps:
        told.append(
            f"interrupts are off for at most {longest.steps:,} steps in a row: from {name(longest.start)} to "
            f"{name(longest.end)}"
        )
    if not player.progress.ended:
        told.append(f"locks and interrupts were looked at up to step {player.at:,} only: the run is long")
    return tuple(told)


def everywhere(player: Player) -> Schedule:
    """Every line's interrupt, `PROBES` times, spread over the undisturbed run: so that each handler is seen."""
    lines: dict[int, list[Placement]] = {}
    for place in record_path(player, ()).places:
        if place.burst == 1:
            lines.setdefault(place.line, []).append(place)
    return tuple(sorted(place for found in lines.values() for place in found[:: -(-len(found) // PROBES)]))


def judge_locks(player: Player, trial: Trial) -> Trial:
    """A run that went well, with what is wrong if a lock can deadlock: in it, or in one that interrupts show it in."""
    probes = everywhere(player)
    found = _locks(player, trial.schedule) or _locks(player, probes)
    if found is None or found.schedule != probes:
        return found or trial
    return next(filter(None, (_locks(player, (place,)) for place in probes)), found)  # one will do, mostly


def _locks(player: Player, schedule: Schedule) -> Trial | None:
    """A schedule's run, if it shows a lock that can deadlock."""
    watcher = Watcher(player)
    watcher.play(schedule)
    lines = tuple(watcher.lock_lines())
    if not lines:
        return None
    failure = Failure(Kind.LOCK, lines[0], player.at, lines[1:])
    return Trial(schedule, failure, player.at, player.progress.ticks, player.serial)
