"""Loads of segment registers, LDTR and TR (SDM 3A 3.4, 5.5; SDM 2, MOV, POP, LDS, LLDT, LTR)."""

from __future__ import annotations

from ringzero.cpu.address import breakpoints
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SEGMENTS, SLOT
from ringzero.cpu.system.descriptors import Descriptor, accessible, fetch, put, put_null
from ringzero.cpu.system.processor import Processor
from ringzero.cpu.system.stack import set_stack, stack_pointer
from ringzero.isa.control import ATTR_CONFORMING, ATTR_PRESENT, ATTR_WRITABLE
from ringzero.isa.names import GP, NP, SS, STACK_FAULT

ATTR_REAL = 0x93  # in real mode every segment is present, writable data, the code segment too


def data_segment(cpu: Processor, number: int, selector: int) -> Descriptor | None:
    """Check a load of ES, DS, FS, GS or SS (SDM 2B, MOV); None for a null selector."""
    cpl, rpl, error = cpu.words[SLOT["cpl"]], selector & 3, selector & 0xFFFC
    if number == SS:
        return stack_segment(cpu, selector, cpl, cpu.long_code)
    if not error:
        return None
    found = fetch(cpu, selector)
    readable = found.is_data or (found.is_code and found.attr & ATTR_WRITABLE)
    conforming = found.is_code and found.attr & ATTR_CONFORMING
    if not readable or (not conforming and max(rpl, cpl) > found.dpl):
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    return accessible(cpu, found)


def stack_segment(cpu: Processor, selector: int, cpl: int, long: bool) -> Descriptor | None:
    """Check a load of SS for code at `cpl`; None for the null selector that 64-bit code inside CPL 3 may have."""
    error = selector & 0xFFFC
    if not error:
        if long and cpl < 3 and selector & 3 == cpl:
            return None
        raise GuestFault(GP, 0)
    found = fetch(cpu, selector)
    if selector & 3 != cpl or found.dpl != cpl or not found.is_data or not found.attr & ATTR_WRITABLE:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(STACK_FAULT, error)
    return accessible(cpu, found)


def load_segment(cpu: Processor, number: int, slot: int, popped: int = 0) -> None:
    """MOV or POP to a segment register; `popped` bytes leave the stack. SS holds interrupts off for one step."""
    load(cpu, number, cpu.words[slot] & 0xFFFF)
    if popped:
        set_stack(cpu, stack_pointer(cpu) + popped)
    if number == SS:
        cpu.words[SLOT["shadow"]] = cpu.clock.steps + 1
        cpu.trap = False  # SDM 3A 6.8.3: nor is there a debug exception between the two
        if cpu.words[SLOT["dr7"]] & breakpoints.ENABLES:
            cpu.words[SLOT["debug_pending"]] |= breakpoints.HELD


def load(cpu: Processor, number: int, selector: int) -> None:
    """Check the selector and fill the segment register."""
    name = SEGMENTS[number]
    if not cpu.protected:
        real_segment(cpu, name, selector)
    elif (descriptor := data_segment(cpu, number, selector)) is None:
        put_null(cpu, name, selector)
    else:
        put(cpu, name, selector, descriptor)
    cpu.update_mode()


def real_segment(cpu: Processor, name: str, selector: int) -> None:
    """Fill a segment register in real mode: limit, D/B and G stay as they are ("unreal" mode)."""
    words, attr = cpu.words, SLOT[f"{name}_attr"]
    words[SLOT[f"{name}_selector"]] = selector
    words[SLOT[f"{name}_base"]] = selector << 4
    words[attr] = words[attr] & ~0xFF | ATTR_REAL


def load_far_pointer(
    cpu: Processor, number: int, slot: int, offset_slot: int, target: int, size: int
) -> None:
    """LDS and its kin: the segment register first, which may fault, then the general one, of `size` bytes."""
    offset = cpu.words[offset_slot]
    load(cpu, number, cpu.words[slot] & 0xFFFF)
    keep = cpu.words[target] & ~0xFFFF if size == 2 else 0
    cpu.words[target] = keep | offset


# --- system segments -------------------------------------------------------------------------------------------------


def _system_segment(cpu: Processor, selector: int, types: tuple[int, ...]) -> Descriptor:
    error = selector & 0xFFFC
    if selector & 4:
        raise GuestFault(GP, error)
    found = fetch(cpu, selector, size=16 if cpu.long_mode else 8)
    if found.attr & 0x1F not in types:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    return found


def load_ldt(cpu: Processor, slot: int) -> None:
    selector = cpu.words[slot] & 0xFFFF
    if selector & 0xFFFC:
        put(cpu, "ldtr", selector, _system_segment(cpu, selector, (2,)))
    else:
        put_null(cpu, "ldtr", selector)


def load_task(cpu: Processor, slot: int) -> None:
    """LTR marks the TSS busy in its descriptor (SDM 2A, LTR)."""
    selector = cpu.words[slot] & 0xFFFF
    if not selector & 0xFFFC:
        raise GuestFault(GP, 0)
    found = _system_segment(cpu, selector, (9,) if cpu.long_mode else (1, 9))
    cpu.store(found.address + 4, 4, found.word >> 32 | 1 << 9, system=True)
    put(cpu, "tr", selector, found)
    cpu.words[SLOT["tr_attr"]] = found.attr | 2
