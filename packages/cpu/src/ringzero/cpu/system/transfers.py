"""Far jumps and calls in protected mode, direct and through call gates, and LAR, LSL, VERR, VERW (SDM 2; 3A 5.8, 5.10).

Rule of this room: a gate is checked before the code that it leads to, that before the stack, and nothing is written
before the last check. Task switches are not here: outside long mode a guest that asks for one stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.segments import (
    CALL_GATE,
    M32,
    M64,
    OLD_GATES,
    Descriptor,
    check_code,
    check_target,
    enter_code,
    fetch,
    push_all,
    read_stack,
    switch_stack,
)
from ringzero.isa import rflags as F
from ringzero.isa.control import (
    ATTR_BIG,
    ATTR_CODE,
    ATTR_CODE_OR_DATA,
    ATTR_CONFORMING,
    ATTR_LONG,
    ATTR_PRESENT,
    ATTR_WRITABLE,
    EFER_LMA,
)
from ringzero.isa.names import GP, NP, RSP, STACK_FAULT, TS

if TYPE_CHECKING:
    from ringzero.cpu.cpu import Cpu

CALL_GATE_16 = 4
#: Types of system descriptors that LAR and LSL know, outside long mode and in it (SDM 2A, LAR, LSL).
RIGHTS, RIGHTS_LONG = frozenset((1, 2, 3, 4, 5, 9, 11, 12)), frozenset((2, 9, 11, 12))
LIMITS, LIMITS_LONG = frozenset((1, 2, 3, 9, 11)), frozenset((2, 9, 11))


def _long(cpu: Cpu) -> bool:
    return bool(cpu.words[SLOT["efer"]] & EFER_LMA)


# --- far jumps and calls ---------------------------------------------------------------------------------------------


def _named(cpu: Cpu, selector: int) -> Descriptor:
    """What the selector of a far jump or call names: code, or a call gate."""
    if not selector & 0xFFFC:
        raise GuestFault(GP, 0)
    found = fetch(cpu, selector)
    if found.attr & 0x1F in OLD_GATES and not _long(cpu) and found.attr & 0x1F != CALL_GATE_16:
        if found.dpl < max(cpu.words[SLOT["cpl"]], selector & 3):
            raise GuestFault(GP, selector & 0xFFFC)
        if not found.attr & ATTR_PRESENT:
            raise GuestFault(NP, selector & 0xFFFC)
        cpu.unsupported("a task gate or a task switch")
    return found


def _is_gate(cpu: Cpu, found: Descriptor) -> bool:
    kind = found.attr & 0x1F
    return kind == CALL_GATE or (kind == CALL_GATE_16 and not _long(cpu))


def _direct(cpu: Cpu, selector: int, offset: int, found: Descriptor) -> None:
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


def _through(cpu: Cpu, selector: int, gate: Descriptor) -> tuple[int, Descriptor, int]:
    """Selector, code and offset that a call gate leads to; the code is no outer level's (SDM 3A 5.8.3)."""
    cpl, error = cpu.words[SLOT["cpl"]], selector & 0xFFFC
    if _long(cpu):
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
    if _long(cpu) and found.attr & (ATTR_LONG | ATTR_BIG) != ATTR_LONG:
        raise GuestFault(GP, error)
    return target, found, offset


def far_jump(cpu: Cpu, selector_slot: int, offset_slot: int) -> None:
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


def far_call(cpu: Cpu, selector_slot: int, offset_slot: int, size: int) -> None:
    selector, offset = cpu.words[selector_slot] & 0xFFFF, cpu.words[offset_slot]
    found = _named(cpu, selector)
    if _is_gate(cpu, found):
        _call_through(cpu, selector, found)
        return
    _direct(cpu, selector, offset, found)
    push_all(cpu, (cpu.words[SLOT["cs_selector"]], cpu.words[SLOT["rip"]]), size)
    enter_code(cpu, selector, found, offset, cpu.words[SLOT["cpl"]])


def _call_through(cpu: Cpu, selector: int, gate: Descriptor) -> None:
    """A call through a gate: at the same level like any far call, else on the inner level's stack."""
    words, long = cpu.words, _long(cpu)
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
        _inner_stack(cpu, new_cpl, (words[SLOT["ss_selector"]], words[RSP], *back))
    else:
        parameters = read_stack(cpu, gate.word >> 32 & 0x1F, size)
        frame = (words[SLOT["ss_selector"]], words[RSP], *reversed(parameters), *back)
        switch_stack(cpu, new_cpl, frame, size, 0)
    enter_code(cpu, target, found, offset, new_cpl)


def _inner_stack(cpu: Cpu, cpl: int, frame: tuple[int, ...]) -> None:
    """In long mode: RSP from the TSS, a null SS, and the frame (SDM 2A, CALL; 3A 5.8.5.1)."""
    words, entry = cpu.words, 4 + 8 * cpl
    if entry + 7 > words[SLOT["tr_limit"]]:
        raise GuestFault(TS, words[SLOT["tr_selector"]] & 0xFFFC)
    top = cpu.load(words[SLOT["tr_base"]] + entry & M64, 8, system=True)
    places = [top - 8 * (n + 1) & M64 for n in range(len(frame))]
    if not all(is_canonical(place) and is_canonical(place + 7) for place in places):
        raise GuestFault(STACK_FAULT)
    for place in places:
        cpu.probe_store(place, 8, system=True)
    for place, value in zip(places, frame, strict=True):
        cpu.store(place, 8, value, system=True)
    words[RSP] = places[-1]
    for field, value in (("selector", cpl), ("base", 0), ("limit", M32), ("attr", 0)):
        words[SLOT[f"ss_{field}"]] = value


# --- what a selector names -------------------------------------------------------------------------------------------


def _seen(cpu: Cpu, selector: int, system: frozenset[int]) -> Descriptor | None:
    """The descriptor, if this code may see it and it is code, data or one of these system types (SDM 2A, LAR)."""
    if not selector & 0xFFFC:
        return None
    try:
        found = fetch(cpu, selector)
        if not found.attr & ATTR_CODE_OR_DATA:
            if found.attr & 0xF not in system:
                return None
            if _long(cpu):
                found = fetch(cpu, selector, size=16)
    except GuestFault as fault:
        if fault.vector != GP or not fault.error:
            raise
        return None  # beyond the table: no fault here
    conforming = found.is_code and found.attr & ATTR_CONFORMING
    if not conforming and max(cpu.words[SLOT["cpl"]], selector & 3) > found.dpl:
        return None
    return found


def _tell(cpu: Cpu, known: bool) -> None:
    flags = SLOT["rflags"]
    cpu.words[flags] = cpu.words[flags] & ~F.ZF | (F.ZF if known else 0)


def _put(cpu: Cpu, target: int, size: int, value: int) -> None:
    keep = cpu.words[target] & ~0xFFFF if size == 2 else 0
    cpu.words[target] = keep | value & (0xFFFF if size == 2 else M32)


def load_rights(cpu: Cpu, target: int, source: int, size: int) -> None:
    """LAR: the descriptor's second word without its base; ZF says whether there was one to see.

    Bits 19:16, of the limit, are the manual's "undefined"; silicon and Bochs leave them, and so does this.
    """
    found = _seen(cpu, cpu.words[source] & 0xFFFF, RIGHTS_LONG if _long(cpu) else RIGHTS)
    _tell(cpu, found is not None)
    if found is not None:
        _put(cpu, target, size, found.word >> 32 & 0x00FF_FF00)


def load_limit(cpu: Cpu, target: int, source: int, size: int) -> None:
    """LSL: the limit in bytes."""
    found = _seen(cpu, cpu.words[source] & 0xFFFF, LIMITS_LONG if _long(cpu) else LIMITS)
    _tell(cpu, found is not None)
    if found is not None:
        _put(cpu, target, size, found.limit)


def verify(cpu: Cpu, source: int, write: bool) -> None:
    """VERR and VERW: ZF says whether a segment could be read, or written, once it is loaded."""
    found = _seen(cpu, cpu.words[source] & 0xFFFF, frozenset())
    if found is None:
        allowed = False
    elif write:
        allowed = found.is_data and bool(found.attr & ATTR_WRITABLE)
    else:
        allowed = not found.attr & ATTR_CODE or bool(found.attr & ATTR_WRITABLE)
    _tell(cpu, allowed)
