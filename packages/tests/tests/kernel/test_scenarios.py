"""config=scenarios: the runner, and every scenario on the sound kernel."""

from __future__ import annotations

import re

import pytest

from ringzero import Machine
from ringzero.machine.stages import read_stages
from ringzero_kernel import STAGES, build
from ringzero_kernel.config import MEMORY, SOURCES, SUCCESS_EXIT

NAMES = [stage.name for stage in read_stages(STAGES).of("scenarios") if stage.name.startswith("try-")]
LONGEST = 5_000  # steps from scenario_start to stage_passed


def boot(only: str, **defines: str) -> Machine:
    return Machine(build(defines=defines), memory=MEMORY, append=f"config=scenarios only={only}")


def markers(machine: Machine) -> list[str]:
    return [
        line.removeprefix("[stage] ")
        for line in machine.serial.decode().splitlines()
        if line.startswith("[stage] ")
    ]


@pytest.mark.parametrize("quantum", ["1", "2"])
@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_alone(name: str, quantum: str) -> None:
    machine = boot(name, QUANTUM=quantum)
    assert str(machine.run(until_symbol="scenario_start", max_steps=200_000).reason.value) == "symbol"
    start = machine.step
    assert machine.registers["rflags"] & 0x200
    assert machine.run(until_symbol="stage_passed", max_steps=start + LONGEST).reason.value == "symbol"
    stop = machine.run(max_steps=start + 100_000)
    assert (stop.reason.value, stop.exit_status) == ("exit", SUCCESS_EXIT)
    assert markers(machine)[-2:] == [name, "all-passed"]
    assert len([marker for marker in markers(machine) if marker.startswith("try-")]) == 1


def test_the_table_is_the_list() -> None:
    rows = re.findall(r'^\s+scenario "(\S+)", \w+$', (SOURCES / "scenarios.asm").read_text(), re.MULTILINE)
    assert rows == NAMES


@pytest.mark.parametrize("name", ["try-nothing", "try-wq-par", "try-wq-parks", "x" * 100])
def test_a_name_that_there_is_not(name: str) -> None:
    machine = boot(name)
    stop = machine.run(max_steps=200_000)
    assert stop.reason.value == "exit"
    assert stop.exit_status != SUCCESS_EXIT
    last = machine.serial.decode().splitlines()[-1]
    assert last == f"[fail] {name[:31]}: there is a scenario of that name"


@pytest.mark.parametrize("after", [50, 500, 780])
def test_input_from_outside_is_what_the_reader_reads(after: int) -> None:
    """A byte that comes before the reader runs, or while it looks: none goes round the chip then."""
    machine = boot("try-serial-read")
    machine.run(until_symbol="scenario_start", max_steps=200_000)
    start = machine.step
    machine.send_serial(b"k", at_step=start + after)
    fed: list[int] = []
    machine.add_probe("serial_feed", lambda machine: fed.append(machine.step))
    assert machine.run(until_symbol="stage_passed", max_steps=start + LONGEST).reason.value == "symbol"
    assert fed == []
    assert machine.run(max_steps=start + 100_000).exit_status == SUCCESS_EXIT
