"""A basic block as the lowering hands it to an engine."""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.cpu.mode import ip_mask
from ringzero.cpu.uops.table import PACKED, PackedUop

NO_PAGE = (1 << 64) - 1


@dataclass(slots=True)
class Block:
    """A run of instructions on one page, or one instruction that straddles two.

    linear: rip of its first byte, to which `mode.where` adds the segment's base; physical: its physical address;
    physical2: the second page's, or NO_PAGE. offsets: where each instruction begins, then the whole length. target:
    rip of the taken branch.
    """

    linear: int
    physical: int
    physical2: int
    mode: int
    count: int
    uops: list[PackedUop]
    offsets: list[int]
    target: int

    @property
    def length(self) -> int:
        """Bytes of code."""
        return self.offsets[-1]

    @property
    def following(self) -> int:
        """rip of the instruction after the block."""
        return self.linear + self.offsets[-1] & ip_mask(self.mode)

    def packed(self) -> bytes:
        """The µops as an engine's memory holds them, 16 bytes each."""
        pack = PACKED.pack
        return b"".join([pack(*u) for u in self.uops])
