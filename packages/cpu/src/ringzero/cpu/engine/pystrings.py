"""Repeated string instructions in the Python engine, many iterations at once; `csrc/strings.c` has the same.

Only what cached translations would serve is done here: both elements lie on pages that the caches permit, so no
iteration can fault, leave, touch a device, a page table or translated code. At least one iteration is always left to
the µops behind, which find the end, set the flags and meet whatever lies on the next page. So nobody can tell.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import repeat
from mmap import mmap
from typing import TYPE_CHECKING, NamedTuple

from ringzero.cpu.exits import CMPS, LODS, MOVS, SCAS, STOS
from ringzero.cpu.state import SLOT
from ringzero.isa.rflags import DF, RF

if TYPE_CHECKING:
    from ringzero.cpu.engine.pyengine import PythonEngine

RAX, RCX, RSI, RDI, RFLAGS, LEFT = (SLOT[n] for n in ("rax", "rcx", "rsi", "rdi", "rflags", "left"))
PAGE, OFFSET = 4096, 4095
COMPARED = 64  # elements at a time: most comparisons end early
_LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


class _Repeated(NamedTuple):
    """The instruction: an element's `size` in bytes, the `mask` of the address size."""

    kind: int
    size: int
    mask: int
    down: bool
    while_equal: bool

    def reach(self, cache: Mapping[int, int], pointer: int, most: int) -> tuple[int, int]:
        """Where the pointer leads in RAM, and how many elements from there on lie whole on its page, up to `most`."""
        at = pointer & self.mask
        base, offset = cache.get(at >> 12), at & OFFSET
        if base is None or offset + self.size > PAGE:
            return 0, 0
        room = offset // self.size + 1 if self.down else (PAGE - offset) // self.size
        return base + offset, min(most, room)

    def lowest(self, at: int, count: int) -> int:
        """Where the lowest of `count` elements from `at` on begins."""
        return at - (count - 1) * self.size if self.down else at


def ahead(engine: PythonEngine, R: list[int], what: int) -> None:
    """Do iterations ahead of the one that has been charged, at most `left`, a page of each side at a time."""
    mask = (1 << 8 * (what >> 4 & 15)) - 1
    most = min(R[LEFT], (R[RCX] & mask) - 1)
    if most <= 0 or not engine.at_once:
        return
    s = _Repeated(what >> 8 & 15, what & 15, mask, bool(R[RFLAGS] & DF), not what >> 12 & 1)
    done = 0
    while done < most and (now := _one_page(engine, R, s, most - done)):
        done += now
    if done:
        _put(R, RCX, R[RCX] - done, mask)
        R[RFLAGS] |= RF  # as the `repeat` behind each iteration but the last does
        R[LEFT] -= done


def _one_page(engine: PythonEngine, R: list[int], s: _Repeated, most: int) -> int:
    """Do up to `most` iterations on one page of each side; returns how many."""
    ram, readable, writable = engine.memory.ram, engine.readable[engine.user], engine.writable[engine.user]
    reads, compares = s.kind in (MOVS, LODS, CMPS), s.kind in (CMPS, SCAS)
    source = target = 0
    count = most
    if reads:
        source, count = s.reach(readable, R[RSI], count)
    if s.kind != LODS:
        target, count = s.reach(readable if compares else writable, R[RDI], count)
    if compares:  # the last here is known not to fault: it sets the flags
        count = min(count - 1, COMPARED)
    if count > 0 and compares:
        count = _compare(ram, s, _elements(ram, s, source, count) if reads else repeat(R[RAX]), target, count)
    if count <= 0:
        return 0
    if s.kind == MOVS:
        _move(ram, s, target, source, count)
    elif s.kind == STOS:
        low = s.lowest(target, count)
        ram[low : low + count * s.size] = R[RAX].to_bytes(8, "little")[: s.size] * count
    elif s.kind == LODS:
        last = source - (count - 1) * s.size if s.down else source + (count - 1) * s.size
        _put(R, RAX, int.from_bytes(ram[last : last + s.size], "little"), (1 << 8 * s.size) - 1)
    by = -count * s.size if s.down else count * s.size
    if reads:
        _put(R, RSI, R[RSI] + by, s.mask)
    if s.kind != LODS:
        _put(R, RDI, R[RDI] + by, s.mask)
    return count


def _put(R: list[int], slot: int, value: int, mask: int) -> None:
    """x86's write of a register by its size: 4 bytes clear the upper half, 2 and 1 keep the rest."""
    R[slot] = value & mask if mask >= 0xFFFF_FFFF else R[slot] & ~mask | value & mask


def _elements(ram: mmap, s: _Repeated, at: int, count: int) -> Iterable[int]:
    """`count` elements from `at` on, in the order in which the instruction meets them."""
    found = struct.unpack_from(f"<{count}{_LETTERS[s.size]}", ram, s.lowest(at, count))
    return reversed(found) if s.down else found


def _compare(ram: mmap, s: _Repeated, left: Iterable[int], right: int, count: int) -> int:
    """How many of `count` elements go on: those before the first that ends the instruction."""
    mask = (1 << 8 * s.size) - 1
    pairs = enumerate(zip(_elements(ram, s, right, count), left, strict=False))
    return next((n for n, (y, x) in pairs if (x & mask == y) != s.while_equal), count)


def _move(ram: mmap, s: _Repeated, to: int, at: int, count: int) -> None:
    """Element by element, as iterations do: what one writes the next may read."""
    length, ahead_by = count * s.size, at - to if s.down else to - at
    low, start = s.lowest(to, count), s.lowest(at, count)
    if not 0 < ahead_by < length:  # out of the way of what is still to be read
        ram[low : low + length] = ram[start : start + length]
    elif ahead_by >= s.size:  # what lies between the two is repeated
        between = to + s.size if s.down else at
        pattern = ram[between : between + ahead_by] * (length // ahead_by + 1)
        ram[low : low + length] = pattern[-length:] if s.down else pattern[:length]
    else:
        step = -s.size if s.down else s.size
        for by in range(0, count * step, step):
            ram[to + by : to + by + s.size] = ram[at + by : at + by + s.size]
