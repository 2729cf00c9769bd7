"""What a timeline says of a run is what the run did, and the run is the same whether it was watched or not."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from ringzero import Machine
from ringzero.explore import timeline as timelines
from ringzero.explore.experiment import Experiment
from ringzero.explore.player import Player
from ringzero.explore.result import Kind
from ringzero.explore.schedule import Placement, Schedule
from ringzero.explore.search import search
from ringzero.explore.timeline import Timeline, record
from ringzero_tests.experiments import scenario_experiment


@cache
def broken(bug: str, scenario: str) -> tuple[Player, Schedule]:
    """A player of a kernel with a bug, and the schedule that shows it."""
    experiment = scenario_experiment(scenario, bug)
    example = search(experiment, 1).counterexample
    assert example is not None
    return Player(experiment), example.schedule


@cache
def lost_wakeup() -> Timeline:
    return record(*broken("B8", "try-wq-park"))


@pytest.mark.parametrize(
    ("bug", "scenario"), [("B8", "try-wq-park"), ("B16", "try-exit"), ("B27", "try-wq-handler")]
)
def test_a_watched_run_is_the_same_run(bug: str, scenario: str) -> None:
    player, schedule = broken(bug, scenario)
    trial = player.play(schedule)
    plain = player.machine.state_hash()
    watched = record(player, schedule)
    assert (watched.state_hash, watched.failure, watched.steps, watched.ticks) == (
        plain,
        trial.failure,
        trial.steps,
        trial.ticks,
    )
    assert player.play(schedule) == trial
    assert player.machine.state_hash() == plain


def test_it_counts_what_probes_count() -> None:
    player, schedule = broken("B8", "try-wq-park")
    seen: Counter[str] = Counter()

    def switched(_: Machine) -> None:
        seen["switch"] += 1

    def delivered(*_: Any) -> None:
        seen["interrupt"] += 1

    player.rewind()
    player.machine.add_probe("switch_restored", switched)
    player.machine.cpu.on_delivery.append(delivered)
    trial = player.play(schedule)
    player.machine.remove_probe("switch_restored", switched)
    player.machine.cpu.on_delivery.remove(delivered)
    run = lost_wakeup()
    assert {kind: len(run.of(kind)) for kind in ("switch", "interrupt")} == dict(seen)
    assert len(run.of("tick")) == trial.ticks > 0
    assert len(run.of("placed")) == len(schedule) == 1


def test_the_lost_wakeup_can_be_read_off() -> None:
    run, names = lost_wakeup(), [lane.name for lane in lost_wakeup().lanes]
    assert run.failure is not None
    assert run.failure.kind is Kind.DEADLOCK
    assert names == ["handlers", "0 boot", "1 idle", "2 try-wq"]
    placed, interrupt = run.of("placed")[0], run.of("interrupt")[0]
    assert names[interrupt.lane] == "2 try-wq"
    assert placed.at == interrupt.at == run.schedule[0].at
    after = [event for event in run.events if event.at > placed.at]
    assert [names[event.lane] for event in after if event.kind == "sleep"] == ["0 boot", "2 try-wq"]
    assert not [event for event in after if event.kind == "wake"]
    ends = {names[span.lane]: span.kind for span in run.spans if span.end == run.end + 1}
    assert ends == {"0 boot": "blocked", "1 idle": "running", "2 try-wq": "blocked"}


def test_every_step_has_one_that_runs_and_a_line() -> None:
    run = lost_wakeup()
    for kind, lanes in (("running", range(1, 4)), ("handler", range(1))):
        assert any(span.kind == kind and span.lane in lanes for span in run.spans)
    busy = sorted((s.first, s.end) for s in run.spans if s.kind in ("running", "handler"))
    assert busy[0][0] == run.first
    assert busy[-1][1] == run.end + 1
    assert all(before[1] == after[0] for before, after in pairwise(busy))
    assert all(before.end == after.first for before, after in pairwise(run.stretches))
    entered = run.at(run.schedule[0].at)
    assert entered is not None
    assert (entered.symbol, entered.file) == ("worker_main", "asm/workqueue.asm")


def test_registers_are_those_of_the_step() -> None:
    player, _ = broken("B8", "try-wq-park")
    run, now = lost_wakeup(), {}
    wanted = run.schedule[0].at - 3
    for changes in run.values[: wanted - run.first + 1]:
        now.update({run.registers[number]: value for number, value in changes})
    player.rewind()
    player.advance(wanted)
    assert now == {name: player.machine.registers[name] for name in run.registers}


def test_locks_are_told_from_flags() -> None:
    run = lost_wakeup()
    names = {held.name for held in run.locks}
    assert {"heap_lock", "threads_lock", "test_wq+0x38"} <= names
    assert not any("flags" in name or name.startswith("thread ") for name in names)
    assert all(held.end is not None and held.first < held.end for held in run.locks)


def test_a_lock_that_is_never_given_back() -> None:
    run = record(*broken("B27", "try-wq-handler"))
    held = [held for held in run.locks if held.end is None]
    assert len(held) == 1
    assert held[0].spins
    assert any(event.kind == "spin" and held[0].name in event.text for event in run.events)


def test_a_long_run_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    player, schedule = broken("B8", "try-wq-park")
    whole = lost_wakeup()
    monkeypatch.setattr(timelines, "AROUND", 100)
    part = record(player, schedule)
    middle = schedule[0].at
    assert (part.first, part.end) == (middle - 100, middle + 100)
    assert (part.steps, part.state_hash) == (whole.steps, whole.state_hash)
    inside = [event for event in whole.of("switch") if part.first <= event.at < part.end]
    assert [event.text for event in part.of("switch")] == [event.text for event in inside]


def test_who_runs_without_being_in_the_table_has_a_lane() -> None:
    player, schedule = broken("B8", "try-wq-park")
    cut = {**player.experiment.threads, "table_entries": 1}
    run = record(Player(replace(player.experiment, threads=cut)), schedule)
    assert [lane.name for lane in run.lanes] == ["handlers", "0 boot", "2 try-wq", "1 idle"]
    assert [event.at for event in run.of("switch")] == [event.at for event in lost_wakeup().of("switch")]
    sleeps = [event.text for event in lost_wakeup().of("sleep")]
    assert [event.text for event in run.of("sleep")] == sleeps


def test_a_guest_without_threads_has_one_lane() -> None:
    experiment = Experiment(
        "alone",
        scenario_experiment("try-wq-park").image,
        {"append": "config=scenarios only=try-wq-park"},
        start="scenario_start",
        until="stage_passed",
    )
    run = record(Player(experiment), (Placement(200),))
    assert [lane.name for lane in run.lanes] == ["handlers", "processor"]
    assert not run.of("switch")
    assert any(event.kind == "interrupt" for event in run.events)


def test_both_engines_tell_the_same() -> None:
    player, schedule = broken("B8", "try-wq-park")
    machine = {**player.experiment.machine, "engine": "python"}
    assert record(Player(replace(player.experiment, machine=machine)), schedule) == lost_wakeup()


def test_a_burst_is_placed_once_and_delivered_each_time() -> None:
    player, schedule = broken("B8", "try-wq-park")
    run = record(player, (Placement(schedule[0].at, burst=3),))
    assert [event.text for event in run.of("placed")] == ["irq 0 ×3"]
    following = [event for event in run.of("interrupt") if event.at < run.steps][:3]
    assert len(following) == 3
    assert not run.of("tick") or following[2].at < run.of("tick")[0].at


def test_serial_output_comes_by_the_line() -> None:
    run = record(*broken("B13", "try-spawn"))
    lines = [event.text for event in run.of("serial")]
    assert len(lines) > 1
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines[:-1])


def test_a_timeline_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(lost_wakeup())) == lost_wakeup()
