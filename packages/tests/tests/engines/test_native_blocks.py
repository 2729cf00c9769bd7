"""Blocks come and go unseen: links, stores into code, straddling instructions, remapped code, a full arena."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from ringzero.cpu.exits import CLEAN, CODE, FETCH, TABLE, Leave
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.uops.table import PACKED
from ringzero_tests.rig import Rig, uop

native = pytest.importorskip("ringzero.cpu.engine.native", reason="the C core is not built")

INC = ("addi64", "rax", "rax", "zero", 0, 1)


def chain(rig: Rig, *addresses: int) -> None:
    """Blocks of one instruction, each jumping to the next and the last to the first."""
    for linear, target in zip(addresses, (*addresses[1:], addresses[0]), strict=True):
        rig.add(linear, [INC, ("jump",)], target=target)


def test_jumps_are_linked_within_a_page_only() -> None:
    rig = Rig()
    chain(rig, 0x1000, 0x1100, 0x2000)
    assert rig.go(30, 0x1000) is Leave.BUDGET
    assert rig.state["rax"] == 30
    assert rig.misses == 3
    assert rig.engine.count("links") == 1


def test_a_dropped_block_is_found_anew_through_old_links() -> None:
    rig = Rig()
    chain(rig, 0x1000, 0x1100, 0x1200)
    rig.go(30, 0x1000)
    rig.engine.invalidate(0x1101, 1)
    assert rig.engine.count("blocks") == 2
    rig.add(0x1100, [("addi64", "rbx", "rbx", "zero", 0, 1), ("jump",)], target=0x1200)
    assert rig.go(30, 0x1000) is Leave.BUDGET
    assert (rig.state["rax"], rig.state["rbx"]) == (30 + 20, 10)
    for _ in range(50):
        rig.engine.invalidate(0x1100, 4)
        assert rig.go(3, 0x1000) is Leave.BUDGET
    assert (rig.state["rax"], rig.state["rbx"]) == (50 + 100, 10 + 50)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_dropped_block_with_few_steps_left(steps: int) -> None:
    rig = Rig()
    rig.add(0x1000, [INC], [INC, ("jump",)], target=0x1100)
    rig.add(0x1100, [INC], [INC], [INC, ("jump",)], target=0x1000)
    rig.go(25, 0x1000)
    rig.engine.invalidate(0x1100, 1)
    before = rig.state["rax"]
    assert rig.go(steps, 0x1100) is Leave.BUDGET
    assert rig.state["rax"] == before + steps


def test_the_store_into_code_leaves_before_its_instruction() -> None:
    rig = Rig()
    rig.add(
        0x1000, [INC], [("movi64", "t0", 0, 0, 0, 0x1100), ("st64", "rax", "t0")], [("jump",)], target=0x1100
    )
    rig.add(0x1100, [INC, ("jump",)], target=0x1000)
    assert rig.go(6, 0x1000) is Leave.CODE
    assert rig.fault()[1:] == (8, 0x1100)
    assert (rig.state["rip"], rig.state["left"], rig.state["rax"]) == (0x1004, 1, 3)
    assert rig.memory.read(0x1100, 1) == b"\x01"  # from before there was a block
    rig.engine.invalidate(0x1100, 8)
    alone = rig.block(0x1004, [("movi64", "t0", 0, 0, 0, 0x1100), ("st64", "rax", "t0"), ("next",)])
    rig.state["left"] = 1
    assert rig.engine.once(alone) is Leave.BUDGET
    assert rig.memory.read(0x1100, 1) == b"\x03"
    assert rig.state["rip"] == 0x1008


@pytest.mark.parametrize(("offset", "width", "leaves"), [
    (0x40, 8, True), (0x7F, 8, True), (0x3F, 8, False), (0x39, 64, True), (0x38, 64, False), (0x80, 8, False),
    (0x3D, 32, True), (0x3C, 32, False),
])  # fmt: skip
def test_granules(offset: int, width: int, leaves: bool) -> None:
    """A store beside code on its page is plain; one that touches its 64 bytes leaves."""
    rig = Rig()
    rig.add(0x1050, [INC, ("jump",)], target=0x1050)
    rig.go(2, 0x1050)
    rig.state["t0"] = 0x1000 + offset
    reason = rig.micro((f"st{width}", "t0", "t0"))
    assert reason is (Leave.CODE if leaves else Leave.STOP)
    assert rig.micro((f"ldw{width}", "t1", "t0")) is reason
    if leaves:
        physical, length = rig.fault()[2], rig.fault()[1]
        rig.engine.invalidate(physical, length)
        assert rig.micro((f"st{width}", "t0", "t0")) is Leave.STOP
        assert not rig.memory.page_flags[1] & CODE


def test_write_permission_goes_when_code_comes() -> None:
    rig = Rig()
    rig.state["t0"] = 0x1100
    assert rig.micro(("st64", "t0", "t0"), ("st64", "t0", "t0")) is Leave.STOP
    rig.add(0x1100, [INC, ("jump",)], target=0x1100)
    rig.go(2, 0x1100)
    assert rig.micro(("st64", "t0", "t0")) is Leave.CODE


def test_collect_sees_every_write() -> None:
    rig = Rig()
    rig.memory.collect()
    rig.state["t0"] = 0x5000
    for _ in range(3):
        assert rig.micro(("st8", "t0", "t0"), ("st8", "t0", "t0")) is Leave.STOP
        assert rig.memory.page_flags[5] & CLEAN == 0
        assert rig.memory.collect() == [5]


# --- instructions on two pages ---


def tables(rig: Rig, pages: dict[int, int]) -> None:
    """Long mode with 4 KiB pages: linear pages below 2 MiB, to physical ones; the tables lie at 0x1000 to 0x4FFF."""
    for level in (0x1000, 0x2000, 0x3000):
        rig.memory.write(level, (level + 0x1000 | 0x27).to_bytes(8, "little"))
    for linear, physical in pages.items():
        rig.memory.write(0x4000 + (linear >> 9), (physical | 7).to_bytes(8, "little"))
    rig.paging(0x1000)


def straddling(rig: Rig) -> None:
    rig.add(0x10FFE, [INC, ("jump",)], target=0x10F00, physical=0x20FFE, physical2=0x30000)
    rig.add(0x10F00, [INC, ("jump",)], target=0x10FFE, physical=0x20F00)


def test_a_straddling_block_asks_for_its_second_page() -> None:
    rig = Rig()
    tables(rig, {0x10000: 0x20000, 0x11000: 0x30000})
    straddling(rig)
    assert rig.go(20, 0x10FFE) is Leave.BUDGET
    assert rig.engine.count("links") == 2
    rig.memory.write(0x4000 + (0x11000 >> 9), (0x40000 | 7).to_bytes(8, "little"))
    rig.engine.flush_translations()
    rig.program.clear()
    assert rig.go(20) is Leave.MISS
    assert (rig.state["rip"], rig.state["left"]) == (0x10FFE, 20)
    rig.add(0x10FFE, [("addi64", "rbx", "rbx", "zero", 0, 1), ("jump",)], target=0x10F00,
            physical=0x20FFE, physical2=0x40000)  # fmt: skip
    assert rig.go(20) is Leave.BUDGET
    assert (rig.state["rax"], rig.state["rbx"]) == (30, 10)
    rig.memory.write(0x4000 + (0x11000 >> 9), bytes(8))
    rig.engine.flush_translations()
    assert rig.go(0) is Leave.BUDGET
    rig.program.clear()
    assert rig.go(5) is Leave.MISS  # and the driver's fetch finds the fault
    with pytest.raises(GuestFault):
        rig.engine.translate(0x11000, FETCH)


@pytest.mark.parametrize("physical", [0x20FFE, 0x30001])
def test_a_straddling_block_goes_with_either_page(physical: int) -> None:
    rig = Rig()
    tables(rig, {0x10000: 0x20000, 0x11000: 0x30000})
    straddling(rig)
    rig.go(20, 0x10FFE)
    assert rig.memory.page_flags[0x20] & rig.memory.page_flags[0x30] & CODE
    rig.engine.invalidate(physical, 1)
    assert rig.engine.count("blocks") == 1
    assert not rig.memory.page_flags[0x30] & CODE
    rig.go(20, 0x10FFE)
    assert rig.state["rax"] == 40


def test_both_halves_on_one_frame() -> None:
    rig = Rig()
    tables(rig, {0x10000: 0x20000, 0x11000: 0x20000})
    rig.add(0x10FFE, [INC, ("jump",)], target=0x10FFE, physical=0x20FFE, physical2=0x20000)
    assert rig.go(20, 0x10FFE) is Leave.BUDGET
    rig.state["t0"] = 0x11000
    assert rig.micro(("st8", "t0", "t0")) is Leave.CODE
    rig.engine.invalidate(0x20000, 1)
    assert rig.engine.count("blocks") == 0
    assert not rig.memory.page_flags[0x20] & CODE


# --- stores into page tables ---


def remapper(rig: Rig, uops: list[tuple[object, ...]]) -> None:
    """Code at 0x10000 that stores rbx into its own page's table entry in the middle of a block."""
    tables(rig, {page: page for page in range(0, 0x100000, 0x1000)})
    rig.state["t8"] = 0x4000 + (0x10000 >> 9)
    rig.state["rbx"] = 0x20000 | 7
    rig.engine.install(
        rig.block(0x10000, [("cmpi64", 0, "rcx", "zero", 0, 5), INC], [*uops, INC], [INC], [INC], [("jump",)],
                  target=0x10000)
    )  # fmt: skip


@pytest.mark.parametrize("steps", [2, 3, 40])
@pytest.mark.parametrize("name", ["native", "python"])
def test_code_that_remaps_itself(name: str, steps: int) -> None:
    """The instruction behind the store comes from the new frame, wherever a stop falls."""
    rig = Rig(name)
    remapper(rig, [("st64", "rbx", "t8")])
    if steps == 2:
        assert rig.go(2, 0x10000) is Leave.BUDGET
        assert rig.go(1) is Leave.MISS
    else:
        assert rig.go(steps, 0x10000) is Leave.MISS
    assert (rig.state["rip"], rig.state["left"], rig.state["rax"]) == (0x10008, max(steps - 2, 1), 2)
    assert rig.memory.read(0x4000 + (0x10000 >> 9), 3) == (0x20027).to_bytes(3, "little")  # A, and no D


@pytest.mark.parametrize("name", ["native", "python"])
def test_a_stack_push_that_unmaps_the_code(name: str) -> None:
    rig = Rig(name)
    remapper(rig, [("push64", 0, "rbx")])
    rig.state["rsp"] = rig.state["t8"] + 8
    rig.state["rbx"], rig.state["rax"] = 0, (1 << 63) - 2
    assert rig.go(50, 0x10000) is Leave.FAULT
    assert rig.fault() == (14, 16, 0x10008)
    assert (rig.state["rip"], rig.state["left"], rig.state["rax"]) == (0x10008, 48, 1 << 63)
    assert rig.state["rsp"] == rig.state["t8"]
    assert rig.state["rflags"] & 0x8D5 == 0x894  # of an addition whose flags the next would have hidden


@pytest.mark.parametrize("name", ["native", "python"])
def test_a_call_that_remaps_the_code_it_goes_to(name: str) -> None:
    rig = Rig(name)
    tables(rig, {page: page for page in range(0, 0x100000, 0x1000)})
    rig.state["rsp"] = 0x50008
    rig.engine.install(rig.block(0x10100, [INC, ("jump",)], target=0x10100))
    rig.engine.install(rig.block(0x10000, [("call64", 0, "zero", "zero", 0, 0x20007)], target=0x10100))
    assert rig.go(3, 0x10000) is Leave.BUDGET
    rig.state["rsp"] = 0x4000 + (0x10000 >> 9) + 8
    assert rig.go(3, 0x10000) is Leave.MISS  # its target lies on frame 0x20000 now
    assert (rig.state["rip"], rig.state["left"]) == (0x10100, 2)


@pytest.mark.parametrize("name", ["native", "python"])
def test_code_that_clears_its_own_accessed_bit(name: str) -> None:
    """It is set again before the next instruction can look, and whether or not a stop falls between."""
    rig = Rig(name)
    remapper(rig, [("st64", "rbx", "t8")])
    rig.state["rbx"] = 0x10000 | 7
    assert rig.go(2, 0x10000) is Leave.BUDGET
    assert rig.memory.read(0x4000 + (0x10000 >> 9), 3) == (0x10027).to_bytes(3, "little")


def test_a_table_that_is_one_no_longer_costs_nothing() -> None:
    rig = Rig()
    tables(rig, {page: page for page in range(0, 0x100000, 0x1000)})
    rig.state["t0"] = 0x4800
    assert rig.micro(("ld64", "t1", "t0")) is Leave.STOP
    assert rig.memory.page_flags[4] & TABLE
    rig.state["cr0"] &= ~(1 << 31)
    rig.engine.flush_translations()
    assert not rig.memory.page_flags[4] & TABLE
    flushes = rig.engine.count("flushes")
    for _ in range(5):
        assert rig.micro(("st64", "t1", "t0")) is Leave.STOP
    assert rig.engine.count("flushes") == flushes


def test_accessed_bits_among_code() -> None:
    """A walk that has to write an entry into translated bytes leaves first, as a store would."""
    rig = Rig()
    tables(rig, {page: page for page in range(0, 0x100000, 0x1000)})
    rig.add(0x4280, [INC, ("jump",)], target=0x4280)
    assert rig.go(1, 0x4280) is Leave.BUDGET
    entry = 0x4000 + (0x50000 >> 9)
    assert entry == 0x4280
    rig.state["t0"] = 0x50000
    assert rig.micro(("ld8", "t1", "t0")) is Leave.CODE
    assert rig.fault()[1:] == (8, entry)
    assert rig.memory.read(entry, 1) == b"\x07"
    rig.engine.invalidate(entry, 8)
    assert rig.micro(("ld8", "t1", "t0")) is Leave.STOP
    assert rig.memory.read(entry, 1) == b"\x27"


# --- the arena -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arena", [2048, 4096, 1 << 16])
def test_a_full_arena_is_not_noticed(arena: int) -> None:
    rig = Rig(arena=arena)
    chain(rig, *range(0x1000, 0x9000, 0x80))
    assert rig.go(5000, 0x1000) is Leave.BUDGET
    assert rig.state["rax"] == 5000
    assert (rig.engine.count("arena") > 0) == (arena < 1 << 16)


def test_more_than_the_arena_holds() -> None:
    rig = Rig(arena=256)
    with pytest.raises(native.RefusedBlock, match="larger than the whole arena"):
        rig.engine.install(rig.block(0x1000, *[[INC]] * 40, [("next",)]))


def test_flushing_blocks_forgets_their_marks() -> None:
    rig = Rig()
    chain(rig, 0x1000, 0x5000)
    rig.go(9, 0x1000)
    rig.engine.flush_blocks()
    assert rig.engine.count("blocks") == 0
    assert not any(flags & CODE for flags in rig.memory.page_flags)
    assert rig.go(9, 0x1000) is Leave.BUDGET


# --- what the verifier turns away ---

GOOD = ((INC,), (("next",),))


@pytest.mark.parametrize(("change", "message"), [
    (lambda b: replace(b, physical=b.physical + 1), "do not fit"),
    (lambda b: replace(b, physical=1 << 20), "do not fit"),
    (lambda b: replace(b, physical=(1 << 64) - 4096), "do not fit"),
    (lambda b: replace(b, linear=b.linear + 0xFFC, physical=b.physical + 0xFFC), "do not fit"),
    (lambda b: replace(b, physical2=0x5000), "do not fit"),
    (lambda b: replace(b, offsets=[0, 4, 4]), "do not fit"),
    (lambda b: replace(b, offsets=[1, 4, 8]), "do not fit"),
    (lambda b: replace(b, offsets=[0, 4, 60000]), "do not fit"),
    (lambda b: replace(b, offsets=[0, 4]), "offsets"),
    (lambda b: replace(b, uops=[]), "do not fit"),
    (lambda b: replace(b, uops=[*b.uops] * 5000), "do not fit"),
    (lambda b: replace(b, uops=b.uops[:1]), "past its last"),
    (lambda b: replace(b, uops=[(0xFFFF, 0, 0, 0, 0, 0, 0), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[(b.uops[0][0], 255, 0, 0, 0, 0, 0), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[(b.uops[0][0], 0, 255, 0, 0, 0, 0), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[(b.uops[0][0], 0, 0, 255, 0, 0, 0), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[uop("select", 0, 0, 0, 255), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[uop("skip", imm=2), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[uop("skip", imm=-1), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[uop("skipz", imm=1 << 60), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[*b.uops[:1], uop("next", index=2)]), "unknown number"),
    (lambda b: replace(b, uops=[uop("jump"), *b.uops]), "unknown number"),
    (lambda b: replace(b, uops=[uop("nop", index=1), *b.uops]), "unknown number"),
])  # fmt: skip
def test_refused(change: Callable[[object], object], message: str) -> None:
    rig = Rig()
    block = rig.block(0x1000, *map(list, GOOD))
    rig.engine.install(block)
    with pytest.raises(native.RefusedBlock, match=message):
        rig.engine.install(change(block))
    assert rig.engine.count("blocks") == 1


@pytest.mark.parametrize("seed", range(30))
def test_random_bytes_as_blocks(seed: int) -> None:
    """Whatever is refused is refused; whatever is not refused runs without harm to the host."""
    chance = random.Random(seed)
    rig = Rig()
    taken = 0
    for _ in range(300):
        uops = [list(PACKED.unpack(chance.randbytes(16))) for _ in range(chance.randrange(1, 6))]
        for u in uops:
            u[0] %= chance.choice((900, 900, 2000))
            u[1], u[2], u[3], u[4] = (v % chance.choice((150, 16)) for v in u[1:5])
            u[5] = 0
            u[6] = chance.choice((u[6], 0, 1, 2, 0x8000))
        block = replace(rig.block(0x1000, [("next",)]), uops=[*map(tuple, uops), uop("next")])
        try:
            rig.engine.once(block)
            rig.engine.micro(block)
            taken += 1
        except native.RefusedBlock:
            pass
        for name in ("cr0", "cs_attr", "cpl", "mode", "cr3", "efer", "zero"):
            rig.state[name] = {"cr0": 0x10001, "efer": 0xD00}.get(name, 0)
        rig.state["left"] = 5
        rig.engine.flush_translations()
    assert taken > 30
