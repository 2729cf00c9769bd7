"""Blocks from templates are the blocks that the lowerings make, µop for µop; and symbols give nothing away."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ringzero import Machine
from ringzero.cpu import mode as M
from ringzero.cpu.lower import symbols as S
from ringzero.cpu.lower.templates import learn
from ringzero.cpu.uops.block import NO_PAGE
from ringzero.isa.decode import decode
from ringzero_tests.realcode import text

native = pytest.importorskip("ringzero.cpu.engine.native", reason="the C core is not built")

KERNEL = M.LONG | M.LMA | M.PROTECTED
MODES = {
    "long": KERNEL,
    "long, user, aligned": KERNEL | 3 | M.ALIGN,
    "flat 32": M.PROTECTED | M.BIG | M.STACK_BIG,
    "a code segment with a base": M.PROTECTED | M.BIG | M.STACK_BIG | 0x3210_0000 << M.BASE_SHIFT,
    "compatibility, segments, user": M.PROTECTED | M.LMA | M.BIG | M.SEGMENTED | 3,
}
ADDRESS = 0x10_0000


def compare(
    code: bytes, mode: int, address: int = ADDRESS, linear: int = ADDRESS, probes: Iterable[int] = ()
) -> tuple[int, int]:
    """Every block of `code`, both ways: how many instructions were made from templates, and how many in all."""
    machine = Machine.flat(code, address=address, engine="native", memory="32M")
    engine: Any = machine.cpu._engine
    lowerer = machine.cpu._lowerer
    machine.cpu.probes.update(probes)
    at = made = total = 0

    def fetch(wanted: int) -> int:
        return address + (wanted - M.where(mode, linear) & M.ip_mask(mode))

    while at < len(code) - 16:
        block = lowerer.block(linear + at & M.ip_mask(mode), mode, fetch)
        assert engine.translate_block(lowerer, block.linear, mode, fetch) == block.length
        drafted = engine.drafted()
        if drafted[2]:
            assert block.physical2 == NO_PAGE
            assert drafted == (block.packed(), block.count, block.length, block.target & S.M64)
            made += block.count
        at, total = at + block.length, total + block.count
    return made, total


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_real_code(mode: int) -> None:
    code = text()[:40_000]
    if not code:
        pytest.skip("no cc1, C library or bash here")
    made, total = compare(code, mode)
    assert made > total * 0.9


@pytest.mark.slow
def test_much_real_code() -> None:
    """300 000 instructions."""
    code = text()[:1_250_000]
    if not code:
        pytest.skip("no cc1, C library or bash here")
    made, total = compare(code, KERNEL)
    assert made > total * 0.95


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("linear", [ADDRESS, 0xFFFF_F000, 0])
def test_bytes_at_random(mode: int, linear: int) -> None:
    """Around the ends of the address space too: no template is used at address 0."""
    code = random.Random(mode).randbytes(20_000)
    made, total = compare(code, mode, linear=linear)
    assert made > total * 0.2


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_probes_in_the_way(mode: int) -> None:
    """At instructions' first bytes and amid them: blocks end where they do in Python."""
    draws = random.Random(1)
    code = text()[:20_000] or draws.randbytes(20_000)
    probes = {M.where(mode, ADDRESS) + draws.randrange(len(code)) for _ in range(400)}
    made, total = compare(code, mode, probes=probes)
    assert made > total * 0.3


def test_numbers_that_a_lowering_looks_at() -> None:
    """One form and its registers, all immediates: counts of 0, constants of 0, nesting levels, ports."""
    code = b"".join(
        bytes(pattern) for n in range(256) for pattern in (
            (0xC1, 0xE0, n), (0xC1, 0xE0, 0), (0xC6, 0x03, n), (0xC7, 0x43, n, 0, 0, 0, 0), (0xC8, n, 0, n & 7),
            (0x48, 0x8B, 0x05, n, 0, 0, 0), (0x6A, n), (0xE4, n), (0xCD, n), (0xC2, n, 0), (0xEB, n),
            (0xE8, n, 0, 0, 0), (0x0F, 0xA4, 0xC8, n), (0x0F, 0xBA, 0xE0, n), (0x0F, 0x05), (0xF3, 0xA4),
        )
    )  # fmt: skip
    for mode in MODES.values():
        made, total = compare(code, mode)
        assert made > total * 0.9


REFUSED: list[Callable[[Any], object]] = [
    int, bool, hash, str, float, range, "{}".format, bytes, [1, 2].__getitem__, operator.index, operator.invert, abs,
    lambda x: x & 15, lambda x: x | 1, lambda x: x ^ 1, lambda x: x >> 1, lambda x: x << 1, lambda x: 1 << x,
    lambda x: x * 2, lambda x: x // 2, lambda x: x % 32, lambda x: x < 3, lambda x: x == 3,
    lambda x: x in {1, 2}, lambda x: (x & 0xFFFF) + 1, lambda x: -(x & 0xFFFF), lambda x: x + 0.5, lambda x: min(x, 3),
    lambda x: divmod(x, 3), lambda x: x - 1 == 0, lambda x: x + x == 0,
]  # fmt: skip


@pytest.mark.parametrize("use", REFUSED, ids=range(len(REFUSED)))
def test_a_symbol_gives_nothing_away(use: Callable[[Any], object]) -> None:
    def ask(atom: int) -> bool:
        raise S.NotExpressible(frozenset({atom}), "whether it is 0")

    symbol = S.Symbol((1, 0, 0, 0, 0), 0, ask)
    with pytest.raises(S.NotExpressible):
        use(symbol)


def test_a_lowering_that_hangs_on_an_address_has_no_template() -> None:
    machine = Machine.flat(b"\x90", engine="python")
    record = decode(bytes.fromhex("83c005"))[0]

    def lower(b: Any, *_: object) -> None:
        b.begin(record, None, 0, 0)
        b.emit("movi64", 0, imm=b.rip & 0xFFF)

    assert learn(lower, machine.cpu.systems, record, KERNEL) is None
