"""Ring 0 judged as a whole: one guest runs every case, the same ELF here and on QEMU, and tells what each case did.

The room's rule: the guest leaves raw facts in memory, and `describe` makes one line of each report; here, on QEMU and
in the recorded vectors the lines are compared as text. A line names the event that ended the case, and then only what
changed: `GP(0x18)` says that *nothing* but the fault happened.

Physical memory, all of it mapped to itself, user and writable, in 2 MiB pages::

    100000 image      201000 PML4    204000 PD of the window    206000 PDPT, 207000 PD, 208000 PT of the walks
    210000 GDT        211000 IDT     212000 TSS, 213000 LDT     220000 RSP0, 224000 IST1, 228000 ring 0, 22c000 ring 3
    230000 scratch (64 bytes, rbx)   250000 the code of the case, 250100 where SYSCALL leads
    300000 the frames of the window, which is linear 40000000 (rdi); b00000 the reports. The window:
    page 0 user, 1 user read-only, 2 supervisor, 3 not present, 4 no-execute, 5 reserved bit, 6 user, 7 not present
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ringzero import Machine, assemble
from ringzero_tests.system_guest import CASE, GUEST

GPRS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
WORDS = (
    *("ss", "cr0", "cr4", "dr6", "dr7", "efer", "ds", "es", "fs", "gs", "ldtr", "tr"),
    *("fs_base", "gs_base", "kernel_gs"),
)
AREAS = (("access", 32), ("scratch", 64), ("window", 64), ("walk", 32), ("stack3", 64), ("stack0", 64))
CONTEXT = struct.Struct(f"<{len(WORDS)}Q{len(GPRS)}Q" + "".join(f"{size}s" for _, size in AREAS))
EVENT = struct.Struct("<8Q")  # vector, error, rip, cs, rflags, flags before, cr2, where the frame lies
RECORD = EVENT.size + 2 * CONTEXT.size
VECTORS = {0: "DE", 1: "DB", 2: "NMI", 3: "BP", 4: "OF", 5: "BR", 6: "UD", 7: "NM", 8: "DF", 10: "TS", 11: "NP",
           12: "SS", 13: "GP", 14: "PF", 17: "AC"}  # fmt: skip
_WITH_ERROR = {8, 10, 11, 12, 13, 14, 17}
_TRAPS = {1, 3, 4, 8}  # and every vector that only INT n raises: these do not push RF
#: Intel's, since AMD's have no SYSENTER in long mode.
QEMU_CPU = "qemu64,vendor=GenuineIntel,+pdpe1gb,+rdtscp,+rdpid,+smep,+smap,+umip,+fsgsbase,+wbnoinvd"
RF, DONE, CODE, REPORTS = 1 << 16, 0x80, 0x250000, 0xB00000


@dataclass(frozen=True)
class Case:
    """One row: code that runs at a ring, what the manual says of it, and what is prepared before.

    `expect` is the whole line of `describe`. `setup` and `registers` are assembly run at ring 0 before: the first may
    use every register, the second gives the case its own. Code that goes on ends in INT 0x80, which is added here.
    `why`: the manual's words where QEMU says otherwise.
    """

    name: str
    code: str
    expect: str
    ring: int = 0
    bits: int = 64
    setup: str = ""
    registers: str = ""
    flags: int = 2
    why: str = ""


def source(cases: Iterable[Case]) -> str:
    """The guest's text: the runner and a record for each case."""
    rows = []
    for n, case in enumerate(cases):
        cs = {(0, 64): 0x10, (3, 64): 0x33, (3, 32): 0x23, (0, 32): 0x08}[case.ring, case.bits]
        ss, rsp = (0x2B, 0x22BFC0) if case.ring else (0x18, 0x227FC0)
        fields = {"cs": cs, "ss": ss, "rsp": rsp, "flags": case.flags, "bits": case.bits}
        texts = {"setup": case.setup, "registers": case.registers, "code": case.code}
        rows.append(CASE.format(n=n, **fields, **texts))
    table = "".join(f" dq case{n}\n" for n in range(len(rows)))
    return GUEST + "\n".join(rows) + f"\nCASES equ {len(rows)}\nalign 8\ntable:\n" + table


@dataclass(frozen=True)
class Guest:
    """The assembled guest, and the length of each case's code."""

    cases: tuple[Case, ...]
    elf: bytes
    lengths: tuple[int, ...]

    @classmethod
    def build(cls, cases: Iterable[Case]) -> Guest:
        """Assemble. Raises AssemblyError."""
        rows = tuple(cases)
        assembly = assemble(source(rows), format="elf64", name="system.asm")
        at = assembly.symbols
        lengths = tuple(at[f"code{n}.end"] - at[f"code{n}"] for n in range(len(rows)))
        assert max(lengths) <= 64, "the runner copies 64 bytes"
        return cls(rows, assembly.binary, lengths)

    def lines(self, reports: bytes, exact: bool = True) -> dict[str, str]:
        """Memory from REPORTS on, as a line a case. A case that never reported is missing."""
        rows = zip(self.cases, self.lengths, _records(reports), strict=False)
        return {case.name: describe(record, length, exact) for case, length, record in rows}


def _records(reports: bytes) -> Iterator[bytes]:
    (count,) = struct.unpack_from("<Q", reports)
    for number in range(count):
        yield reports[8 + number * RECORD :][:RECORD]


def describe(record: bytes, length: int, exact: bool = True) -> str:
    """One line: the event, then what changed. Not `exact`: as far as QEMU 7.2 can be compared."""
    vector, error, rip, cs, flags, flags_before, cr2, frame = EVENT.unpack_from(record)
    before = _context(record, EVENT.size)
    after = _context(record, EVENT.size + CONTEXT.size)
    after["rip"], before["rip"] = rip, CODE + length if vector == DONE else CODE
    after["cs"] = cs
    pushes_rf = vector in VECTORS and vector not in _TRAPS
    if not exact:
        # QEMU 7.2 never pushes RF; it leaves P out of a reserved-bit fault's code (SDM 3A 4.7: bit 3 only with bit 0);
        # and it sets A on the way to a page fault, where ours waits for the whole walk.
        flags = flags & ~RF | pushes_rf << 16
        if vector == 14:
            error |= error >> 3 & 1
            after["walk"], after["window"] = before["walk"], before["window"]
    after["flags"], before["flags"] = flags, flags_before & ~RF | pushes_rf << 16
    after["frame"], before["frame"] = frame, 0x224000 - 40
    words = [_event(vector, error, cr2)]
    words += [_change(name, before[name], after[name]) for name in after if after[name] != before[name]]
    return " ".join(words)


def _event(vector: int, error: int, cr2: int) -> str:
    if vector == DONE:
        return "end"
    name = VECTORS.get(vector, f"int{vector:#x}")
    code = f"({error:#x})" if vector in _WITH_ERROR else ""
    return f"{name}{code}" + (f" cr2={cr2:#x}" if vector == 14 else "")


def _context(record: bytes, offset: int) -> dict[str, int | bytes]:
    """By name; the guest keeps CS of the case above its SS."""
    names = (*WORDS, *GPRS, *(name for name, _ in AREAS))
    context: dict[str, int | bytes] = dict(zip(names, CONTEXT.unpack_from(record, offset), strict=True))
    both = context["ss"]
    assert isinstance(both, int)
    context["ss"], context["cs"] = both & 0xFFFF, both >> 16
    return context


def _change(name: str, before: int | bytes, after: int | bytes) -> str:
    if isinstance(after, int):
        if name == "rip" and 0 <= after - CODE < 256:
            return f"rip=+{after - CODE}"
        return f"{name}={after:#x}"
    assert isinstance(before, bytes)
    changed = [n for n in range(len(after)) if before[n] != after[n]]
    first, last = changed[0], changed[-1]
    return f"{name}[{first}]={after[first : last + 1].hex()}"


def run_here(guest: Guest, engine: str, max_steps: int = 20_000_000) -> dict[str, str]:
    """The lines of our machine."""
    machine = Machine(guest.elf, engine=engine)
    stop = machine.run(max_steps=max_steps)
    lines = guest.lines(machine.memory.read(REPORTS, machine.memory.size - REPORTS))
    if len(lines) < len(guest.cases):
        lines[guest.cases[len(lines)].name] = f"never reported: {stop}"
    return lines


def run_on_qemu(guest: Guest, seconds: int = 10) -> dict[str, str]:
    """The lines of qemu-system-x86_64 (TCG), not `exact`.

    A case that QEMU does not come back from is told as such, and the others run without it.
    """
    with tempfile.TemporaryDirectory() as folder:
        image, ram = Path(folder, "guest.elf"), Path(folder, "ram")
        image.write_bytes(guest.elf)
        command = (
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", QEMU_CPU, "-m", "16", "-display", "none",
             "-no-reboot", "-nodefaults", "-kernel", str(image), "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
             "-object", f"memory-backend-file,id=ram,size=16M,mem-path={ram},share=on",
             "-machine", "memory-backend=ram"]
        )  # fmt: skip
        end = "triple fault"
        try:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            end = "no end"
        lines = guest.lines(ram.read_bytes()[REPORTS:], exact=False)
    if len(lines) < len(guest.cases):
        fatal, rest = guest.cases[len(lines)], guest.cases[len(lines) + 1 :]
        lines[fatal.name] = end
        lines |= run_on_qemu(Guest.build(rest)) if rest else {}
    return lines
