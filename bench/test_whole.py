"""What a user waits for: assembling the kernel, booting it as a process, taking a machine back."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from common import Measure, needs_nasm, needs_native

DIRTY = 64  # pages


def test_assemble_kernel(measure: Measure) -> None:
    from ringzero_kernel import assemble_kernel
    from ringzero_kernel.config import SOURCES

    lines = sum(len(path.read_text().splitlines()) for path in SOURCES.glob("*.asm"))
    measure("assemble: the kernel", "ringzero", lines, "lines", lambda: assemble_kernel().binary, rounds=3)


@needs_nasm
def test_assemble_kernel_nasm(measure: Measure, tmp_path: Any) -> None:
    from ringzero_kernel.config import MAIN_SOURCE, SOURCES

    lines = sum(len(path.read_text().splitlines()) for path in SOURCES.glob("*.asm"))
    command = [
        "nasm",
        "-f",
        "bin",
        "-D",
        "LAYOUT=0",
        "-I",
        f"{SOURCES}/",
        "-o",
        str(tmp_path / "k"),
        str(MAIN_SOURCE),
    ]
    measure(
        "assemble: the kernel", "nasm", lines, "lines", lambda: subprocess.run(command, check=True), rounds=3
    )


def boot(engine: str, *options: str) -> None:
    """As a user has it: the package's bytecode is kept from one process to the next."""
    command = [sys.executable, "-m", "ringzero", "boot", "--engine", engine, *options]
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=keeping)


@needs_native
def test_boot_native(measure: Measure) -> None:
    measure("boot: the whole process", "native", 1, "boots", lambda: boot("native"))


def test_boot_python(measure: Measure) -> None:
    measure("boot: the whole process", "python", 1, "boots", lambda: boot("python"), rounds=1)


def test_python_starts(measure: Measure) -> None:
    """The floor under every process."""
    measure(
        "boot: the whole process",
        "bare python",
        1,
        "boots",
        lambda: subprocess.run([sys.executable, "-c", ""]),
    )


def test_restore(measure: Measure) -> None:
    """A 16 MiB machine with 64 dirty pages goes back to its snapshot."""
    from ringzero import Machine

    machine = Machine.flat(b"\xf4", memory="16M")
    start = machine.snapshot()

    def spoil() -> None:
        for page in range(DIRTY):
            machine.memory.write((4 << 20) + page * 3 * 4096, b"spoilt")

    measure(
        "restore: 64 dirty pages",
        "ringzero",
        1,
        "restores",
        lambda: machine.restore(start),
        setup=spoil,
        rounds=50,
    )


def test_snapshot(measure: Measure) -> None:
    """The same machine is remembered."""
    from ringzero import Machine

    machine = Machine.flat(b"\xf4", memory="16M")

    def spoil() -> None:
        for page in range(DIRTY):
            machine.memory.write((4 << 20) + page * 3 * 4096, b"spoilt")

    measure("snapshot: 64 dirty pages", "ringzero", 1, "snapshots", machine.snapshot, setup=spoil, rounds=50)


def test_state_hash(measure: Measure) -> None:
    from ringzero import Machine

    machine = Machine.flat(b"\xf4", memory="16M")

    def spoil() -> None:
        for page in range(DIRTY):
            machine.memory.write((4 << 20) + page * 3 * 4096, b"spoilt")

    measure("state hash: 64 dirty pages", "ringzero", 1, "hashes", machine.state_hash, setup=spoil, rounds=50)
