"""What is told of a counterexample: a small schedule, its places, its window, who waits, from where nothing helps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from ringzero.explore import minimise, windows
from ringzero.explore.brute import brute_force
from ringzero.explore.difference import moments
from ringzero.explore.experiment import Experiment
from ringzero.explore.explain import describe, explain
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.replay import decode, resolve
from ringzero.explore.result import Counterexample, Kind, Trial
from ringzero.explore.schedule import NMI, Placement
from ringzero.explore.sites import NOT_COUNTED, walk
from ringzero.machine.stages import read_stages
from ringzero_kernel import BUGS, STAGES, build
from ringzero_tests.two_threads import SOURCE, THREADS, two_threads

pytestmark = pytest.mark.many_runs

ALLOWANCE = 50_000_000


@cache
def player() -> Player:
    return Player(two_threads(count=3))


@cache
def example() -> Counterexample:
    return explain(player(), first_failure(player()), 1)


def first_failure(player: Player, bound: int = 1) -> Trial:
    return next(trial for trial in brute_force(player, bound) if trial.failure)


def test_the_place_is_told() -> None:
    (site,) = example().sites
    assert (site.thread, site.symbol, site.visit) == ("0 waiter", "wait_flag", 1)
    line = next(n for n, text in enumerate(SOURCE.splitlines(), 1) if "cmp dword [flag], 0" in text)
    assert site.source == f"two.asm:{line + 1}"  # the comparison has been made
    assert site.boundary == len({at.at for at in record_path(player(), ()).places if at < site.placement})


def test_the_window_is_every_boundary_that_does_it() -> None:
    breaking = [
        place
        for place in record_path(player(), ()).places
        if minimise.same(player().play((place,)).failure, example().failure)
    ]
    window = example().window
    assert window is not None
    assert (window.count, window.boundaries) == (len(breaking), len(record_path(player(), ()).places))
    assert window.first.placement == example().schedule[0] == breaking[0]
    assert window.last.placement == breaking[1]  # of each round two, between "not yet" and "asleep"
    assert window.count == 6


def test_who_waits_is_told() -> None:
    setter = "thread 1 setter is blocked, in no wait queue; nobody has woken it"
    waiter, other = example().waiting
    assert other == setter
    assert waiter.startswith("thread 0 waiter sleeps on `queue`; `wake(queue)` ran in thread 1 setter ")
    assert waiter.endswith(" instructions before it slept")
    assert int(waiter.split()[-5]) == slept() - woken()


def woken() -> int:
    return stop_at("wake")


def slept() -> int:
    """The instruction behind the one that makes thread 0 blocked: found one step at a time."""
    here = player()
    here.rewind()
    here.follow(example().schedule)
    while here.threads.state(here.machine.symbol("zero")) != "blocked":
        here.advance(here.at + 1)
    return here.at


def stop_at(symbol: str) -> int:
    here = player()
    here.rewind()
    here.follow(example().schedule)
    while here.machine.registers["rip"] != here.machine.symbol(symbol):
        here.advance(here.at + 1)
    return here.at


def test_from_the_point_of_no_return_on_nothing_helps() -> None:
    here, schedule = player(), example().schedule
    back = example().no_return
    assert back is not None
    for place in record_path(here, schedule).places:
        saved = here.play((*schedule, place)).failure is None
        assert not (saved and place.at >= back.placement.at)
    before = [place for place in record_path(here, schedule).places if place.at < back.placement.at]
    assert here.play((*schedule, before[-1])).failure is None


def test_more_preemptions_save_the_run_for_longer() -> None:
    """With two further preemptions: the first lets the setter run once more, or brings the waiter back."""
    here, schedule = player(), example().schedule
    failing = walk(here, schedule, schedule[-1].at, 1000)
    back, remarks = windows.no_return(minimise.Trials(here, ALLOWANCE), schedule, 2, failing)
    assert remarks == ()
    last = -1
    for first in failing.choices:
        for second in record_path(here, (*schedule, first)).places:
            if here.play((*schedule, first, second)).failure is None:
                last = max(last, first.at)
        if here.play((*schedule, first)).failure is None:
            last = max(last, first.at)
    assert back is not None
    assert back.placement.at == min(at for at in failing.boundaries if at > last)


def test_a_schedule_is_made_small() -> None:
    here = player()
    schedule = (Placement(2), Placement(20), Placement(70, burst=2), Placement(118))
    trial = here.play(schedule)
    assert trial.failure is not None
    small = minimise.minimise(here, trial, ALLOWANCE)
    assert small.schedule == example().schedule
    assert small.failure == example().failure


def test_a_placement_goes_to_the_beginning_of_its_window() -> None:
    here, window = player(), example().window
    assert window is not None
    late = here.play((window.last.placement,))
    assert late.schedule != example().schedule
    assert explain(here, late, 1, minimal=True) == example()


def test_the_boundaries_are_those_that_a_walk_meets() -> None:
    here = player()
    for before in ((), example().schedule, (Placement(3), Placement(70))):
        met = []
        waiting = list(before)
        here.rewind()
        while not here.progress.ended:
            met += [here.at] if here.interruptible else []
            if waiting and waiting[0].at == here.at:
                here.place(waiting.pop(0))
            here.advance(here.at + 1)
        assert walk(here, before, 0, 1000).boundaries == [at for at in met if at < here.at]


def test_an_edge_with_interrupts_off_is_told_where_it_is_taken() -> None:
    here = player()
    walked = walk(here, (), 0, 1000)
    off = next(at for at in range(walked.boundaries[-1]) if at not in walked.boundaries)
    (moved,) = minimise.canonical(here, (Placement(off),))
    assert moved.at == min(at for at in walked.boundaries if at > off)
    assert here.play((moved,)).failure == here.play((Placement(off),)).failure


def test_what_would_cost_too_much_is_said_not_to_be_known() -> None:
    here = player()
    cheap = explain(here, first_failure(here), 1, allowance=30_000)
    assert cheap.no_return is None
    assert any("not every boundary was tried" in remark for remark in cheap.remarks)
    assert any("point of no return was not computed" in remark for remark in cheap.remarks)


def test_a_long_run_is_walked_around_the_preemption() -> None:
    here = player()
    part = walk(here, (), 100, 40)
    whole = walk(here, (), 100, 1000)
    assert part.boundaries == [at for at in whole.boundaries if 80 <= at <= 120]
    assert part.number(100) == NOT_COUNTED
    assert list(part.choices) == [place for place in whole.choices if 80 <= place.at <= 120]


def test_the_lines_tell_all_of_it() -> None:
    lines = describe(example())
    assert lines[0].startswith("deadlock: idle, and a tick changes nothing (step ")
    assert lines[1].startswith("  1. irq 0 interrupts thread 0 waiter before wait_flag+0x")
    assert lines[2].startswith("  window: any of 6 of 48 boundaries, around here: from wait_flag+0x")
    assert lines[-3].startswith("  no return: from ")
    assert lines[-2].startswith("  first difference: at step ")
    assert lines[-1] == f"  replay: {example().replay}"


def test_the_string_is_the_schedule() -> None:
    assert resolve(player(), decode(example().replay)) == example().schedule


def test_a_failure_without_preemption_is_told() -> None:
    broken = Player(two_threads(source=SOURCE.replace("call wake\n", "nop\n")))
    found = explain(broken, broken.play(()), 1)
    assert found.failure.kind is Kind.DEADLOCK
    assert found.schedule == found.sites == ()
    assert describe(found)[1] == "  without any preemption"
    assert found.waiting[0] == "thread 0 waiter sleeps on `queue`; nobody has woken it"


def test_a_guest_that_tells_no_threads_gets_fewer_sentences() -> None:
    here = Player(replace(two_threads(), threads={}))
    found = explain(here, first_failure(here), 1)
    assert found.waiting == ()
    assert found.sites[0].thread == ""
    assert describe(found)[1].startswith("  1. irq 0 interrupts the code before wait_flag+0x")


def test_the_first_difference_is_what_the_waker_reads() -> None:
    read = example().difference
    assert read is not None
    assert (read.thread, read.symbol, read.size) == ("1 setter", "zero+0x18", 4)  # thread 0's .queue
    assert read.step == woken()
    assert (read.failing, read.passing) == (0, player().machine.symbol("queue"))
    assert read.place.startswith("wake (two.asm:")
    assert any("0x00000000, in the passing run 0x0010" in line for line in describe(example()))


@pytest.mark.parametrize("at", [0, 1, 17, 40, 63])
def test_a_handler_is_nobodys_instruction(at: int) -> None:
    """With an interrupt that switches nothing the threads do the same, one for one."""
    here = Player(two_threads())
    told, without = (
        [moment._replace(at=0) for moment in moments(here, s)] for s in ((Placement(at, NMI),), ())
    )
    assert told == without


def test_what_a_moment_reads_is_what_lies_there() -> None:
    here = player()
    flag = here.machine.cpu.translate(here.machine.symbol("flag"))
    values = [read.value for moment in moments(here, ()) for read in moment.reads if read.address == flag]
    assert values == [0, 1, 0, 1, 0, 1]


def test_a_clock_is_no_difference() -> None:
    ticking = SOURCE.replace("        jne .out\n", "        jne .out\n inc dword [clock]\n").replace(
        "wake:   cmp", "wake:   mov eax, [clock]\n cmp"
    )
    source = ticking.replace("flag:   dq 0", "flag:   dq 0\nglobal clock\nclock: dq 0")
    found = []
    for clocks in ({}, {"clock": 8}):
        here = Player(replace(two_threads(source=source), clocks=clocks))
        told = explain(here, first_failure(here), 1).difference
        assert told is not None
        found.append(told.symbol)
    assert found == ["clock", "zero+0x18"]


def test_a_spin_with_interrupts_off_is_told() -> None:
    source = SOURCE.replace("wake:   cmp", "wake:   cmp dword [zero+thread.state], BLOCKED\n jne wake\n cmp")
    here = Player(replace(two_threads(source=source), patience=500))
    found = explain(here, first_failure(here), 1)
    assert found.failure.kind is Kind.LIVELOCK
    assert found.waiting[-1].startswith("thread 1 setter spins with interrupts off at wake (two.asm:")
    assert "for `" not in found.waiting[-1]


def test_a_spin_is_told_where_it_goes_round_and_not_what_it_calls() -> None:
    source = SOURCE.replace("setter: sti", "helper: nop\n ret\nsetter: cli\n.on: call helper\n jmp .on\n sti")
    here = Player(replace(two_threads(source=source), patience=500))
    waiter, setter = explain(here, here.play(()), 1).waiting
    assert setter.startswith("thread 1 setter spins with interrupts off at setter+0x1 (two.asm:")
    assert waiter.startswith("thread 0 waiter sleeps on `queue`")


def test_a_spin_with_interrupts_on_is_told() -> None:
    source = SOURCE.replace("setter: sti", "setter: sti\n.on: jmp .on")
    here = Player(replace(two_threads(source=source), patience=500))
    told = explain(here, here.play(()), 1)
    assert told.failure.kind is Kind.LIVELOCK
    assert told.waiting[-1].startswith("thread 1 setter spins at setter+0x1 (two.asm:")


LOCKED = """
wait_flag:
        lock bts dword [lock], 0
        mov dword [lock], 0
"""
TAKES = """
        cli
.try:   lock bts dword [lock], 0
        jc .try
        mov dword [flag], 1
        mov dword [lock], 0
"""


def test_a_lock_that_is_spun_for_is_told_with_its_holder() -> None:
    """Thread 0 takes a lock with interrupts on; thread 1 wants it with interrupts off."""
    source = SOURCE.replace("\nwait_flag:\n", LOCKED).replace("        mov dword [flag], 1\n", TAKES)
    source = source.replace("flag:   dq 0", "flag:   dq 0\nglobal lock\nlock: dq 0")
    here = Player(replace(two_threads(source=source), patience=500))
    found = explain(here, first_failure(here), 1)
    assert found.failure.kind is Kind.LIVELOCK
    (told,) = (line for line in found.waiting if "spins" in line)
    assert told.startswith("thread 1 setter spins with interrupts off at setter+0x")
    assert " for `lock`, which thread 0 waiter holds since step " in told
    assert ", at wait_flag (two.asm:" in told


def test_a_lock_that_one_holds_oneself_is_told() -> None:
    source = SOURCE.replace("\nwait_flag:\n", LOCKED).replace(
        "tick:   pushad", "tick:   pushad\n.try: lock bts dword [lock], 0\n jc .try\n mov dword [lock], 0"
    )
    source = source.replace("flag:   dq 0", "flag:   dq 0\nglobal lock\nlock: dq 0")
    here = Player(replace(two_threads(source=source), patience=500))
    (told,) = explain(here, first_failure(here), 1).waiting
    assert told.startswith("thread 0 waiter spins with interrupts off at tick+0x")
    assert " for `lock`, which it holds itself since step " in told


def test_a_waker_may_name_the_thread() -> None:
    threads = {**THREADS, "wakers": [["wake", "rdi"], ["switched", "rdi"], ["no_such", "rdi"]]}
    here = Player(replace(two_threads(), threads=threads))
    found = explain(here, first_failure(here), 1)
    assert "`switched(zero)` ran in thread 0 waiter 9 instructions before it slept" in found.waiting[0]


def test_a_bug_of_the_kernel_is_told() -> None:
    here = Player(kernel("B8", BUGS["B8"].scenario))
    found = explain(here, first_failure(here), 1)
    assert found.window is not None
    assert found.window.count < found.window.boundaries / 10
    text = "\n".join(describe(found))
    assert (
        "thread 2 try-wq sleeps on `test_wq+0x38`; `waitq_wake_one(test_wq+0x38)` ran in thread 0 boot"
        in text
    )
    assert "thread 0 boot sleeps on `works+0x98`" in text
    assert "worker_main+" in found.window.first.place


def kernel(bug: str, scenario: str) -> Experiment:
    stages = read_stages(STAGES)
    return Experiment(
        bug,
        build(defines={"QUANTUM": "1"}, bug=bug).data,
        {"append": f"config=scenarios only={scenario}"},
        start="scenario_start",
        until="stage_passed",
        threads=stages.threads,
        clocks=stages.clocks,
    )
