"""What the explorer judges by: each oracle speaks of a guest with its fault, and is silent about one without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringzero.explore.experiment import Experiment
from ringzero.explore.player import Player
from ringzero.explore.remarks import remarks
from ringzero.explore.result import Kind, Verdict
from ringzero.explore.schedule import TIMER, Placement, Source
from ringzero.explore.search import search
from ringzero_kernel.explore import stage_experiment
from ringzero_tests.small_kernel_text import LINE, kernel_text
from ringzero_tests.small_kernels import COMPARE, COUNT_DOWN, DATA, experiment

pytestmark = pytest.mark.many_runs

COUNT = "        inc dword [c0]\n        inc dword [c0]\n"
BOTH = (Source(TIMER), Source(LINE))


def kernel(threads: list[str], *, sources: tuple[Source, ...] = BOTH, **handlers: str) -> Experiment:
    return experiment("oracle", kernel_text(threads, DATA, **handlers), sources)


def test_a_register_that_an_interrupt_does_not_give_back() -> None:
    spoils = "        mov qword [rsp+4*8], 99\n"  # where the entry has saved rcx
    result = search(kernel([COUNT, COUNT], line=spoils), 1)
    assert result.verdict is Verdict.BROKEN
    assert result.counterexample is not None
    failure = result.counterexample.failure
    assert failure.kind is Kind.REGISTERS
    assert "irq 5 at " in failure.message
    assert failure.message.endswith("did not give back rcx: 0x0 became 0x63")


def test_registers_that_come_back_after_a_switch_are_no_fault() -> None:
    assert search(kernel([COUNT, COUNT]), 2).verdict is Verdict.HOLDS


def test_the_same_place_in_another_thread_is_no_return() -> None:
    """Two threads run the same code, each with registers of its own."""
    loop = "        mov rcx, [current]\n        call common\n"
    shared = "        jmp thread_end\ncommon: inc dword [c1]\n        nop\n        ret\n"
    player = Player(kernel([loop + shared, loop], sources=(Source(TIMER),)))
    assert player.play((Placement(34),)).failure is None


NAP = """        cli
        mov rbx, [current]
        mov dword [rbx+32], 200
        mov dword [rbx+16], 1
        int SWITCH_VECTOR
        sti
"""


def test_a_long_sleep_is_no_deadlock() -> None:
    trial = Player(kernel([NAP, COUNT], tick=COUNT_DOWN)).play(())
    assert (trial.failure, trial.ticks) == (None, 200)


def test_a_sleep_until_a_declared_clock_is_no_deadlock() -> None:
    """The clock is left out of compared states, and decides: idle states repeat although progress is coming."""
    wakes_at = "mov rax, [jiffies]\n        add rax, 200\n        mov [rbx+40], rax"
    until = NAP.replace("mov dword [rbx+32], 200", wakes_at)
    trial = Player(kernel([until, COUNT], tick=COMPARE)).play(())
    assert trial.failure is None
    assert trial.ticks >= 200


@pytest.mark.parametrize("handlers", [{}, {"tick": "        inc dword [c1]\n        dec dword [c1]\n"}])
def test_a_sleep_that_nobody_ends_is_a_deadlock(handlers: dict[str, str]) -> None:
    block = NAP.replace("mov dword [rbx+32], 200", "mov qword [rbx+24], f0")
    trial = Player(kernel([block, COUNT], **handlers)).play(())
    assert trial.failure is not None
    assert trial.failure.kind is Kind.DEADLOCK
    assert trial.failure.details == ("thread 1 sleeps on f0",)


TAKE = "{0}: lock bts dword [l0], 0\n        jc {0}\n        inc dword [c1]\n        mov dword [l0], 0\n"
ALONE = "        cli\n" + TAKE.format("alone") + "        sti\n"


def test_a_lock_of_a_handler_that_others_take_with_interrupts_on_is_told() -> None:
    player = Player(
        kernel(["        nop\n" + TAKE.format("thread_takes"), COUNT], line=TAKE.format("handler_takes"))
    )
    found = remarks(player, (Placement(30, LINE),))
    assert found[0] == (
        "the lock l0 is taken in a handler, at handler_takes, and with interrupts on, at thread_takes"
    )


def test_a_lock_that_is_taken_with_interrupts_off_is_not_told() -> None:
    player = Player(kernel([ALONE, COUNT], line=TAKE.format("handler_takes")))
    assert [line for line in remarks(player, (Placement(30, LINE),)) if "lock" in line] == []


PUT_OFF = "        sti\n" + TAKE.format("handler_takes") + "        cli\n"


def test_a_lock_of_work_that_runs_with_interrupts_on_is_not_told() -> None:
    """What a handler has put off is no handler: threads may take its locks while they hold it off."""
    player = Player(kernel(["        nop\n" + TAKE.format("thread_takes"), COUNT], line=PUT_OFF))
    assert [line for line in remarks(player, (Placement(30, LINE),)) if "lock" in line] == []


def test_a_lock_that_can_deadlock_is_a_failure_if_asked() -> None:
    threads = ["        nop\n" + TAKE.format("thread_takes"), COUNT]
    asked = kernel(threads, line=TAKE.format("handler_takes"))
    strict = search(replace(asked, strict_locks=True), 0)
    assert search(asked, 0).verdict is Verdict.HOLDS
    assert strict.verdict is Verdict.BROKEN
    assert strict.counterexample is not None
    assert strict.counterexample.failure.kind is Kind.LOCK
    (place,) = strict.counterexample.schedule
    assert place.line == LINE
    alone = replace(kernel([ALONE, COUNT], line=TAKE.format("handler_takes")), strict_locks=True)
    assert search(alone, 0).verdict is Verdict.HOLDS


@pytest.mark.parametrize("name", ["try-wq-park", "try-serial-read", "try-log-handler", "try-wq-handler"])
def test_our_kernel_has_no_lock_that_can_deadlock(name: str) -> None:
    result = search(
        replace(stage_experiment(name), strict_locks=True, sources=(Source(TIMER), Source(4, b"k"))), 0
    )
    assert result.verdict is Verdict.HOLDS


def test_the_longest_stretch_with_interrupts_off_is_told() -> None:
    off = "        nop\nslow: cli\n" + "        nop\n" * 500 + "        sti\nagain: nop\n        nop\n"
    (line,) = remarks(Player(kernel([off, COUNT])))
    assert line == "interrupts are off for at most 501 steps in a row: from slow+0x1 to again"
