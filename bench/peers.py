"""Who runs the loops: both engines, and everybody else that can be had. One function each, which prepares a loop.

A runner gives the work to be timed; `start` seconds of it (a process coming up) are none of the loop's. Who cannot run
here says why and is left out of the report's table, not of the report.
"""

from __future__ import annotations

import ctypes
import mmap
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import guest
import loops
from common import native_missing


@dataclass(frozen=True)
class Work:
    """One round: `run` after `setup`, `steps` of the guest."""

    run: Callable[[], Any]
    steps: int
    setup: Callable[[], Any] | None = None
    start: float = 0.0


@dataclass(frozen=True)
class Peer:
    name: str
    why_not: Callable[[], str | None]
    prepare: Callable[[str], Work]
    rounds: int = 5


@cache
def steps(name: str, turns: int = 1) -> int:
    """How many steps the loop takes, its HLT included."""
    from ringzero import Machine

    machine = Machine.flat(loops.code(name, turns), address=loops.CODE)
    machine.run()
    return int(machine.step)


def _package(name: str) -> Callable[[], str | None]:
    return lambda: None if find_spec(name) else f"the Python package {name} is not installed"


def _engine(engine: str, most: int) -> Callable[[str], Work]:
    def prepare(name: str) -> Work:
        from ringzero import Machine

        machine = Machine.flat(loops.code(name), address=loops.CODE, engine=engine)
        part, start = min(most, steps(name)), machine.snapshot()
        return Work(lambda: machine.run(steps=part), part, lambda: machine.restore(start))

    return prepare


def _unicorn(exact: bool) -> Callable[[str], Work]:
    """Free, or told to stop at a count, which is what a caller must do who wants to know where it stopped."""

    def prepare(name: str) -> Work:
        import unicorn

        emulator = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        emulator.mem_map(0, 16 << 20)
        emulator.mem_write(loops.CODE, loops.code(name))
        end, count = loops.CODE + len(loops.code(name)) - 1, steps(name) - 1
        if exact:
            return Work(lambda: emulator.emu_start(loops.CODE, end, count=count + 1), count)
        return Work(lambda: emulator.emu_start(loops.CODE, end), count)

    return prepare


def _no_bochs() -> str | None:
    from ringzero_tests import bochs

    return bochs.why_not()


def _bochs(name: str) -> Work:
    from ringzero_tests import bochs

    child = subprocess.Popen(
        ["env", f"LD_PRELOAD={bochs.shim()}", sys.executable, str(Path(__file__).with_name("bochs_peer.py")), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def run() -> None:
        assert child.stdin
        assert child.stdout
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n", "bochscpu ended"

    return Work(run, steps(name))


QEMU = "qemu-system-x86_64"
_QEMU_TRIAL, _QEMU_SECONDS = 50_000_000, 1.0


def _no_qemu() -> str | None:
    return None if shutil.which(QEMU) else f"{QEMU} is not installed"


def _boot_qemu(image: bytes) -> float:
    """Seconds that a whole process takes to run the image to its end."""
    with tempfile.NamedTemporaryFile(suffix=".elf") as file:
        file.write(image)
        file.flush()
        command = [QEMU, "-accel", "tcg", "-m", "16", "-nographic", "-nodefaults", "-no-reboot"]
        began = time.perf_counter()
        ended = subprocess.run(
            [*command, "-device", guest.EXIT_DEVICE, "-kernel", file.name],
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert ended.returncode == guest.EXIT_STATUS, f"{QEMU} ended with {ended.returncode}"
        return time.perf_counter() - began


@cache
def _qemu_start() -> float:
    return median(_boot_qemu(guest.image("alu", 0)) for _ in range(5))


def _qemu(name: str) -> Work:
    """As many turns as take about a second, so that the process's start is little beside them."""
    trial = max(1, _QEMU_TRIAL // steps(name))
    seconds = max(0.01, _boot_qemu(guest.image(name, trial)) - _qemu_start())
    turns = max(1, int(trial * _QEMU_SECONDS / seconds))
    image = guest.image(name, turns)
    return Work(lambda: _boot_qemu(image), steps(name) * turns, start=_qemu_start())


_FIXED_NOREPLACE = 0x100000


def _no_silicon() -> str | None:
    return None if sys.platform == "linux" else "the loops' addresses are mapped by Linux's rules"


@cache
def _map_loops() -> None:
    """The loops' memory at its own addresses in this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    size, rights = 0x400000 - loops.CODE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    how = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _FIXED_NOREPLACE
    assert libc.mmap(loops.CODE, size, rights, how, -1, 0) == loops.CODE, "the loops' addresses are taken"


def _silicon(name: str) -> Work:
    """The host's own processor, a called function: what is left of it is what emulation costs."""
    from ringzero import assemble

    _map_loops()
    saved = ("rbx", "rbp", "r12", "r13", "r14", "r15")
    text = "\n".join((
        "bits 64", f"org {loops.CODE:#x}", *(f"push {r}" for r in saved), "mov [saved], rsp", loops.source(name),
        "mov rsp, [saved]", *(f"pop {r}" for r in reversed(saved)), "ret", "align 8", "saved: dq 0",
    ))  # fmt: skip
    code = assemble(text, format="bin", name=f"{name}.asm").binary

    def install() -> None:
        ctypes.memmove(loops.CODE, code, len(code))

    return Work(ctypes.CFUNCTYPE(None)(loops.CODE), steps(name) - 1, install)


PEERS = (
    Peer("native", native_missing, _engine("native", 1 << 40)),
    Peer("python", lambda: None, _engine("python", 300_000), rounds=3),
    Peer("unicorn", _package("unicorn"), _unicorn(False)),
    Peer("unicorn, exact counts", _package("unicorn"), _unicorn(True), rounds=3),
    Peer("bochscpu", _no_bochs, _bochs, rounds=3),
    Peer("qemu TCG", _no_qemu, _qemu, rounds=3),
    Peer("silicon", _no_silicon, _silicon),
)
