"""RDRAND and RDSEED: SplitMix64's published numbers, the same in every run, and a part of snapshots."""

from __future__ import annotations

import pytest

from ringzero.asm import assemble
from ringzero.cpu.engine.engines import native_available
from ringzero.isa.rflags import ARITHMETIC, CF
from ringzero.machine.machine import Machine

ENGINES = [
    pytest.param(
        "native", marks=pytest.mark.skipif(not native_available(), reason="the C core is not built")
    ),
    "python",
]
GUEST = """
    bits 64
    rdrand rax
    rdseed rbx
    rdrand ecx
    mov rdx, -1
    rdseed dx
    rdrand r15
"""
#: What Vigna's splitmix64.c gives for the seed 1234567.
PUBLISHED = (
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
)  # fmt: skip


def numbers(machine: Machine) -> list[int]:
    return [machine.registers[name] for name in ("rax", "rbx", "rcx", "rdx", "r15")]


def machine_at(step: int, engine: str, seed: int) -> Machine:
    machine = Machine.flat(assemble(GUEST).flat, engine=engine, rng_seed=seed)
    machine.run(steps=step)
    return machine


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_are_those_of_splitmix64(engine: str) -> None:
    machine = machine_at(6, engine, 1234567)
    a, b, c, d, e = PUBLISHED
    assert numbers(machine) == [a, b, c & 0xFFFF_FFFF, d & 0xFFFF | (1 << 64) - (1 << 16), e]
    assert machine.registers["rflags"] & ARITHMETIC == CF


def test_another_seed_is_another_stream() -> None:
    assert numbers(machine_at(6, "python", 0)) != numbers(machine_at(6, "python", 1))
    assert machine_at(0, "python", 0).state_hash() != machine_at(0, "python", 1).state_hash()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_keeps_its_place_in_the_stream(engine: str) -> None:
    machine = machine_at(2, engine, 7)
    middle = machine.snapshot()
    machine.run(steps=4)
    first, hash_ = numbers(machine), machine.state_hash()
    machine.restore(middle)
    machine.run(steps=4)
    assert (numbers(machine), machine.state_hash()) == (first, hash_)
