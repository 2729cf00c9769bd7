"""Deterministic random numbers and the edge values that cases are made of.

The room's rule: the same words give the same draws for ever, on every host and Python. So numbers come from getrandbits
alone (whose sequence is fixed), seeded through hashlib.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

from ringzero_tests.case import CODE, DATA, DATA_END, PAGE, READONLY

Item = TypeVar("Item")

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
          0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF80000000,
          0xFFFFFFFFFFFFFF80, 0x5555555555555555, 0x0F0F0F0F0F0F0F0F)  # fmt: skip


class Draws:
    """A stream of draws named by words: `Draws("add", 3)`."""

    def __init__(self, *words: object) -> None:
        digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
        self._bits = random.Random(int.from_bytes(digest, "little")).getrandbits

    def bits(self, count: int) -> int:
        """Return `count` random bits."""
        return self._bits(count)

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1 (limit up to 2^32 or so: the bias is not looked at)."""
        return self._bits(48) % limit

    def between(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of `items`."""
        return items[self._bits(32) % len(items)]

    def chance(self, of: int) -> bool:
        """Return True once in `of` times."""
        return self._bits(32) % of == 0

    def value(self) -> int:
        """Return 64 bits as an instruction's operand: noise, an edge, a neighbour of an edge, or a small number."""
        kind = self._bits(3)
        if kind < 3:
            return self._bits(64)
        if kind < 6:
            return (self.pick(_EDGES) + (self.below(5) - 2 if kind == 5 else 0)) & (1 << 64) - 1
        if kind == 6:
            return self._bits(8)
        return self._bits(1 + self.below(64)) * self.pick((1, -1)) & (1 << 64) - 1

    def immediate(self, size: int) -> int:
        """Return an immediate of `size` bytes, unsigned."""
        return self.value() & (1 << 8 * size) - 1

    def inside(self, size: int) -> int:
        """Return an address in DATA where `size` bytes fit, often aligned, at times across the page boundary."""
        if self.chance(6) and size > 1:
            return DATA + PAGE - self.between(1, size - 1)
        address = self.between(DATA, DATA_END - size)
        return address & -8 if self.chance(2) else address

    def target(self, size: int, bits: int) -> int:
        """Return where a memory operand of `size` bytes lies: mostly in DATA, at times where it must fault."""
        kind = self.below(48)
        if kind >= 8:
            return self.inside(size)
        if kind < 2:
            return DATA_END - self.below(size + 1)
        if kind == 2:
            return READONLY + self.below(PAGE - size)
        if kind == 3:
            return self.pick(
                (DATA - 1 - self.below(size + 1), READONLY - 1, READONLY + PAGE - 1, CODE - 1, 0, 8)
            )
        if bits != 64:
            return self.inside(size)
        return self.pick(
            (
                1 << 63,
                (1 << 47) - 1 - self.below(size),
                (1 << 47) + self.below(8),
                (1 << 64) - (1 << 47) - self.below(size + 1),
                (1 << 64) - (1 << 46) + self.below(4096),
                self.bits(64) | 1 << 62,
            )
        )
