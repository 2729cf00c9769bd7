"""IN, OUT and their string forms: who may reach a port, then the bus (SDM 1, 20)."""

from __future__ import annotations

from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.limits import linear
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.processor import Processor
from ringzero.isa import rflags as F
from ringzero.isa.names import ES, GP, RAX, RCX, RDI, RDX, RSI


def _check_port(cpu: Processor, port: int, size: int) -> None:
    """Refuse a port to whoever may not reach it; note the breakpoint that waits for it."""
    _check_permission(cpu, port, size)
    if cpu.words[SLOT["dr7"]] & breakpoints.ENABLES:
        cpu.words[SLOT["debug_pending"]] |= breakpoints.port(cpu.words, port, size)


def _check_permission(cpu: Processor, port: int, size: int) -> None:
    """CPL > IOPL needs a clear bit for each byte in the TSS's I/O map (SDM 1, 20.5.2)."""
    words = cpu.words
    if words[SLOT["cpl"]] <= words[SLOT["rflags"]] >> 12 & 3:
        return
    base, limit = words[SLOT["tr_base"]], words[SLOT["tr_limit"]]
    if not words[SLOT["tr_attr"]] & 0x80 or limit < 0x67:
        raise GuestFault(GP)
    at = cpu.load(base + 0x66, 2, system=True) + (port >> 3)
    if at + 1 > limit:
        raise GuestFault(GP)
    if cpu.load(base + at, 2, system=True) >> (port & 7) & ((1 << size) - 1):
        raise GuestFault(GP)


def port_in(cpu: Processor, size: int, port: int | None) -> None:
    port = cpu.words[RDX] & 0xFFFF if port is None else port
    _check_port(cpu, port, size)
    value = cpu.bus.port_read(port, size)
    mask = (1 << 8 * size) - 1
    cpu.words[RAX] = value if size == 4 else cpu.words[RAX] & ~mask | value


def port_out(cpu: Processor, size: int, port: int | None) -> None:
    port = cpu.words[RDX] & 0xFFFF if port is None else port
    _check_port(cpu, port, size)
    cpu.bus.port_write(port, size, cpu.words[RAX] & ((1 << 8 * size) - 1))


def _string_step(cpu: Processor, register: int, size: int, addrsize: int, repeat: bool, start: int) -> None:
    """Move the pointer and count one iteration; stay at the instruction while there are more."""
    words, mask = cpu.words, (1 << 8 * addrsize) - 1

    def put(number: int, value: int) -> None:
        keep = 0 if addrsize >= 4 else words[number] & ~mask
        words[number] = keep | value & mask

    put(register, words[register] + (-size if words[SLOT["rflags"]] & F.DF else size))
    if repeat:
        put(RCX, words[RCX] - 1)
        if words[RCX] & mask:
            words[SLOT["rip"]] = start
            words[SLOT["rflags"]] |= F.RF  # as `uops.repeat` has it


def port_string_in(cpu: Processor, size: int, addrsize: int, repeat: bool) -> None:
    words, mask = cpu.words, (1 << 8 * addrsize) - 1
    port = words[RDX] & 0xFFFF
    _check_port(cpu, port, size)
    if repeat and not words[RCX] & mask:
        return
    place = linear(words, ES, words[RDI] & mask, size, write=True)
    cpu.probe_store(place, size)
    cpu.store(place, size, cpu.bus.port_read(port, size))
    _string_step(cpu, RDI, size, addrsize, repeat, cpu.start_rip)


def port_string_out(cpu: Processor, size: int, addrsize: int, repeat: bool, segment: int) -> None:
    words, mask = cpu.words, (1 << 8 * addrsize) - 1
    port = words[RDX] & 0xFFFF
    _check_port(cpu, port, size)
    if repeat and not words[RCX] & mask:
        return
    value = cpu.load(linear(words, segment, words[RSI] & mask, size), size)
    cpu.bus.port_write(port, size, value)
    _string_step(cpu, RSI, size, addrsize, repeat, cpu.start_rip)
