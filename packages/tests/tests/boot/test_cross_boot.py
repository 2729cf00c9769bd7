"""The same ELF file boots on QEMU (TCG) with the same stages and the same serial text.

So our machine cannot hide a kernel bug, nor the kernel lean on ours. Lines that begin with ~ depend on time and are
left out.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ringzero import Machine
from ringzero.machine.harness import Harness
from ringzero.machine.stages import read_stages
from ringzero_kernel import CONFIGURATIONS, STAGES, build
from ringzero_kernel.config import MEMORY, SUCCESS_EXIT

TIMEOUT = 120  # seconds; TCG needs about two
QEMU = (
    "qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-no-reboot", "-nodefaults", "-monitor", "none",
    "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
)  # fmt: skip


def timeless(serial: bytes) -> list[str]:
    """The lines that do not depend on time."""
    lines = serial.decode("utf-8", "replace").splitlines()
    return [line.rstrip() for line in lines if not line.startswith("~")]


def boot_qemu(elf: Path, log: Path, command_line: str) -> int:
    command = [*QEMU, "-m", MEMORY, "-serial", f"file:{log}", "-kernel", str(elf), "-append", command_line]
    return subprocess.run(command, timeout=TIMEOUT, capture_output=True).returncode


@pytest.mark.judge("qemu-system-x86_64")
@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_qemu_boots_the_same(config: str, tmp_path: Path) -> None:
    configuration = CONFIGURATIONS[config]
    image = build()
    elf, log = tmp_path / "kernel.elf", tmp_path / "serial.txt"
    elf.write_bytes(image.data)
    status = boot_qemu(elf, log, configuration.command_line)
    theirs = timeless(log.read_bytes())

    machine = Machine(image, memory=MEMORY, append=configuration.command_line)
    outcome = Harness(machine, read_stages(STAGES), config, SUCCESS_EXIT, configuration.max_steps).run()

    expected = [f"[stage] {stage.name}" for stage in read_stages(STAGES).of(config)]
    assert [line for line in theirs if line.startswith("[stage] ")] == expected, "\n".join(theirs[-30:])
    assert status == SUCCESS_EXIT, "\n".join(theirs[-30:])
    assert outcome.passed, outcome.why
    assert timeless(outcome.serial) == theirs
