"""Far jumps, calls and returns in protected mode, direct and through call gates (SDM 2; 3A 5.8).

Rule of this room: a gate is checked before the code that it leads to, that before the stack, and nothing is written
before the last check. Task switches are not here: outside long mode a guest that asks for one stops.
"""

from __future__ import annotations

from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.descriptors import Descriptor, accessible, fetch, put, put_null
from ringzero.cpu.system.inner import long_stack, switch_stack
from ringzero.cpu.system.processor import Processor
from ringzero.cpu.system.segments import stack_segment
from ringzero.cpu.system.stack import push_all, read_stack, set_stack, stack_pointer
from ringzero.isa import rflags as F
from ringzero.isa.control import ATTR_BIG, ATTR_CONFORMING, ATTR_LONG, ATTR_PRESENT
from ringzero.isa.names import GP, NP, RSP

CALL_GATE, CALL_GATE_16 = 0xC, 4  # types of a 32-bit or 64-bit call gate, and of a 16-bit one
OLD_GATES = (1, 4, 5, 9)  # 16-bit TSS and call gate, task gate, 32-bit TSS: outside long mode


def check_code(cpu: Processor, found: Descriptor, error: int) -> None:
    """Present, with sensible L and D bits."""
    lma = cpu.long_mode
    long = lma and found.attr & ATTR_LONG
    if long and found.attr & ATTR_BIG:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    accessible(cpu, found)


def check_target(cpu: Processor, found: Descriptor, offset: int) -> None:
    """The new instruction pointer: canonical, or within the segment; the last check of all."""
    if cpu.long_mode and found.attr & ATTR_LONG:
        outside = not is_canonical(offset)
    else:
        outside = offset > found.limit
    if outside:
        raise GuestFault(GP, 0)


def enter_code(cpu: Processor, selector: int, found: Descriptor, offset: int, cpl: int) -> None:
    put(cpu, "cs", selector & 0xFFFC | cpl, found)
    cpu.words[SLOT["cpl"]] = cpl
    cpu.words[SLOT["rip"]] = offset
    cpu.update_mode()


# --- jumps and calls -------------------------------------------------------------------------------------------------


def _named(cpu: Processor, selector: int) -> Descriptor:
    """What the selector of a far jump or call names: code, or a call gate."""
    if not selector & 0xFFFC:
        raise GuestFault(GP, 0)
    found = fetch(cpu, selector)
    if found.attr & 0x1F in OLD_GATES and not cpu.long_mode and found.attr & 0x1F != CALL_GATE_16:
        if found.dpl < max(cpu.words[SLOT["cpl"]], selector & 3):
            raise GuestFault(GP, selector & 0xFFFC)
        if not found.attr & ATTR_PRESENT:
            raise GuestFault(NP, selector & 0xFFFC)
        cpu.unsupported("a task gate or a task switch")
    return found


def _is_gate(cpu: Processor, found: Descriptor) -> bool:
    kind = found.attr & 0x1F
    return kind == CALL_GATE or (kind == CALL_GATE_16 and not cpu.long_mode)


def _direct(cpu: Processor, selector: int, offset: int, found: Descriptor) -> None:
    """Check the target of a direct far jump or call: it keeps CPL."""
    cpl, error = cpu.words[SLOT["cpl"]], selector & 0xFFFC
    if not found.is_code:
        raise GuestFault(GP, error)
    if found.attr & ATTR_CONFORMING:
        allowed = found.dpl <= cpl
    else:
        allowed = found.dpl == cpl and selector & 3 <= cpl
    if not allowed:
        raise GuestFault(GP, error)
    check_code(cpu, found, error)
    check_target(cpu, found, offset)


def _through(cpu: Processor, selector: int, gate: Descriptor) -> tuple[int, Descriptor, int]:
    """Selector, code and offset that a call gate leads to; the code is no outer level's (SDM 3A 5.8.3)."""
    cpl, error = cpu.words[SLOT["cpl"]], selector & 0xFFFC
    if cpu.long_mode:
        gate = fetch(cpu, selector, size=16)
    if gate.dpl < max(cpl, selector & 3):
        raise GuestFault(GP, error)
    if not gate.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    target, offset = gate.word >> 16 & 0xFFFF, gate.word & 0xFFFF
    if gate.attr & 0x1F == CALL_GATE:
        offset |= gate.word >> 32 & 0xFFFF_0000 | gate.high << 32
    if not target & 0xFFFC:
        raise GuestFault(GP, 0)
    found, error = fetch(cpu, target), target & 0xFFFC
    if not found.is_code or found.dpl > cpl:
        raise GuestFault(GP, error)
    if cpu.long_mode and found.attr & (ATTR_LONG | ATTR_BIG) != ATTR_LONG:
        raise GuestFault(GP, error)
    return target, found, offset


def far_jump(cpu: Processor, selector_slot: int, offset_slot: int) -> None:
    selector, offset, cpl = cpu.words[selector_slot] & 0xFFFF, cpu.words[offset_slot], cpu.words[SLOT["cpl"]]
    found = _named(cpu, selector)
    if not _is_gate(cpu, found):
        _direct(cpu, selector, offset, found)
    else:
        selector, found, offset = _through(cpu, selector, found)
        if not found.attr & ATTR_CONFORMING and found.dpl != cpl:
            raise GuestFault(GP, selector & 0xFFFC)
        check_code(cpu, found, selector & 0xFFFC)
        check_target(cpu, found, offset)
    enter_code(cpu, selector, found, offset, cpl)


def far_call(cpu: Processor, selector_slot: int, offset_slot: int, size: int) -> None:
    selector, offset = cpu.words[selector_slot] & 0xFFFF, cpu.words[offset_slot]
    found = _named(cpu, selector)
    if _is_gate(cpu, found):
        _call_through(cpu, selector, found)
        return
    _direct(cpu, selector, offset, found)
    push_all(cpu, (cpu.words[SLOT["cs_selector"]], cpu.words[SLOT["rip"]]), size)
    enter_code(cpu, selector, found, offset, cpu.words[SLOT["cpl"]])


def _call_through(cpu: Processor, selector: int, gate: Descriptor) -> None:
    """A call through a gate: at the same level like any far call, else on the inner level's stack."""
    words, long = cpu.words, cpu.long_mode
    size = 8 if long else 4 if gate.attr & 0x1F == CALL_GATE else 2
    target, found, offset = _through(cpu, selector, gate)
    check_code(cpu, found, target & 0xFFFC)
    cpl = words[SLOT["cpl"]]
    new_cpl = cpl if found.attr & ATTR_CONFORMING else found.dpl
    back = (words[SLOT["cs_selector"]], words[SLOT["rip"]])
    check_target(cpu, found, offset)
    if new_cpl == cpl:
        push_all(cpu, back, size)
    elif long:
        long_stack(cpu, new_cpl, (words[SLOT["ss_selector"]], words[RSP], *back))
    else:
        parameters = read_stack(cpu, gate.word >> 32 & 0x1F, size)
        frame = (words[SLOT["ss_selector"]], words[RSP], *reversed(parameters), *back)
        switch_stack(cpu, new_cpl, frame, size, 0)
    enter_code(cpu, target, found, offset, new_cpl)


# --- returns ---------------------------------------------------------------------------------------------------------


def _code_for_return(cpu: Processor, selector: int) -> Descriptor:
    cpl, rpl, error = cpu.words[SLOT["cpl"]], selector & 3, selector & 0xFFFC
    if not error:
        raise GuestFault(GP, 0)
    found = fetch(cpu, selector)
    wrong_level = found.dpl > rpl if found.attr & ATTR_CONFORMING else found.dpl != rpl
    if not found.is_code or rpl < cpl or wrong_level:
        raise GuestFault(GP, error)
    check_code(cpu, found, error)
    return found


def _to_outer(
    cpu: Processor, selector: int, found: Descriptor, offset: int, stack: tuple[int, int], extra: int
) -> None:
    """The second half of a return that pops a stack too; after it no segment of an inner level is left."""
    rpl, cpl = selector & 3, cpu.words[SLOT["cpl"]]
    stack_offset, stack_selector = stack
    lma = cpu.long_mode
    descriptor = stack_segment(cpu, stack_selector, rpl, lma and bool(found.attr & ATTR_LONG))
    check_target(cpu, found, offset)
    enter_code(cpu, selector, found, offset, rpl)
    if descriptor is None:
        put_null(cpu, "ss", stack_selector)
    else:
        put(cpu, "ss", stack_selector, descriptor)
    cpu.update_mode()
    set_stack(cpu, stack_offset + extra)
    for name in ("es", "ds", "fs", "gs") if rpl != cpl else ():
        attr = cpu.words[SLOT[f"{name}_attr"]]
        if attr & 0xC != 0xC and attr >> 5 & 3 < rpl:
            cpu.words[SLOT[f"{name}_selector"]] = cpu.words[SLOT[f"{name}_attr"]] = 0


def far_return(cpu: Processor, size: int, extra: int) -> None:
    offset, selector = read_stack(cpu, 2, size)
    selector &= 0xFFFF
    found = _code_for_return(cpu, selector)
    if selector & 3 == cpu.words[SLOT["cpl"]]:
        check_target(cpu, found, offset)
        set_stack(cpu, stack_pointer(cpu) + 2 * size + extra)
        enter_code(cpu, selector, found, offset, selector & 3)
        return
    stack, stack_selector = read_stack(cpu, 2, size, 2 * size + extra)
    _to_outer(cpu, selector, found, offset, (stack, stack_selector & 0xFFFF), extra)


def interrupt_return(cpu: Processor, size: int) -> None:
    """IRET and IRETD; IRETQ is microcode. From 64-bit code SS:RSP is popped even at the same level (SDM 2A, IRET)."""
    if cpu.words[SLOT["rflags"]] & F.NT:
        if cpu.long_mode:
            raise GuestFault(GP, 0)
        cpu.unsupported("a return to a nested task")
    offset, selector, flags = read_stack(cpu, 3, size)
    selector &= 0xFFFF
    cpl = cpu.words[SLOT["cpl"]]
    if flags & F.VM and size > 2 and cpl == 0 and not cpu.long_mode:
        cpu.unsupported("virtual-8086 mode")
    found = _code_for_return(cpu, selector)
    mask = F.ARITHMETIC | F.TF | F.DF | F.NT | ((F.RF | F.AC | F.ID) if size > 2 else 0)
    if cpl <= cpu.words[SLOT["rflags"]] >> 12 & 3:
        mask |= F.IF
    if cpl == 0:
        mask |= F.IOPL | ((F.VIF | F.VIP) if size > 2 else 0)
    if selector & 3 == cpl and not cpu.long_code:
        check_target(cpu, found, offset)
        set_stack(cpu, stack_pointer(cpu) + 3 * size)
        enter_code(cpu, selector, found, offset, cpl)
    else:
        words = read_stack(cpu, 5, size)
        _to_outer(cpu, selector, found, offset, (words[3], words[4] & 0xFFFF), 0)
    cpu.words[SLOT["rflags"]] = cpu.words[SLOT["rflags"]] & ~mask | flags & mask | F.FIXED
    cpu.words[SLOT["nmi_blocked"]] = 0
    cpu.update_mode()
