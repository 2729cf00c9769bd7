"""Model-specific registers: which are there, what they take, and #GP(0) for the rest."""

from __future__ import annotations

import struct

import pytest

from ringzero import Machine
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.system import identity, msrs
from ringzero.cpu.system.model import MODELS, parse_model
from ringzero_tests.engines import ENGINES, missing

GP = 13


def machine(cpu: str) -> Machine:
    return Machine(engine="python", memory="1M", cpu=cpu)


def faults(number: int, value: int | None, cpu: str) -> bool:
    """Whether RDMSR (no value) or WRMSR of it raises #GP(0) on a new machine."""
    chip = machine(cpu).cpu
    try:
        if value is None:
            identity.read(chip, number)
        else:
            identity.write(chip, number, value)
    except GuestFault as fault:
        return (fault.vector, fault.error) == (GP, 0)
    return False


def test_no_number_twice() -> None:
    numbers = [register.number for register in msrs.TABLE]
    assert len(numbers) == len(set(numbers))


# What Debian's Linux was seen to touch, by the vendor that CPUID names: (cpu, reads, writes of what was read).
TOUCHED = [
    ("ringzero", (0x1B, 0xC0000080), (0x174, 0x175, 0x176, 0xC0000080, 0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084,
                                      0xC0000100, 0xC0000101, 0xC0000102)),
    ("amd", (0x8B, 0xC0010015, 0xC0010055, 0xC0011029), (0xC0010000, 0xC0010003, 0xC0010007, 0xC0010015, 0xC0011029)),
    ("intel", (0x3A, 0x8B, 0xCE, 0x140, 0x1A0), (0x8B, 0x140, 0x1A0)),
    ("max", (0xFE, 0x277, 0x2FF, *range(0x200, 0x210), 0x250, 0x258, 0x259, *range(0x268, 0x270)),
     (0x277, 0x2FF, *range(0x200, 0x210), 0x250, 0x258, 0x259, *range(0x268, 0x270))),
]  # fmt: skip


@pytest.mark.parametrize(("cpu", "reads", "writes"), TOUCHED, ids=[row[0] for row in TOUCHED])
def test_what_linux_touches_is_there(cpu: str, reads: tuple[int, ...], writes: tuple[int, ...]) -> None:
    chip = machine(cpu).cpu
    for number in (*reads, *writes):
        value = identity.read(chip, number)
        if number in writes:
            identity.write(chip, number, value)
            assert identity.read(chip, number) == value


ABSENT = [
    (0x12345678, "max"), (0x3A, "amd"), (0xC0010015, "intel"), (0xC0010000, "intel"), (0xC0010015, "max"),
    (0xFE, "ringzero"), (0x174, "max,-sep"), (0xC0000082, "max,-syscall"), (0xC0000100, "max,-lm"),
    (0x10, "max,-tsc"), (0x277, "max,-pat"), (0xC0000103, "max,-rdtscp,-rdpid"),
    (0xC0000080, "max,-lm,-nx,-syscall"), (0x179, "max,-mca"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "cpu"), ABSENT)
def test_what_is_not_there_is_gp(number: int, cpu: str) -> None:
    assert faults(number, None, cpu)
    assert faults(number, 0, cpu)


# (number, value, cpu): what the manual refuses (SDM 3A 12.11, 12.12; SDM 4; SDM 2B, WRMSR)
REFUSED = [
    (0xC0000082, 1 << 47, "max"), (0x175, 1 << 63, "max"), (0xC0000101, 0x8000 << 32, "max"),
    (0xC0000084, 1 << 32, "max"), (0xC0000103, 1 << 32, "max"), (0x277, 0x02, "max"), (0x277, 8 << 56, "max"),
    (0x200, 2, "max"), (0x200, 0x106, "max"), (0x201, 1 << 40, "max"), (0x201, 0x400, "max"),
    (0x250, 7 << 8, "max"), (0x2FF, 0x300, "max"), (0xFE, 0x508, "max"), (0x3A, 1, "intel"), (0xC0010000, 1, "amd"),
    (0xC0000080, 1 << 12, "max"), (0xC0000080, 0x800, "max,-nx"), (0xC0000080, 1, "max,-syscall"),
    (0x1B, 1 << 40, "max"), (0x1B, 1 << 10, "max"), (0x1A0, 1 << 34, "intel"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "value", "cpu"), REFUSED)
def test_what_the_manual_refuses_is_gp(number: int, value: int, cpu: str) -> None:
    assert not faults(number, None, cpu)
    assert faults(number, value, cpu)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_guest_reads_and_writes_them_and_a_snapshot_keeps_them(engine: str) -> None:
    if reason := missing(engine):
        pytest.skip(reason)
    code = (
        "b9ff020000"
        "b8060c0000"
        "31d2"
        "0f30"
        "0f32"
        "f4"
    )  # mov ecx, 0x2ff; mov eax, 0xc06; xor edx, edx; wrmsr; rdmsr; hlt
    made = Machine.flat(bytes.fromhex(code), engine=engine, cpu="max")
    before = made.snapshot(), made.state_hash()
    made.run()
    assert made.registers["rax"] == 0xC06
    assert identity.read(made.cpu, 0x2FF) == 0xC06
    after = made.snapshot(), made.state_hash()
    made.restore(before[0])
    assert (identity.read(made.cpu, 0x2FF), made.state_hash()) == (0, before[1])
    made.restore(after[0])
    assert (identity.read(made.cpu, 0x2FF), made.state_hash()) == (0xC06, after[1])


def test_the_only_processor_is_the_one_that_boots() -> None:
    """SDM 3A 10.4.4: BSP is set, and may be written; no local APIC is there to be enabled."""
    chip = machine("ringzero").cpu
    assert identity.read(chip, 0x1B) == 0x100
    identity.write(chip, 0x1B, 0xFEE0_0800)
    assert identity.read(chip, 0x1B) == 0xFEE0_0800


def test_sysenter_cs_forgets_its_upper_half() -> None:
    chip = machine("max").cpu
    identity.write(chip, 0x174, 0x1234_5678_0000_0010)
    assert identity.read(chip, 0x174) == 0x10


def test_every_model_keeps_to_its_vendor() -> None:
    for model in MODELS.values():
        for register in msrs.registers_of(model).values():
            assert not register.vendors or model.vendor in register.vendors
    assert 0xC0010000 in msrs.registers_of(parse_model("max,vendor=Transmeta123"))
    assert struct.calcsize("<Q") * len(msrs.INITIAL) == len(machine("max").cpu.msrs.tobytes())
