"""What the µop loop leaves to Python: instructions too rare or too wide for it.

A handler gets the processor and the constants its lowering gave; slots it is given by number it reads from
`cpu.words`. When it is called rip is already that of the next instruction, and nothing of this one has been done; if
it raises GuestFault nothing may have been.
"""

from __future__ import annotations

from collections.abc import Callable

from ringzero.cpu.address import breakpoints
from ringzero.cpu.state import SLOT
from ringzero.cpu.system import control, identity, ports, realmode, segments, selectors, transfers
from ringzero.cpu.system.processor import Processor
from ringzero.isa import rflags as F
from ringzero.isa.names import DB

Handler = Callable[..., None]


def halt(cpu: Processor) -> None:
    cpu.words[SLOT["halted"]] = 1


def arrive(cpu: Processor, target: int, traps: bool) -> None:
    """The rare end of IRETQ, SYSCALL and SYSRET: it sets RF, or (`traps`) TF counts as it is *after* it."""
    cpu.words[SLOT["rip"]] = cpu.words[target]
    if traps:
        cpu.trap = bool(cpu.words[SLOT["rflags"]] & F.TF)


def software_interrupt(cpu: Processor, vector: int) -> None:
    cpu.software_interrupt(vector)


def int1(cpu: Processor) -> None:
    cpu.software_interrupt(DB, checked=False)
    cpu.words[SLOT["dr7"]] &= ~breakpoints.GUARDED


# --- all of them -----------------------------------------------------------------------------------------------------


def by_mode(protected: Handler, real: Handler) -> Handler:
    """One of the two, as CR0.PE says."""

    def dispatch(cpu: Processor, *args: int) -> None:
        (protected if cpu.protected else real)(cpu, *args)

    return dispatch


#: Those after which memory, devices and what IRET restores are all that differs: the log of accesses need not tell of
#: anything else. The rest, and what asks for the time, it tells as SYSTEM.
NOT_SYSTEM = frozenset((
    *(arrive, halt, software_interrupt, identity.cpuid, control.read_debug),
    *(control.invalidate_pcid, selectors.load_limit, selectors.load_rights, selectors.verify),
    *(ports.port_in, ports.port_out, ports.port_string_in, ports.port_string_out),
))  # fmt: skip

#: By the name that a lowering calls it.
HANDLERS: dict[str, Handler] = {
    "arrive": arrive,
    "cpuid": identity.cpuid,
    "far_call": by_mode(transfers.far_call, realmode.far_call),
    "far_jump": by_mode(transfers.far_jump, realmode.far_jump),
    "far_return": by_mode(transfers.far_return, realmode.far_return),
    "halt": halt,
    "int1": int1,
    "interrupt_return": by_mode(transfers.interrupt_return, realmode.interrupt_return),
    "invalidate_pcid": control.invalidate_pcid,
    "load_far_pointer": segments.load_far_pointer,
    "load_ldt": segments.load_ldt,
    "load_limit": selectors.load_limit,
    "load_machine_status": control.load_machine_status,
    "load_rights": selectors.load_rights,
    "load_segment": segments.load_segment,
    "load_task": segments.load_task,
    "port_in": ports.port_in,
    "port_out": ports.port_out,
    "port_string_in": ports.port_string_in,
    "port_string_out": ports.port_string_out,
    "read_debug": control.read_debug,
    "read_msr": identity.read_msr,
    "read_tsc": identity.read_tsc,
    "software_interrupt": software_interrupt,
    "verify": selectors.verify,
    "write_control": control.write_control,
    "write_debug": control.write_debug,
    "write_msr": identity.write_msr,
}

#: Those that may come back to where somebody waits for a return.
RETURNS = frozenset((arrive, HANDLERS["interrupt_return"]))
