"""The C walk and its cache against the plain walk in Python: on random page tables, with nothing forgotten.

The reference translates every access anew (`mmu.Walker` on a second memory with the same bytes), so a cached
translation that could be told from a fresh one shows as a difference.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from ringzero.cpu.address.mmu import Walker
from ringzero.cpu.exits import FETCH, IMPLICIT, READ, USER, WRITE, Leave
from ringzero.cpu.faults import GuestFault
from ringzero.isa.control import (
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
    CR4_SMAP,
    CR4_SMEP,
    EFER_LMA,
    EFER_NXE,
    PTE_A,
    PTE_D,
    PTE_NX,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
)
from ringzero.isa.rflags import AC
from ringzero.machine.memory import Memory
from ringzero_tests.rig import Rig

pytest.importorskip("ringzero._native", reason="the C core is not built")

SIZE = 2 << 20
ROOT = 0x1000
M64, M32 = (1 << 64) - 1, 0xFFFF_FFFF


@dataclass(frozen=True)
class Style:
    """A kind of paging: bytes of an entry, bits of an address that choose one, places in the address space."""

    size: int
    shifts: tuple[int, ...]
    bases: tuple[int, ...]
    cr4: int = 0
    efer: int = 0

    @property
    def mask(self) -> int:
        return M64 if self.efer else M32


LONG = Style(
    8,
    (12, 21, 30, 39),
    (0, 0x7FFF_FFFF_F000, 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_8000_0000),
    CR4_PAE,
    EFER_LMA,
)
PAE = Style(8, (12, 21), (0, 0x7FFF_F000, 0xC000_0000, 0xFFFF_F000), CR4_PAE)
TWO = Style(4, (12, 22), (0, 0x7FFF_F000, 0xC000_0000, 0xFFFF_F000))
DRAWS = [
    *(pytest.param(seed, LONG, id=f"long-{seed}") for seed in range(60) if seed not in (4, 26)),  # all closed
    *(pytest.param(seed, PAE, id=f"pae-{seed}") for seed in range(30)),
    *(pytest.param(seed, TWO, id=f"two-{seed}") for seed in range(30)),
]
ACCESSES = (READ, WRITE, FETCH, USER, USER | WRITE, USER | FETCH, IMPLICIT, IMPLICIT | WRITE)


def entry(chance: random.Random, level: int, style: Style) -> int:
    """Mostly a table or a page in RAM; sometimes absent, reserved, large, or outside."""
    value = chance.randrange(1, SIZE >> 12) << 12
    if level:
        value = chance.randrange(1, 24) << 12  # few tables: they point into each other, and at themselves
    value |= PTE_P if chance.random() < 0.93 else 0
    for bit, likely in ((PTE_W, 0.8), (PTE_U, 0.7), (PTE_A, 0.4), (PTE_D, 0.3), (PTE_NX, 0.15)):
        value |= bit if chance.random() < likely else 0
    if level and chance.random() < 0.1:
        value |= PTE_PS
        if chance.random() < 0.8:
            value &= ~0x3FFF_E000 if level == 2 else ~0x3F_E000 if style is TWO else ~0x1F_E000
    if chance.random() < 0.03:
        value |= 1 << chance.randrange(40, 63)
    if chance.random() < 0.03:
        value += SIZE
    return value & (1 << 8 * style.size) - 1


def tables(chance: random.Random, style: Style) -> bytes:
    """24 pages of entries; every page may serve at every level."""
    last = 4096 // style.size - 1
    slots = (
        {base >> shift & last for base in style.bases for shift in style.shifts}
        | set(range(6))
        | {last - 1, last}
    )
    content = bytearray(24 << 12)
    for page in range(24):
        for slot in slots:
            value = entry(chance, page % len(style.shifts), style)
            if page == ROOT >> 12 and chance.random() < 0.9:
                value = chance.randrange(2, 24) << 12 | PTE_P | PTE_W | PTE_U
            at = (page << 12) + slot * style.size
            content[at : at + style.size] = value.to_bytes(style.size, "little")
    return bytes(content)


def linear(chance: random.Random, style: Style) -> int:
    address = chance.choice(style.bases) + (chance.randrange(6) << chance.choice(style.shifts[:3]))
    return address + chance.randrange(4096) & style.mask


def controls(chance: random.Random, style: Style) -> dict[str, int]:
    cr4 = chance.choice((0, 0, CR4_SMEP, CR4_SMAP, CR4_SMAP | CR4_SMEP)) | style.cr4
    return {
        "cr0": 1 | CR0_PG | (CR0_WP if chance.random() < 0.7 else 0),
        "cr4": cr4 | (CR4_PSE if style is TWO and chance.random() < 0.8 else 0),
        "efer": style.efer | (EFER_NXE if chance.random() < 0.8 else 0),
        "rflags": 2 | chance.choice((0, AC)),
        "cr3": ROOT,
        "cs_attr": 0x29B if style is LONG else 0xC9B,
        **{f"pdpte{n}": n + 1 << 12 | (chance.random() < 0.9) for n in range(4)},
    }


def rigged(chance: random.Random, style: Style, engine: str = "native") -> tuple[Rig, Memory, Walker]:
    """An engine and a plain memory with the same tables; the walker is the latter's."""
    rig, plain = Rig(engine, size=SIZE), Memory(SIZE)
    content = tables(chance, style)
    rig.memory.write(0, content)
    plain.write(0, content)
    for name, value in controls(chance, style).items():
        rig.state[name] = value
    rig.privilege(0)
    rig.engine.flush_translations()
    return rig, plain, Walker(plain)


def reference(walker: Walker, rig: Rig, address: int, access: int) -> int | tuple[int, ...]:
    if (address + 0x8000_0000_0000) >> 48 & 0xFFFF:
        return (13, 0, 0)
    try:
        return walker.translate(rig.state.words, address, access)
    except GuestFault as fault:
        return (fault.vector, fault.error, fault.address)


def ours(rig: Rig, address: int, access: int) -> int | tuple[int, ...]:
    try:
        return int(rig.engine.translate(address, access))
    except GuestFault as fault:
        return (fault.vector, fault.error, fault.address)


@pytest.mark.parametrize(("seed", "style"), DRAWS)
def test_translate(seed: int, style: Style) -> None:
    chance = random.Random(seed)
    rig, plain, walker = rigged(chance, style)
    faults = 0
    for _ in range(150):
        address, access = linear(chance, style), chance.choice(ACCESSES)
        expected = reference(walker, rig, address, access)
        faults += isinstance(expected, tuple)
        assert ours(rig, address, access) == expected, (hex(address), access)
    assert rig.memory.ram[:] == plain.ram[:]
    assert rig.memory.collect() == plain.collect()
    assert 0 < faults < 150


@pytest.mark.parametrize(
    ("engine", "seed", "style"),
    [
        *(pytest.param("native", *draw.values, id=f"native-{draw.id}") for draw in DRAWS),
        *(pytest.param("python", *draw.values, id=f"python-{draw.id}") for draw in DRAWS[::6]),
    ],
)
def test_cached_accesses(engine: str, seed: int, style: Style) -> None:
    """Loads and stores through µops, some of them into the tables: each does what a fresh walk would."""
    chance = random.Random(seed)
    rig, plain, walker = rigged(chance, style, engine)
    rig.privilege(chance.choice((0, 3)))
    rig.engine.flush_translations()
    user = USER if rig.state["cpl"] == 3 else 0
    done = 0
    for step in range(300):
        address, width = linear(chance, style), chance.choice((8, 16, 32, 64))
        kind = chance.choice(("ld", "st", "ldw", "lds_system", "st_system"))
        access = (WRITE if kind in ("st", "ldw", "st_system") else READ) | (
            IMPLICIT if "system" in kind else user
        )
        value = chance.getrandbits(64)
        if chance.random() < 0.1:
            rig.state["rflags"] ^= AC  # STAC, CLAC: nothing is told of it
        if chance.random() < 0.2:  # a table entry: most often one that some walk has read
            value = entry(chance, chance.randrange(4), style)
            address = address & -style.size
            width = 8 * style.size
        rig.state["t0"], rig.state["t1"] = address, value
        reason = rig.micro((f"{kind}{width}", "t1", "t0"))
        expected = plainly(
            walker, plain, rig, address, width // 8, access, value if kind.startswith("st") else None
        )
        if reason is Leave.FAULT:
            assert rig.fault() == expected, (step, hex(address), kind, width)
        elif reason is Leave.MMIO:
            assert expected is None
        elif kind.startswith("st"):
            assert expected == 0, (step, hex(address), kind, width)
        else:
            assert rig.state["t1"] == expected, (step, hex(address), kind, width)
        done += reason is Leave.STOP
        if step % 50 == 49:
            assert rig.memory.ram[:] == plain.ram[:], step
            assert rig.memory.collect() == plain.collect()
    assert rig.memory.ram[:] == plain.ram[:]
    assert done, "every access faulted: the tables of this seed test nothing"


def plainly(
    walker: Walker, plain: Memory, rig: Rig, address: int, size: int, access: int, value: int | None
) -> int | tuple[int, ...] | None:
    """The access with two fresh walks at most: what it loads, 0 for a store, None beyond RAM, or the fault."""
    last = address + size - 1
    for end in (address, last):  # never so outside long mode
        if (end + 0x8000_0000_0000) >> 48 & 0xFFFF:
            return (13, 0, 0)
    parts = []
    head = min(size, 4096 - (address & 0xFFF))
    for start, length in ((address, head), (address + head, size - head)):
        if length:
            where = reference(walker, rig, start & M64, access)
            if isinstance(where, tuple):
                return where
            parts.append((where, length))
    if any(where >= SIZE for where, _ in parts):
        return None
    if value is None:
        return int.from_bytes(b"".join(plain.read(*part) for part in parts), "little")
    content = value.to_bytes(8, "little")[:size]
    for where, length in parts:
        plain.write(where, content[:length])
        content = content[length:]
    return 0


def test_neighbours_never_share_an_entry() -> None:
    """An access that crosses a page misses by itself, also where the index's higher bits change."""
    rig = Rig(size=16 << 20)
    for boundary in (0x40_0000, 0x80_0000, 0xC0_0000, 511 << 12, 512 << 12):
        rig.memory.write(boundary - 4, bytes(range(1, 9)))
        for address in (boundary, boundary - 8, boundary - 4):
            rig.state["t0"] = address
            assert rig.micro(("ld64", "t1", "t0")) is Leave.STOP
        assert rig.state["t1"] == 0x0807060504030201


@pytest.mark.parametrize("distance", [1 << 20, 4 << 20, 8 << 20])
def test_far_pages_do_not_conflict(distance: int) -> None:
    """Source and destination a power of two apart keep an entry each."""
    rig = Rig(size=16 << 20)
    rig.state["t0"], rig.state["t1"] = 0x10_0000, 0x10_0000 + distance & M64
    conflict(rig)


@pytest.mark.parametrize("distance", [2 << 30, 4 << 30, 256 << 30, -2 << 30])
def test_gibibytes_apart_do_not_conflict(distance: int) -> None:
    """Likewise, with every gibibyte mapped to the same RAM."""
    rig = Rig(size=16 << 20)
    rights = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D
    for slot in (0, 511):
        rig.memory.write(0x1000 + 8 * slot, (0x2000 | rights).to_bytes(8, "little"))
    rig.memory.write(0x2000, (PTE_PS | rights).to_bytes(8, "little") * 512)
    rig.paging(0x1000)
    rig.state["t0"], rig.state["t1"] = 0x10_0000, 0x10_0000 + distance & M64
    conflict(rig)


def conflict(rig: Rig) -> None:
    """Load from t0 and store to t1, three times: only the first time may walk."""
    before = 0
    for turn in range(3):
        assert rig.micro(("ld64", "t2", "t0"), ("st64", "t2", "t1")) is Leave.STOP
        if turn:
            assert rig.engine.count("walks") == before
        before = rig.engine.count("walks")


def test_addresses_outside_64_bit_mode_are_32_bits() -> None:
    """What 64-bit code has cached beyond 4 GiB must not serve compatibility mode."""
    rig = Rig(size=SIZE)
    for level, table in enumerate((0x1000, 0x2000, 0x3000)):
        for slot in (0, 4, 511):
            rig.memory.write(table + slot * 8, ((level + 2) << 12 | 7).to_bytes(8, "little"))
    rig.memory.write(0x4000, (0x10_0000 | 7).to_bytes(8, "little"))
    rig.memory.write(0x4000 + 511 * 8, (0x11_0000 | 7).to_bytes(8, "little"))
    rig.memory.write(0x10_0000, b"low page")
    rig.memory.write(0x11_0FFC, b"high")
    rig.paging(0x1000)
    rig.state["t0"] = 4 << 30
    assert rig.micro(("ld64", "t1", "t0")) is Leave.STOP
    rig.state["cs_attr"] = 0xC9B
    rig.privilege(0)
    rig.state["t0"] = (4 << 30) - 4
    rig.memory.write(0x3000 + 3 * 8, bytes(8))
    assert rig.micro(("ld32", "t1", "t0")) is Leave.FAULT
    assert rig.fault() == (14, 0, 0xFFFF_FFFC)
    rig.state["t0"] = 4 << 30
    assert rig.micro(("ld64", "t1", "t0")) is Leave.STOP
    assert rig.state["t1"].to_bytes(8, "little") == b"low page"
