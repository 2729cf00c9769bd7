"""Real mode (CR0.PE = 0), for the driver: a selector is a base, and interrupts go through vectors of four bytes.

SDM 3B 21.1; SDM 2, JMP, CALL, RET, INT n, IRET. Their protected relatives are in `transfers` and `delivery`, loads of
segment registers, in all modes, in `segments`.
"""

from __future__ import annotations

from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.processor import Processor
from ringzero.cpu.system.segments import real_segment
from ringzero.cpu.system.stack import push_all, read_stack, set_stack, stack_pointer
from ringzero.isa import rflags as F
from ringzero.isa.names import GP

ENTRY = 4  # bytes of an interrupt vector: offset, selector
M32 = 0xFFFF_FFFF
#: What an IRET of 16 bits loads; one of 32 bits loads RF, AC and ID too.
_FLAGS = F.ARITHMETIC | F.TF | F.IF | F.DF | F.IOPL | F.NT


def _check_target(cpu: Processor, offset: int) -> None:
    if offset > cpu.words[SLOT["cs_limit"]]:
        raise GuestFault(GP)


def _enter_code(cpu: Processor, selector: int, offset: int) -> None:
    real_segment(cpu, "cs", selector)
    cpu.words[SLOT["rip"]] = offset
    cpu.update_mode()


def far_jump(cpu: Processor, selector_slot: int, offset_slot: int) -> None:
    selector, offset = cpu.words[selector_slot] & 0xFFFF, cpu.words[offset_slot]
    _check_target(cpu, offset)
    _enter_code(cpu, selector, offset)


def far_call(cpu: Processor, selector_slot: int, offset_slot: int, size: int) -> None:
    selector, offset = cpu.words[selector_slot] & 0xFFFF, cpu.words[offset_slot]
    _check_target(cpu, offset)
    push_all(cpu, (cpu.words[SLOT["cs_selector"]], cpu.words[SLOT["rip"]]), size)
    _enter_code(cpu, selector, offset)


def far_return(cpu: Processor, size: int, extra: int) -> None:
    offset, selector = read_stack(cpu, 2, size)
    _check_target(cpu, offset)
    set_stack(cpu, stack_pointer(cpu) + 2 * size + extra)
    _enter_code(cpu, selector & 0xFFFF, offset)


def interrupt_return(cpu: Processor, size: int) -> None:
    offset, selector, flags = read_stack(cpu, 3, size)
    _check_target(cpu, offset)
    set_stack(cpu, stack_pointer(cpu) + 3 * size)
    _enter_code(cpu, selector & 0xFFFF, offset)
    mask = _FLAGS | ((F.RF | F.AC | F.ID) if size > 2 else 0)
    words = cpu.words
    words[SLOT["rflags"]] = words[SLOT["rflags"]] & ~mask | flags & mask | F.FIXED
    words[SLOT["nmi_blocked"]] = 0


def deliver(cpu: Processor) -> None:
    """Deliver int_vector: FLAGS, CS and IP are pushed, and never an error code. Raises GuestFault, nothing changed."""
    words, vector = cpu.words, cpu.words[SLOT["int_vector"]]
    if vector * ENTRY + ENTRY - 1 > words[SLOT["idtr_limit"]]:
        raise GuestFault(GP)
    entry = cpu.load(words[SLOT["idtr_base"]] + vector * ENTRY & M32, ENTRY, system=True)
    flags = words[SLOT["rflags"]] | words[SLOT["int_flags"]]
    push_all(cpu, (flags, words[SLOT["cs_selector"]], words[SLOT["int_rip"]]), 2)
    words[SLOT["rflags"]] &= ~(F.IF | F.TF | F.AC | F.RF)
    _enter_code(cpu, entry >> 16, entry & 0xFFFF)
