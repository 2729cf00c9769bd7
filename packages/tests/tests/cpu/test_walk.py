"""The page walk in Python and in C against a third one, told as SDM 3A 4.3 to 4.8 tell it, on random tables."""

from __future__ import annotations

import struct
from random import Random

import pytest

from ringzero.cpu.address.mmu import Walker
from ringzero.cpu.engine.engines import make_engine
from ringzero.cpu.exits import FETCH, IMPLICIT, READ, USER, WRITE
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import State
from ringzero.machine.memory import Memory

TABLES, FRAMES = 0x1000, 0x100000  # 64 tables; what leaves point to
ODD = (1, 2, 4, 8, 16, 0x80, 0x2000, 1 << 20, 1 << 21, 1 << 29, 1 << 40, 1 << 51, 1 << 62, 1 << 63)
#: CR4, EFER, the mode word of 64-bit and of 32-bit code, and the bits of an address that choose entries.
STYLES = {
    "four levels": (0x20, 0x500, 0x144, (12, 21, 30, 39)),
    "pae": (0x20, 0, 0x1C8, (12, 21)),
    "two levels": (0, 0, 0x1C8, (12, 22)),
}
Answer = tuple[str, int]


def fill(memory: Memory, random: Random, size: int) -> None:
    """64 tables that point to each other, to large pages and to frames, most entries sound, some not."""
    entries, slots = bytearray(64 * 4096), 4096 // size
    for number in range(64 * slots):
        if number % slots < 6:
            target = random.choice((TABLES + 0x1000 * random.randrange(64), 0x200000, 0, FRAMES, 0x70000000))
            large = 0x80 if target in (0, 0x200000) else 0
            if size == 4 and large:
                target = random.choice((0, 0x40_0000, 0x1E_0000))
            entry = target | 3 | random.choice((0, 4, 4)) | random.choice((0, 0x20, 0x60)) | large
            if random.random() < 0.15:
                entry ^= random.choice(ODD[:10] if size == 4 else ODD)
            struct.pack_into("<I" if size == 4 else "<Q", entries, size * number, entry)
    memory.write(TABLES, bytes(entries))


class Model:
    """One access to one address: the manual's words, in its order."""

    def __init__(self, memory: Memory, state: State, style: str, linear: int, access: int) -> None:
        self.memory, self.state, self.style, self.linear, self.access = memory, state, style, linear, access
        self.nxe = state["efer"] >> 11 & 1 if style != "two levels" else 0
        self.smep, self.smap = state["cr4"] >> 20 & 1, state["cr4"] >> 21 & 1
        fetch = access & FETCH and (self.nxe or self.smep)
        self.error = (2 if access & WRITE else 0) | (4 if access & USER else 0) | (16 if fetch else 0)
        self.chain: list[tuple[int, int]] = []

    def read(self, at: int, size: int) -> int:
        inside = at + size <= self.memory.size
        return int.from_bytes(self.memory.read(at, size), "little") if inside else (1 << 8 * size) - 1

    def answer(self) -> tuple[Answer, dict[int, int]]:
        """Physical address or error code, and the entries that change."""
        found = {"four levels": self.four, "pae": self.pae, "two levels": self.two}[self.style]()
        if found[0] == "fault":
            return found, {}
        if not self.allowed():
            return ("fault", self.error | 1), {}
        changed: dict[int, int] = {}
        for at, entry in self.chain:  # what is not in RAM is all ones and has nothing to set
            changed[at] = changed.get(at, entry) | 0x20
        if self.access & WRITE:
            changed[self.chain[-1][0]] |= 0x40
        return found, {at: entry for at, entry in changed.items() if at < self.memory.size}

    def entry(self, at: int, size: int, reserved: int, large: int = 0) -> int | Answer:
        """An entry that may be used, or the fault. `large`: what is reserved besides when it maps a large page."""
        entry = self.read(at, size)
        if not entry & 1:
            return ("fault", self.error)
        if entry & (reserved | (large if entry & 0x80 else 0)):
            return ("fault", self.error | 9)
        self.chain.append((at, entry))
        return entry

    def four(self) -> Answer:
        nx = 0 if self.nxe else 1 << 63
        reserved = sum(1 << n for n in range(40, 52)) | nx
        table = self.state["cr3"]
        for level, low, large in ((4, 39, 0x80), (3, 30, 0x3FFF_E000), (2, 21, 0x1F_E000), (1, 12, 0)):
            entry = self.entry(table + 8 * (self.linear >> low & 511), 8, reserved, large)
            if isinstance(entry, tuple):
                return entry
            table = entry & 0xFF_FFFF_F000
            if level == 1 or (level < 4 and entry & 0x80):
                return "ok", table >> low << low | self.linear & (1 << low) - 1
        raise AssertionError

    def pae(self) -> Answer:
        reserved = sum(1 << n for n in range(40, 63)) | (0 if self.nxe else 1 << 63)
        pdpte = self.state[f"pdpte{self.linear >> 30}"]
        if not pdpte & 1:
            return "fault", self.error
        directory = self.entry(
            (pdpte & 0xFF_FFFF_F000) + 8 * (self.linear >> 21 & 511), 8, reserved, 0x1F_E000
        )
        if isinstance(directory, tuple):
            return directory
        if directory & 0x80:
            return "ok", (directory & 0xFF_FFE0_0000) + (self.linear & 0x1F_FFFF)
        page = self.entry((directory & 0xFF_FFFF_F000) + 8 * (self.linear >> 12 & 511), 8, reserved)
        return page if isinstance(page, tuple) else ("ok", (page & 0xFF_FFFF_F000) + (self.linear & 0xFFF))

    def two(self) -> Answer:
        large = 0x20_0000 if self.state["cr4"] & 0x10 else 0
        directory = self.entry((self.state["cr3"] & 0xFFFF_F000) + 4 * (self.linear >> 22), 4, 0, large)
        if isinstance(directory, tuple):
            return directory
        if directory & 0x80 and large:
            high = directory >> 13 & 0xFF
            return "ok", high << 32 | directory >> 22 << 22 | self.linear & 0x3F_FFFF
        page = self.entry((directory & 0xFFFF_F000) + 4 * (self.linear >> 12 & 1023), 4, 0)
        return page if isinstance(page, tuple) else ("ok", page >> 12 << 12 | self.linear & 0xFFF)

    def allowed(self) -> bool:
        """SDM 3A 4.6.1, case by case."""
        user_page = all(entry & 4 for _, entry in self.chain)
        writable = all(entry & 2 for _, entry in self.chain)
        executable = not any(entry >> 63 for _, entry in self.chain)
        write_protect, ac = self.state["cr0"] >> 16 & 1, self.state["rflags"] >> 18 & 1
        if self.access & USER:
            if self.access & FETCH:
                return user_page and executable
            return user_page and (writable or not self.access & WRITE)
        if self.access & FETCH:
            return executable and not (user_page and self.smep)
        if user_page and self.smap and (not ac or self.access & IMPLICIT):
            return False
        return not self.access & WRITE or writable or not write_protect


def choose(random: Random, state: State, memory: Memory, style: str) -> None:
    """Draw the control registers, and what a walk begins with."""
    cr4, efer, mode, _ = STYLES[style]
    state["cr0"] = 0x80000011 | (random.random() < 0.7) << 16
    state["efer"] = efer | (random.random() < 0.7) << 11
    state["cr4"] = (
        cr4 | (random.random() < 0.7) << 4 | (random.random() < 0.3) << 20 | (random.random() < 0.3) << 21
    )
    state["rflags"] = 2 | (random.random() < 0.5) << 18
    state["cr3"], state["mode"] = TABLES + 0x1000 * random.randrange(64), mode
    for number in range(4):
        state[f"pdpte{number}"] = TABLES + 0x1000 * random.randrange(64) | (random.random() < 0.8)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(6))
def test_three_walks(seed: int, style: str, engine: str) -> None:
    random = Random(f"tables {seed}")
    memory, state = Memory("2M"), State()
    fill(memory, random, 4 if style == "two levels" else 8)
    walker, seen = make_engine(engine, state, memory)[0], set()
    for _ in range(250):
        choose(random, state, memory, style)
        walker.flush_translations()
        linear = sum(random.randrange(6) << shift for shift in STYLES[style][3]) | random.randrange(4096)
        if style == "pae":
            linear |= random.randrange(4) << 30
        access = random.choice((READ, WRITE, FETCH)) | random.choice((0, USER, USER))
        access = random.choice((IMPLICIT, IMPLICIT | WRITE)) if random.random() < 0.1 else access
        expected, changed = Model(memory, state, style, linear, access).answer()
        before = bytearray(memory.read(0, memory.size))
        if expected[0] == "ok":
            assert Walker(memory).peek(state.words, linear) == expected[1]
        try:
            found: Answer = ("ok", walker.translate(linear, access))
        except GuestFault as fault:
            found = ("fault", fault.error) if fault.address == linear else ("elsewhere", fault.address)
        assert found == expected, hex(linear)
        for at, entry in changed.items():
            struct.pack_into("<I" if style == "two levels" else "<Q", before, at, entry)
        assert memory.read(0, memory.size) == bytes(before)
        seen.add(expected[0] if expected[0] == "ok" else expected[1])
    assert len(seen) > 8, "too few kinds of answers to judge by"
