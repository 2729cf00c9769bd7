"""What a search is cut into: nodes, tasks, and what comes of a task. Plain values, which can be sent to a worker."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.explore.result import Counts, Trial
from ringzero.explore.schedule import Schedule

Known = dict[
    bytes, int
]  # a state's key, and how many preemptions were placed from there on; 0 for its registers'
NEVER = 1 << 62


@dataclass(frozen=True, order=True)
class Node:
    """A schedule that stands for a box: each placement for the boundaries from its own up to its one of `ends`.

    `closes`: the step at which the slice of each placement ends, NEVER for one that does not.
    """

    schedule: Schedule = ()
    ends: tuple[int, ...] = ()
    closes: tuple[int, ...] = ()


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
    reduce: bool = True
    compare: bool = True
    unread: bool = True


@dataclass(frozen=True)
class Expanded:
    """What came of a task. `failed`: the first of its schedules that breaks the kernel. `learned`: states seen.

    `clock_read`: a declared clock that some run reads; states that differ in it may then have different futures.
    """

    children: tuple[Node, ...] = ()
    failed: Trial | None = None
    counts: Counts = field(default_factory=Counts)
    learned: tuple[tuple[bytes, int], ...] = ()
    clock_read: str = ""
