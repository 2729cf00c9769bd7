"""Every µop does in C what its printed effect does in Python, on random operands."""

from __future__ import annotations

import random

import pytest

from ringzero.cpu.exits import Leave
from ringzero.cpu.state import GPRS, SLOT
from ringzero.cpu.uops.table import UOPS, Uop
from ringzero.isa.rflags import ARITHMETIC
from ringzero_tests.rig import BY_NAME, M64, Rig, word

pytest.importorskip("ringzero._native", reason="the C core is not built")

CASES = 40
OPERANDS = (*GPRS, "t0", "t1", "t2", "zero")
ENDINGS = ("JUMP(", "BRANCH(", "GOTO(", "RETURN(", "_WINDOW(")
PLAIN = [
    u
    for u in UOPS
    if not u.memory and not any(e in u.effect for e in (*ENDINGS, "SYSTEM(", "PROBE(", "STOP("))
]
MEMORY = [u for u in UOPS if u.memory and not any(e in u.effect for e in ENDINGS)]
ENDING = [u for u in UOPS if any(e in u.effect for e in ENDINGS)]
#: Immediates that the lowering promises to keep within a range.
COUNTED = (
    "shli",
    "shri",
    "sari",
    "roli",
    "rori",
    "rcli",
    "rcri",
    "shliq",
    "shriq",
    "sariq",
    "roliq",
    "roriq",
)


@pytest.fixture(scope="module")
def rigs() -> tuple[Rig, Rig]:
    return Rig("native"), Rig("python")


def fill(rig: Rig, seed: int) -> None:
    chance = random.Random(seed)
    for name in OPERANDS:
        rig.state[name] = word(chance) if name != "zero" else 0
    rig.state["rflags"] = chance.getrandbits(12) & (ARITHMETIC | 0x600) | 2
    rig.state["rip"], rig.state["left"], rig.state["end_step"] = 0x1000, 100, 1000


def immediate(u: Uop, chance: random.Random) -> int:
    if u.name.rstrip("0123456789") in COUNTED:
        return chance.randrange(1, u.width if u.width >= 32 else 32)
    if "R[" in u.effect:
        return chance.randrange(256)
    return word(chance)


def operands(u: Uop, chance: random.Random) -> tuple[int | str, ...]:
    d, a, b = (chance.choice(OPERANDS) for _ in range(3))
    third: int | str = chance.randrange(4)
    if "S" in u.effect.replace("SX", "").replace("SIGN", "") and u.name.startswith(("sel", "sh", "div")):
        third = chance.choice(OPERANDS)
    if d == "zero":
        d = "rax"
    if third == "zero":
        third = "rdx"
    return u.name, d, a, b, third, immediate(u, chance)


def same(rigs: tuple[Rig, Rig], what: object) -> None:
    native, python = (rig.snapshot() for rig in rigs)
    assert {k: v for k, v in native.items() if python[k] != v} == {}, (what, python)


@pytest.mark.parametrize("u", PLAIN, ids=lambda u: u.name)
def test_arithmetic(rigs: tuple[Rig, Rig], u: Uop) -> None:
    chance = random.Random(u.name)
    for case in range(CASES):
        args = operands(u, chance)
        if "SKIP(" in u.effect:
            args = (*args[:-1], 1)
        if u.name in ("readslot", "writeslot"):
            args = (u.name, "rax", "zero", args[3], 0, chance.choice((1, 5, 20)))
        if "SEGMENT(" in u.effect:
            continue  # see test_segments
        reasons = []
        for rig in rigs:
            fill(rig, case)
            if u.name == "setmode":
                rig.privilege(0)
            reasons.append(rig.micro(args, ("movi64", "t9", 0, 0, 0, 77), ("mov64", "t8", "t9")))
        assert reasons[0] == reasons[1], args
        if reasons[0] is Leave.FAULT:
            assert rigs[0].fault() == rigs[1].fault(), args
        same(rigs, args)


@pytest.mark.parametrize("u", MEMORY, ids=lambda u: u.name)
def test_memory(rigs: tuple[Rig, Rig], u: Uop) -> None:
    chance = random.Random(u.name)
    for case in range(CASES):
        address = chance.choice(
            (0x2000, 0x2FF8, 0x2FF9, 0x2FFC, 0x2FFF, 0x3000, 0xFFFF8, 0xFFFFE, 0x100000, 0x123456)
        )
        _, d, _, _, _, _ = operands(u, chance)
        scale = chance.randrange(4)
        reasons = []
        for rig in rigs:
            rig.memory.write(0x2000, bytes(range(256)) * 32)
            fill(rig, case)
            rig.state["t5"], rig.state["t6"] = (address - (3 << scale) - 5) & M64, 3
            if ".rsp" in u.effect:
                rig.state["rsp"] = address
            reasons.append(rig.micro((u.name, d, "t5", "t6", scale, shared(u, 5))))
        assert reasons[0] == reasons[1]
        start = address - pushed(u)
        assert (reasons[0] is Leave.MMIO) == (start + u.width // 8 > 0x100000), (hex(address), u.name)
        same(rigs, (u.name, hex(address)))
        assert rigs[0].memory.read(0x1000, 0x4000) == rigs[1].memory.read(0x1000, 0x4000)
        assert rigs[0].memory.collect() == rigs[1].memory.collect()


def shared(u: Uop, displacement: int) -> int:
    """The immediate of a memory µop; in some a second one stands below."""
    return displacement << 32 | 0x8123_4567 if ">> 32)" in u.effect and "SX32" in u.effect else displacement


def pushed(u: Uop) -> int:
    return 8 if ".rsp - 8" in u.effect else 0


@pytest.mark.parametrize("u", ENDING, ids=lambda u: u.name)
def test_endings(u: Uop) -> None:
    """A block of one instruction; the first run installs, so each case runs it once."""
    rigs = Rig("native"), Rig("python")
    chance = random.Random(u.name)
    for case in range(12):
        args = operands(u, chance)
        if "LOAD(A" in u.effect or "LOAD(EA" in u.effect:
            args = (*args[:2], "t5", "zero", 0, shared(u, 16))
        near = args[2] != "zero" and (chance.random() < 0.5 or u.name == "goto_window")
        reasons = []
        for rig in rigs:
            fill(rig, case)
            rig.state["rsp"] = 0x8000
            rig.state["shadow"] = 7
            rig.memory.write(0x8000, (0x5000 if near else 1 << 47).to_bytes(8, "little"))
            if near:
                rig.state[str(args[2])] = 0x4440
            rig.state["t5"] = 0x8000 - 16 - case
            rig.state["attention"] = case & 1
            rig.engine.flush_blocks()
            rig.program = {}
            rig.add(0x1000, [args], target=0x3000)
            reasons.append(rig.go(5))
        assert reasons[0] == reasons[1]
        assert reasons[0] in (Leave.MISS, Leave.FAULT, Leave.WINDOW)
        assert rigs[0].state["left"] == (5 if reasons[0] is Leave.FAULT else 4)
        same(rigs, args)


@pytest.mark.parametrize("name", ["native", "python"])
def test_segments(name: str) -> None:
    """Limits, expand-down segments, types and absent segments outside 64-bit mode (SDM 3A 5.3, 5.4)."""
    rig = Rig(name)
    table = [  # attr, base, limit, offset, width, write → linear address or vector
        (0xC93, 0x1000, 0xFFFF_FFFF, 0x20, 4, 0, 0x1020),
        (0xC93, 0xFFFF_F000, 0xFFFF_FFFF, 0x2000, 4, 1, 0x1000),
        (0xC91, 0, 0xFFFF_FFFF, 0x20, 4, 1, 13),  # read only
        (0x493, 0, 0xFF, 0xFC, 4, 0, 0xFC),
        (0x493, 0, 0xFF, 0xFD, 4, 0, 13),
        (0x493, 0, 0xFFFF_FFFF, 0xFFFF_FFFD, 4, 0, 13),  # wraps
        (0x413, 0, 0xFF, 0, 1, 0, 13),  # not present
        (0x497, 0, 0xFFF, 0xFFF, 1, 0, 13),  # expand down: up to the limit is outside
        (0x497, 0, 0xFFF, 0x1000, 4, 0, 0x1000),
        (0x097, 0, 0xFFF, 0xFFFE, 4, 0, 13),  # ... and its top is 64 KiB without B
        (0x49B, 0, 0xFFF, 0, 4, 0, 0),  # readable code
        (0x499, 0, 0xFFF, 0, 4, 0, 13),  # execute only
        (0x49B, 0, 0xFFF, 0, 4, 1, 13),
    ]
    for number, segment in ((3, "ds"), (2, "ss")):
        for attr, base, limit, offset, width, write, expected in table:
            rig.state[f"{segment}_attr"], rig.state[f"{segment}_base"] = attr, base
            rig.state[f"{segment}_limit"] = limit
            rig.state["t0"], rig.state["t1"] = number, offset
            reason = rig.micro(("segment", "t2", "t1", "t0", 0, width | write << 4))
            if expected in (12, 13):
                assert reason is Leave.FAULT
                assert rig.fault()[:2] == (12 if number == 2 else 13, 0)
            else:
                assert (reason, rig.state["t2"]) == (Leave.STOP, expected)


def test_every_uop_is_tried() -> None:
    rest = set(UOPS) - set(PLAIN) - set(MEMORY) - set(ENDING)
    assert {u.name for u in rest} <= {"system", "probe", "stop"}
    assert len(BY_NAME) == len(UOPS)
    assert SLOT["zero"] < 256
