"""Descriptors: what a selector names, and what a segment register takes of it (SDM 3A 3.4.5, 5.2).

Nothing here asks whether the guest may have it: that is the business of those who load, jump and deliver. Checks ask
for the permission to set a descriptor's accessed bit too (`accessible`), so that nothing can fault after them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.processor import Processor
from ringzero.isa.control import ATTR_CODE, ATTR_CODE_OR_DATA, ATTR_PAGES, ATTR_PRESENT
from ringzero.isa.names import GP

M32, M64 = (1 << 32) - 1, (1 << 64) - 1


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


def fetch(cpu: Processor, selector: int, size: int = 8, external: int = 0) -> Descriptor:
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


def accessible(cpu: Processor, found: Descriptor) -> Descriptor:
    """The same descriptor; faults as setting its accessed bit would."""
    if not found.attr & 1:
        cpu.probe_store(found.address + 4, 4, system=True)
    return found


def put(cpu: Processor, name: str, selector: int, descriptor: Descriptor) -> None:
    """Fill a segment register, and set the descriptor's accessed bit."""
    if descriptor.attr & ATTR_CODE_OR_DATA and not descriptor.attr & 1:
        cpu.store(descriptor.address + 4, 4, descriptor.word >> 32 | 1 << 8, system=True)
    words = cpu.words
    words[SLOT[f"{name}_selector"]] = selector
    words[SLOT[f"{name}_base"]] = descriptor.base
    words[SLOT[f"{name}_limit"]] = descriptor.limit
    words[SLOT[f"{name}_attr"]] = descriptor.attr | (1 if descriptor.attr & ATTR_CODE_OR_DATA else 0)


def put_null(cpu: Processor, name: str, selector: int) -> None:
    for field, value in (("selector", selector), ("base", 0), ("limit", 0), ("attr", 0)):
        cpu.words[SLOT[f"{name}_{field}"]] = value
