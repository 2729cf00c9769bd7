"""Delivery of interrupts and exceptions in protected mode; in long mode it is microcode, in real mode `realmode`'s."""

from __future__ import annotations

from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.descriptors import Descriptor, accessible, fetch
from ringzero.cpu.system.inner import push_frame, switch_stack
from ringzero.cpu.system.processor import Processor
from ringzero.cpu.system.transfers import enter_code
from ringzero.isa import rflags as F
from ringzero.isa.control import ATTR_CONFORMING, ATTR_PRESENT
from ringzero.isa.names import GP, NP, RSP

M32 = 0xFFFF_FFFF
TASK_GATE, GATES = 5, (0x6, 0x7, 0xE, 0xF)
TRAP, WIDE = 1 << 40, 1 << 43  # in a gate's type: IF stays; its handler is 32-bit code


def deliver(cpu: Processor) -> None:
    """Deliver int_vector through a 32-bit IDT (SDM 3A 6.12.1). Raises GuestFault with nothing changed."""
    words, cpl, external = cpu.words, cpu.words[SLOT["cpl"]], cpu.words[SLOT["int_external"]]
    gate = _gate(cpu, external)
    selector = gate >> 16 & 0xFFFF
    found = _target(cpu, selector, external)
    size = 4 if gate & WIDE else 2
    offset = gate & 0xFFFF | (gate >> 32 & 0xFFFF_0000 if size == 4 else 0)
    if offset > found.limit:
        raise GuestFault(GP, external)
    frame = _frame(cpu)
    new_cpl = cpl if found.attr & ATTR_CONFORMING else found.dpl
    if new_cpl < cpl:
        frame = (words[SLOT["ss_selector"]], words[RSP], *frame)
        switch_stack(cpu, new_cpl, frame, size, external)
    else:
        push_frame(cpu, frame, size, external)
    enter_code(cpu, selector, found, offset, new_cpl)
    words[SLOT["rflags"]] &= ~(F.TF | F.NT | F.RF | F.VM | (0 if gate & TRAP else F.IF))
    cpu.update_mode()


def _gate(cpu: Processor, external: int) -> int:
    """The vector's interrupt or trap gate, which this code may use."""
    words = cpu.words
    vector = words[SLOT["int_vector"]]
    error = vector * 8 + 2 | external
    if vector * 8 + 7 > words[SLOT["idtr_limit"]]:
        raise GuestFault(GP, error)
    gate = cpu.load(words[SLOT["idtr_base"]] + vector * 8 & M32, 8, system=True)
    kind = gate >> 40 & 0x1F
    if kind == TASK_GATE:
        cpu.unsupported("a task gate")
    if kind not in GATES or (words[SLOT["int_software"]] and gate >> 45 & 3 < words[SLOT["cpl"]]):
        raise GuestFault(GP, error)
    if not gate >> 47 & 1:
        raise GuestFault(NP, error)
    return gate


def _target(cpu: Processor, selector: int, external: int) -> Descriptor:
    """The code that a gate leads to: present, and of no outer level."""
    if not selector & 0xFFFC:
        raise GuestFault(GP, external)
    error = selector & 0xFFFC | external
    found = fetch(cpu, selector, external=external)
    if not found.is_code or found.dpl > cpu.words[SLOT["cpl"]]:
        raise GuestFault(GP, error)
    if not found.attr & ATTR_PRESENT:
        raise GuestFault(NP, error)
    return accessible(cpu, found)


def _frame(cpu: Processor) -> tuple[int, ...]:
    """What is pushed at least: flags, CS, (E)IP and an error code where there is one."""
    words = cpu.words
    flags = words[SLOT["rflags"]] | words[SLOT["int_flags"]]
    frame = (flags, words[SLOT["cs_selector"]], words[SLOT["int_rip"]])
    return (*frame, words[SLOT["int_error"]]) if words[SLOT["int_has_error"]] else frame
