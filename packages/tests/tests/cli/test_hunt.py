"""`ringzero hunt` and `ringzero explore --random`: a whole run by chance, its verdicts, and what cannot be hunted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ringzero.cli.main import main
from ringzero_tests.counter_kernel import MENDED, SOURCE, build

CHECKS = """
def agree(look):
    if look.u32("counter") != look.u32("ticks") + 1:
        return "a tick was forgotten"
"""
#: A guest that never exits: it says so, and halts for ever.
HALTS = "hello: mov edx, 0x3f8\n mov al, 'o'\n out dx, al\n mov al, 'k'\n out dx, al\nidle: hlt\n jmp idle\n"
IDLES = SOURCE.replace("test_done:\n", "test_done:\n" + HALTS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, source in (("counter", SOURCE), ("mended", MENDED), ("idles", IDLES)):
        (tmp_path / f"{name}.elf").write_bytes(build(source))
    (tmp_path / "hunt_checks.py").write_text(CHECKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


JUDGED = ("--until", "test_done", "--success", "hunt_checks:agree", "--time", "30s")


def test_a_lost_update_is_hunted_down_and_replayed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", "counter.elf", *JUDGED]) == 1
    written = capsys.readouterr().out
    assert written.startswith("broken        counter.elf: 1 preemption;")
    assert "before test_start+0x5 (counter.asm:38)" in written
    text = re.findall(r"rz1:\S+", written)[0]
    assert main(["replay", "counter.elf", text, *JUDGED[:4]]) == 1
    assert "marker: a tick was forgotten" in capsys.readouterr().out


def test_a_hunt_that_finds_nothing_is_not_finished(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", "mended.elf", *JUDGED, "--runs", "30", "--seed", "7", "--json"]) == 3
    (found,) = json.loads(capsys.readouterr().out)["experiments"]
    assert (found["verdict"], found["counterexample"]) == ("not finished", None)
    assert found["counts"]["run"] == 31
    assert "30 runs by chance, seed 7" in found["remarks"][0]


def test_the_time_only_ends_a_hunt(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", "counter.elf", *JUDGED[:4], "--time", "0s"]) == 3
    assert "not finished" in capsys.readouterr().out


def test_a_text_ends_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", "idles.elf", "--until-serial", "ok", "--runs", "9"]) == 3
    judged = ("--until-serial", "ok", "--success", "hunt_checks:agree")
    assert main(["hunt", "idles.elf", *judged]) == 1
    assert "before test_start+0x5" in capsys.readouterr().out
    assert main(["explore", "idles.elf", "--from", "test_start", *judged]) == 1
    assert main(["explore", "idles.elf", "--from", "test_start", "--until-serial", "ok"]) == 0


@pytest.mark.parametrize(
    ("clocks", "said"),
    [
        (
            ["--clock", "ticks=4", "--clock", "counter=4"],
            "name its end with --until SYMBOL or --until-serial TEXT",
        ),
        ([], "the window is never left: the guest's exit is not reached even without a preemption"),
    ],
)
def test_a_run_without_an_end(
    clocks: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hunt", "idles.elf", *clocks]) == 2
    written = capsys.readouterr().err
    assert said in written
    assert len(written.splitlines()) == 1


def test_a_bug_of_our_kernel_from_power_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["hunt", "kernel", "--bug", "B8", "--append", "config=scenarios", "--seed", "1", "--time", "10m"]
        )
        == 1
    )
    written = capsys.readouterr().out
    assert written.startswith("broken        config=scenarios with B8: 1 preemption;")
    assert "before worker_main+0x3" in written
    text = re.findall(r"rz1:\S+", written)[0]
    assert main(["replay", "kernel", "--bug", "B8", "--append", "config=scenarios", text]) == 1
    again = capsys.readouterr()
    assert "idle, and a tick changes nothing" in again.out
    assert again.err == ""


def test_chance_over_a_window(capsys: pytest.CaptureFixture[str]) -> None:
    chance = ("--random", "pct", "--depth", "1", "--seed", "1")
    assert main(["explore", "kernel", "--bug", "B8", *chance]) == 1
    written = capsys.readouterr().out
    assert "1 preemption" in written
    assert "with a probability of at least" in written
    assert "replay: rz1:" in written


def test_locks_and_interrupts_are_told_of_what_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "kernel", "--stage", "try-wq-park", "--bound", "0", "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["experiments"][0]["remarks"]
    assert re.fullmatch(r"interrupts are off for at most [\d,]+ steps in a row: from \S+ to \S+", line)


def test_a_lock_that_can_deadlock_fails_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    strict = ("--bug", "B6a", "--strict-locks")
    assert main(["explore", "kernel", *strict, "--bound", "0"]) == 1
    written = capsys.readouterr().out
    assert "lock: the lock display_lock is taken in a handler" in written
    text = re.findall(r"rz1:\S+", written)[0]
    assert main(["replay", "kernel", *strict, text]) == 1
    assert "lock: the lock display_lock" in capsys.readouterr().out


def test_chance_is_never_a_proof(capsys: pytest.CaptureFixture[str]) -> None:
    chance = ("--random", "pct", "--runs", "5", "--depth", "2")
    assert main(["explore", "kernel", "--stage", "try-wq-park", *chance]) == 3
    assert "5 schedules by chance, seed 0: each is a certain one of depth 2" in capsys.readouterr().out
