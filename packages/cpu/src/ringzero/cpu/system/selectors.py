"""LAR, LSL, VERR and VERW: what a selector names, asked without a fault (SDM 2A; 3A 5.10)."""

from __future__ import annotations

from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.descriptors import Descriptor, fetch
from ringzero.cpu.system.processor import Processor
from ringzero.isa import rflags as F
from ringzero.isa.control import ATTR_CODE, ATTR_CODE_OR_DATA, ATTR_CONFORMING, ATTR_WRITABLE
from ringzero.isa.names import GP

M32 = 0xFFFF_FFFF
#: Types of system descriptors that LAR and LSL know, outside long mode and in it (SDM 2A, LAR, LSL).
RIGHTS, RIGHTS_LONG = frozenset((1, 2, 3, 4, 5, 9, 11, 12)), frozenset((2, 9, 11, 12))
LIMITS, LIMITS_LONG = frozenset((1, 2, 3, 9, 11)), frozenset((2, 9, 11))


def _seen(cpu: Processor, selector: int, system: frozenset[int]) -> Descriptor | None:
    """The descriptor, if this code may see it and it is code, data or one of these system types (SDM 2A, LAR)."""
    if not selector & 0xFFFC:
        return None
    try:
        found = fetch(cpu, selector)
        if not found.attr & ATTR_CODE_OR_DATA:
            if found.attr & 0xF not in system:
                return None
            if cpu.long_mode:
                found = fetch(cpu, selector, size=16)
    except GuestFault as fault:
        if fault.vector != GP or not fault.error:
            raise
        return None  # beyond the table: no fault here
    conforming = found.is_code and found.attr & ATTR_CONFORMING
    if not conforming and max(cpu.words[SLOT["cpl"]], selector & 3) > found.dpl:
        return None
    return found


def _tell(cpu: Processor, known: bool) -> None:
    flags = SLOT["rflags"]
    cpu.words[flags] = cpu.words[flags] & ~F.ZF | (F.ZF if known else 0)


def _put(cpu: Processor, target: int, size: int, value: int) -> None:
    keep = cpu.words[target] & ~0xFFFF if size == 2 else 0
    cpu.words[target] = keep | value & (0xFFFF if size == 2 else M32)


def load_rights(cpu: Processor, target: int, source: int, size: int) -> None:
    """LAR: the descriptor's second word without its base; ZF says whether there was one to see.

    Bits 19:16, of the limit, are the manual's "undefined"; silicon and Bochs leave them, and so does this.
    """
    found = _seen(cpu, cpu.words[source] & 0xFFFF, RIGHTS_LONG if cpu.long_mode else RIGHTS)
    _tell(cpu, found is not None)
    if found is not None:
        _put(cpu, target, size, found.word >> 32 & 0x00FF_FF00)


def load_limit(cpu: Processor, target: int, source: int, size: int) -> None:
    """LSL: the limit in bytes."""
    found = _seen(cpu, cpu.words[source] & 0xFFFF, LIMITS_LONG if cpu.long_mode else LIMITS)
    _tell(cpu, found is not None)
    if found is not None:
        _put(cpu, target, size, found.limit)


def verify(cpu: Processor, source: int, write: bool) -> None:
    """VERR and VERW: ZF says whether a segment could be read, or written, once it is loaded."""
    found = _seen(cpu, cpu.words[source] & 0xFFFF, frozenset())
    if found is None:
        allowed = False
    elif write:
        allowed = found.is_data and bool(found.attr & ATTR_WRITABLE)
    else:
        allowed = not found.attr & ATTR_CODE or bool(found.attr & ATTR_WRITABLE)
    _tell(cpu, allowed)
