"""What CPUID says: the model's features, and no others (SDM 2A, CPUID).

Leaves within the range that have nothing to tell are all zeros; a leaf beyond the last basic or extended one answers as
the last basic one does, as on Intel's.
"""

from __future__ import annotations

import struct
from functools import cache

from ringzero.cpu.exits import PHYSICAL_BITS
from ringzero.cpu.system.model import Model
from ringzero.isa.control import CR4_OSXSAVE
from ringzero.isa.features import FEATURES

Leaf = tuple[int, int, int, int]

LAST_BASIC, LAST_EXTENDED, HYPERVISOR = 0xD, 0x8000_0008, 0x4000_0000
LINEAR_BITS = 48
CACHE_LINE = 64
OSXSAVE = 1 << 27
NOTHING: Leaf = (0, 0, 0, 0)


def signature(model: Model) -> int:
    """Family, model and stepping as leaf 1 has them (SDM 2A, figure 3-6)."""
    family, extended = min(model.family, 15), max(model.family - 15, 0)
    return extended << 20 | (model.model >> 4) << 16 | family << 8 | (model.model & 15) << 4 | model.stepping


@cache
def leaves(model: Model) -> dict[tuple[int, int], Leaf]:
    """The leaves that are not all zeros, by leaf and subleaf."""
    ebx, edx, ecx = struct.unpack("<3I", model.vendor.encode())
    brand = struct.unpack("<12I", model.brand.encode().ljust(48, b"\0"))
    line = CACHE_LINE // 8 << 8 if model.has("clflush") else 0
    known: dict[tuple[int, int], Leaf] = {
        (0, 0): (LAST_BASIC, ebx, ecx, edx),
        (1, 0): (signature(model), 1 << 16 | line, 0, 0),  # one logical processor, whose APIC id is 0
        (2, 0): (1, 0, 0, 0),  # one reading, and no cache is worth a word
        (0x8000_0000, 0): (LAST_EXTENDED, ebx, ecx, edx),
        (0x8000_0001, 0): (signature(model) if model.vendor == "AuthenticAMD" else 0, 0, 0, 0),
        **{(0x8000_0002 + n, 0): brand[4 * n : 4 * n + 4] for n in range(3)},
        (0x8000_0008, 0): (PHYSICAL_BITS | LINEAR_BITS << 8, 0, 0, 0),
    }
    if model.has("monitor"):  # one line is watched, and an interrupt ends the wait even when it is masked
        known[5, 0] = (CACHE_LINE, CACHE_LINE, 3, 0)
    if model.has("hypervisor"):
        known[HYPERVISOR, 0] = (HYPERVISOR, *struct.unpack("<3I", b"RingzeroZero"))
    for feature in FEATURES.values():
        if feature.place is not None and model.has(feature.name):
            leaf, subleaf, register, bit = feature.place
            words = list(known.get((leaf, subleaf), NOTHING))
            words[register] |= 1 << bit
            known[leaf, subleaf] = (words[0], words[1], words[2], words[3])
    return known


#: Leaves whose answer depends on ECX; for the others it means nothing.
_WITH_SUBLEAVES = (4, 7, 0xB, 0xD)


def cpuid(model: Model, leaf: int, subleaf: int, cr4: int = 0) -> Leaf:
    """eax, ebx, ecx, edx of a leaf, where CR4 is `cr4`: leaf 1 shows its OSXSAVE."""
    known = leaves(model)
    basic, extended = leaf <= LAST_BASIC, 0x8000_0000 <= leaf <= LAST_EXTENDED
    if not (basic or extended or (leaf, 0) in known):
        leaf = LAST_BASIC
    eax, ebx, ecx, edx = known.get((leaf, subleaf if leaf in _WITH_SUBLEAVES else 0), NOTHING)
    if leaf == 1 and cr4 & CR4_OSXSAVE:
        ecx |= OSXSAVE
    return eax, ebx, ecx, edx
