"""The host's own processor as the judge of user-mode instructions, in 64-, 32- and 16-bit code.

The room's rule: nothing here knows an instruction. Cases go to a worker process (silicon_worker.c, compiled with the
host's compiler on first use and kept in a cache directory) and come back as outcomes. What the host's kernel
adds is taken away here, so that an outcome is the processor's alone.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from ringzero_tests.case import (
    FS_BASE,
    GS_BASE,
    HANG,
    REGIONS,
    REGISTERS,
    VISIBLE,
    Case,
    Fault,
    Outcome,
    background,
)

BATCH = 1024
_NO_FAULT = 0xFF
_TASK_SIZE = (1 << 47) - 4096
_CASE = struct.Struct("<16QQQIII")
_PATCH = struct.Struct("<QI")
_OUTCOME = struct.Struct("<16QQQQIII")
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_COMPILE = ("-std=gnu11", "-O2", "-fno-stack-protector", "-fcf-protection=none", "-mno-red-zone", "-fno-builtin",
            "-fno-tree-loop-distribute-patterns")  # fmt: skip


class SiliconError(Exception):
    """The worker could not be built, or died; the text names the case's bytes where it can."""


@cache
def why_not() -> str | None:
    """Return why this host cannot judge, or None if it can."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"silicon judges on x86-64 Linux only; this is {platform.machine()} {sys.platform}"
    if _compiler() is None:
        return "silicon's worker needs a C compiler (cc, gcc or clang on PATH, or CC)"
    return None


@cache
def vendor() -> str:
    """Return the host processor's vendor string (GenuineIntel, AuthenticAMD, …)."""
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("vendor_id"):
            return line.split(":")[1].strip()
    return "unknown"


@cache
def features() -> frozenset[str]:
    """Return the host processor's feature names as Linux prints them."""
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("flags"):
            return frozenset(line.split(":")[1].split())
    return frozenset()


def has(feature: str) -> bool:
    """Tell whether the host has a feature by QEMU's name, which a row needs ("" is always there)."""
    return not feature or feature.replace(".", "_").replace("-", "_") in features()


@cache
def code_widths() -> tuple[int, ...]:
    """Return the widths of code that the host runs: 16 only where its kernel lets a process have such a segment."""
    with Silicon() as judge:
        small = judge.run(Case(b"\x90", (0,) * len(REGISTERS), bits=16))
    return (64, 32) if small.fault else (64, 32, 16)


class Silicon:
    """A worker process that runs cases. Use as a context manager, or call `close()`."""

    def __init__(self) -> None:
        reason = why_not()
        if reason:
            raise SiliconError(reason)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Silicon:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin
            assert process.stdout
            process.stdin.close()
            process.stdout.close()
            process.wait()

    def run(self, case: Case) -> Outcome:
        """Run one case."""
        return self.run_many([case])[0]

    def run_many(self, cases: Iterable[Case]) -> list[Outcome]:
        """Run cases in batches; a case that kills the worker raises SiliconError that names it."""
        waiting = list(cases)
        outcomes: list[Outcome] = []
        for at in range(0, len(waiting), BATCH):
            outcomes += self._run_batch(waiting[at : at + BATCH])
        return outcomes

    def _run_batch(self, cases: Sequence[Case]) -> list[Outcome]:
        try:
            return self._exchange(cases)
        except (EOFError, BrokenPipeError) as died:
            self._process = None
            if len(cases) == 1:
                raise SiliconError(
                    f"the worker died of {cases[0].code.hex(' ')}; keep such cases out"
                ) from died
            middle = len(cases) // 2
            return self._run_batch(cases[:middle]) + self._run_batch(cases[middle:])

    def _exchange(self, cases: Sequence[Case]) -> list[Outcome]:
        process = self._worker()
        assert process.stdin
        payload = struct.pack("<I", len(cases)) + b"".join(map(_pack, cases))
        process.stdin.write(struct.pack("<Q", len(payload)) + payload)
        process.stdin.flush()
        (size,) = struct.unpack("<Q", _read(process, 8))
        return _unpack(_read(process, size), len(cases))

    def _worker(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [_built()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
            )
            assert self._process.stdin
            self._process.stdin.write(_regions())
        return self._process


def _read(process: subprocess.Popen[bytes], size: int) -> bytes:
    assert process.stdout
    answer = process.stdout.read(size)
    if len(answer) < size:
        process.kill()
        process.wait()
        raise EOFError
    return answer


def _regions() -> bytes:
    parts = [struct.pack("<I", len(REGIONS))]
    for start, size, writable, executable in REGIONS:
        protection = _PROT_READ | writable * _PROT_WRITE | executable * _PROT_EXEC
        parts += [struct.pack("<QQII", start, size, protection, 0), background(start)]
    return b"".join([*parts, struct.pack("<QQ", FS_BASE, GS_BASE)])


def _pack(case: Case) -> bytes:
    head = _CASE.pack(*case.registers, case.flags, case.address, len(case.code), len(case.memory), case.bits)
    patches = b"".join(_PATCH.pack(address, len(patch)) + patch for address, patch in case.memory)
    return head + case.code + patches


def _unpack(reply: bytes, count: int) -> list[Outcome]:
    outcomes, at = [], 0
    for _ in range(count):
        *registers, flags, rip, cr2, vector, error, runs = _OUTCOME.unpack_from(reply, at)
        at += _OUTCOME.size
        memory = []
        for _ in range(runs):
            address, size = _PATCH.unpack_from(reply, at)
            at += _PATCH.size + size
            memory.append((address, reply[at - size : at]))
        fault = None if vector == _NO_FAULT else _fault(vector, error, cr2)
        outcomes.append(Outcome(tuple(registers), flags & VISIBLE, rip, tuple(memory), fault))
    return outcomes


def _fault(vector: int, error: int, cr2: int) -> Fault:
    if vector == 14 and cr2 >= _TASK_SIZE:
        # Linux sets P for addresses beyond user space, so as not to tell what is mapped there.
        error &= ~1
    return Fault(vector, 0 if vector == HANG else error, cr2)


def _compiler() -> str | None:
    wanted = os.environ.get("CC")
    candidates = [wanted] if wanted else ["cc", "gcc", "clang"]
    return next((found for name in candidates if (found := shutil.which(name))), None)


@cache
def _built() -> str:
    """Compile the worker unless the cache holds it; return the program's path."""
    source = resources.files("ringzero_tests").joinpath("silicon_worker.c").read_bytes()
    digest = hashlib.sha256(source + repr(_COMPILE).encode()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringzero-tests"
    program = root / f"silicon-{digest}"
    if not program.exists():
        root.mkdir(parents=True, exist_ok=True)
        made = root / f"silicon-{digest}.{os.getpid()}"
        command = [str(_compiler()), *_COMPILE, "-x", "c", "-", "-o", str(made)]
        done = subprocess.run(command, input=source, capture_output=True, check=False)
        if done.returncode:
            raise SiliconError(f"silicon's worker does not compile: {done.stderr.decode(errors='replace')}")
        made.replace(program)
    return str(program)
