"""Where a placement lies, told by what survives a rebuild: symbol, offset, and how often the run had come there.

Rule of this room: visits are counted by probes, from the window's start, in the run with the earlier placements placed.
A probe is not met again where an interrupt returns to, nor at each iteration of a repeated string instruction; what
lies there is told as so many steps behind the last visit. So every boundary has a name, and the name leads back to it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringzero.errors import UsageError
from ringzero.explore.path import record_path
from ringzero.explore.result import Site
from ringzero.explore.schedule import Placement, Schedule

if TYPE_CHECKING:
    from ringzero.explore.player import Player
    from ringzero.explore.threads import Thread
    from ringzero.machine.machine import Machine
    from ringzero.machine.views import Place

FAR = 1 << 16  # bytes behind a symbol of unknown size at which it is not taken for that symbol's any more
NOT_COUNTED = -1  # a boundary's number in a run that is too long to be walked


class _Arrived(Exception):
    """Ends a run at a probe, which the player would take for the guest's own end."""


@dataclass(frozen=True)
class Visit:
    """A boundary's name: `beyond` steps behind the `number`-th time that `address` is next (0: the window's start)."""

    address: int
    number: int
    beyond: int = 0


def go(player: Player, schedule: Schedule) -> bool:
    """From the window's start to right behind the last placement: whether the run got there."""
    player.rewind()
    return player.follow(schedule) and not player.progress.ended


def visit_of(player: Player, before: Schedule, at: int) -> Visit:
    """The name of the boundary at a step of the run in which `before` was placed. Raises UsageError beyond its end."""
    if not (go(player, before) and player.advance(at)):
        raise UsageError(f"step {at:,} is not reached: the run ends at step {player.at:,} of its window")
    address = player.machine.registers["rip"]
    hits = _hits(player, before, address, at)
    if hits and hits[-1] == at:
        return Visit(address, len(hits))
    return Visit(address, len(hits), at - (hits[-1] if hits else 0))


def _hits(player: Player, before: Schedule, address: int, until: int) -> list[int]:
    """The steps, up to one, at which an address was next."""
    met: dict[int, None] = {}

    def note(_: Machine) -> bool:
        if player.at > until:
            raise _Arrived
        met[player.at] = None
        return False

    _probed(player, before, address, note, until + 1)
    return list(met)


def find_visit(player: Player, before: Schedule, visit: Visit) -> tuple[int, int]:
    """The step that a name leads to, and how many visits there were on the way; too few, and the step says nothing."""
    met: dict[int, None] = {}

    def note(_: Machine) -> bool:
        met[player.at] = None
        if len(met) >= visit.number:
            raise _Arrived
        return False

    if visit.number:
        _probed(player, before, visit.address, note, None)
    return (list(met)[-1] if met else 0) + visit.beyond, len(met)


def _probed(player: Player, before: Schedule, address: int, note: object, until: int | None) -> None:
    """Run with a probe at an address. The instruction at the window's very start is a visit too."""
    assert callable(note)
    begun = player.begun
    player.begin_at(0)
    player.machine.add_probe(address, note)
    try:
        if player.machine.registers["rip"] == address:
            note(player.machine)
        if go(player, before):
            player.advance(until)
    except _Arrived:
        pass
    finally:
        player.machine.remove_probe(address, note)
        player.begin_at(begun)


@dataclass(frozen=True)
class Walk:
    """A run with nothing placed after `before`: its boundaries, and what could be placed there.

    boundaries: the steps at which the architecture takes an interrupt, numbered from 0 when `whole`; else only those of
    a stretch. choices: what may be placed behind the last placement.
    """

    boundaries: Sequence[int]
    choices: Sequence[Placement]
    whole: bool
    numbered: bool = True  # from the window's start

    def number(self, at: int) -> int:
        """The boundary's number at a step: how many boundaries came before it."""
        return bisect_left(self.boundaries, at) if self.whole and self.numbered else NOT_COUNTED


def walk(player: Player, before: Schedule, around: int, longest: int) -> Walk:
    """Go along a run: the whole of it, or `longest` steps around one step where it is longer."""
    steps = player.play(before).steps
    whole = steps <= longest
    first, last = (0, steps) if whole else (max(0, around - longest // 2), around + longest // 2)
    places = [place for place in record_path(player, before).places if first <= place.at <= last]
    return Walk(_boundaries(player, before, first, last), places, whole, player.begun == 0)


def _boundaries(player: Player, before: Schedule, first: int, last: int) -> list[int]:
    """The boundaries of a run from one step to another, both included."""
    machine = player.machine
    player.rewind()
    player.follow(tuple(place for place in before if place.at < first))
    player.advance(first)
    machine.record_accesses()
    try:
        player.follow(tuple(place for place in before if place.at >= first))
        player.advance(last + 1)
        return [step - player.origin for step in machine.take_accesses().boundaries()]
    finally:
        machine.record_accesses(False)


def site(player: Player, before: Schedule, placement: Placement, walked: Walk | None = None) -> Site:
    """A placement, told. `walked`: a walk of the run in which only `before` was placed, or of one that begins so."""
    visit = visit_of(player, before, placement.at)
    go(player, before)
    player.advance(placement.at)
    place = player.machine.where(visit.address)
    known = place.symbol is not None and place.offset < FAR
    return Site(
        placement,
        player.threads.name(),
        visit.address,
        place.symbol or "" if known else "",
        place.offset if known else 0,
        visit.number + (1 if visit.beyond else 0),
        source(place),
        walked.number(placement.at) if walked else NOT_COUNTED,
    )


def sites(player: Player, schedule: Schedule, walked: Walk | None = None) -> tuple[Site, ...]:
    """Every placement of a schedule, told."""
    return tuple(site(player, schedule[:n], place, walked) for n, place in enumerate(schedule))


def source(place: Place) -> str:
    """`sched.asm:41`, or nothing."""
    return f"{place.line[0]}:{place.line[1]}" if place.line else ""


def code(player: Player, address: int) -> str:
    """An instruction's place: `work_take+0x10 (workqueue.asm:41)`."""
    line = source(player.machine.where(address))
    return f"{called(player, address)} ({line})" if line else called(player, address)


def called(player: Player, address: int) -> str:
    """An object by its name: a symbol, a place in a thread's structure, or an address."""
    place = player.machine.where(address)
    if place.symbol is not None and place.offset < FAR:
        return f"{place.symbol}+{place.offset:#x}" if place.offset else place.symbol
    owner = next((thread for thread in player.threads.all() if within(thread, address)), None)
    if owner is None:
        return f"{address:#x}"
    offset = address - owner.address
    return f"thread {owner.tid}+{offset:#x}" if offset else f"thread {owner.tid}"


def within(thread: Thread, address: int) -> bool:
    """Whether an address lies in a thread's structure."""
    return thread.address <= address < thread.address + thread.size
