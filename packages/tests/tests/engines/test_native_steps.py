"""Exact steps: a run that is stopped anywhere, as often as one likes, ends as one that never was.

Random programs of raw µops, held against the Python engine, which neither drops flags nor fuses nor links.
"""

from __future__ import annotations

import random

import pytest

from ringzero.cpu.exits import Leave
from ringzero.cpu.state import SLOT
from ringzero.cpu.uops.table import CONDITIONS, UOPS
from ringzero.isa.control import PTE_P, PTE_PS, PTE_U, PTE_W
from ringzero_tests.rig import Rig, Uop, word

pytest.importorskip("ringzero._native", reason="the C core is not built")

BLOCKS = tuple(range(0x10_0000, 0x10_3000, 0x140))
REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9")
SIMPLE = [
    u
    for u in UOPS
    if not u.memory and not u.leaves and not u.fused and "R[" not in u.effect and "sh" not in u.name[:2]
]
JOINED = [u.joined for u in UOPS if u.joined]
FLAGGED = [u for u in SIMPLE if u.flags]
SIZE = 2 << 20
SCRATCH = 0x8000


def simple(chance: random.Random) -> Uop:
    u = chance.choice(FLAGGED if chance.random() < 0.6 else SIMPLE)
    d, a, b = (chance.choice(REGISTERS) for _ in range(3))
    return u.name, d, a, b, chance.randrange(4), chance.randrange(1, 16)


def instruction(chance: random.Random) -> list[Uop]:
    kind = chance.random()
    if kind < 0.6:
        return [simple(chance) for _ in range(chance.choice((1, 1, 1, 2)))]
    if kind < 0.68:
        over = chance.randrange(1, 3)
        return [(chance.choice(("skipz", "skipnz")), 0, chance.choice(REGISTERS), "zero", 0, over),
                *(simple(chance) for _ in range(over + chance.randrange(2))), ("nop",)]  # fmt: skip
    if kind < 0.7:
        return [("divu32", "t3", "rcx", "zero", "t4")]
    if kind < 0.71:
        return [("faultif", 0, "t9", "zero", 0, 13)]
    if kind < 0.85:
        return joined(chance)
    width = chance.choice((8, 16, 32, 64))
    address: Uop = ("bits", "t0")
    offset = SCRATCH + chance.choice((0, 8, 0x10, 0xFFC, 0xFFF))
    name = chance.choice(("ld", "st", "ldw", "st", "ld"))
    address = ("movi64", "t0", 0, 0, 0, offset)
    return [
        address,
        (f"{name}{width}", chance.choice(REGISTERS), "t0"),
        *([simple(chance)] if chance.random() < 0.5 else []),
    ]


def joined(chance: random.Random) -> list[Uop]:
    """A pair that may become one µop; sometimes not quite, and sometimes its temporary is wanted again."""
    first, second, how = chance.choice(JOINED)
    one, two = chance.choice(REGISTERS), chance.choice(REGISTERS)
    place = chance.choice(
        (("t0", "zero", 0, 8), ("t0", "zero", 0, -1 << 31), ("t0", "zero", 0, 1 << 31), ("rsp", "zero", 0, 8))
    )
    constant = chance.choice((1, -1, 0x7FFF_FFFF, 0x8000_0000, 1 << 31 | 1 << 40, word(chance)))
    operands = (
        one,
        *{"into": (one, "t7"), "beside": (one, "t7")}.get(how, ("t7", "zero")),
    )
    if chance.random() < 0.2:
        operands = (one, chance.choice(("t7", two)), chance.choice(("t7", two)))
    pair: list[Uop] = [(first, "t7", *place), (second, *operands, 0, constant)]
    if how == "of":
        pair = [(first, "t7", "zero", "zero", 0, constant), (second, "t7", *place)]
    again: list[Uop] = [("mov64", two, "t7")] if chance.random() < 0.2 else []
    near = SCRATCH + chance.choice((0, 0xFFD, 0xFFC)) - place[3]
    return [("movi64", "t0", 0, 0, 0, near), *pair, *again]


def ending(chance: random.Random) -> tuple[list[Uop], int]:
    target = chance.choice(BLOCKS)
    kind = chance.random()
    if kind < 0.2:
        name, jump = chance.choice([u.fused for u in UOPS if u.memory and u.fused])
        load, compare = name.split("+")
        operands = ("zero", "t7", "zero") if compare.rstrip("0123456789")[-1] == "i" else (0, "rcx", "t7")
        constant = chance.choice((0, 1, -1, chance.getrandbits(8)))
        near = SCRATCH + chance.choice((0, 0xFFD, 0xFFC, 1 << 30))  # the last lies beyond RAM
        return [
            ("movi64", "t0", 0, 0, 0, near),
            (load, "t7", "t0"),
            (compare, *operands, 0, constant),
            (jump,),
        ], target
    if kind < 0.6:
        pair = [(f"j{chance.choice(list(CONDITIONS))}",)]
        if chance.random() < 0.7:
            first = chance.choice(("cmp", "test", "inc", "dec", "add", "sub", "and", "cmpi", "testi", "addi"))
            pair.insert(
                0,
                (
                    f"{first}{chance.choice((8, 16, 32, 64))}",
                    *(chance.choice(REGISTERS) for _ in range(3)),
                    0,
                    3,
                ),
            )
        return pair, target
    if kind < 0.75:
        return [("jump",)], target
    if kind < 0.85:
        return [("movi64", "t1", 0, 0, 0, target), ("goto", 0, "t1")], 0
    if kind < 0.93:
        return [
            ("movi64", "t1", 0, 0, 0, chance.getrandbits(12) & 0x8D5),
            ("setflags", 0, "t1", "zero", 0, 0x8D5),
            ("next_window",),
        ], 0
    return [("movi64", "rsp", 0, 0, 0, 0x9000), ("call64", 0, "zero", "zero", 0, target)], target


def program(rig: Rig, seed: int) -> None:
    """Blocks that go to each other or to what follows them; `next` of each lands on another block's address."""
    chance = random.Random(seed)
    for number, linear in enumerate(BLOCKS):
        instructions = [instruction(chance) for _ in range(chance.randrange(1, 9))]
        last, target = ending(chance)
        if chance.random() < 0.3:
            instructions[-1] += list(last[:-1])
            last = last[-1:]
        instructions.append(last)
        lengths = [4] * len(instructions)
        lengths[-1] = min(0x140, 4096 - (linear & 0xFFF)) - 4 * (len(instructions) - 1)
        block = rig.add(linear, *instructions, target=target, lengths=lengths)
        if block.following not in BLOCKS:  # the page's rest, or the end of all
            step = rig.add(
                block.following, [("nop",)], [("jump",)], target=BLOCKS[(number + 1) % len(BLOCKS)]
            )
            assert step.linear not in BLOCKS


def start(rig: Rig, seed: int) -> None:
    program(rig, seed)
    chance = random.Random(seed + 1)
    for name in REGISTERS:
        rig.state[name] = word(chance)
    rig.state["rsp"], rig.state["rip"] = 0x9000, BLOCKS[0]
    rig.memory.write(SCRATCH, chance.randbytes(0x2000))


def advance(rig: Rig, steps: int) -> None:
    """Run exactly `steps`, driving over faults: a faulting instruction is passed by as one step."""
    left = steps
    while left:
        reason = rig.go(left)
        left = rig.state["left"]
        if reason in (Leave.FAULT, Leave.MMIO):
            rig.state["rcx"] += 1
            rig.state["rip"] = BLOCKS[rig.state["rcx"] % len(BLOCKS)]
            left -= 1
        else:
            assert reason in (Leave.BUDGET, Leave.WINDOW)  # TF may be set


def look(rig: Rig) -> tuple[dict[str, int], bytes]:
    skip = ("left", "end_step", "t")
    return {
        k: v for k, v in rig.snapshot().items() if k not in skip and not k.startswith("t")
    }, rig.memory.read(0x7000, 0x3000)


@pytest.mark.parametrize("seed", range(40))
def test_random_stops(seed: int) -> None:
    chance = random.Random(seed)
    rigs = [Rig("native", SIZE), Rig("python", SIZE), Rig("native", SIZE, arena=24 << 10)]
    for rig in rigs:
        start(rig, seed)
    for _ in range(25):
        steps = chance.choice((1, 2, 3, 7, 20, 150))
        native, python, small = rigs
        advance(native, steps)
        advance(python, steps)
        done = 0
        while done < steps:  # the third stops on the way
            part = min(chance.randrange(1, 9), steps - done)
            advance(small, part)
            done += part
        for other in (python, small):
            mine, its = look(native), look(other)
            assert {k: v for k, v in mine[0].items() if its[0][k] != v} == {}
            assert mine[1] == its[1]


def test_single_steps_equal_one_run() -> None:
    whole, single = Rig("native", SIZE), Rig("native", SIZE)
    for rig in (whole, single):
        start(rig, 3)
    advance(whole, 500)
    for _ in range(500):
        advance(single, 1)
    assert look(whole) == look(single)


@pytest.mark.parametrize("name", ["native", "python"])
def test_no_steps(name: str) -> None:
    """With nothing left a run does nothing: no fetch, no miss."""
    rig = Rig(name)
    rig.state["rip"], rig.state["left"] = 0x1000, 0
    assert rig.engine.run() == Leave.BUDGET
    assert (rig.state["rip"], rig.state["left"]) == (0x1000, 0)


@pytest.mark.parametrize("name", ["native", "python"])
def test_a_stop_before_a_new_page_fetches_nothing(name: str) -> None:
    """Neither a fault nor an accessed bit comes from an instruction that has no step to run in."""
    rig = Rig(name)
    for level in (0x2000, 0x3000, 0x4000):
        rig.memory.write(level, (level + 0x1000 | 7).to_bytes(8, "little"))
    rig.memory.write(0x5008, (0x1007).to_bytes(8, "little") + bytes(8) + (0x6007).to_bytes(8, "little"))
    rig.paging(0x2000)
    for target, entry in ((0x2000, 0), (0x3000, 0x6007)):
        rig.engine.flush_blocks()
        rig.add(0x1000, [("nop",)], [("jump",)], target=target)
        assert rig.go(2, 0x1000) is Leave.BUDGET
        assert (rig.state["rip"], rig.state["left"]) == (target, 0)
        assert rig.memory.read(0x5000 + (target >> 9), 8) == entry.to_bytes(8, "little")
        assert rig.go(1) is (Leave.MISS if entry else Leave.FAULT)


def test_one_step_an_iteration() -> None:
    """A block that jumps to itself is how REP runs: every entry is a step, and any of them can be the last."""
    rig = Rig()
    rig.add(
        0x1000,
        [("addiq64", "rax", "rax", 0, 0, 1), ("cmpi64", 0, "rax", 0, 0, 1000), ("jne",)],
        target=0x1000,
    )
    rig.add(0x1004, [("goto", 0, "zero")])
    assert rig.go(10, 0x1000) is Leave.BUDGET
    assert (rig.state["rax"], rig.state["rip"]) == (10, 0x1000)
    assert rig.go(990) is Leave.BUDGET
    assert (rig.state["rax"], rig.state["rip"], rig.state["left"]) == (1000, 0x1004, 0)


def test_faults_give_back_what_has_not_retired() -> None:
    rig = Rig()
    rig.add(0x1000, [("addi64", "rax", "rax", 0, 0, 1)], [("faultif", 0, "rbx", "rcx", 0, 13)],
            [("addi64", "rax", "rax", 0, 0, 1)], [("jump",)], target=0x1000)  # fmt: skip
    rig.state["rbx"], rig.state["rcx"] = 1, 0x18
    assert rig.go(100, 0x1000) is Leave.FAULT
    assert (rig.state["rip"], rig.state["left"], rig.state["rax"]) == (0x1004, 99, 1)
    assert rig.fault() == (13, 0x18, 0)


def test_a_fault_in_the_cut_part_of_a_block() -> None:
    rig = Rig()
    rig.add(0x1000, [("nop",)], [("faultif", 0, "rbx", "zero", 0, 6)], [("nop",)], [("nop",)], [("jump",)])
    rig.state["rbx"] = 1
    assert rig.go(3, 0x1000) is Leave.FAULT
    assert (rig.state["rip"], rig.state["left"]) == (0x1004, 2)


def test_budgets_beyond_what_a_register_counts() -> None:
    rig = Rig()
    rig.add(
        0x1000,
        [("faultif", 0, "rax", "zero", 0, 6)],
        [("addi64", "rax", "rax", 0, 0, 1)],
        [("jump",)],
        target=0x1000,
    )
    rig.state["rip"], rig.state["left"] = 0x1000, (1 << 64) - 1
    assert rig.go((1 << 64) - 1) is Leave.FAULT
    assert rig.state["left"] == (1 << 64) - 1 - 3


def test_system_probe_and_windows() -> None:
    rig = Rig()
    rig.add(
        0x1000, [("nop",)], [("system", 1, "rcx", "rdx", 3, 0x55)], [("probe",), ("nop",)], [("next_window",)]
    )
    assert rig.go(50, 0x1000) is Leave.SYSTEM
    found = [rig.state[f"exit_{n}"] for n in ("d", "a", "b", "s", "imm")]
    assert found == [1, SLOT["rcx"], SLOT["rdx"], 3, 0x55]
    assert (rig.state["rip"], rig.state["next_rip"], rig.state["left"]) == (0x1004, 0x1008, 49)
    rig.add(0x1008, [("probe",), ("nop",)], [("next_window",)])
    assert rig.go(50, 0x1008) is Leave.PROBE
    assert (rig.state["rip"], rig.state["left"]) == (0x1008, 50)
    rig.state["resume"], rig.state["attention"] = 0x1009, 1
    rig.state["rflags"] |= 0x200
    assert rig.go(50) is Leave.WINDOW
    assert (rig.state["rip"], rig.state["left"], rig.state["resume"]) == (0x1010, 48, 0)
    rig.state["attention"] = 0
    assert rig.go(50, 0x1008) is Leave.PROBE
    rig.state["resume"] = 0x1009
    assert rig.go(50) is Leave.MISS
    assert (rig.state["rip"], rig.state["left"]) == (0x1010, 48)


def test_once_runs_one_instruction() -> None:
    rig = Rig()
    block = rig.block(0x1000, [("addi64", "rax", "rax", 0, 0, 1), ("jump",)], target=0x5000)
    rig.state["left"], rig.state["rip"] = 7, 0x1000
    assert rig.engine.once(block) is Leave.BUDGET
    assert (rig.state["rip"], rig.state["left"], rig.state["rax"]) == (0x5000, 6, 1)
    faulting = rig.block(0x1000, [("fault", 0, "zero", "zero", 0, 6)])
    assert rig.engine.once(faulting) is Leave.FAULT
    assert (rig.state["rip"], rig.state["left"]) == (0x1000, 6)
    assert rig.engine.count("blocks") == 0


def test_microprograms_charge_nothing_and_undo_rip() -> None:
    rig = Rig()
    rig.state["left"], rig.state["rip"] = 7, 0x1000
    assert rig.micro(("movi64", "rip", 0, 0, 0, 0x9000)) is Leave.STOP
    assert (rig.state["rip"], rig.state["left"]) == (0x9000, 7)
    assert rig.micro(("movi64", "rip", 0, 0, 0, 1), ("fault", 0, "zero", "zero", 0, 10)) is Leave.FAULT
    assert (rig.state["rip"], rig.state["left"]) == (0x9000, 7)


@pytest.mark.parametrize("name", ["native", "python"])
def test_a_displacement_beyond_32_bits(name: str) -> None:
    """It finds no half of an immediate: at 4 GiB there is a page, and none at 0."""
    rig = Rig(name)
    present = PTE_P | PTE_W | PTE_U
    rig.memory.write(0x1000, (0x2000 | present).to_bytes(8, "little"))
    rig.memory.write(0x2000 + 4 * 8, (PTE_PS | present).to_bytes(8, "little"))
    rig.memory.write(0x8000, b"\x05")
    rig.paging(0x1000)
    far = 1 << 32
    store = [("movi64", "t0", 0, 0, 0, 9), ("st8", "t0", "zero", "zero", 0, far + 0x9000)]
    compare = [("ld8", "t0", "zero", "zero", 0, far + 0x8000), ("cmpi8", 0, "t0", "zero", 0, 5)]
    rig.add(far + 0xA000, store, compare, [("je",)], target=far + 0xB000, physical=0xA000)
    assert rig.go(10, far + 0xA000) is Leave.MISS
    assert rig.state["rip"] == far + 0xB000
    assert rig.memory.read(0x9000, 1) == b"\x09"
