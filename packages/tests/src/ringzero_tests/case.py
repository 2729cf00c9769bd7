"""What every oracle and engine is asked, and what it answers.

The room's rule: a case is a pure value. It says everything an instruction may see (code, registers, flags, memory),
so that silicon, emulators and our engines can be asked the same thing and their outcomes compared bit for bit.

The linear address space of a case, the same for every judge::

    DATA      0x1000_0000   two pages, read and write, not executable; the page before and after them is not mapped
    READONLY  0x1000_4000   one page, read only; nothing mapped around it
    CODE      0x2000_0000   two pages, read, write and execute; filled with int3 wherever the case puts nothing
    FS base   0x1000_0040   GS base 0x1000_0800

A case runs from `Case.address` until it reaches an int3 that it did not bring along, or until it faults.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

PAGE = 4096
DATA = 0x1000_0000
DATA_END = DATA + 2 * PAGE
READONLY = 0x1000_4000
CODE = 0x2000_0000
CODE_END = CODE + 2 * PAGE
START = CODE + 0x800
FS_BASE = DATA + 0x40
GS_BASE = DATA + 0x800

# The regions in the order in which judges hold them: (address, bytes, writable, executable).
REGIONS = (
    (DATA, 2 * PAGE, True, False),
    (READONLY, PAGE, False, False),
    (CODE, 2 * PAGE, True, True),
)

REGISTERS = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip

CF, PF, AF, ZF, SF, TF, DF, OF = 0x1, 0x4, 0x10, 0x40, 0x80, 0x100, 0x400, 0x800
NT, AC, ID = 0x4000, 0x40000, 0x200000
ARITHMETIC = CF | PF | AF | ZF | SF | OF
# What an outcome reports of RFLAGS. IF and IOPL are fixed in user mode, and RF is the kernel's business in a frame.
VISIBLE = ARITHMETIC | TF | DF | NT | AC | ID

FLAG_BITS = {"c": CF, "p": PF, "a": AF, "z": ZF, "s": SF, "d": DF, "o": OF}

# User-mode selectors as Linux has them; an engine that judges MOV r, sreg or PUSHF must start with these.
USER_CS, USER_SS = 0x33, 0x2B

HANG = 0xFE  # Outcome.vector of a case that did not end in time

VECTOR_NAMES = {
    0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP", 12: "#SS",
    13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 19: "#XM", HANG: "hang",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to run: `code` placed at `address`, 16 registers in hardware order, flags, and patches to memory.

    `memory` holds (linear address, bytes) patches laid over `background()`; they must lie inside the regions.
    `landing` fills CODE around the case: int3, or HLT where the case may change what int3 would use.
    """

    code: bytes
    registers: tuple[int, ...]
    flags: int = 0
    memory: tuple[tuple[int, bytes], ...] = ()
    address: int = START
    bits: int = 64
    landing: int = 0xCC


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception that ended a case: vector, error code (0 where it has none) and CR2 (0 but for #PF)."""

    vector: int
    error: int = 0
    cr2: int = 0

    def __str__(self) -> str:
        name = VECTOR_NAMES.get(self.vector, f"#{self.vector}")
        return f"{name}({self.error:#x})" + (f" at {self.cr2:#x}" if self.vector == 14 else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case left behind: registers, visible flags, RIP, runs of changed memory, and the fault or None.

    RIP is the address where the case stood when it ended: the landing int3's own address, or the faulting
    instruction's (for #BP and #DB, the one after).
    """

    registers: tuple[int, ...]
    flags: int
    rip: int
    memory: tuple[tuple[int, bytes], ...] = field(default=())
    fault: Fault | None = None


@cache
def background(address: int) -> bytes:
    """Return the bytes of the region at `address` before patches: edge values, noise and pointers; code is int3."""
    if address == CODE:
        return b"\xcc" * (2 * PAGE)
    size = next(length for start, length, _, _ in REGIONS if start == address)
    blocks = []
    for number in range(size // 64):
        noise = hashlib.sha512(b"ringzero case memory %d %d" % (address, number)).digest()
        blocks.append(_edges(noise) if number % 4 == 3 else noise)
    return b"".join(blocks)


_INT3 = 0xCC
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
          0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, DATA + 0x100, DATA + 0x1000)  # fmt: skip


def _edges(noise: bytes) -> bytes:
    return b"".join(_EDGES[byte % 16].to_bytes(8, "little") for byte in noise[:8])


@lru_cache(maxsize=1)
def initial_memory(case: Case) -> Mapping[int, bytes]:
    """Return the regions' contents, by address, as the case finds them: background, patches, code."""
    regions = {start: bytearray(background(start)) for start, _, _, _ in REGIONS}
    if case.landing != _INT3:
        regions[CODE][:] = bytes([case.landing]) * (CODE_END - CODE)
    for address, patch in (*case.memory, (case.address, case.code)):
        start = region_of(address)
        offset = address - start
        if offset + len(patch) > len(regions[start]):
            raise ValueError(
                f"case: {len(patch)} bytes at {address:#x} leave the region at {start:#x}; shorten them"
            )
        regions[start][offset : offset + len(patch)] = patch
    return {start: bytes(contents) for start, contents in regions.items()}


def region_of(address: int) -> int:
    """Return the start of the region that holds `address`."""
    for start, size, _, _ in REGIONS:
        if start <= address < start + size:
            return start
    raise ValueError(f"case: {address:#x} lies in no region; use DATA, READONLY or CODE")


_STRIDE = 256  # bytes compared at a time: most did not change


def changed_runs(start: int, before: bytes | bytearray, after: bytes | bytearray) -> list[tuple[int, bytes]]:
    """Return (address, bytes) for every run of adjacent bytes that differ; `before` and `after` have one length."""
    if before == after:
        return []
    runs: list[tuple[int, bytes]] = []
    offset, size = 0, len(before)
    while offset < size:
        if before[offset : offset + _STRIDE] == after[offset : offset + _STRIDE]:
            offset += _STRIDE
            continue
        while offset < size and before[offset] == after[offset]:
            offset += 1
        end = offset
        while end < size and before[end] != after[end]:
            end += 1
        runs.append((start + offset, bytes(after[offset:end])))
        offset = end
    return runs
