"""The search gives one result: whoever does its tasks, wherever it is stopped, and whatever it may cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ringzero.explore.frontier import Frontier, FrontierError
from ringzero.explore.nodes import Rules
from ringzero.explore.path import choices, record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Counts, Verdict
from ringzero.explore.schedule import NMI, Placement, Source
from ringzero.explore.search import Search, search
from ringzero_kernel import explore as kernel
from ringzero_tests.experiments import stage_experiment

pytestmark = pytest.mark.many_runs

STAGE = "wq-worker-started"


def after(tasks: int) -> Callable[[], bool]:
    """Stop after so many looks."""
    left = [tasks]

    def stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    return stop


def test_what_is_cut_does_not_change_the_verdict() -> None:
    experiment = stage_experiment("wq-initialised")
    plain = search(experiment, 1, rules=Rules(merge=False, reduce=False))
    assert plain.counts.run == plain.counts.covered == plain.counts.boundaries + 1
    reduced = search(experiment, 1)
    assert reduced.verdict is plain.verdict is Verdict.HOLDS
    assert reduced.counts.covered == plain.counts.covered
    assert reduced.counts.run < plain.counts.run / 5


@pytest.mark.parametrize("before", ["wq-initialised", "wq-fifo-order"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("lines", [(0,), (NMI, 0)], ids=["timer", "nmi"])
def test_every_boundary_of_a_run_is_found(before: str, nested: bool, lines: tuple[int, ...]) -> None:
    player = Player(stage_experiment(before, sources=tuple(Source(line) for line in lines)))
    schedule = (record_path(player, ()).places[7],) if nested else ()
    found = record_path(player, schedule).places
    player.rewind()
    player.follow(schedule)
    stepped: list[Placement] = []
    while not player.progress.ended:
        stepped += [place for place in choices(player) if not schedule or place.at > schedule[-1].at]
        player.advance(player.at + 1)
    assert list(found) == stepped


def test_workers_give_the_same_result() -> None:
    alone = search(stage_experiment(STAGE), 2)
    with ProcessPoolExecutor(2) as executor:
        assert search(stage_experiment(STAGE), 2, executor=executor, jobs=2) == alone


class Lost(Executor):
    """An executor whose worker dies after some tasks."""

    def __init__(self, tasks: int) -> None:
        self.tasks = tasks

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks -= 1
        if self.tasks < 0:
            future.set_exception(BrokenExecutor("a child process terminated abruptly"))
        else:
            future.set_result(fn(*args, **options))
        return future


def test_a_lost_worker_loses_nothing_and_counts_nothing_twice() -> None:
    alone = search(stage_experiment(STAGE), 2)
    result = search(stage_experiment(STAGE), 2, executor=Lost(7), jobs=2)
    assert result.counts == alone.counts
    assert result.verdict is alone.verdict
    assert result.remarks == ("a worker was lost; what it had not done was done here",)


def test_a_search_that_was_stopped_goes_on_from_its_file(tmp_path: Path) -> None:
    whole = search(stage_experiment(STAGE), 2)
    file, pieces, counts = tmp_path / "frontier", 0, Counts()
    while True:
        going = Search(stage_experiment(STAGE), 2, stop=after(3))
        if file.exists():
            going.frontier = Frontier.load(file, going.name)
        result = going.run()
        pieces += 1
        if result.verdict is not Verdict.UNFINISHED:
            break
        assert result.left > 0
        assert result.counts.run + result.counts.merged > counts.run + counts.merged
        counts = result.counts
        going.frontier.save(file, going.name)
    assert pieces > 3
    assert result == whole


def test_a_clock_that_was_seen_to_be_read_is_remembered_in_the_file(tmp_path: Path) -> None:
    experiment, file = kernel.stage_experiment("wq-wait-finished"), tmp_path / "frontier"
    first = Search(experiment, 2)
    whole = first.run()
    assert "is read: states that differ in it were not merged" in whole.remarks[0]
    first.frontier.save(file, first.name)
    again = Search(experiment, 2)
    again.frontier = Frontier.load(file, again.name)
    assert again.run() == whole


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:-20], "cut short or damaged"),
        (lambda text: text.replace('"depth":0', '"depth":1'), "cut short or damaged"),
        (lambda text: "hello\n", "no frontier of a search"),
        (lambda text: json.dumps({"ringzero-frontier": 99, "search": "", "digest": ""}), "version 99"),
    ],
)
def test_a_damaged_frontier_is_refused(tmp_path: Path, damage: Callable[[str], str], said: str) -> None:
    file = tmp_path / "frontier"
    Frontier().save(file, "mine")
    assert Frontier.load(file, "mine") == Frontier()
    with pytest.raises(FrontierError, match="another image, window or bound"):
        Frontier.load(file, "yours")
    file.write_text(damage(file.read_text()))
    with pytest.raises(FrontierError, match=said):
        Frontier.load(file, "mine")
