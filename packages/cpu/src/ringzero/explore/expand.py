"""One node of the search: its run, the places where one more preemption matters, and what comes of each.

A node is a schedule that has been judged already. To expand it is to go along its run once more, from its last
placement to its end, to let one more interrupt come at every boundary that matters, to play that schedule to its end,
and to judge it.

Which boundaries matter (`Rules.reduce`): an interrupt does the same one instruction later, unless that instruction
conflicts with the interrupt's slice (`slices`). So one boundary stands for all that follow, up to the first conflict,
and the first one behind that is played next. A placement *inside* another one's slice changes that slice: how far the
other one may move is looked at anew, and where that is less far than before, the schedule with the other one behind
the conflict is played as well. So a schedule stands for a box: each of its placements for the boundaries up to an end
of its own; and the boxes of all that are played leave nothing out.

Footprints are pessimistic where both sides write a word and put it back, as they do with a lock. So where a conflict
ends a box, and no further preemption can follow, both orders are run (`Rules.compare`): the slice and then the
instructions up to the next box, and these first and then that box's slice. If that leads to the same compared state,
the second run need not go on.

Nor need a run go on in which the slice has left other bytes behind, but none that anybody reads before writing it
(`Rules.unread`): neither what is left of the node's own run, which has been finished and judged, nor a page walk of it,
nor an oracle.

Which runs need not be gone along (`Rules.merge`): those whose compared state has been seen with at least as many
preemptions left to place. Seen are the states along the runs of finished levels.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ringzero.explore.nodes import NEVER, Expanded, Known, Node, Rules, Task
from ringzero.explore.path import Path, record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Counts, Trial
from ringzero.explore.schedule import Placement, Schedule
from ringzero.explore.slices import Slice, play_slice
from ringzero.machine.accesses import Accesses
from ringzero.machine.footprint import Ranges, footprint, overlap, without

PATHS = 64  # recorded runs that are kept
OnEnd = Callable[[Player, Trial], None]


@dataclass
class Expander:
    """Does tasks, one after the other, on one machine. `on_end` sees every run at its end.

    `every_failure`: a task goes on behind the first of its schedules that breaks the kernel.
    """

    player: Player
    bound: int
    rules: Rules = field(default_factory=Rules)
    on_end: OnEnd | None = None
    every_failure: bool = False
    clock_read: str = field(default="", init=False)
    _paths: dict[Schedule, Path] = field(default_factory=dict)
    _looked: set[tuple[int, int]] = field(
        default_factory=set
    )  # linear bytes that oracles have read: first, length

    def path(self, schedule: Schedule) -> Path:
        """The run of a schedule from its last placement on."""
        found = self._paths.get(schedule)
        if found is None:
            if len(self._paths) >= PATHS:
                self._paths.clear()
            with self._looking():
                found = self._paths[schedule] = record_path(self.player, schedule)
            self.note_clocks(found.accesses)
        return found

    def note_clocks(self, accesses: Accesses) -> None:
        """Remember a declared clock that these steps read."""
        self.clock_read = self.clock_read or self.player.comparer.clock_read(accesses)

    def judge(self, schedule: Schedule) -> Trial:
        """Play a schedule to its end."""
        self.player.rewind()
        self.player.follow(schedule)
        return self.finish(schedule)

    def watch(self) -> None:
        """From here on see whether a declared clock is read; `finish` looks."""
        if self.rules.merge and self.player.experiment.clocks:
            self.player.machine.record_accesses()

    def finish(self, schedule: Schedule) -> Trial:
        """Play on to the end from where the player stands in a schedule."""
        machine = self.player.machine
        if not machine.cpu.recording:
            self.watch()
        self.player.finish()
        if machine.cpu.recording:
            self.note_clocks(machine.take_accesses())
            machine.record_accesses(False)
        trial = self.player.trial(schedule)
        if self.on_end is not None:
            with self._looking():
                self.on_end(self.player, trial)
        return trial

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Remember what is looked at meanwhile."""
        self.player.machine.on_look = lambda address, length: self._looked.add((address, length))
        try:
            yield
        finally:
            self.player.machine.on_look = None

    def looked_at(self) -> Ranges:
        """The physical bytes that oracles look at."""
        spans = self.player.comparer.spans
        return [span for address, length in sorted(self._looked) for span in spans(address, length)]

    def expand(self, task: Task, known: Known) -> Expanded:
        """Judge every child of a node that matters. `known`: the states of finished levels."""
        return _Work(self, task, known).done()


class _Work:
    """One task in the doing: boxes that are still to be played, the earliest first."""

    def __init__(self, expander: Expander, task: Task, known: Known) -> None:
        self.expander, self.player, self.task = expander, expander.player, task
        self.node = task.node
        self.left = expander.bound - len(self.node.schedule)  # preemptions that can be placed along this run
        self.known, self.learned = known, Known()
        self.merged: dict[Schedule, int] = {}  # runs that come to a known state, and where
        self.path = expander.path(task.node.schedule)
        self.carried: tuple[Schedule, bytes] | None = (
            None  # a schedule, and the state in which its slice must end
        )
        self.children: list[Node] = []
        self.failed: Trial | None = None
        self.counts = Counts()
        self.boxes: list[Node] = []

    def done(self) -> Expanded:
        """Play boxes until none is left, or one is broken."""
        self._first_boxes()
        while self.boxes and (self.failed is None or self.expander.every_failure):
            box = heapq.heappop(self.boxes)
            if not self._merges(box.schedule):
                self._play(box)
                continue
            for index in self._open(
                box
            ):  # known is the state of this one schedule, not of those it stands for
                box = self._cut(box, index, None)
        learned, clock_read = tuple(self.learned.items()), self.expander.clock_read
        return Expanded(tuple(self.children), self.failed, self.counts, learned, clock_read)

    def _first_boxes(self) -> None:
        """The whole run, once for each line and burst."""
        first, last, node = self.task.first, self.task.last, self.node
        kinds = set()
        for place in self.path.places:
            if (
                first <= place.at
                and (last is None or place.at < last)
                and (place.line, place.burst) not in kinds
            ):
                kinds.add((place.line, place.burst))
                end = NEVER if last is None else last
                heapq.heappush(self.boxes, Node((*node.schedule, place), (*node.ends, end), node.closes))

    def _merges(self, schedule: Schedule) -> bool:
        """Whether, where the last placement comes, everything from there on has been looked at."""
        if not self.expander.rules.merge or (self.left < 2 and not self.known):
            return False
        *before, last = schedule
        prefix = tuple(before)
        if last.at >= self.merged.get(prefix, NEVER):
            return True
        self.player.rewind()
        self.player.follow(prefix)
        self.player.advance(last.at)
        registers = self.player.register_key()
        if registers in self.known and self.known.get(self.player.state_key(), 0) >= self.left:
            self.merged[prefix] = last.at
            self.counts += Counts(merged=1)
            return True
        if self.left > 1 and not self._reads_omitted(prefix):
            self.learned[registers] = 0
            self.learned.setdefault(self.player.state_key(), self.left)
        return False

    def _reads_omitted(self, prefix: Schedule) -> bool:
        """Whether the run that goes on from here reads what its state's key leaves out."""
        accesses = self.expander.path(prefix).accesses
        return self.player.comparer.reads_omitted(accesses, self.player.machine.step)

    def _play(self, box: Node) -> None:
        """Judge a box's schedule, find out how far its placements may move, and leave the rest to other boxes."""
        schedule, last = box.schedule, len(box.schedule) - 1
        own = self._slice(schedule, last)
        if own and (self._unread(box, own) or self._alike(box, own)):
            return
        trial = self.expander.finish(schedule) if own else self.expander.judge(schedule)
        box = self._cut(box, last, own)
        closes = [*box.closes, own.end if own else NEVER]
        for index in self._open(box):
            found = self._slice(schedule, index)
            closes[index] = found.end if found else NEVER
            box = self._cut(box, index, found)
        self._count(box, trial)
        if trial.failure is not None:
            self.failed = self.failed or trial
        if self.left > 1:
            self.children.append(Node(schedule, box.ends, tuple(closes)))

    def _of_this_run(self, box: Node) -> bool:
        """The last preemption there can be, along the task's own run and inside nobody's slice."""
        return self.left == 1 and box.schedule[:-1] == self.path.schedule and not self._open(box)

    def _unread(self, box: Node, own: Slice) -> bool:
        """Whether what is left of the run cannot know that the slice has been."""
        if not self.expander.rules.unread or not own.quiet or not self._of_this_run(box):
            return False
        rest = footprint(self.path.accesses, box.schedule[-1].at + self.player.origin)
        timed = rest.devices - {self.player.machine.bus.number(self.player.machine.platform.pic)}
        if rest.system or timed:
            return False
        read = [*rest.reads, *rest.walked, *self.expander.looked_at()]
        clocks = [] if self.expander.clock_read else list(self.player.comparer.clocks())
        if overlap(without(own.footprint.writes, clocks), read):
            return False
        self.carried = None
        self.counts += Counts(merged=1, covered=self._covered(self._cut(box, len(box.schedule) - 1, own)))
        return True

    def _alike(self, box: Node, own: Slice) -> bool:
        """Whether the box before this one has come to the same state, in the other order.

        The player stands where the slice ends; if the box is to be played, it stands where the next one's will.
        """
        before, schedule = self.carried, box.schedule
        self.carried = None
        if not self.expander.rules.compare or not self._of_this_run(box):
            return False
        alike = before is not None and before == (schedule, self.player.state_key())
        self.expander.watch()
        last = schedule[-1]
        rest = self._cut(box, len(schedule) - 1, own) if alike else box
        following = self._conflict(self.path, last, box.ends[-1], own)
        place = self.path.next_place(last, following, box.ends[-1])
        if place is not None and self.player.advance(own.end + place.at - last.at):
            self.carried = ((*schedule[:-1], place), self.player.state_key())
        if alike:
            self.player.machine.record_accesses(False)
            self.counts += Counts(merged=1, covered=self._covered(rest))
        return alike

    def _open(self, box: Node) -> list[int]:
        """The placements inside whose slices the last one is."""
        return [index for index, end in enumerate(box.closes) if box.schedule[-1].at < end]

    def _slice(self, schedule: Schedule, index: int) -> Slice | None:
        if not self.expander.rules.reduce or schedule[index].burst > 1:
            return None
        found = play_slice(self.player, schedule, index)
        if found is not None and self.expander.rules.merge:
            self.expander.note_clocks(found.accesses)
        return found

    def _cut(self, box: Node, index: int, found: Slice | None) -> Node:
        """The box up to where one placement may move; what lies behind that becomes another box."""
        schedule, end = box.schedule, box.ends[index]
        place, path = schedule[index], self.expander.path(schedule[:index])
        following = path.next_place(place, self._conflict(path, place, end, found), end)
        if following is None:
            return box
        shift = following.at - place.at
        moved = tuple(replace(other, at=other.at + shift) for other in schedule[index:])
        ends = (*box.ends[: index + 1], *(inner + shift for inner in box.ends[index + 1 :]))
        closes = (*box.closes[:index], *(inner + shift for inner in box.closes[index:]))
        heapq.heappush(self.boxes, Node((*schedule[:index], *moved), ends, closes))
        return replace(box, ends=(*box.ends[:index], following.at, *box.ends[index + 1 :]))

    def _conflict(self, path: Path, place: Placement, end: int, found: Slice | None) -> int:
        """The step at which a placement's slice must have begun at the latest."""
        if found is None:
            return place.at
        end = min(end, path.end)
        stop = path.break_after(place.at, end)
        origin = self.player.origin
        conflict = found.footprint.first_conflict(
            path.accesses, place.at + origin, (end if stop is None else stop) + origin, found.dead
        )
        if conflict is not None:
            return conflict - origin
        return end if stop is None else stop

    def _count(self, box: Node, trial: Trial) -> None:
        self.counts += Counts(choices=1, covered=self._covered(box), run=1, steps=trial.steps)

    def _covered(self, box: Node) -> int:
        """The boundaries that a box's last placement stands for."""
        place, path = box.schedule[-1], self.expander.path(box.schedule[:-1])
        return sum(
            place.at <= other.at < box.ends[-1] and (other.line, other.burst) == (place.line, place.burst)
            for other in path.places
        )
