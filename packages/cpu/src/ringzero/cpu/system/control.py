"""Control and debug registers: what may be written, and what follows from it (SDM 3A 2.5, 4.1, 10.8.5; 3B 17.2)."""

from __future__ import annotations

from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.mmu import PDPTE, is_canonical, load_pdptes
from ringzero.cpu.exits import PHYSICAL_BITS
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.processor import Processor
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
    EFER_LMA,
    EFER_LME,
)
from ringzero.isa.names import DB, GP, UD

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
CR0_ALL = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG
CR3_RESERVED = M64 & ~((1 << PHYSICAL_BITS) - 1)
TSS_16 = (1, 3)  # types of a TSS of the 80286, available and busy
CR3_NO_FLUSH, PCID = 1 << 63, 0xFFF
#: With PAE paging outside long mode a change of one of these loads the PDPTEs (SDM 3A 4.4.1).
PDPTE_CR0, PDPTE_CR4 = CR0_CD | CR0_NW | CR0_PG, CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP


def write_control(cpu: Processor, number: int, source: int) -> None:
    value = cpu.words[source]
    if not cpu.long_code:
        value &= M32
    writers = {0: _write_cr0, 2: _write_cr2, 3: _write_cr3, 4: _write_cr4, 8: _write_cr8}
    if number not in writers:
        raise GuestFault(UD)
    writers[number](cpu, value)


def _write_cr0(cpu: Processor, value: int) -> None:
    """SDM 3A 2.5 and 10.8.5: paging with EFER.LME set activates long mode."""
    words = cpu.words
    old, cr4, efer = words[SLOT["cr0"]], words[SLOT["cr4"]], words[SLOT["efer"]]
    if value >> 32 or (value & CR0_PG and not value & CR0_PE) or (value & CR0_NW and not value & CR0_CD):
        raise GuestFault(GP)
    value = value & CR0_ALL | CR0_ET
    if value & ~old & CR0_PG and efer & EFER_LME:
        old_task = words[SLOT["tr_attr"]] & 0x1F in TSS_16  # SDM 2B, MOV to control registers
        if not cr4 & CR4_PAE or words[SLOT["cs_attr"]] & ATTR_LONG or old_task:
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


def _write_cr2(cpu: Processor, value: int) -> None:
    cpu.words[SLOT["cr2"]] = value


def _write_cr3(cpu: Processor, value: int) -> None:
    """With PCIDs bit 63 asks to keep translations, and is not stored (SDM 3A 4.10.4.1)."""
    words = cpu.words
    if words[SLOT["cr4"]] & CR4_PCIDE:
        value &= ~CR3_NO_FLUSH
    if value & CR3_RESERVED:
        raise GuestFault(GP)
    _reload_pdptes(cpu, words[SLOT["cr0"]], value, words[SLOT["cr4"]], words[SLOT["efer"]])
    words[SLOT["cr3"]] = value
    cpu.context_changed()


def _write_cr4(cpu: Processor, value: int) -> None:
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


def _reload_pdptes(cpu: Processor, cr0: int, cr3: int, cr4: int, efer: int) -> None:
    """Load the PDPTEs if these registers mean PAE paging outside long mode: the last that can fault."""
    if cr0 & CR0_PG and cr4 & CR4_PAE and not efer & EFER_LMA:
        for number, entry in enumerate(load_pdptes(cpu.memory, cr3)):
            cpu.words[PDPTE + number] = entry


def _write_cr8(cpu: Processor, value: int) -> None:
    if value > 15:
        raise GuestFault(GP)
    cpu.words[SLOT["cr8"]] = value


def invalidate_pcid(cpu: Processor, kind: int, low: int, linear: int) -> None:
    """INVPCID's checks (SDM 2A, INVPCID); there is nothing to drop. `low` and `linear`: its descriptor.

    Outside 64-bit mode the type has 32 bits, but the linear address is still one of 64 that must be canonical.
    """
    words = cpu.words
    number = words[kind] if cpu.long_code else words[kind] & M32
    pcid = words[low] & PCID
    if number > 3 or words[low] != pcid:
        raise GuestFault(GP)
    if number == 0 and not is_canonical(words[linear]):
        raise GuestFault(GP)
    if number < 2 and pcid and not words[SLOT["cr4"]] & CR4_PCIDE:
        raise GuestFault(GP)


def load_machine_status(cpu: Processor, source: int) -> None:
    """LMSW changes PE, MP, EM and TS, and cannot clear PE (SDM 2A, LMSW)."""
    old = cpu.words[SLOT["cr0"]]
    _write_cr0(cpu, old & ~0xE | cpu.words[source] & 0xF)


# --- debug registers -------------------------------------------------------------------------------------------------


def _debug_register(cpu: Processor, number: int) -> int:
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


def read_debug(cpu: Processor, target: int, number: int) -> None:
    cpu.words[target] = cpu.words[_debug_register(cpu, number)]


def write_debug(cpu: Processor, number: int, source: int) -> None:
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
