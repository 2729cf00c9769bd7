"""The mode word: all that decoding and lowering depend on besides the bytes.

A block is lowered for one mode and keyed by it, so its µops never ask again.
"""

from __future__ import annotations

CPL = 3  # bits 0-1: current privilege level
LONG = 1 << 2  # 64-bit code segment in long mode
BIG = 1 << 3  # the code segment's D bit: 32-bit operands and addresses
ALIGN = 1 << 4  # alignment is checked: CPL 3, CR0.AM, RFLAGS.AC
SEGMENTED = 1 << 5  # some segment outside 64-bit mode is not flat
PROTECTED = 1 << 6  # CR0.PE
STACK_BIG = 1 << 7  # SS.B: the stack pointer is ESP
LMA = 1 << 8  # long mode is active (EFER.LMA): system tables have their 64-bit forms


def code_bits(mode: int) -> int:
    """The default width of code in `mode`: 64, 32 or 16."""
    return 64 if mode & LONG else 32 if mode & BIG else 16
