"""Searches, under the user's eyes: one experiment after the other, until all are done, time is out, or Ctrl-C.

Rule of this room: the host's clock is read here and in no room below; it decides when to stop and never what is found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ringzero.cli.guest import interruption, must_be_writable
from ringzero.errors import UsageError
from ringzero.explore.chance import RandomSearch
from ringzero.explore.explain import explain
from ringzero.explore.frontier import Frontier
from ringzero.explore.hunt import Hunt
from ringzero.explore.player import Player
from ringzero.explore.remarks import everywhere, remarks
from ringzero.explore.result import Counts, Kind, Result, Verdict, plain
from ringzero.explore.search import Progress, Search
from ringzero.explore.workers import workers

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from rich.progress import Progress as Bar

    from ringzero.explore.experiment import Experiment

REFRESH = 0.1  # seconds


@dataclass(frozen=True)
class Chances:
    """Schedules by chance: so many interrupts each, from a seed, so many schedules."""

    depth: int
    seed: int
    runs: int


@dataclass(frozen=True)
class Limits:
    """How far to go, and with what. `seconds`: for all experiments together, None for no limit. `told`:
    counterexamples are explained. `chance`: not every schedule, but some. `kept`: the file of a search's frontier."""

    bound: int
    seconds: float | None = None
    jobs: int = 1
    scheduler: str = ""
    told: bool = True
    chance: Chances | None = None
    kept: Callable[[Search], Path] | None = None


class Display:
    """Shows nothing: what is used where nobody watches."""

    def begin(self, experiments: int) -> None: ...

    def experiment(self, name: str) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def hunted(self, counts: Counts) -> None: ...

    def result(self, result: Result) -> None: ...

    def end(self) -> None: ...


class Live(Display):
    """One line on a terminal: which experiment, which level, schedules and schedules a second, how many were found."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.before = self.found = 0  # schedules of the experiments that are done; of those the broken ones
        self.name = ""
        self._bar: Bar | None = None

    def begin(self, experiments: int) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(file=self.stream), transient=True)
        self._task = self._bar.add_task("", total=experiments)
        self.started = time.monotonic()
        self._bar.start()

    def experiment(self, name: str) -> None:
        self.name = name
        self._show(0, "")

    def progress(self, progress: Progress) -> None:
        level = (
            f"level {progress.preemptions} of {progress.bound}, part {progress.done} of {progress.tasks}, "
        )
        self._show(progress.counts.run, level)

    def hunted(self, counts: Counts) -> None:
        self._show(counts.run, "")

    def _show(self, run: int, level: str) -> None:
        schedules = self.before + run
        rate = schedules / max(time.monotonic() - self.started, REFRESH)
        text = f"{self.name}: {level}{schedules:,} schedules, {rate:,.0f} a second, {self.found} found"
        if self._bar:
            self._bar.update(self._task, description=text.replace("[", "\\["))

    def result(self, result: Result) -> None:
        self.before += result.counts.run
        self.found += result.verdict is Verdict.BROKEN
        if self._bar:
            self._bar.advance(self._task)

    def end(self) -> None:
        if self._bar:
            self._bar.stop()


class Events(Display):
    """Tells what has happened as structlog events: a JSON object a line on standard error, without a time, so that two
    runs of one search tell the same."""

    def __init__(self) -> None:
        from ringzero.debug.trace import logger

        self.tell = logger("json")

    def experiment(self, name: str) -> None:
        self.tell("experiment", name=name)

    def progress(self, progress: Progress) -> None:
        if progress.done == progress.tasks:
            self.tell(
                "level", preemptions=progress.preemptions, bound=progress.bound, **plain(progress.counts)
            )

    def result(self, result: Result) -> None:
        example = result.counterexample
        found = {"kind": example.failure.kind.value, "replay": example.replay} if example else {}
        self.tell("result", name=result.name, verdict=result.verdict.value, bound=result.bound, **found)


def display(stream: TextIO, log: str | None = None) -> Display:
    """The one that fits the stream, or the one that tells events ("json")."""
    if log is not None:
        return Events()
    return Live(stream) if stream.isatty() else Display()


@dataclass(frozen=True)
class Session:
    """Searches with the same limits, workers and display, and one end for all of them."""

    limits: Limits
    shown: Display
    stop: Callable[[], bool]
    executor: Executor | None
    jobs: int

    def search(self, experiment: Experiment, bound: int | None = None) -> Result:
        """One experiment's result, with the seconds that it took. The one place that knows how a search is called.

        What was not begun is not finished. Raises RingzeroError.
        """
        bound = self.limits.bound if bound is None else bound
        if self.stop():
            return Result(
                experiment.name, Verdict.UNFINISHED, -1, bound, image_digest=experiment.image_digest
            )
        self.shown.experiment(experiment.name)
        started = time.monotonic()
        if self.limits.chance is not None:
            return self._ended(self._random(experiment, self.limits.chance), started)
        search = Search(experiment, bound, executor=self.executor, jobs=self.jobs, stop=self.stop)
        search.on_progress = self.shown.progress
        file = self.limits.kept(search) if self.limits.kept else None
        if file is not None and file.exists():
            search.frontier = Frontier.load(file, search.name)
        result = search.run()
        left_window(experiment, result)
        if self.limits.told and search.failed is not None and search.player is not None:
            result = replace(
                result, counterexample=explain(search.player, search.failed, bound, minimal=True)
            )
        elif self.limits.told and result.verdict is Verdict.HOLDS and search.player is not None:
            told = remarks(search.player, everywhere(search.player))
            result = replace(result, remarks=(*result.remarks, *told))
        if file is not None:
            search.frontier.save(file, search.name)
        return self._ended(result, started)

    def _random(self, experiment: Experiment, chance: Chances) -> Result:
        result = RandomSearch(
            experiment, chance.depth, chance.seed, chance.runs, self.stop, self.shown.hunted
        ).run()
        left_window(experiment, result)
        if result.counterexample is None or not self.limits.told:
            return result
        player = Player(experiment)
        trial = player.play(result.counterexample.schedule)
        return replace(result, counterexample=explain(player, trial, chance.depth, minimal=True))

    def hunt(self, experiment: Experiment, seed: int, runs: int, ends: bool) -> Result:
        """A hunt's result. `ends`: it is known that the guest's run has an end. Raises RingzeroError."""
        self.shown.experiment(experiment.name)
        started = time.monotonic()
        result = Hunt(experiment, seed, runs, stop=self.stop, on_progress=self.shown.hunted).run()
        left_window(experiment, result)
        example = result.counterexample
        if (
            not ends
            and example is not None
            and not example.schedule
            and example.failure.kind is Kind.DEADLOCK
        ):
            raise UsageError(
                f"{experiment.name}: the run has no end even without a preemption: {example.failure.message}; "
                "name its end with --until SYMBOL or --until-serial TEXT"
            )
        return self._ended(result, started)

    def _ended(self, result: Result, started: float) -> Result:
        result = replace(result, seconds=round(time.monotonic() - started, 3))
        self.shown.result(result)
        return result


@contextmanager
def session(limits: Limits, shown: Display, experiments: int) -> Iterator[Session]:
    """A session that ends with its time, or when the user has had enough."""
    end = None if limits.seconds is None else time.monotonic() + limits.seconds
    with interruption() as interrupted, workers(limits.jobs, limits.scheduler) as (executor, jobs):
        shown.begin(experiments)
        try:
            stop = lambda: interrupted() or (end is not None and time.monotonic() >= end)  # noqa: E731
            yield Session(limits, shown, stop, executor, jobs)
        finally:
            shown.end()


def keeping(path: str | None, experiments: int) -> Callable[[Search], Path] | None:
    """Where frontiers are kept: in that file, or in that directory one for each search, by the search's digest.

    Raises UsageError for a file where there are several experiments.
    """
    if path is None:
        return None
    where = Path(path)
    if path.endswith("/") or where.is_dir():
        where.mkdir(parents=True, exist_ok=True)
        return lambda search: where / f"{search.name[:32]}.frontier"
    if experiments > 1:
        raise UsageError(
            f"--frontier {path} is one file, and there are {experiments} experiments; write {path}/"
        )
    must_be_writable(where)
    return lambda search: where


def left_window(experiment: Experiment, result: Result) -> None:
    """A window that the run does not leave even undisturbed is a mistake of who asked. Raises UsageError."""
    example = result.counterexample
    if example is not None and not example.schedule and example.failure.kind is Kind.LIMIT:
        wanted = experiment.until or experiment.until_serial
        end = repr(wanted) if wanted else "the guest's exit"
        raise UsageError(
            f"{experiment.name}: the window is never left: {end} is not reached even without a preemption; "
            f"{example.failure.message}"
        )
