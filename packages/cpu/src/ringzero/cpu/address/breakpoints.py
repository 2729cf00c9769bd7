"""Hardware breakpoints: what DR0-DR3 and DR7 ask for, and what touches it (SDM 3B 17.2).

Rule of this room: it only reads registers and compares. An engine never caches the translation of a page with a
watched byte, and leaves before an instruction that would touch one; the driver runs that instruction by itself, notes
the hits in `debug_pending`, and raises #DB at the next boundary.

DR7:   31..30 LEN3  29..28 R/W3  ...  19..18 LEN0  17..16 R/W0   13 GD   7 G3 6 L3 ... 1 G0 0 L0
"""

from __future__ import annotations

from collections.abc import Sequence

from ringzero.cpu.state import SLOT
from ringzero.isa.control import CR4_DE

DR0, DR7, CR4 = SLOT["dr0"], SLOT["dr7"], SLOT["cr4"]
ENABLES = 0xFF
GUARDED = 1 << 13
#: Bits of DR6 (SDM 3B 17.2.3); B0-B3 are bits 0-3.
HITS, ACCESSED, SINGLE_STEP = 0xF, 1 << 13, 1 << 14
#: Beside causes, in `debug_pending`: they wait behind MOV SS and POP SS until one more instruction has retired.
HELD = 1 << 63
#: R/W fields.
EXECUTED, WRITTEN, PORT, TOUCHED = range(4)
_LENGTH_MASKS = (0, 1, 7, 3)  # by LEN: 1, 2, 8, 4 bytes; the address is aligned to its length


def _matching(words: Sequence[int], first: int, size: int, kinds: tuple[int, ...]) -> int:
    """B bits of the breakpoints of these kinds that overlap [first, first + size); 0 unless an enabled one does.

    SDM 3B 17.2.3 lets a breakpoint that is off show its bit when another one causes #DB; as on processors, it does.
    """
    control = words[DR7]
    hits = enabled = 0
    for number in range(4):
        field = control >> 16 + 4 * number
        mask = _LENGTH_MASKS[field >> 2 & 3] if kinds[0] != EXECUTED else 0
        start = words[DR0 + number] & ~mask
        if field & 3 in kinds and first <= start + mask and start < first + size:
            hits |= 1 << number
            enabled |= control >> 2 * number & 3
    return hits if enabled else 0


def data(words: Sequence[int], linear: int, size: int, write: bool) -> int:
    """B bits for an access to memory; 0 unless it meets an enabled breakpoint."""
    return _matching(words, linear, size, (WRITTEN, TOUCHED) if write else (TOUCHED,))


def port(words: Sequence[int], number: int, size: int) -> int:
    """B bits for an access to a port, which CR4.DE allows (SDM 3B 17.2.4)."""
    return _matching(words, number, size, (PORT,)) if words[CR4] & CR4_DE else 0


def instruction(words: Sequence[int], linear: int) -> int:
    """B bits for an instruction at `linear`. The address must be its first byte's; LEN is not looked at."""
    return _matching(words, linear, 1, (EXECUTED,))


def instructions(words: Sequence[int]) -> frozenset[int]:
    """Where an enabled breakpoint waits for an instruction."""
    control = words[DR7]
    return frozenset(
        words[DR0 + n] for n in range(4) if control >> 2 * n & 3 and control >> 16 + 4 * n & 3 == EXECUTED
    )


def on_page(words: Sequence[int], linear: int) -> bool:
    """Whether some byte of the page is watched."""
    return bool(words[DR7] & ENABLES) and bool(data(words, linear & ~0xFFF, 4096, True))
