"""Repeated string instructions done at once equal their iterations, each of them a step.

The Python engine takes every pass through the block; the native one may do a page at a time. Random counts, addresses,
overlaps, frames that two pages share, pages that are missing, read-only, tables, code or no RAM, and stops anywhere.
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


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("seed", range(0, 160, 8))
def test_random(seed: int, bits: int) -> None:
    for one in range(seed, seed + 8):
        rigs = Rig("native"), Rig("python")
        end = {prepare(rig, one, bits) for rig in rigs}
        chance = random.Random(one)
        for _ in range(12):
            steps = chance.choice((1, 2, chance.randrange(1, 64), chance.randrange(1, 5000)))
            native, python = (look(rig, go(rig, steps)) for rig in rigs)
            assert native == python, (one, steps)
            assert rigs[0].memory.read(0, SIZE) == rigs[1].memory.read(0, SIZE), (one, steps)
            if chance.random() < 0.3:
                assert rigs[0].memory.collect() == rigs[1].memory.collect()
            if rigs[0].state["rip"] in end or native[0] is not Leave.BUDGET:
                break
        assert rigs[0].memory.collect() == rigs[1].memory.collect()


@pytest.mark.parametrize("code", ["f3 a4", "f3 48 ab", "f3 66 ad", "f3 a6", "f2 48 af"])
def test_a_fault_at_every_position(code: str) -> None:
    """The page behind the fourth is missing; the string begins nearer to it each time."""
    for distance in range(1, 40):
        states = []
        for name in ("native", "python"):
            rig = Rig(name)
            prepare(rig, 0, 64)
            for page in range(PAGES):
                rights = PTE_W | PTE_U | (PTE_P if page < 4 else 0)
                value = FRAME + 0x1000 * page | rights
                rig.memory.write(LEAF + 8 * page, value.to_bytes(8, "little"))
            rig.memory.write(FRAME, bytes(PAGES << 12))
            rig.memory.write(CODE, bytes.fromhex(code))
            rig.engine.flush_translations()
            rig.program.clear()
            lowerer = Lowerer(rig.memory, Systems({}), set())
            rig.program[CODE] = lowerer.block(CODE, rig.state["mode"], lambda linear: linear, limit=1)
            for register in ("rsi", "rdi"):
                rig.state[register] = WINDOW + 0x4000 - distance
            rig.state["rcx"], rig.state["rax"], rig.state["rflags"] = 5000, 1 if code[1] == "2" else 0, 0xD7
            states.append((look(rig, rig.go(10_000)), rig.memory.read(FRAME, PAGES << 12)))
            assert states[-1][0][0] is Leave.FAULT
        assert states[0] == states[1], distance


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
