"""One node of the search: its run, the places where one more preemption matters, and what comes of each.

A node is a schedule that has been judged already. To expand it is to go along its run once more, from its last
placement to its end, to let one more interrupt come at every boundary that matters, to play that schedule to its end,
and to judge it.

Which runs need not be gone along (`Rules.merge`): those whose compared state has been seen with at least as many
preemptions left to place. Seen are the states along the runs of finished levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ringzero.explore.path import Path, record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Counts, Trial
from ringzero.explore.schedule import Placement, Schedule

PATHS = 64  # recorded runs that are kept
Known = dict[
    bytes, int
]  # a state's key, and how many preemptions were placed from there on; 0 for its registers'
OnEnd = Callable[[Player, Trial], None]


@dataclass(frozen=True)
class Node:
    """A schedule that has been judged."""

    schedule: Schedule = ()


@dataclass(frozen=True)
class Task:
    """A node, and which of its run's boundaries to look at: from the step `first` on, and before the step `last`."""

    node: Node = field(default_factory=Node)
    first: int = 0
    last: int | None = None


@dataclass(frozen=True)
class Rules:
    """Which reductions are on; the plain search has none."""

    merge: bool = True


@dataclass(frozen=True)
class Expanded:
    """What came of a task. `failed`: the first of its schedules that breaks the kernel. `learned`: states seen."""

    children: tuple[Node, ...] = ()
    failed: Trial | None = None
    counts: Counts = field(default_factory=Counts)
    learned: tuple[tuple[bytes, int], ...] = ()


@dataclass
class Expander:
    """Does tasks, one after the other, on one machine. `on_end` sees every run at its end."""

    player: Player
    bound: int
    rules: Rules = field(default_factory=Rules)
    on_end: OnEnd | None = None
    _paths: dict[Schedule, Path] = field(default_factory=dict)

    def path(self, schedule: Schedule) -> Path:
        """The run of a schedule from its last placement on."""
        found = self._paths.get(schedule)
        if found is None:
            if len(self._paths) >= PATHS:
                self._paths.clear()
            found = self._paths[schedule] = record_path(self.player, schedule)
        return found

    def judge(self, schedule: Schedule) -> Trial:
        """Play a schedule to its end."""
        trial = self.player.play(schedule)
        if self.on_end is not None:
            self.on_end(self.player, trial)
        return trial

    def expand(self, task: Task, known: Known) -> Expanded:
        """Judge every child of a node that matters. `known`: the states of finished levels."""
        return _Work(self, task, known).done()


class _Work:
    """One task in the doing."""

    def __init__(self, expander: Expander, task: Task, known: Known) -> None:
        self.expander, self.player, self.task = expander, expander.player, task
        self.schedule = task.node.schedule
        self.places = [place for place in expander.path(self.schedule).places if self._mine(place)]
        self.left = expander.bound - len(self.schedule)  # preemptions that can be placed along this run
        self.known, self.learned = known, Known()
        self.children: list[Node] = []
        self.failed: Trial | None = None
        self.counts = Counts(choices=0)

    def _mine(self, place: Placement) -> bool:
        return self.task.first <= place.at and (self.task.last is None or place.at < self.task.last)

    def done(self) -> Expanded:
        """Go along the run."""
        for place in self.places:
            if self._merges(place):
                self.counts += Counts(merged=1)
                break
            self._child(place)
            if self.failed is not None:
                break
        return Expanded(tuple(self.children), self.failed, self.counts, tuple(self.learned.items()))

    def _merges(self, place: Placement) -> bool:
        """Whether everything from this state on has been looked at, or is this task's own to look at."""
        if not self.expander.rules.merge or (self.left < 2 and not self.known):
            return False
        self.player.rewind()
        self.player.follow(self.schedule)
        self.player.advance(place.at)
        registers = self.player.register_key()
        if registers in self.known:  # the cheap half of the key
            key = self.player.state_key()
            if self.known.get(key, 0) >= self.left:
                return True
        if self.left > 1:
            self.learned[registers] = 0
            self.learned.setdefault(self.player.state_key(), self.left)
        return False

    def _child(self, place: Placement) -> None:
        """Judge the schedule with one placement more; keep it if more can follow."""
        schedule = (*self.schedule, place)
        trial = self.expander.judge(schedule)
        self.counts += Counts(choices=1, covered=1, run=1, steps=trial.steps)
        if trial.failure is not None:
            self.failed = trial
        elif self.left > 1:
            self.children.append(Node(schedule))
