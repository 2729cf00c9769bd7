"""Segments as addresses meet them: presence, type and limit, then the base (SDM 3A 5.3-5.5)."""

from __future__ import annotations

from collections.abc import Sequence

from ringzero.cpu import mode as M
from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SEGMENTS, SLOT
from ringzero.isa.control import ATTR_BIG, ATTR_CODE, ATTR_CONFORMING, ATTR_PRESENT, ATTR_WRITABLE
from ringzero.isa.names import FS, GP, GS, SS, STACK_FAULT

M32, M64 = (1 << 32) - 1, (1 << 64) - 1


def checked(words: Sequence[int], segment: int, offset: int, size: int, write: bool = False) -> int:
    """Linear address of an offset in a segment outside 64-bit mode, by its presence, type and limit.

    Raises GuestFault: #SS for the stack segment, #GP for the others.
    """
    name = SEGMENTS[segment]
    attr, limit = words[SLOT[f"{name}_attr"]], words[SLOT[f"{name}_limit"]]
    allowed = attr & ATTR_PRESENT
    if attr & ATTR_CODE:  # never writable, and readable by the bit that says writable in data
        allowed = allowed and not write and attr & ATTR_WRITABLE
    elif write:
        allowed = allowed and attr & ATTR_WRITABLE
    end = offset + max(size, 1) - 1
    if attr & (ATTR_CODE | ATTR_CONFORMING) == ATTR_CONFORMING:  # data that expands down
        inside = offset > limit and end <= (M32 if attr & ATTR_BIG else 0xFFFF)
    else:
        inside = end <= limit
    if not (allowed and inside):
        raise GuestFault(STACK_FAULT if segment == SS else GP)
    return words[SLOT[f"{name}_base"]] + offset & M32


def linear(words: Sequence[int], segment: int, offset: int, size: int, write: bool = False) -> int:
    """Linear address of an offset in a segment, checked as the mode asks."""
    if not words[SLOT["mode"]] & M.LONG:
        return checked(words, segment, offset, size, write)
    base = words[SLOT[f"{SEGMENTS[segment]}_base"]] if segment in (FS, GS) else 0
    address = base + offset & M64
    if not (is_canonical(address) and is_canonical(address + size - 1)):
        raise GuestFault(STACK_FAULT if segment == SS else GP)
    return address
