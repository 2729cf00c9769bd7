"""What one run shows that is no failure of that run: locks that can deadlock, and how long interrupts are off.

Rule of this room: it looks at a watched player after every step and changes nothing.

A lock that is taken in a handler and, elsewhere, with interrupts on, deadlocks as soon as the handler comes while it is
held: that is told although this run went well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringzero.explore.locks import LockWatch
from ringzero.explore.schedule import Schedule

if TYPE_CHECKING:
    from ringzero.explore.player import Player

INTERRUPTS_ON = 1 << 9
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
            self.player.finish()
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
                    (self.in_handler if handler else self.open_to_it).setdefault(taken.address, rip)
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

    def name(self, address: int) -> str:
        """An address in words."""
        place = self.player.machine.where(address)
        return f"{place.symbol}+{place.offset:#x}" if place.offset else place.symbol or f"{address:#x}"


def remarks(player: Player, schedule: Schedule = ()) -> tuple[str, ...]:
    """What one run shows, a line each. It is single-stepped: some 10 000 steps a second."""
    watcher = Watcher(player)
    watcher.play(schedule)
    name, longest = watcher.name, watcher.longest
    told = [
        f"the lock {name(lock)} is taken in a handler, at {name(watcher.in_handler[lock])}, and with interrupts on, at "
        f"{name(watcher.open_to_it[lock])}"
        for lock in watcher.both()
    ]
    if longest.steps:
        told.append(
            f"interrupts are off for at most {longest.steps:,} steps in a row: from {name(longest.start)} to "
            f"{name(longest.end)}"
        )
    return tuple(told)
