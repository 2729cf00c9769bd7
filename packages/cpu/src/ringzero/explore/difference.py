"""The first read that saw another value than in the run that passes.

Rule of this room: the two runs are laid side by side thread by thread, the n-th instruction of a thread in one beside
its n-th in the other; what a handler does between is nobody's. Left out are declared clocks and the scheduler's own
words, which any preemption changes. Where a thread goes another way, or reads elsewhere, it is followed no further.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from ringzero.explore.result import Difference
from ringzero.explore.schedule import Schedule
from ringzero.explore.sites import called, code
from ringzero.machine.accesses import Access, Kind

if TYPE_CHECKING:
    from ringzero.explore.player import Player

LONGEST = 20_000  # steps up to which a run is laid beside another
QUEUES = (
    ("ready_head", 8),
    ("ready_tail", 8),
    ("ready_count", 8),
    ("need_resched", 4),
)  # the scheduler's words
LINKS = ("rsp_offset", "next_offset")  # and those in a thread


class Read(NamedTuple):
    """Bytes of RAM, as an instruction read them."""

    address: int
    size: int
    value: int


class Moment(NamedTuple):
    """The n-th instruction of a thread: at a step of the window, with what it reads."""

    at: int
    thread: int
    number: int
    rip: int
    reads: tuple[Read, ...]


@dataclass
class _Follower:
    """Who executes: a thread, or a handler that has interrupted one."""

    player: Player
    counts: dict[int, int] = field(default_factory=dict)
    inside: dict[int, tuple[int, int]] = field(default_factory=dict)  # thread: where its handler returns to
    delivered: list[int] = field(default_factory=list)  # where each delivery of this step is to return to

    def hear(self, vector: int, error: int | None, rip: int) -> None:
        """A delivery, which is to return to `rip`."""
        self.delivered.append(rip)

    def step(self) -> tuple[int, int] | None:
        """Take a step: thread and n of the instruction, or None for what is a handler's or a delivery."""
        thread, registers = self.player.threads.current, self.player.machine.registers
        rsp = registers["rsp"]
        if self.inside.get(thread) == (registers["rip"], rsp):
            del self.inside[thread]
        self.delivered.clear()
        self.player.advance(self.player.at + 1)
        if self.delivered:
            self.inside.setdefault(thread, (self.delivered[0], rsp))
        if thread in self.inside:
            return None
        number = self.counts[thread] = self.counts.get(thread, -1) + 1
        return thread, number


def moments(player: Player, schedule: Schedule) -> list[Moment]:
    """What the threads did in a run, in the order of time."""
    reads = {
        step: [(access.address, access.size) for access in accesses]
        for step, accesses in groupby(_reads(player, schedule), key=lambda access: access.step)
    }
    follower = _Follower(player)
    player.machine.cpu.on_delivery.append(follower.hear)
    try:
        return list(_follow(player, schedule, reads, follower))
    finally:
        player.machine.cpu.on_delivery.remove(follower.hear)


def _reads(player: Player, schedule: Schedule) -> Iterator[Access]:
    """All that a run reads from RAM."""
    machine = player.machine
    player.rewind()
    machine.record_accesses()
    try:
        player.follow(schedule)
        player.advance(player.begun + LONGEST)
        taken = machine.take_accesses()
    finally:
        machine.record_accesses(False)
    return (access for access in taken if access.kind is Kind.READ)


def _follow(
    player: Player, schedule: Schedule, reads: dict[int, list[tuple[int, int]]], follower: _Follower
) -> Iterator[Moment]:
    """Step along a run."""
    player.rewind()
    waiting = list(schedule)
    while not player.progress.ended and player.at <= player.begun + LONGEST:
        at, rip = player.at, player.machine.registers["rip"]
        found = tuple(_value(player, *read) for read in reads.get(player.machine.step, ()))
        if waiting and waiting[0].at == at:
            player.place(waiting.pop(0))
        mine = follower.step()
        if mine is not None:
            yield Moment(at, *mine, rip, found)


def _value(player: Player, address: int, size: int) -> Read:
    return Read(address, size, int.from_bytes(player.machine.memory.read(address, size), "little"))


def difference(player: Player, schedule: Schedule) -> tuple[Difference | None, tuple[str, ...]]:
    """The first difference between a run and the one without its last preemptions, and what is to be said of it."""
    if not player.threads.known:
        return None, ()
    passing = next(
        (n for n in range(len(schedule) - 1, -1, -1) if not player.play(schedule[:n]).failure), None
    )
    if passing is None:
        return None, ()
    if schedule[-1].at - player.begun > LONGEST:
        return None, ("the first difference was not looked for: the run is long",)
    well = {(moment.thread, moment.number): moment for moment in moments(player, schedule[:passing])}
    found = _first(moments(player, schedule), well, set(_ignored(player)))
    return (None if found is None else _told(player, schedule, *found)), ()


def _first(
    failing: list[Moment], well: dict[tuple[int, int], Moment], ignored: set[int]
) -> tuple[Moment, Read, Read] | None:
    lost: set[int] = set()
    for moment in failing:
        other = well.get((moment.thread, moment.number))
        if other is None or moment.thread in lost:
            continue
        if moment.rip != other.rip or len(moment.reads) != len(other.reads):
            lost.add(moment.thread)
            continue
        for here, there in zip(moment.reads, other.reads, strict=True):
            if (here.address, here.size) != (there.address, there.size):
                lost.add(moment.thread)
            elif here.value != there.value and here.address not in ignored:
                return moment, here, there
    return None


def _ignored(player: Player) -> Iterator[int]:
    """The physical addresses of clocks and of the scheduler's words."""
    player.rewind()
    machine, spec = player.machine, player.experiment.threads
    places = [(machine.symbol(name), size) for name, size in player.experiment.clocks.items()]
    places += [(machine.symbol(spec[name]), size) for name, size in QUEUES if name in spec]
    for thread in player.threads.all():
        places += [(thread.address + at, size) for at, size in spec.get("clocks", ())]
        places += [(thread.address + spec[name], 8) for name in LINKS if name in spec]
    for linear, size in places:
        for first, end in player.comparer.spans(linear, size):
            yield from range(first, end)


def _told(player: Player, schedule: Schedule, moment: Moment, here: Read, there: Read) -> Difference:
    """A difference in words: the player goes to where it is."""
    player.rewind()
    player.follow(tuple(place for place in schedule if place.at < moment.at))
    player.advance(moment.at)
    return Difference(
        moment.at,
        code(player, moment.rip),
        player.threads.name(),
        here.address,
        name_of(player, here.address),
        there.value,
        here.value,
        here.size,
    )


def name_of(player: Player, physical: int) -> str:
    """What lies at a physical address: a symbol of the image, or a place in a thread's structure; or nothing."""
    machine = player.machine
    for segment in machine.image.segments if machine.image is not None else ():
        if segment.paddr <= physical < segment.paddr + segment.memsz:
            return called(player, physical - segment.paddr + segment.vaddr)
    for thread in player.threads.all():
        for first, end in player.comparer.spans(thread.address, thread.size):
            if first <= physical < end:
                return called(player, thread.address + physical - first)
    return ""
