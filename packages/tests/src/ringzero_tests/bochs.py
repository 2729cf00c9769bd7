"""Bochs, through bochscpu-python, as the judge of what silicon cannot judge: ring 0, descriptor tables, delivery.

The room's rule: Bochs runs in a child process of its own (`python -m ringzero_tests.bochs`), since its wheel may need a
few lines of C preloaded where the host's libc is older than its builder's. Cases and outcomes travel as pickles.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ringzero.cpu.state import GPRS
from ringzero_tests.case import CODE, HANG, PAGE, Case, Fault, Outcome
from ringzero_tests.ring0 import SystemCase, SystemOutcome, read_system_outcome
from ringzero_tests.segmented import CODE as SEGMENT
from ringzero_tests.segmented import SegmentedCase, SegmentedOutcome, read_segmented
from ringzero_tests.system import (
    KERNEL,
    MEMORY_SIZE,
    memory_for,
    physical_of,
    read_outcome,
    state_for,
    system_image,
)

# glibc 2.38 renamed these for C23; older ones lack the names and have the functions.
_SHIM = """
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
unsigned long long __isoc23_strtoull(const char *s, char **e, int b) { return strtoull(s, e, b); }
unsigned long __isoc23_strtoul(const char *s, char **e, int b) { return strtoul(s, e, b); }
long long __isoc23_strtoll(const char *s, char **e, int b) { return strtoll(s, e, b); }
long __isoc23_strtol(const char *s, char **e, int b) { return strtol(s, e, b); }
int __isoc23_sscanf(const char *s, const char *f, ...)
{ va_list a; va_start(a, f); int n = vsscanf(s, f, a); va_end(a); return n; }
"""
INSTRUCTION_LIMIT = 20000
_STAGING, _COPIER = 0x100000, 0x110000
_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
_PLAIN = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "rip", "rflags", "star", "lstar", "cstar", "sfmask",
          "kernel_gs_base", "sysenter_cs", "sysenter_esp", "sysenter_eip", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7",
          "tsc_aux", "pat")  # fmt: skip


@cache
def why_not() -> str | None:
    """Return why Bochs cannot judge here, or None if it can."""
    if find_spec("bochscpu") is None:
        return "bochscpu-python is not installed"
    if find_spec("cffi") is None:
        return "cffi, by which bochscpu-python's memory is reached, is not installed"
    if shutil.which("cc") is None:
        return "bochscpu-python may need a C compiler for its shim, and there is none"
    return None


class Bochs:
    """A child process that runs cases on Bochs; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ringzero_tests.bochs"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"LD_PRELOAD": shim()},
        )  # fmt: skip

    def __enter__(self) -> Bochs:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def run_many(self, cases: Iterable[Case]) -> list[Outcome]:
        """Run cases in user mode."""
        answer: list[Outcome] = self._ask(list(cases))
        return answer

    def run_system(self, cases: Iterable[SystemCase]) -> list[SystemOutcome]:
        """Run cases in ring 0."""
        answer: list[SystemOutcome] = self._ask(list(cases))
        return answer

    def run_segmented(self, cases: Iterable[SegmentedCase]) -> list[SegmentedOutcome | None]:
        """Run cases in segments; None for those that do not end. EOFError where one ends in a shutdown."""
        answer: list[SegmentedOutcome | None] = self._ask(list(cases))
        return answer

    def run_program(self, memory: bytes, state: dict[str, int]) -> bytes:
        """Run what is in `memory` (2 MiB) to a HLT; the memory afterwards. Once in a child: it keeps decoded code."""
        answer: list[bytes] = self._ask([(memory, state)])
        return answer[0]

    def _ask(self, cases: list[Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump(cases, self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)


@cache
def shim() -> str:
    """Build the library that a process which imports bochscpu preloads."""
    path = Path(tempfile.mkdtemp(prefix="ringzero-bochs-")) / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=_SHIM.encode(), check=True)
    return str(path)


class _Machine:
    """Bochs itself, in the child: 2 MiB of memory and one session."""

    def __init__(self) -> None:
        import bochscpu
        from cffi import FFI

        memory: Any = bochscpu._bochscpu.memory
        ffi = FFI()
        self.pages: list[Any] = []
        for address in range(0, MEMORY_SIZE, PAGE):
            host = memory.allocate_host_page()
            memory.page_insert(address, host)
            self.pages.append(ffi.buffer(ffi.cast("char *", host), PAGE))
        self.session = bochscpu.Session()
        self.session.missing_page_handler = lambda address: self.session.stop()
        self.hook = bochscpu.Hook()
        self.hook.hlt = lambda session, number: session.stop()
        self.hook.before_execution = self._count
        self.retired = 0

    def _count(self, session: Any, number: int, instruction: Any) -> None:
        self.retired += 1
        if self.retired > INSTRUCTION_LIMIT:
            session.stop()

    def answer(
        self, wanted: Case | SystemCase | SegmentedCase | tuple[bytes, dict[str, int]]
    ) -> Outcome | SystemOutcome | SegmentedOutcome | bytes | None:
        if isinstance(wanted, tuple):
            return self._program(*wanted)
        if isinstance(wanted, SegmentedCase):
            return self._segmented(wanted)
        if isinstance(wanted, SystemCase):
            self._run(wanted.case, wanted.state())
            return read_system_outcome(wanted, self._register, self._read)
        self._run(wanted, state_for(wanted))
        if self.retired > INSTRUCTION_LIMIT:
            return Outcome(wanted.registers, 0, 0, (), Fault(HANG))
        return read_outcome(wanted, self._register, self._read)

    def _segmented(self, wanted: SegmentedCase) -> SegmentedOutcome | None:
        memory = wanted.memory()
        for at in range(0, len(memory), PAGE):
            self.pages[at // PAGE][:] = memory[at : at + PAGE]
        self._copy(memory[SEGMENT : SEGMENT + 0x10000], SEGMENT)
        self.session.cpu.set_state(bochs_state(wanted.state()))
        self.retired = 0
        self.session.run([self.hook])
        return (
            None if self.retired > INSTRUCTION_LIMIT else read_segmented(wanted, self._register, self._read)
        )

    def _program(self, memory: bytes, state: dict[str, int]) -> bytes:
        for number, page in enumerate(self.pages):
            page[:] = memory[number * PAGE : (number + 1) * PAGE]
        self.session.cpu.set_state(bochs_state(state))
        self.session.run([self.hook])
        return b"".join(page[:] for page in self.pages)

    def _register(self, name: str) -> int:
        state = self.session.cpu.state
        for segment in (*_SEGMENTS, "gdtr", "idtr"):
            if name.startswith(segment + "_"):
                part = name[len(segment) + 1 :]
                value = int(getattr(getattr(state, segment), part))
                return value & 0xFF | value >> 12 << 8 if part == "attr" else value
        return int(getattr(state, name))

    def _run(self, case: Case, state: dict[str, int]) -> None:
        for address, contents in ((0, system_image()), *memory_for(case).items()):
            for offset in range(0, len(contents), PAGE):
                self.pages[(address + offset) // PAGE][:] = contents[offset : offset + PAGE]
        self._copy_code(case)
        self.session.cpu.set_state(bochs_state(state))
        self.retired = 0
        self.session.run([self.hook])

    def _copy_code(self, case: Case) -> None:
        self._copy(bytes(memory_for(case)[physical_of(CODE)]), physical_of(CODE))

    def _copy(self, code: bytes, address: int) -> None:
        """Let the guest itself write code: Bochs notices no other writes to what it has decoded."""
        for offset in range(0, len(code), PAGE):
            self.pages[(_STAGING + offset) // PAGE][:] = code[offset : offset + PAGE]
        self.pages[_COPIER // PAGE][:4] = b"\xf3\x48\xa5\xf4"  # rep movsq; hlt
        registers = {"rsi": KERNEL + _STAGING, "rdi": KERNEL + address, "rcx": len(code) // 8}
        start = state_for(Case(b"", (0,) * 16), 0) | registers | {"rip": KERNEL + _COPIER, "rflags": 2}
        self.session.cpu.set_state(bochs_state(start))
        self.session.run([self.hook])

    def _read(self, address: int, size: int) -> bytes:
        first, last = address // PAGE, (address + size - 1) // PAGE
        contents = b"".join(self.pages[page][:] for page in range(first, last + 1))
        return contents[address % PAGE : address % PAGE + size]


def bochs_state(wanted: dict[str, int]) -> Any:
    """Bochs's state object of registers by the names of `ringzero.cpu.state`."""
    import bochscpu

    state: Any = bochscpu.State()
    for name, value in wanted.items():
        if name in _PLAIN or name in GPRS:
            setattr(state, name, value)
    for name in _SEGMENTS:
        segment: Any = bochscpu.Segment()
        segment.present = bool(wanted[f"{name}_attr"] & 0x80)
        segment.selector, segment.base = wanted[f"{name}_selector"], wanted[f"{name}_base"]
        # The descriptor's bits 40-55 as they stand there; ours leave the limit's four out.
        rights = wanted[f"{name}_attr"]
        segment.limit, segment.attr = wanted[f"{name}_limit"], rights & 0xFF | rights >> 8 << 12
        setattr(state, name, segment)
    for name in ("gdtr", "idtr"):
        table: Any = bochscpu.GlobalSegment()
        table.base, table.limit = wanted[f"{name}_base"], wanted[f"{name}_limit"]
        setattr(state, name, table)
    return state


def _serve() -> None:
    """Answer batches from stdin until it ends."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    machine = _Machine()
    while True:
        try:
            cases = pickle.load(source)
        except EOFError:
            return
        pickle.dump([machine.answer(case) for case in cases], answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
