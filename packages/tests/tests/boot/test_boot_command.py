"""`ringzero boot` from outside: what it prints, in every form, and its status."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ringzero.machine.stages import read_stages
from ringzero_kernel import STAGES

RINGZERO = [sys.executable, "-m", "ringzero"]


@dataclass
class Boot:
    status: int
    report: dict[str, Any]
    junit: ElementTree.Element
    serial: str
    trace: list[str]


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """One boot that is asked for everything at once."""
    directory = tmp_path_factory.mktemp("boot")
    files = {"--junit": directory / "stages.xml", "--serial": directory / "serial.txt"}
    options = [str(part) for pair in files.items() for part in pair]
    done = subprocess.run(
        [*RINGZERO, "boot", "--json", "--trace", "switches", *options], text=True, capture_output=True
    )
    return Boot(
        done.returncode,
        json.loads(done.stdout),
        ElementTree.parse(files["--junit"]).getroot(),
        files["--serial"].read_text(),
        done.stderr.splitlines(),
    )


def test_it_passes(boot: Boot) -> None:
    assert (boot.status, boot.report["verdict"], boot.report["reason"]) == (0, "passed", "")


def test_json_has_what_was_promised(boot: Boot) -> None:
    report = boot.report
    assert report["configuration"] == "boot-stages"
    assert re.fullmatch("[0-9a-f]{64}", report["image"])
    assert report["engine"] in ("native", "python")
    assert re.fullmatch("[0-9a-f]{32}", report["state_hash"])
    assert (report["stop"], report["exit_status"]) == ("exit", 33)
    expected = [stage.name for stage in read_stages(STAGES).of("boot-stages")]
    assert [stage["name"] for stage in report["stages"]] == expected
    assert all(stage["reached"] and stage["title"] for stage in report["stages"])
    steps = [stage["step"] for stage in report["stages"]]
    assert steps == sorted(steps)
    assert steps[-1] <= report["steps"] <= 3_000_000
    assert report["serial_tail"][-1] == boot.serial.splitlines()[-1]


def test_there_are_sixty_stages() -> None:
    assert len(read_stages(STAGES).of("boot-stages")) >= 60


def test_junit_has_a_case_a_stage(boot: Boot) -> None:
    (suite,) = boot.junit
    assert [case.get("name") for case in suite] == [stage["name"] for stage in boot.report["stages"]]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0")


def test_serial_has_every_marker(boot: Boot) -> None:
    markers = [line for line in boot.serial.splitlines() if line.startswith("[stage] ")]
    assert markers == [f"[stage] {stage['name']}" for stage in boot.report["stages"]]


def test_trace_names_threads_and_what_they_get_back(boot: Boot) -> None:
    pattern = re.compile(
        r" *\d+  switch to \d+ \S+.*  rip 0x[0-9a-f]{16} \S.*  rsp 0x[0-9a-f]+  rflags [0-9a-f]+ \(.*\)"
    )
    switches = [line for line in boot.trace if " switch to " in line]
    assert len(switches) > 20
    for line in switches:
        assert pattern.fullmatch(line), line


def test_a_look_changes_nothing(boot: Boot) -> None:
    """The same boot without a trace, in lines: the same steps."""
    done = subprocess.run([*RINGZERO, "boot"], text=True, capture_output=True)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines) == len(boot.report["stages"]) + 1
    for line, stage in zip(lines, boot.report["stages"], strict=False):
        assert re.match(rf"{re.escape(stage['name'])} +step +{stage['step']:,}  ", line)
    assert lines[-1].startswith(
        f"passed: all {len(boot.report['stages'])} stages, {boot.report['steps']:,} steps"
    )


def test_a_missing_stage_is_named() -> None:
    done = subprocess.run([*RINGZERO, "boot", "--max-steps", "20000"], text=True, capture_output=True)
    assert done.returncode == 1
    verdict = done.stdout.splitlines()[-1]
    assert re.match(r"failed: 20,000 steps.*first missing: \S+ \(", verdict)
    for part in ("thread ", "rip 0x", ".asm:", "rax ", "back-trace:", "last serial lines:"):
        assert part in done.stdout


def test_interrupts_are_traced() -> None:
    done = subprocess.run([*RINGZERO, "boot", "--trace", "interrupts"], text=True, capture_output=True)
    assert done.returncode == 0
    assert re.search(r"^ +\d+  vector 14 #PF error 0x[0-9a-f]+  at 0x", done.stderr, re.MULTILINE)
    assert re.search(r"^ +\d+  vector 32  at 0x", done.stderr, re.MULTILINE)


def test_a_trace_can_be_json() -> None:
    command = [*RINGZERO, "boot", "--trace", "interrupts", "--trace-format", "json"]
    done = subprocess.run(command, text=True, capture_output=True)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["event"] for event in events} == {"interrupt"}
    steps = [event["step"] for event in events]
    assert steps == sorted(steps)
    faults = [event for event in events if event["name"] == "#PF"]
    assert faults
    assert all(isinstance(event["error"], int) for event in faults)


def test_instructions_are_traced() -> None:
    command = [*RINGZERO, "boot", "--trace", "instructions", "--max-steps", "100"]
    done = subprocess.run(command, text=True, capture_output=True)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert [int(line.split()[0]) for line in lines] == list(range(100))
    assert re.search(r" _start \(\S*entry\.asm:\d+\)", lines[0])
    assert lines[0].endswith("cli")


def test_layouts_are_other_images_with_the_same_stages(boot: Boot) -> None:
    done = subprocess.run([*RINGZERO, "boot", "--layout", "7", "--json"], text=True, capture_output=True)
    other = json.loads(done.stdout)
    assert done.returncode == 0
    assert other["image"] != boot.report["image"]
    assert [stage["name"] for stage in other["stages"]] == [stage["name"] for stage in boot.report["stages"]]


def test_a_terminal_gets_a_bar() -> None:
    """On a terminal, `rich` draws; every stage's line is there too."""
    parent, child = pty.openpty()
    with subprocess.Popen(
        [*RINGZERO, "boot"], stdout=child, stderr=child, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(child)
        text = b""
        while chunk := read_chunk(parent):
            text += chunk
    os.close(parent)
    assert process.returncode == 0
    assert b"stages" in text
    assert b"\x1b[" in text
    assert b"passed: all" in text


def read_chunk(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end was closed
        return b""


def test_ctrl_c_tells_what_was_learned(tmp_path: Path) -> None:
    command = [*RINGZERO, "boot", "--engine", "python", "--trace", "instructions"]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the guest runs
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[-1].startswith("interrupted: ")
    assert "back-trace:" in out
