"""The mode word: all that decoding and lowering depend on besides the bytes.

A block is lowered for one mode and keyed by it, so its µops never ask again. Outside 64-bit mode the upper half is the
code segment's base: rip stays an offset in its segment, and only a fetch adds the two (`where`). The segment's limit is
the other thing a block hangs on; the engines compare it beside the mode (`code_limit`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ringzero.cpu.state import SLOT
from ringzero.isa import control, rflags

CPL = 3  # bits 0-1: current privilege level
LONG = 1 << 2  # 64-bit code segment in long mode
BIG = 1 << 3  # the code segment's D bit: 32-bit operands and addresses
ALIGN = 1 << 4  # alignment is checked: CPL 3, CR0.AM, RFLAGS.AC
SEGMENTED = 1 << 5  # outside 64-bit mode some segment is not flat, or not open to every access
PROTECTED = 1 << 6  # CR0.PE
STACK_BIG = 1 << 7  # SS.B: the stack pointer is ESP
LMA = 1 << 8  # long mode is active (EFER.LMA): system tables have their 64-bit forms
# Flags end at bit 23: the C core packs them beside a counter.
BASE_SHIFT = 32  # from this bit on: the base of the code segment, 0 in 64-bit mode
NO_LIMIT = 0xFFFF_FFFF  # the limit of a code segment that has none


def code_bits(mode: int) -> int:
    """The default width of code in `mode`: 64, 32 or 16."""
    return 64 if mode & LONG else 32 if mode & BIG else 16


def ip_mask(mode: int) -> int:
    """What the instruction pointer is cut to in `mode`."""
    return 0xFFFF_FFFF_FFFF_FFFF if mode & LONG else 0xFFFF_FFFF


def where(mode: int, rip: int) -> int:
    """The linear address of what rip names in code of this mode."""
    base = mode >> BASE_SHIFT
    return rip + base & 0xFFFF_FFFF if base else rip


def second_page(mode: int, rip: int) -> int:
    """The linear address at which the page after that of `rip` begins."""
    following = (where(mode, rip) | 0xFFF) + 1
    return following if mode & LONG else following & 0xFFFF_FFFF


def code_limit(words: Sequence[int]) -> int:
    """The limit of the code segment that a state runs in; 64-bit code knows none."""
    return NO_LIMIT if words[SLOT["mode"]] & LONG else words[SLOT["cs_limit"]]


def _open(name: str, attr: int) -> bool:
    """Whether a segment's type refuses nothing: writable data that expands up; CS may be code that can be read.

    Writes through CS are refused where they are lowered.
    """
    readable = control.ATTR_PRESENT | control.ATTR_CODE | control.ATTR_WRITABLE
    data = attr & (readable | control.ATTR_CONFORMING) == control.ATTR_PRESENT | control.ATTR_WRITABLE
    return data or (name == "cs" and attr & readable == readable)


def mode_word(words: Sequence[int]) -> int:
    """The mode word that a state's segments, control registers, CPL and RFLAGS make."""
    cs, ss, efer = words[SLOT["cs_attr"]], words[SLOT["ss_attr"]], words[SLOT["efer"]]
    mode = words[SLOT["cpl"]]
    if efer & control.EFER_LMA:
        mode |= LMA | (LONG if cs & control.ATTR_LONG else 0)
    if not mode & LONG:
        mode |= BIG if cs & control.ATTR_BIG else 0
        mode |= (words[SLOT["cs_base"]] & NO_LIMIT) << BASE_SHIFT
        mode |= STACK_BIG if ss & control.ATTR_BIG else 0
        for name in ("es", "cs", "ss", "ds"):
            flat = words[SLOT[f"{name}_base"]] == 0 and words[SLOT[f"{name}_limit"]] == 0xFFFF_FFFF
            if not (flat and _open(name, words[SLOT[f"{name}_attr"]])):
                mode |= SEGMENTED
    if words[SLOT["cr0"]] & control.CR0_PE:
        mode |= PROTECTED
    if words[SLOT["cpl"]] == 3 and words[SLOT["cr0"]] & control.CR0_AM and words[SLOT["rflags"]] & rflags.AC:
        mode |= ALIGN
    return mode
