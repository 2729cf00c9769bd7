"""What the µop loop leaves to Python: instructions too rare or too wide for it.

A handler gets the processor and the constants its lowering gave; slots it is given by number it reads from
`cpu.words`. When it is called rip is already that of the next instruction, and nothing of this one has been done; if
it raises GuestFault nothing may have been.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.mmu import PDPTE, is_canonical, load_pdptes
from ringzero.cpu.exits import PHYSICAL_BITS
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system import msrs, realmode, segments, transfers
from ringzero.cpu.system.cpuid import cpuid as cpuid_leaf
from ringzero.isa import rflags as F
from ringzero.isa.control import (
    ATTR_LONG,
    CR0_AM,
    CR0_CD,
    CR0_EM,
    CR0_ET,
    CR0_MP,
    CR0_NE,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR0_WP,
    CR4_DE,
    CR4_PAE,
    CR4_PCIDE,
    CR4_PGE,
    CR4_PSE,
    CR4_SMEP,
    CR4_TSD,
    EFER_LMA,
    EFER_LME,
)
from ringzero.isa.names import DB, GP, RAX, RCX, RDI, RDX, RSI, UD

if TYPE_CHECKING:
    from ringzero.cpu.cpu import Cpu

M32 = 0xFFFF_FFFF
CR0_ALL = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG
CR3_RESERVED = ((1 << 64) - 1) & ~((1 << PHYSICAL_BITS) - 1)
CR3_NO_FLUSH, PCID = 1 << 63, 0xFFF
#: With PAE paging outside long mode a change of one of these loads the PDPTEs (SDM 3A 4.4.1).
PDPTE_CR0, PDPTE_CR4 = CR0_CD | CR0_NW | CR0_PG, CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP


def by_mode(protected: Callable[..., None], real: Callable[..., None]) -> Callable[..., None]:
    """One of the two, as CR0.PE says."""

    def dispatch(cpu: Cpu, *args: int) -> None:
        (protected if cpu.protected else real)(cpu, *args)

    return dispatch


HANDLERS: dict[str, Callable[..., None]] = {
    "far_jump": by_mode(transfers.far_jump, realmode.far_jump),
    "far_call": by_mode(transfers.far_call, realmode.far_call),
    "far_return": by_mode(segments.far_return, realmode.far_return),
    "interrupt_return": by_mode(segments.interrupt_return, realmode.interrupt_return),
    "load_segment": segments.load_segment,
    "load_far_pointer": segments.load_far_pointer,
    "load_ldt": segments.load_ldt,
    "load_task": segments.load_task,
    "load_rights": transfers.load_rights,
    "load_limit": transfers.load_limit,
    "verify": transfers.verify,
}


def handler(function: Callable[..., None]) -> Callable[..., None]:
    """Register under the function's name."""
    HANDLERS[function.__name__] = function
    return function


# --- interrupts ------------------------------------------------------------------------------------------------------


@handler
def halt(cpu: Cpu) -> None:
    cpu.words[SLOT["halted"]] = 1


@handler
def arrive(cpu: Cpu, target: int, traps: bool) -> None:
    """The rare end of IRETQ, SYSCALL and SYSRET: it sets RF, or (`traps`) TF counts as it is *after* it."""
    cpu.words[SLOT["rip"]] = cpu.words[target]
    if traps:
        cpu.trap = bool(cpu.words[SLOT["rflags"]] & F.TF)


@handler
def software_interrupt(cpu: Cpu, vector: int) -> None:
    cpu.software_interrupt(vector)


@handler
def int1(cpu: Cpu) -> None:
    cpu.software_interrupt(DB, checked=False)
    cpu.words[SLOT["dr7"]] &= ~breakpoints.GUARDED


# --- ports -----------------------------------------------------------------------------------------------------------


def _check_port(cpu: Cpu, port: int, size: int) -> None:
    """Refuse a port to whoever may not reach it; note the breakpoint that waits for it."""
    _check_permission(cpu, port, size)
    if cpu.words[SLOT["dr7"]] & breakpoints.ENABLES:
        cpu.words[SLOT["debug_pending"]] |= breakpoints.port(cpu.words, port, size)


def _check_permission(cpu: Cpu, port: int, size: int) -> None:
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


@handler
def port_in(cpu: Cpu, size: int, port: int | None) -> None:
    port = cpu.words[RDX] & 0xFFFF if port is None else port
    _check_port(cpu, port, size)
    value = cpu.bus.port_read(port, size)
    mask = (1 << 8 * size) - 1
    cpu.words[RAX] = value if size == 4 else cpu.words[RAX] & ~mask | value


@handler
def port_out(cpu: Cpu, size: int, port: int | None) -> None:
    port = cpu.words[RDX] & 0xFFFF if port is None else port
    _check_port(cpu, port, size)
    cpu.bus.port_write(port, size, cpu.words[RAX] & ((1 << 8 * size) - 1))


def _string_step(cpu: Cpu, register: int, size: int, addrsize: int, repeat: bool, start: int) -> None:
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


@handler
def port_string_in(cpu: Cpu, size: int, addrsize: int, repeat: bool) -> None:
    words, mask = cpu.words, (1 << 8 * addrsize) - 1
    port = words[RDX] & 0xFFFF
    _check_port(cpu, port, size)
    if repeat and not words[RCX] & mask:
        return
    linear = segments.linear(cpu, 0, words[RDI] & mask, size, write=True)
    cpu.probe_store(linear, size)
    cpu.store(linear, size, cpu.bus.port_read(port, size))
    _string_step(cpu, RDI, size, addrsize, repeat, cpu.start_rip)


@handler
def port_string_out(cpu: Cpu, size: int, addrsize: int, repeat: bool, segment: int) -> None:
    words, mask = cpu.words, (1 << 8 * addrsize) - 1
    port = words[RDX] & 0xFFFF
    _check_port(cpu, port, size)
    if repeat and not words[RCX] & mask:
        return
    value = cpu.load(segments.linear(cpu, segment, words[RSI] & mask, size), size)
    cpu.bus.port_write(port, size, value)
    _string_step(cpu, RSI, size, addrsize, repeat, cpu.start_rip)


# --- control and debug registers -------------------------------------------------------------------------------------


@handler
def read_control(cpu: Cpu, target: int, number: int) -> None:
    if number not in (0, 2, 3, 4, 8):
        raise GuestFault(UD)
    cpu.words[target] = cpu.words[SLOT[f"cr{number}"]] & (segments.M64 if cpu.long_code else M32)


@handler
def write_control(cpu: Cpu, number: int, source: int) -> None:
    value = cpu.words[source]
    if not cpu.long_code:
        value &= M32
    writers = {0: _write_cr0, 2: _write_cr2, 3: _write_cr3, 4: _write_cr4, 8: _write_cr8}
    if number not in writers:
        raise GuestFault(UD)
    writers[number](cpu, value)


def _write_cr0(cpu: Cpu, value: int) -> None:
    """SDM 3A 2.5 and 10.8.5: paging with EFER.LME set activates long mode."""
    words = cpu.words
    old, cr4, efer = words[SLOT["cr0"]], words[SLOT["cr4"]], words[SLOT["efer"]]
    if value >> 32 or (value & CR0_PG and not value & CR0_PE) or (value & CR0_NW and not value & CR0_CD):
        raise GuestFault(GP)
    value = value & CR0_ALL | CR0_ET
    if value & ~old & CR0_PG and efer & EFER_LME:
        if not cr4 & CR4_PAE or words[SLOT["cs_attr"]] & ATTR_LONG:
            raise GuestFault(GP)
        efer |= EFER_LMA
    elif old & ~value & CR0_PG:
        if cpu.long_code or cr4 & CR4_PCIDE:
            raise GuestFault(GP)
        efer &= ~EFER_LMA
    if (value ^ old) & PDPTE_CR0:
        _reload_pdptes(cpu, value, words[SLOT["cr3"]], cr4, efer)
    words[SLOT["cr0"]], words[SLOT["efer"]] = value, efer
    cpu.context_changed()


def _write_cr2(cpu: Cpu, value: int) -> None:
    cpu.words[SLOT["cr2"]] = value


def _write_cr3(cpu: Cpu, value: int) -> None:
    """With PCIDs bit 63 asks to keep translations, and is not stored (SDM 3A 4.10.4.1)."""
    words = cpu.words
    if words[SLOT["cr4"]] & CR4_PCIDE:
        value &= ~CR3_NO_FLUSH
    if value & CR3_RESERVED:
        raise GuestFault(GP)
    _reload_pdptes(cpu, words[SLOT["cr0"]], value, words[SLOT["cr4"]], words[SLOT["efer"]])
    words[SLOT["cr3"]] = value
    cpu.context_changed()


def _write_cr4(cpu: Cpu, value: int) -> None:
    """SDM 3A 2.5: PAE stays in long mode; PCIDE comes only there, with PCID 0."""
    words = cpu.words
    old, long_mode = words[SLOT["cr4"]], words[SLOT["efer"]] & EFER_LMA
    if value & ~cpu.cr4_bits or (long_mode and not value & CR4_PAE):
        raise GuestFault(GP)
    if value & ~old & CR4_PCIDE and (not long_mode or words[SLOT["cr3"]] & PCID):
        raise GuestFault(GP)
    if (value ^ old) & PDPTE_CR4:
        _reload_pdptes(cpu, words[SLOT["cr0"]], words[SLOT["cr3"]], value, words[SLOT["efer"]])
    words[SLOT["cr4"]] = value
    cpu.context_changed()


def _reload_pdptes(cpu: Cpu, cr0: int, cr3: int, cr4: int, efer: int) -> None:
    """Load the PDPTEs if these registers mean PAE paging outside long mode: the last that can fault."""
    if cr0 & CR0_PG and cr4 & CR4_PAE and not efer & EFER_LMA:
        for number, entry in enumerate(load_pdptes(cpu.memory, cr3)):
            cpu.words[PDPTE + number] = entry


def _write_cr8(cpu: Cpu, value: int) -> None:
    if value > 15:
        raise GuestFault(GP)
    cpu.words[SLOT["cr8"]] = value


@handler
def invalidate_pcid(cpu: Cpu, kind: int, low: int, linear: int) -> None:
    """INVPCID's checks (SDM 2A, INVPCID); there is nothing to drop. `low` and `linear`: its descriptor."""
    words = cpu.words
    number = words[kind] if cpu.long_code else words[kind] & M32
    pcid = words[low] & PCID
    if number > 3 or words[low] != pcid:
        raise GuestFault(GP)
    if number == 0 and cpu.long_code and not is_canonical(words[linear]):
        raise GuestFault(GP)
    if number < 2 and pcid and not words[SLOT["cr4"]] & CR4_PCIDE:
        raise GuestFault(GP)


@handler
def load_machine_status(cpu: Cpu, source: int) -> None:
    """LMSW changes PE, MP, EM and TS, and cannot clear PE (SDM 2A, LMSW)."""
    old = cpu.words[SLOT["cr0"]]
    _write_cr0(cpu, old & ~0xE | cpu.words[source] & 0xF)


def _debug_register(cpu: Cpu, number: int) -> int:
    """DR4 and DR5 are DR6 and DR7 unless CR4.DE (SDM 3B 17.2.2); with DR7.GD any access is a fault (17.2.4)."""
    if number in (4, 5):
        if cpu.words[SLOT["cr4"]] & CR4_DE:
            raise GuestFault(UD)
        number += 2
    if number > 7:
        raise GuestFault(UD)
    if cpu.words[SLOT["dr7"]] & breakpoints.GUARDED:
        raise GuestFault(DB, breakpoints.ACCESSED)
    return SLOT[f"dr{number}"]


@handler
def read_debug(cpu: Cpu, target: int, number: int) -> None:
    cpu.words[target] = cpu.words[_debug_register(cpu, number)]


@handler
def write_debug(cpu: Cpu, number: int, source: int) -> None:
    slot, value = _debug_register(cpu, number), cpu.words[source]
    if not cpu.long_code:
        value &= M32
    if slot in (SLOT["dr6"], SLOT["dr7"]) and value >> 32:
        raise GuestFault(GP)
    if slot == SLOT["dr6"]:
        value = value & 0xE00F | 0xFFFF_0FF0
    elif slot == SLOT["dr7"]:
        value = value & 0xFFFF_27FF | 0x400
    cpu.words[slot] = value
    cpu.breakpoints_changed()


# --- model-specific registers, time and identity ---------------------------------------------------------------------


@handler
def read_msr(cpu: Cpu) -> None:
    value = msrs.read(cpu, cpu.words[RCX] & M32)
    cpu.words[RAX], cpu.words[RDX] = value & M32, value >> 32


@handler
def write_msr(cpu: Cpu) -> None:
    words = cpu.words
    msrs.write(cpu, words[RCX] & M32, (words[RDX] & M32) << 32 | words[RAX] & M32)


@handler
def read_tsc(cpu: Cpu, with_aux: bool) -> None:
    if cpu.words[SLOT["cr4"]] & CR4_TSD and cpu.words[SLOT["cpl"]]:
        raise GuestFault(GP)
    value = cpu.time_stamp()
    cpu.words[RAX], cpu.words[RDX] = value & M32, value >> 32
    if with_aux:
        cpu.words[RCX] = cpu.words[SLOT["tsc_aux"]]


@handler
def cpuid(cpu: Cpu) -> None:
    words = cpu.words
    leaf = cpuid_leaf(cpu.model, words[RAX] & M32, words[RCX] & M32, words[SLOT["cr4"]])
    words[RAX], words[3], words[RCX], words[RDX] = leaf
