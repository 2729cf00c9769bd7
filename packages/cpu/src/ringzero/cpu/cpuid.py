"""What CPUID says: features that are there, and no others (SDM 2A, CPUID)."""

from __future__ import annotations

import struct

from ringzero.cpu.exits import PHYSICAL_BITS

Leaf = tuple[int, int, int, int]

VENDOR = b"Ringzero CPU"
BRAND = b"Ringzero deterministic x86-64 processor"
_SIGNATURE = 0x0006_0000  # family 6, model 0, stepping 0
_BASIC_EDX = sum(1 << n for n in (2, 3, 4, 5, 6, 8, 13, 15))  # DE PSE TSC MSR PAE CX8 PGE CMOV
_BASIC_ECX = sum(1 << n for n in (13, 23))  # CMPXCHG16B POPCNT
_EXTENDED_EDX = sum(1 << n for n in (11, 20, 26, 27, 29))  # SYSCALL NX 1 GiB pages RDTSCP LM
_EXTENDED_ECX = sum(1 << n for n in (0, 5))  # LAHF in 64-bit mode, LZCNT


def _leaves() -> dict[int, Leaf]:
    ebx, edx, ecx = struct.unpack("<3I", VENDOR)
    brand = struct.unpack("<12I", BRAND.ljust(48, b"\0"))
    return {
        0: (1, ebx, ecx, edx),
        1: (_SIGNATURE, 1 << 16, _BASIC_ECX, _BASIC_EDX),
        0x8000_0000: (0x8000_0008, ebx, ecx, edx),
        0x8000_0001: (_SIGNATURE, 0, _EXTENDED_ECX, _EXTENDED_EDX),
        **{0x8000_0002 + n: brand[4 * n : 4 * n + 4] for n in range(3)},
        0x8000_0007: (0, 0, 0, 1 << 8),  # the time stamp counter runs at one rate
        0x8000_0008: (PHYSICAL_BITS | 48 << 8, 0, 0, 0),
    }


_LEAVES = _leaves()


def cpuid(leaf: int, _subleaf: int) -> Leaf:
    """eax, ebx, ecx, edx of a leaf; beyond the last basic or extended one, the last basic one's, as Intel does."""
    if leaf in _LEAVES:
        return _LEAVES[leaf]
    return (0, 0, 0, 0) if 0x8000_0000 <= leaf <= 0x8000_0008 else _LEAVES[1]
