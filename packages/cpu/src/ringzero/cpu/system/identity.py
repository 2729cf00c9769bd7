"""RDMSR, WRMSR, RDTSC and CPUID: the registers and answers in which one model differs from another."""

from __future__ import annotations

from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.cpuid import cpuid as leaf_of
from ringzero.cpu.system.msrs import PLACES, Msr, registers_of
from ringzero.cpu.system.processor import Processor
from ringzero.isa.control import CR0_PG, CR4_TSD, EFER_LMA, EFER_LME
from ringzero.isa.names import GP, RAX, RBX, RCX, RDX

M32, M64 = (1 << 32) - 1, (1 << 64) - 1


def _find(cpu: Processor, number: int) -> Msr:
    register = registers_of(cpu.model).get(number)
    if register is None:
        raise GuestFault(GP)
    return register


def read(cpu: Processor, number: int) -> int:
    """The value that RDMSR gives; #GP(0) for a register that is not there."""
    register = _find(cpu, number)
    if register.slot:
        return cpu.words[SLOT[register.slot]]
    if register.stored:
        return cpu.msrs[PLACES[number]]
    return cpu.time_stamp() if register.name == "TIME_STAMP_COUNTER" else register.initial


def write(cpu: Processor, number: int, value: int) -> None:
    """WRMSR; #GP(0) with nothing changed."""
    register = _find(cpu, number)
    if not register.writable or value & register.reserved or not register.check(value):
        raise GuestFault(GP)
    value &= ~register.ignored
    if register.name == "EFER":
        _write_efer(cpu, value)
    elif register.slot:
        cpu.words[SLOT[register.slot]] = value
    elif register.stored:
        cpu.msrs[PLACES[number]] = value
    elif register.name == "TIME_STAMP_COUNTER":
        cpu.words[SLOT["tsc_offset"]] = value - cpu.clock.now & M64


def _write_efer(cpu: Processor, value: int) -> None:
    """LME cannot change while paging is on, and LMA is the processor's (SDM 3A 2.2.1, 10.8.5)."""
    old = cpu.words[SLOT["efer"]]
    if value & ~cpu.efer_bits or ((value ^ old) & EFER_LME and cpu.words[SLOT["cr0"]] & CR0_PG):
        raise GuestFault(GP)
    cpu.words[SLOT["efer"]] = value & ~EFER_LMA | old & EFER_LMA
    cpu.context_changed()


# --- the instructions ------------------------------------------------------------------------------------------------


def read_msr(cpu: Processor) -> None:
    value = read(cpu, cpu.words[RCX] & M32)
    cpu.words[RAX], cpu.words[RDX] = value & M32, value >> 32


def write_msr(cpu: Processor) -> None:
    words = cpu.words
    write(cpu, words[RCX] & M32, (words[RDX] & M32) << 32 | words[RAX] & M32)


def read_tsc(cpu: Processor, with_aux: bool) -> None:
    if cpu.words[SLOT["cr4"]] & CR4_TSD and cpu.words[SLOT["cpl"]]:
        raise GuestFault(GP)
    value = cpu.time_stamp()
    cpu.words[RAX], cpu.words[RDX] = value & M32, value >> 32
    if with_aux:
        cpu.words[RCX] = cpu.words[SLOT["tsc_aux"]]


def cpuid(cpu: Processor) -> None:
    words = cpu.words
    leaf = leaf_of(cpu.model, words[RAX] & M32, words[RCX] & M32, words[SLOT["cr4"]])
    words[RAX], words[RBX], words[RCX], words[RDX] = leaf
