"""The page walk in Python and in C against a third one, told as SDM 3A 4.5 to 4.8 tell it, on random tables."""

from __future__ import annotations

import struct
from random import Random

import pytest

from ringzero.cpu.engines import make_engine
from ringzero.cpu.exits import FETCH, READ, USER, WRITE
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import State
from ringzero.machine.memory import Memory

TABLES, FRAMES = 0x1000, 0x100000  # 64 tables; what leaves point to
ODD = (1, 2, 4, 8, 16, 0x80, 0x2000, 1 << 20, 1 << 29, 1 << 40, 1 << 51, 1 << 62, 1 << 63)
Answer = tuple[str, int]


def fill(memory: Memory, random: Random) -> None:
    """64 tables that point to each other, to large pages and to frames, most entries sound, some not."""
    entries = bytearray(64 * 4096)
    for number in range(64 * 512):
        if number % 512 < 6:
            target = random.choice((TABLES + 0x1000 * random.randrange(64), 0x200000, 0, FRAMES, 0x70000000))
            entry = target | 7 | random.choice((0, 0x20, 0x60)) | (0x80 if target in (0, 0x200000) else 0)
            if random.random() < 0.15:
                entry ^= random.choice(ODD)
            struct.pack_into("<Q", entries, 8 * number, entry)
    memory.write(TABLES, bytes(entries))


def model(memory: Memory, state: State, linear: int, access: int) -> tuple[Answer, dict[int, int]]:
    """Physical address or error code, and the entries that change."""
    nxe, wp = state["efer"] >> 11 & 1, state["cr0"] >> 16 & 1
    table, chain, error = state["cr3"], [], 0
    error = (2 if access & WRITE else 0) | (4 if access & USER else 0) | (16 if access & FETCH and nxe else 0)
    for level in (4, 3, 2, 1):
        low = 12 + 9 * (level - 1)
        at = table + 8 * (linear >> low & 511)
        entry = int.from_bytes(memory.read(at, 8), "little") if at + 8 <= memory.size else (1 << 64) - 1
        if not entry & 1:
            return ("fault", error), {}
        leaf = level == 1 or bool(entry & 0x80 and level in (2, 3))
        reserved = sum(1 << n for n in range(40, 52)) | (0 if nxe else 1 << 63) | (0x80 if level == 4 else 0)
        if leaf and level > 1:
            reserved |= sum(1 << n for n in range(13, low))
        if entry & reserved:
            return ("fault", error | 9), {}
        chain.append((at, entry))
        table = entry & 0xFF_FFFF_F000
        if leaf:
            break
    user, write = (all(e & bit for _, e in chain) for bit in (4, 2))
    refused = (
        (access & USER and not user)
        or (access & WRITE and not write and (access & USER or wp))
        or (access & FETCH and any(e >> 63 for _, e in chain))
    )
    if refused:
        return ("fault", error | 1), {}
    changed: dict[int, int] = {}
    for at, entry in chain:
        changed[at] = changed.get(at, entry) | 0x20
    if access & WRITE:
        changed[chain[-1][0]] |= 0x40
    offset = (1 << low) - 1
    return ("ok", table & ~offset | linear & offset), changed


@pytest.mark.parametrize("seed", range(6))
def test_three_walks(seed: int, engine: str) -> None:
    random = Random(f"tables {seed}")
    memory, state = Memory("4M"), State()
    fill(memory, random)
    walker = make_engine(engine, state, memory)[0]
    for _ in range(400):
        wp, nxe = random.random() < 0.7, random.random() < 0.7
        state["cr0"], state["cr4"], state["efer"] = 0x80000011 | wp << 16, 0x20, 0x500 | nxe << 11
        state["cr3"] = TABLES + 0x1000 * random.randrange(64)
        state["mode"] = 0x144
        walker.flush_translations()
        linear = sum(random.randrange(6) << shift for shift in (12, 21, 30, 39)) | random.randrange(4096)
        access = random.choice((READ, WRITE, FETCH)) | random.choice((0, USER))
        expected, changed = model(memory, state, linear, access)
        before = bytearray(memory.read(0, memory.size))
        try:
            found: Answer = ("ok", walker.translate(linear, access))
        except GuestFault as fault:
            found = ("fault", fault.error) if fault.address == linear else ("elsewhere", fault.address)
        assert found == expected, hex(linear)
        for at, entry in changed.items():
            struct.pack_into("<Q", before, at, entry)
        assert memory.read(0, memory.size) == bytes(before)
