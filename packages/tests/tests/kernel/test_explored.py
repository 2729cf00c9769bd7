"""What the kernel's package offers to be explored: experiments for stages and bugs, and invariants that can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringzero import assemble
from ringzero.cli.main import main
from ringzero.errors import UsageError
from ringzero.explore.player import Player
from ringzero_kernel import invariants
from ringzero_kernel.config import SOURCES
from ringzero_kernel.explore import EVERYTHING, GUEST, matching, stage_experiment, window

pytestmark = pytest.mark.many_runs


def test_a_scenario_starts_at_its_code() -> None:
    assert window("try-wq-park") == ("scenario_start", None, "config=scenarios only=try-wq-park")


def test_a_stage_starts_at_the_marker_before() -> None:
    assert window("wq-flush") == (None, "[stage] wq-fifo-order\n", "config=workqueue")
    assert window("kthread-created")[2] == "config=boot-stages"


@pytest.mark.parametrize("name", ["pvh-entry", "all-passed"])
def test_what_all_configurations_have_in_common_is_no_scenario(name: str) -> None:
    assert window(name)[2] == "config=workqueue"
    assert Player(stage_experiment(name)).play(()).failure is None


def test_everything_is_threads_waits_and_work() -> None:
    names = [experiment.name for experiment in GUEST.experiments(everything=True)]
    assert {
        "kthread-parked",
        "completion-wakes",
        "two-waiters",
        "wake-on-one",
        "wq-flush",
        "system-wq-runs",
    } < set(names)
    assert not [name for name in names if name.startswith(("try-", "user-", "stress-"))]
    assert all(matching([pattern]) for pattern in EVERYTHING)


def test_a_bug_has_its_stage_and_lines() -> None:
    (experiment,) = GUEST.experiments(bug="B22")
    assert experiment.name == "try-serial-read with B22"
    assert [(source.line, source.content) for source in experiment.sources] == [(4, b"k")]
    (other,) = GUEST.experiments(stages=["wq-flush"], bug="B8")
    assert other.name == "wq-flush with B8"
    assert "B8" in GUEST.bugs


def test_what_there_is_not() -> None:
    with pytest.raises(UsageError, match="no stage 'nosuch-"):
        GUEST.experiments(stages=["nosuch-*"])
    with pytest.raises(UsageError, match="no bug 'B99'"):
        GUEST.experiments(bug="B99")
    with pytest.raises(UsageError, match="nothing to explore"):
        GUEST.experiments()


@pytest.mark.parametrize("name", matching(EVERYTHING)[::7])
def test_invariants_hold_in_an_undisturbed_run(name: str) -> None:
    assert Player(stage_experiment(name)).play(()).failure is None


# The command, on the kernel


def test_a_stage_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "kernel", "--stage", "try-wq-park", "--bound", "1"]) == 0
    assert capsys.readouterr().out.startswith("holds         try-wq-park: bound 1; ")


@pytest.mark.slow
@pytest.mark.parametrize("bound", [1, 2])
def test_every_stage_holds(bound: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Threads, waiting and work: no schedule of so few preemptions breaks a stage, and none is left unfinished."""
    assert main(["explore", "kernel", "--all", "--bound", str(bound)]) == 0
    written = capsys.readouterr().out
    stages = matching(EVERYTHING)
    assert f"holds: {len(stages)} of {len(stages)} up to bound {bound}; " in written
    assert [
        line.split()[1].rstrip(":") for line in written.splitlines() if line.startswith("holds  ")
    ] == stages


def test_a_bug_is_found_and_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "kernel", "--bug", "B8"]) == 1
    written = capsys.readouterr().out
    assert "worker_main+" in written
    assert "thread 0 boot sleeps on `works+0x98`" in written
    text = re.findall(r"rz1:\S+", written)[0]
    assert main(["replay", "kernel", text, "--bug", "B8"]) == 1
    assert "deadlock: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["kernel"], "--stage"),
        (["kernel", "--stage", "nosuch"], "no stage 'nosuch'"),
        (["kernel", "--bug", "b8"], "no bug 'b8'; there are B"),
        (["kernel", "--bug", "B8", "--from", "kernel_main"], "--from cannot be used here"),
        (["nosuch", "--bug", "B8"], "there are: kernel"),
    ],
)
def test_bad_input(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", *arguments]) == 2
    assert named in capsys.readouterr().err


# Invariants


AFTER = 1000  # steps of the scenario: its worker is there


@pytest.fixture(scope="module")
def player() -> Player:
    return Player(stage_experiment("try-wq-park"))


@pytest.fixture
def fresh(player: Player) -> Player:
    player.rewind()
    player.advance(AFTER)
    while not player.interruptible:
        player.advance(player.at + 1)
    return player


def poke(player: Player, where: str | int, value: int, size: int = 8) -> None:
    machine = player.machine
    physical = machine.cpu.translate(machine.symbol(where))
    assert physical is not None
    machine.memory.write(physical, value.to_bytes(size, "little"))


def current(player: Player) -> int:
    return player.look.u64("cpu0+8")


def sleeper(player: Player) -> int:
    """A thread that does not run, and is not idle."""
    idle = player.look.u64("cpu0+16")
    return next(one.address for one in player.look.threads if not one.running and one.address != idle)


BREAKS = [
    ("ready_once", lambda p: poke(p, "cpu0+40", 5), "counts 5"),
    ("ready_once", lambda p: poke(p, "cpu0+24", p.look.u64("cpu0+16")), "the idle thread is on the ready queue"),
    ("ready_once", lambda p: poke(p, "cpu0+24", current(p)), "is running and on the ready queue"),
    ("ready_once", lambda p: poke(p, current(p) + 40, 1, 4), "is ready and in no queue"),
    ("current_runs", lambda p: poke(p, current(p) + 40, 3, 4), "runs while blocked"),
    ("current_runs", lambda p: poke(p, sleeper(p) + 40, 2, 4), "is marked running, but"),
    ("own_stack", lambda p: poke(p, current(p) + 88, 0xFFFFA00000000000), "not its own"),
    ("heap_whole", lambda p: poke(p, invariants.HEAP_BASE + 16, 0), "is overwritten"),
    ("heap_whole", lambda p: poke(p, "heap_used", 77), "counts 77"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "break_it", "said"), BREAKS, ids=[row[2] for row in BREAKS])
def test_an_invariant_can_fail(name: str, break_it: object, said: str, fresh: Player) -> None:
    assert callable(break_it)
    check = getattr(invariants, name)
    assert not check(fresh.look)
    break_it(fresh)
    assert said in check(fresh.look)
    fresh.machine.registers["rflags"] &= ~invariants.IF
    assert not check(fresh.look)


def test_work_that_is_in_no_queue(fresh: Player) -> None:
    assert not invariants.work_queued(fresh.look)
    queue = fresh.machine.symbol("test_wq")
    poke(fresh, "works+24", invariants.WORK_PENDING, 4)
    poke(fresh, "works+40", queue)
    poke(fresh, queue + 24, 0)
    assert "work 0 is pending" in invariants.work_queued(fresh.look)
    poke(fresh, queue + 8, fresh.machine.symbol("works"))
    assert not invariants.work_queued(fresh.look)


KEPT = r"^struc .*?^endstruc$|^\w+\s+equ [^\n]*$|^%(?:ifn?def|else|endif|define)\b[^\n]*$"


def value(expression: str) -> int:
    """What the assembler makes of an expression over the kernel's structures, wherever they stand."""
    source = "".join(
        "\n".join(re.findall(KEPT, Path(SOURCES / file).read_text(), re.M | re.S)) + "\n"
        for file in ("layout.asm", "structs.asm", "work.asm", "workqueue.asm", "heap.asm")
    )
    return int.from_bytes(
        assemble(f"{source}bits 64\ndq {expression}\n", include=[SOURCES], name="told.asm").flat, "little"
    )


TOLD = [
    *((number, f"processor.{name}") for name, number in invariants.PROCESSOR.items()),
    *((number, f"thread.{name}") for name, number in invariants.THREAD.items()),
    *((number, f"workqueue.{name}") for name, number in invariants.WORKQUEUE.items()),
    *((number, f"work.{name}") for name, number in invariants.WORK.items()),
    (invariants.WORK_SIZE, "work_size"),
    (invariants.WORK_PENDING, "1 << WORK_PENDING"),
    (invariants.BLOCK_HEAD, "BLOCK_HEAD"),
    (invariants.HEAP_BASE, "HEAP_BASE"),
    (invariants.HEAP_MAGIC, "HEAP_MAGIC"),
    (invariants.STACK_BYTES, "STACK_PAGES*PAGE"),
    (invariants.MOST_THREADS, "MAX_THREADS"),
]


@pytest.mark.parametrize(("told", "expression"), TOLD, ids=[row[1] for row in TOLD])
def test_offsets(told: int, expression: str) -> None:
    assert told == value(expression)
