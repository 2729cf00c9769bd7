"""Iterative bounding: every schedule with no preemption, then with one, then with two.

Breadth first: so the first counterexample has the fewest preemptions. A level is cut into tasks, each a node and a part
of its boundaries; what comes of a task depends on the levels before it and on nothing else, and tasks count in their
order. So the result is the same whoever does them, and whoever is done first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, field, replace
from itertools import islice

from ringzero.explore.expand import Expander, OnEnd
from ringzero.explore.experiment import Experiment
from ringzero.explore.frontier import Frontier
from ringzero.explore.nodes import Expanded, Known, Node, Rules, Task
from ringzero.explore.player import Player
from ringzero.explore.remarks import judge_locks
from ringzero.explore.result import Counterexample, Counts, Result, Trial, Verdict

AHEAD = 3  # tasks handed to each worker before their results are looked at
PART = 128  # boundaries of the first run in one task


@dataclass(frozen=True)
class Progress:
    """What a display shows while a search runs. `preemptions`: of the schedules that are played now."""

    preemptions: int
    bound: int
    done: int
    tasks: int
    counts: Counts


@dataclass
class Search:
    """One search; it can be stopped between two tasks, and goes on from its `frontier`.

    executor: who does the tasks, `jobs` of them at a time; nobody: this process. stop: asked between two tasks.
    on_end: sees every run at its end, in this process only. every_failure: go on behind the first one, which is
    the one that the result tells.
    """

    experiment: Experiment
    bound: int
    rules: Rules = field(default_factory=Rules)
    executor: Executor | None = None
    jobs: int = 1
    stop: Callable[[], bool] = lambda: False
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_end: OnEnd | None = None
    every_failure: bool = False
    frontier: Frontier = field(default_factory=Frontier)
    player: Player | None = None
    failed: Trial | None = field(default=None, init=False)
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._asked = self.rules

    @property
    def name(self) -> str:
        """Whose frontier this is: a digest of all that a frontier is good for, whatever has been found on the way."""
        return hashlib.sha256(repr((self.experiment.digest, self.bound, self._asked)).encode()).hexdigest()

    def run(self) -> Result:
        """Search up to the bound, to a counterexample, or until told to stop."""
        player = self.player = self.player or Player(self.experiment)
        if self.frontier.clock:
            self._merge_nothing(self.frontier.clock)
        self._here = Expander(player, self.bound, self.rules, self.on_end, self.every_failure)
        if not self.frontier.judged and not self._first():
            return self._result(Verdict.BROKEN)
        while self.frontier.depth < self.bound:
            if not self._level():
                return self._result(Verdict.BROKEN if self.failed else Verdict.UNFINISHED)
            self._descend()
        return self._result(Verdict.BROKEN if self.failed else Verdict.HOLDS)

    def _first(self) -> bool:
        """Judge the run without any placement: whether it is well."""
        trial = self._here.judge(())
        if trial.failure is None and self.experiment.strict_locks:
            trial = judge_locks(self._here.player, trial)
        goes_on = trial.failure is None or self.every_failure
        places = len(self._here.path(()).places) if goes_on else 0
        counts = Counts(boundaries=places, covered=1, run=1, steps=trial.steps)
        self.failed = trial if trial.failure else None
        self.frontier = replace(self.frontier, judged=True, counts=counts, tasks=self._parts())
        return goes_on

    def _parts(self) -> tuple[Task, ...]:
        """The first level's tasks: the one node's boundaries in parts, which do not depend on who does them."""
        if self.bound < 1 or (self.failed and not self.every_failure):
            return ()
        starts = sorted({place.at for place in self._here.path(()).places})[::PART]
        ends = [*starts[1:], None][: len(starts)]
        return tuple(Task(Node(), first, last) for first, last in zip(starts, ends, strict=True))

    def _level(self) -> bool:
        """Do this level's tasks: whether all are done, and nothing was found."""
        tasks = self.frontier.tasks
        if tasks and self.stop():
            return False
        for done, expanded in enumerate(self._expanded(), 1):
            before = self.frontier
            self.frontier = replace(
                before,
                tasks=tasks[done:],
                following=before.following + expanded.children,
                counts=before.counts + expanded.counts,
                learned=before.learned + expanded.learned,
            )
            self.failed = self.failed or expanded.failed
            if expanded.clock_read and self.rules.merge:
                return self._forget(expanded.clock_read)
            self.on_progress(Progress(before.depth + 1, self.bound, done, len(tasks), self.frontier.counts))
            if (self.failed and not self.every_failure) or (done < len(tasks) and self.stop()):
                return False
        return True

    def _forget(self, clock: str) -> bool:
        """A declared clock decides something after all: begin anew, and merge nothing."""
        self._merge_nothing(clock)
        self.frontier, self.failed = Frontier(clock=clock), None
        self._here = Expander(self._here.player, self.bound, self.rules, self.on_end, self.every_failure)
        return self._first() and self._level()

    def _merge_nothing(self, clock: str) -> None:
        """From here on, because of a clock that is read."""
        self.remarks += (f"the clock {clock} is read: states that differ in it were not merged",)
        self.rules = replace(self.rules, merge=False)

    def _descend(self) -> None:
        """On to the next level."""
        before = self.frontier
        self.frontier = replace(
            before,
            depth=before.depth + 1,
            tasks=tuple(Task(node) for node in before.following),
            following=(),
            known=before.known + before.learned,
            learned=(),
        )

    def _expanded(self) -> Iterator[Expanded]:
        """What came of the tasks, in their order."""
        known, tasks = Known(), self.frontier.tasks
        for key, left in self.frontier.known:
            known[key] = max(left, known.get(key, 0))
        done = 0
        if self.executor is not None:
            try:
                for expanded in self._elsewhere(self.executor, known):
                    done += 1
                    yield expanded
            except (BrokenExecutor, CancelledError, ConnectionError):
                self.remarks += ("a worker was lost; what it had not done was done here",)
                self.executor = None
        yield from (self._here.expand(task, known) for task in tasks[done:])

    def _elsewhere(self, executor: Executor, known: Known) -> Iterator[Expanded]:
        """The tasks' results from workers, a few tasks ahead of what has been looked at."""
        coming, waiting = iter(self.frontier.tasks), list[Future[Expanded]]()
        try:
            while True:
                for task in islice(coming, AHEAD * self.jobs - len(waiting)):
                    waiting.append(
                        executor.submit(expand, self.experiment, self.bound, self.rules, task, known)
                    )
                if not waiting:
                    return
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()

    def _result(self, verdict: Verdict) -> Result:
        experiment, frontier = self.experiment, self.frontier
        assert self.player is not None
        example = None
        if self.failed is not None and self.failed.failure is not None:
            example = Counterexample(self.failed.schedule, self.failed.failure)
        return Result(
            name=experiment.name,
            verdict=verdict,
            bound=len(self.failed.schedule) if self.failed else frontier.depth,
            asked=self.bound,
            counts=frontier.counts,
            counterexample=example,
            remarks=self.remarks,
            engine=self.player.machine.cpu.engine,
            image_digest=experiment.image_digest,
            left=self._left() if verdict is Verdict.UNFINISHED else 0,
        )

    def _left(self) -> int:
        """An estimate of the schedules that were not looked at: what a task had so far, for each that is left."""
        frontier = self.frontier
        children = len(frontier.following) + len(frontier.tasks)
        width = max(frontier.counts.boundaries, 1)
        return int(children * width ** (self.bound - frontier.depth))


_IDLE: dict[
    tuple[str, int, Rules], list[Expander]
] = {}  # taken out while they work: a worker may have many threads


def expand(experiment: Experiment, bound: int, rules: Rules, task: Task, known: Known) -> Expanded:
    """A task, in a worker's process, which keeps its machines from one task to the next."""
    name = (experiment.digest, bound, rules)
    if name not in _IDLE:
        _IDLE.clear()
    idle = _IDLE.setdefault(name, [])
    try:
        expander = idle.pop()
    except IndexError:
        expander = Expander(Player(experiment), bound, rules)
    expanded = expander.expand(task, known)
    idle.append(expander)
    return expanded


def search(
    experiment: Experiment,
    bound: int,
    *,
    rules: Rules | None = None,
    executor: Executor | None = None,
    jobs: int = 1,
    on_end: OnEnd | None = None,
    every_failure: bool = False,
) -> Result:
    """Explore an experiment to the end; see `Search`. Raises RingzeroError for what cannot be explored."""
    return Search(
        experiment,
        bound,
        rules or Rules(),
        executor,
        jobs,
        on_end=on_end,
        every_failure=every_failure,
    ).run()
