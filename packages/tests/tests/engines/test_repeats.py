"""Repeated string instructions done at once equal their iterations, each of them a step.

Both engines may do a page at a time; the judge is the Python engine told to take every pass through the block. Random
counts, addresses, overlaps, frames that two pages share, pages that are missing, read-only, tables, code or no RAM, and
stops anywhere.
"""

from __future__ import annotations

import random

import pytest

from ringzero.cpu import mode as M
from ringzero.cpu.exits import FETCH, Leave
from ringzero.cpu.lower.emitter import Systems
from ringzero.cpu.lower.lowering import Lowerer
from ringzero.cpu.mode import mode_word
from ringzero.isa.control import PTE_P, PTE_U, PTE_W
from ringzero.isa.rflags import DF
from ringzero_tests.rig import Rig

pytest.importorskip("ringzero._native", reason="the C core is not built")

SIZE = 1 << 20
WAYS = ("native", "python", "iterations")
CODE = 0x8000
WINDOW, PAGES = 0x40_0000, 6
FRAME = 0x2_0000
LEAF = 0x4000
PREFIXES = {64: (b"", b"", b"\x67"), 32: (b"", b"", b"\x67")}
OPCODES = {64: (b"\xa4", b"\x66\xa5", b"\xa5", b"\x48\xa5"), 32: (b"\xa4", b"\x66\xa5", b"\xa5")}
STRINGS = (0, 0, 0, 6, 6, 2, 8, 10)  # movs more often than stos, cmps, lods, scas


def instruction(chance: random.Random, bits: int) -> bytes:
    opcode = bytearray(chance.choice(OPCODES[bits]))
    opcode[-1] += chance.choice(STRINGS)
    repeat = chance.choice((b"\xf3", b"\xf3", b"\xf2"))
    return chance.choice(PREFIXES[bits]) + repeat + bytes(opcode)


def entry(chance: random.Random, page: int) -> int:
    """A window page's entry: mostly RAM of its own, sometimes another's, or something that stops a string."""
    rights = PTE_P | PTE_U | PTE_W
    frame = chance.choice((page, page, page, page, chance.randrange(PAGES))) * 0x1000 + FRAME
    kind = chance.random()
    if kind < 0.06:
        return frame | PTE_U | PTE_W
    if kind < 0.12:
        return frame | PTE_P | PTE_U
    if kind < 0.2:
        return CODE | rights
    if kind < 0.26:
        return LEAF | rights
    return (SIZE if kind < 0.28 else frame) | rights


def a_rig(way: str) -> Rig:
    """An engine that does pages at once, or the Python one, which iterates."""
    if way != "iterations":
        return Rig(way)
    rig = Rig("python")
    rig.engine.at_once = False
    return rig


def prepare(rig: Rig, seed: int, bits: int) -> int:
    """Tables, content, registers and the instruction's block; returns what follows it."""
    chance = random.Random(seed)
    for at, value in ((0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0x5000), (0x3010, LEAF)):
        rig.memory.write(at, (value | PTE_P | PTE_W | PTE_U).to_bytes(8, "little"))
    rig.memory.write(0x5000 + 8 * (CODE >> 12), (CODE | PTE_P | PTE_W | PTE_U).to_bytes(8, "little"))
    for page in range(PAGES):
        rig.memory.write(LEAF + 8 * page, entry(chance, page).to_bytes(8, "little"))
    content = chance.randbytes(64) * (PAGES << 6) if chance.random() < 0.5 else bytes(PAGES << 12)
    rig.memory.write(FRAME, content)
    code = instruction(chance, bits)
    rig.memory.write(CODE, code + b"\xf4" * 16)
    rig.memory.collect()
    rig.paging(0x1000)
    if bits == 32:
        rig.state["cs_attr"] = 0x49B
        for segment in ("es", "cs", "ss", "ds"):
            rig.state[f"{segment}_limit"] = 0xFFFF_FFFF
            rig.state[f"{segment}_attr"] |= 0x493
    rig.state["mode"] = mode_word(rig.state.words)
    assert M.code_bits(rig.state["mode"]) == bits
    registers(rig, chance)
    lowerer = Lowerer(rig.memory, Systems({}), set())
    block = lowerer.block(
        CODE, rig.state["mode"], lambda linear: rig.engine.translate(linear, FETCH), limit=1
    )
    rig.program[CODE] = block
    return block.following


def registers(rig: Rig, chance: random.Random) -> None:
    length = PAGES << 12
    rig.state["rsi"] = WINDOW + chance.randrange(length)
    near = rig.state["rsi"] + chance.choice((-70, -9, -8, -4, -1, 0, 1, 2, 4, 8, 9, 64, 70, 4096))
    rig.state["rdi"] = chance.choice((WINDOW + chance.randrange(length), near))
    rig.state["rcx"] = chance.choice((0, 1, 2, chance.randrange(100), chance.randrange(6000)))
    rig.state["rax"] = chance.choice((0, chance.getrandbits(64)))
    rig.state["rflags"] = 2 | chance.choice((0, 0, DF)) | chance.choice((0, 0x8D5))
    rig.state["rip"] = CODE
    if chance.random() < 0.1:
        rig.state["rdi"] |= 0xFFFF_FFFF << 32


def go(rig: Rig, steps: int) -> Leave:
    """`rig.go`, driving over stores into code, which the engines find with different care."""
    while True:
        reason = rig.go(steps)
        if reason is not Leave.CODE:
            return reason
        block = rig.program[CODE]
        rig.engine.invalidate(rig.state["fault_address"], rig.state["fault_error"])
        reason = Leave(rig.engine.once(block))
        if reason not in (Leave.BUDGET, Leave.STOP):
            return reason
        steps = rig.state["left"]


def look(rig: Rig, reason: Leave) -> object:
    slots = {k: v for k, v in rig.snapshot().items() if k != "left" and not (k[0] == "t" and k[1:].isdigit())}
    fault = rig.fault() if reason is Leave.FAULT else None
    return reason, slots, rig.state["left"], fault


def assert_same_pages(rigs: list[Rig]) -> None:
    """They have written the same pages since this was last asked."""
    native, python, judge = (rig.memory.collect() for rig in rigs)
    assert native == python == judge


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("seed", range(0, 160, 8))
def test_random(seed: int, bits: int) -> None:
    for one in range(seed, seed + 8):
        rigs = [a_rig(way) for way in WAYS]
        end = {prepare(rig, one, bits) for rig in rigs}
        chance = random.Random(one)
        for _ in range(12):
            steps = chance.choice((1, 2, chance.randrange(1, 64), chance.randrange(1, 5000)))
            *looks, judge = (look(rig, go(rig, steps)) for rig in rigs)
            assert looks == [judge, judge], (one, steps)
            *memories, memory = (rig.memory.read(0, SIZE) for rig in rigs)
            assert memories == [memory, memory], (one, steps)
            if chance.random() < 0.3:
                assert_same_pages(rigs)
            if rigs[0].state["rip"] in end or judge[0] is not Leave.BUDGET:
                break
        assert_same_pages(rigs)


def prepare_one(rig: Rig, code: str, present: int, content: bytes) -> None:
    """One instruction among pages of their own, the first `present` of which are there."""
    prepare(rig, 0, 64)
    for page in range(PAGES):
        value = FRAME + 0x1000 * page | PTE_W | PTE_U | (PTE_P if page < present else 0)
        rig.memory.write(LEAF + 8 * page, value.to_bytes(8, "little"))
    rig.memory.write(FRAME, content)
    rig.memory.write(CODE, bytes.fromhex(code))
    rig.engine.flush_translations()
    rig.program.clear()
    lowerer = Lowerer(rig.memory, Systems({}), set())
    rig.program[CODE] = lowerer.block(CODE, rig.state["mode"], lambda linear: linear, limit=1)


@pytest.mark.parametrize("flags", [0xD7, 0xD7 | DF])
@pytest.mark.parametrize("code", ["f3 a4", "f3 48 ab", "f3 66 ad", "f3 a6", "f2 48 af"])
def test_a_fault_at_every_position(code: str, flags: int) -> None:
    """The next page is missing; the string begins nearer to it each time, and again with its pages at hand."""
    content = random.Random(code).randbytes(4) * (PAGES << 10) if code == "f3 66 ad" else bytes(PAGES << 12)
    for distance in range(1, 40):
        states = []
        for way in WAYS:
            rig = a_rig(way)
            prepare_one(rig, code, 4, content)
            found = []
            for _ in range(2):
                for register in ("rsi", "rdi"):
                    rig.state[register] = WINDOW + (distance if flags & DF else 0x4000 - distance)
                rig.state["rcx"], rig.state["rax"], rig.state["rflags"] = 5000, int(code[1] == "2"), flags
                found.append((look(rig, rig.go(10_000, CODE)), rig.memory.read(FRAME, PAGES << 12)))
                assert found[-1][0][0] is Leave.FAULT
            states.append(found)
        assert states[0] == states[1] == states[2], distance


@pytest.mark.parametrize("flags", [2, 2 | DF])
@pytest.mark.parametrize("code", ["f3 a4", "f3 66 a5", "f3 a5", "f3 48 a5"])
def test_overlaps(code: str, flags: int) -> None:
    """What one iteration writes the next may read, whole or in part."""
    content = random.Random(code).randbytes(PAGES << 12)
    rigs = [a_rig(way) for way in WAYS]
    for rig in rigs:
        prepare_one(rig, code, PAGES, content)
    for apart in (*range(-17, 18), -400, -85, -40, 40, 85, 400):
        looks = []
        for rig in rigs:
            rig.state["rsi"], rig.state["rdi"] = WINDOW + 0x1800, WINDOW + 0x1800 + apart
            rig.state["rcx"], rig.state["rflags"] = 90, flags
            assert rig.go(90, CODE) is Leave.BUDGET
            looks.append((look(rig, Leave.BUDGET), rig.memory.read(FRAME, PAGES << 12)))
        assert looks[0] == looks[1] == looks[2], apart


def test_a_probe_sees_every_iteration() -> None:
    for name in ("native", "python"):
        rig = Rig(name)
        rig.memory.write(CODE, bytes.fromhex("f3aa"))
        lowerer = Lowerer(rig.memory, Systems({}), {CODE})
        rig.program[CODE] = lowerer.block(CODE, rig.state["mode"], lambda linear: linear)
        rig.state["rdi"], rig.state["rcx"], rig.state["rip"] = 0x9000, 50, CODE
        for done in range(5):
            assert rig.go(100) is Leave.PROBE
            assert rig.state["rcx"] == 50 - done
            rig.state["resume"] = CODE + 1
