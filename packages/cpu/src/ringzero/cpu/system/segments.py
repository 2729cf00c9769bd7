"""Segment registers, descriptor tables and far transfers, for the driver (SDM 3A 3.4, 6.8; SDM 2, MOV, JMP, CALL, RET).

Rare in long mode, so told in Python. Far jumps and calls are in `transfers`.
The checks also ask for the permission to set a descriptor's accessed bit, so that nothing can fault after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SEGMENTS, SLOT
from ringzero.isa import rflags as F
from ringzero.isa.control import (
    ATTR_BIG,
    ATTR_CODE,
    ATTR_CODE_OR_DATA,
    ATTR_CONFORMING,
    ATTR_LONG,
    ATTR_PAGES,
    ATTR_PRESENT,
    ATTR_WRITABLE,
    EFER_LMA,
)
from ringzero.isa.names import FS, GP, GS, NP, RSP, SS, STACK_FAULT, TS

if TYPE_CHECKING:
    from ringzero.cpu.cpu import Cpu

M32 = 0xFFFF_FFFF
M64 = (1 << 64) - 1
ATTR_REAL = 0x93  # in real mode every segment is present, writable data, the code segment too
TSS_32 = 8  # in a TSS's type: it is not one of the 80286
CALL_GATE = 0xC  # type of a 32-bit or 64-bit call gate
OLD_GATES = (1, 4, 5, 9)  # 16-bit TSS and call gate, task gate, 32-bit TSS: outside long mode


@dataclass(frozen=True)
class Descriptor:
    """A descriptor, unpacked, and where it stands. `attr` as in a segment's slot; `limit` in bytes."""

    word: int
    address: int
    high: int = 0  # bits 63..32 of the base of a 16-byte system descriptor

    @property
    def attr(self) -> int:
        return self.word >> 40 & 0xFF | self.word >> 44 & 0xF00

    @property
    def base(self) -> int:
        return self.word >> 16 & 0xFF_FFFF | self.word >> 32 & 0xFF00_0000 | self.high << 32

    @property
    def limit(self) -> int:
        raw = self.word & 0xFFFF | self.word >> 32 & 0xF0000
        return raw << 12 | 0xFFF if self.attr & ATTR_PAGES else raw

    @property
    def dpl(self) -> int:
        return self.attr >> 5 & 3

    @property
    def is_code(self) -> bool:
        return self.attr & (ATTR_CODE_OR_DATA | ATTR_CODE) == ATTR_CODE_OR_DATA | ATTR_CODE

    @property
    def is_data(self) -> bool:
        return self.attr & (ATTR_CODE_OR_DATA | ATTR_CODE) == ATTR_CODE_OR_DATA


def fetch(cpu: Cpu, selector: int, size: int = 8, external: int = 0) -> Descriptor:
    """The descriptor that a selector names; #GP(selector) beyond its table's limit, with EXT if `external`."""
    error = selector & 0xFFFC | external
    table = "ldtr" if selector & 4 else "gdtr"
    words, index = cpu.words, selector & 0xFFF8
    if selector & 4 and not words[SLOT["ldtr_attr"]] & ATTR_PRESENT:
        raise GuestFault(GP, error)
    if index + size - 1 > words[SLOT[f"{table}_limit"]]:
        raise GuestFault(GP, error)
    address = words[SLOT[f"{table}_base"]] + index & M64
    word = cpu.load(address, 8, system=True)
    high = cpu.load(address + 8, 8, system=True) if size == 16 else 0
    if high >> 40 & 0x1F:
        raise GuestFault(GP, error)
    return Descriptor(word, address, high & M32)


def accessible(cpu: Cpu, found: Descriptor) -> Descriptor:
    """The same descriptor; faults as setting its accessed bit would."""
    if not found.attr & 1:
        cpu.probe_store(found.address + 4, 4, system=True)
    return found


def put(cpu: Cpu, name: str, selector: int, descriptor: Descriptor) -> None:
    """Fill a segment register, and set the descriptor's accessed bit."""
    if descriptor.attr & ATTR_CODE_OR_DATA and not descriptor.attr & 1:
        cpu.store(descriptor.address + 4, 4, descriptor.word >> 32 | 1 << 8, system=True)
    words = cpu.words
    words[SLOT[f"{name}_selector"]] = selector
    words[SLOT[f"{name}_base"]] = descriptor.base
    words[SLOT[f"{name}_limit"]] = descriptor.limit
    words[SLOT[f"{name}_attr"]] = descriptor.attr | (1 if descriptor.attr & ATTR_CODE_OR_DATA else 0)


def put_null(cpu: Cpu, name: str, selector: int) -> None:
    for field, value in (("selector", selector), ("base", 0), ("limit", 0), ("attr", 0)):
        cpu.words[SLOT[f"{name}_{field}"]] = value


def data_segment(cpu: Cpu, number: int, selector: int) -> Descriptor | None:
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


def stack_segment(cpu: Cpu, selector: int, cpl: int, long: bool) -> Descriptor | None:
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


def load_segment(cpu: Cpu, number: int, slot: int, popped: int = 0) -> None:
    """MOV or POP to a segment register; `popped` bytes leave the stack. SS holds interrupts off for one step."""
    load(cpu, number, cpu.words[slot] & 0xFFFF)
    if popped:
        set_stack(cpu, stack_pointer(cpu) + popped)
    if number == SS:
        cpu.words[SLOT["shadow"]] = cpu.clock.steps + 1
        cpu.trap = False  # SDM 3A 6.8.3: nor is there a debug exception between the two
        if cpu.words[SLOT["dr7"]] & breakpoints.ENABLES:
            cpu.words[SLOT["debug_pending"]] |= breakpoints.HELD


def load(cpu: Cpu, number: int, selector: int) -> None:
    """Check the selector and fill the segment register."""
    name = SEGMENTS[number]
    if not cpu.protected:
        real_segment(cpu, name, selector)
    elif (descriptor := data_segment(cpu, number, selector)) is None:
        put_null(cpu, name, selector)
    else:
        put(cpu, name, selector, descriptor)
    cpu.update_mode()


def real_segment(cpu: Cpu, name: str, selector: int) -> None:
    """Fill a segment register in real mode: limit, D/B and G stay as they are ("unreal" mode)."""
    words, attr = cpu.words, SLOT[f"{name}_attr"]
    words[SLOT[f"{name}_selector"]] = selector
    words[SLOT[f"{name}_base"]] = selector << 4
    words[attr] = words[attr] & ~0xFF | ATTR_REAL


def load_far_pointer(cpu: Cpu, number: int, slot: int, offset_slot: int, target: int, size: int) -> None:
    """LDS and its kin: the segment register first, which may fault, then the general one, of `size` bytes."""
    offset = cpu.words[offset_slot]
    load(cpu, number, cpu.words[slot] & 0xFFFF)
    keep = cpu.words[target] & ~0xFFFF if size == 2 else 0
    cpu.words[target] = keep | offset


def checked(words: Sequence[int], segment: int, offset: int, size: int, write: bool = False) -> int:
    """Linear address of an offset in a segment outside 64-bit mode, by its presence, type and limit (SDM 3A 5.3-5.5).

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


def linear(cpu: Cpu, segment: int, offset: int, size: int, write: bool = False) -> int:
    """Linear address of an offset in a segment, checked as the mode asks."""
    if not cpu.long_code:
        return checked(cpu.words, segment, offset, size, write)
    base = cpu.words[SLOT[f"{SEGMENTS[segment]}_base"]] if segment in (FS, GS) else 0
    address = base + offset & M64
    if not (is_canonical(address) and is_canonical(address + size - 1)):
        raise GuestFault(STACK_FAULT if segment == SS else GP)
    return address


# --- the stack, for far transfers ------------------------------------------------------------------------------------


def stack_mask(cpu: Cpu) -> int:
    if cpu.long_code:
        return M64
    return M32 if cpu.words[SLOT["ss_attr"]] & ATTR_BIG else 0xFFFF


def stack_pointer(cpu: Cpu) -> int:
    return cpu.words[RSP] & stack_mask(cpu)


def set_stack(cpu: Cpu, value: int) -> None:
    mask = stack_mask(cpu)
    keep = cpu.words[RSP] & ~0xFFFF if mask == 0xFFFF else 0
    cpu.words[RSP] = keep | value & mask


def push_all(cpu: Cpu, values: tuple[int, ...], size: int) -> None:
    """Push several words of `size` bytes, or fault with none pushed."""
    top, mask = stack_pointer(cpu), stack_mask(cpu)
    places = [linear(cpu, SS, top - size * (n + 1) & mask, size, True) for n in range(len(values))]
    for place in places:
        cpu.probe_store(place, size)
    for place, value in zip(places, values, strict=True):
        cpu.store(place, size, value & ((1 << 8 * size) - 1))
    set_stack(cpu, top - size * len(values))


def read_stack(cpu: Cpu, count: int, size: int, skipped: int = 0) -> list[int]:
    """The topmost words of `size` bytes below so many bytes, without popping them."""
    top, mask = stack_pointer(cpu) + skipped, stack_mask(cpu)
    return [cpu.load(linear(cpu, SS, top + size * n & mask, size), size) for n in range(count)]


# --- far transfers ---------------------------------------------------------------------------------------------------


def check_code(cpu: Cpu, found: Descriptor, error: int) -> None:
    """Present, with sensible L and D bits."""
    lma = cpu.words[SLOT["efer"]] & EFER_LMA
    long = lma and found.attr & ATTR_LONG
    if long and found.attr & ATTR_BIG:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    accessible(cpu, found)


def check_target(cpu: Cpu, found: Descriptor, offset: int) -> None:
    """The new instruction pointer: canonical, or within the segment; the last check of all."""
    if cpu.words[SLOT["efer"]] & EFER_LMA and found.attr & ATTR_LONG:
        outside = not is_canonical(offset)
    else:
        outside = offset > found.limit
    if outside:
        raise GuestFault(GP, 0)


def enter_code(cpu: Cpu, selector: int, found: Descriptor, offset: int, cpl: int) -> None:
    put(cpu, "cs", selector & 0xFFFC | cpl, found)
    cpu.words[SLOT["cpl"]] = cpl
    cpu.words[SLOT["rip"]] = offset
    cpu.update_mode()


def _code_for_return(cpu: Cpu, selector: int) -> Descriptor:
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
    cpu: Cpu, selector: int, found: Descriptor, offset: int, stack: tuple[int, int], extra: int
) -> None:
    """The second half of a return that pops a stack too; after it no segment of an inner level is left."""
    rpl, cpl = selector & 3, cpu.words[SLOT["cpl"]]
    stack_offset, stack_selector = stack
    lma = bool(cpu.words[SLOT["efer"]] & EFER_LMA)
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


def far_return(cpu: Cpu, size: int, extra: int) -> None:
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


def interrupt_return(cpu: Cpu, size: int) -> None:
    """IRET and IRETD; IRETQ is microcode. From 64-bit code SS:RSP is popped even at the same level (SDM 2A, IRET)."""
    if cpu.words[SLOT["rflags"]] & F.NT:
        if cpu.words[SLOT["efer"]] & EFER_LMA:
            raise GuestFault(GP, 0)
        cpu.unsupported("a return to a nested task")
    offset, selector, flags = read_stack(cpu, 3, size)
    selector &= 0xFFFF
    cpl = cpu.words[SLOT["cpl"]]
    if flags & F.VM and size > 2 and cpl == 0 and not cpu.words[SLOT["efer"]] & EFER_LMA:
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


# --- system segments -------------------------------------------------------------------------------------------------


def _system_segment(cpu: Cpu, selector: int, types: tuple[int, ...]) -> Descriptor:
    error = selector & 0xFFFC
    if selector & 4:
        raise GuestFault(GP, error)
    found = fetch(cpu, selector, size=16 if cpu.words[SLOT["efer"]] & EFER_LMA else 8)
    if found.attr & 0x1F not in types:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    return found


def load_ldt(cpu: Cpu, slot: int) -> None:
    selector = cpu.words[slot] & 0xFFFF
    if selector & 0xFFFC:
        put(cpu, "ldtr", selector, _system_segment(cpu, selector, (2,)))
    else:
        put_null(cpu, "ldtr", selector)


def load_task(cpu: Cpu, slot: int) -> None:
    """LTR marks the TSS busy in its descriptor (SDM 2A, LTR)."""
    selector = cpu.words[slot] & 0xFFFF
    if not selector & 0xFFFC:
        raise GuestFault(GP, 0)
    found = _system_segment(cpu, selector, (9,) if cpu.words[SLOT["efer"]] & EFER_LMA else (1, 9))
    cpu.store(found.address + 4, 4, found.word >> 32 | 1 << 9, system=True)
    put(cpu, "tr", selector, found)
    cpu.words[SLOT["tr_attr"]] = found.attr | 2


# --- delivery outside long mode --------------------------------------------------------------------------------------


def deliver_protected(cpu: Cpu) -> None:
    """Deliver int_vector through a 32-bit IDT (SDM 3A 6.12.1). Raises GuestFault with nothing changed."""
    words = cpu.words
    vector, external, cpl = words[SLOT["int_vector"]], words[SLOT["int_external"]], words[SLOT["cpl"]]
    error = vector * 8 + 2 | external
    if vector * 8 + 7 > words[SLOT["idtr_limit"]]:
        raise GuestFault(GP, error)
    gate = cpu.load(words[SLOT["idtr_base"]] + vector * 8 & M32, 8, system=True)
    kind = gate >> 40 & 0x1F
    if kind == 5:
        cpu.unsupported("a task gate")
    if kind not in (0x6, 0x7, 0xE, 0xF) or (words[SLOT["int_software"]] and gate >> 45 & 3 < cpl):
        raise GuestFault(GP, error)
    if not gate >> 47 & 1:
        raise GuestFault(NP, error)
    selector = gate >> 16 & 0xFFFF
    if not selector & 0xFFFC:
        raise GuestFault(GP, external)
    error = selector & 0xFFFC | external
    found = fetch(cpu, selector, external=external)
    if not found.is_code or found.dpl > cpl:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    accessible(cpu, found)
    size = 4 if kind & 8 else 2
    offset = gate & 0xFFFF | (gate >> 32 & 0xFFFF_0000 if size == 4 else 0)
    if offset > found.limit:
        raise GuestFault(GP, external)
    flags = words[SLOT["rflags"]] | words[SLOT["int_flags"]]
    frame: tuple[int, ...] = (flags, words[SLOT["cs_selector"]], words[SLOT["int_rip"]])
    if words[SLOT["int_has_error"]]:
        frame += (words[SLOT["int_error"]],)
    new_cpl = cpl if found.attr & ATTR_CONFORMING else found.dpl
    if new_cpl < cpl:
        frame = (words[SLOT["ss_selector"]], words[RSP], *frame)
        switch_stack(cpu, new_cpl, frame, size, external)
    else:
        _push_frame(cpu, frame, size, external)
    enter_code(cpu, selector, found, offset, new_cpl)
    clear = F.TF | F.NT | F.RF | F.VM | (0 if kind & 1 else F.IF)
    words[SLOT["rflags"]] &= ~clear
    cpu.update_mode()


def _push_frame(cpu: Cpu, frame: tuple[int, ...], size: int, error: int) -> None:
    """`push_all`, whose #SS tells what was being delivered."""
    try:
        push_all(cpu, frame, size)
    except GuestFault as fault:
        raise GuestFault(
            fault.vector, error if fault.vector == STACK_FAULT else fault.error, fault.address
        ) from None


def _task_stack(cpu: Cpu, selector: int, cpl: int, external: int) -> Descriptor:
    """Check the SS that a TSS gives for an inner level (SDM 2A, INT n)."""
    error = selector & 0xFFFC | external
    try:
        found = stack_segment(cpu, selector, cpl, False)
    except GuestFault as fault:
        vector = fault.vector if fault.vector == STACK_FAULT else TS
        raise GuestFault(vector, error) from None
    assert found is not None, "outside 64-bit code no null SS passes"
    return found


def _stack_in_task(cpu: Cpu, cpl: int, external: int) -> tuple[int, int]:
    """SP and SS for an inner level, from a 32-bit or a 16-bit TSS (SDM 3A, figures 8-2 and 8-10)."""
    words = cpu.words
    size = 4 if words[SLOT["tr_attr"]] & TSS_32 else 2
    at = size + 2 * size * cpl
    if at + size + 1 > words[SLOT["tr_limit"]]:
        raise GuestFault(TS, words[SLOT["tr_selector"]] & 0xFFFC | external)
    base = words[SLOT["tr_base"]] + at
    return cpu.load(base & M32, size, system=True), cpu.load(base + size & M32, 2, system=True)


def switch_stack(cpu: Cpu, cpl: int, frame: tuple[int, ...], size: int, external: int) -> None:
    """Take the stack of an inner level from the TSS and push the frame there."""
    words = cpu.words
    top, selector = _stack_in_task(cpu, cpl, external)
    found = _task_stack(cpu, selector, cpl, external)
    saved = {f: words[SLOT[f"ss_{f}"]] for f in ("selector", "base", "limit", "attr")} | {"rsp": words[RSP]}
    old_cpl = words[SLOT["cpl"]]
    put(cpu, "ss", selector, found)
    words[RSP], words[SLOT["cpl"]] = top, cpl
    try:
        _push_frame(cpu, frame, size, selector & 0xFFFC | external)
    except GuestFault:
        words[RSP], words[SLOT["cpl"]] = saved.pop("rsp"), old_cpl
        for field, value in saved.items():
            words[SLOT[f"ss_{field}"]] = value
        raise
