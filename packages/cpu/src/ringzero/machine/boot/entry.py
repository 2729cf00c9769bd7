"""What a boot protocol needs of an image, and what it hands to the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ringzero.errors import ImageError
from ringzero.machine.memory import Memory

# Access rights as the descriptor has them: bits 40-47, then AVL, L, D/B, G from bit 8 (SDM 3A 3.4.5).
CODE32, DATA32 = 0xC9B, 0xC93
CODE64 = 0xA9B
TSS32_BUSY, TSS64_BUSY = 0x08B, 0x08B
LIMIT_4G = 0xFFFF_FFFF


class BootSegment(Protocol):
    """A loadable piece of an image: `memsz` bytes at physical `paddr`, of which the first come from `data`."""

    @property
    def paddr(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def memsz(self) -> int: ...


class BootImage(Protocol):
    """What the loaders read of `ringzero.asm.image.Image`."""

    @property
    def segments(self) -> Sequence[BootSegment]: ...
    @property
    def pvh_entry(self) -> int | None: ...


@dataclass(frozen=True)
class Segment:
    """A segment register: selector and the descriptor behind it. `limit` in bytes, `attr` as above."""

    selector: int = 0
    base: int = 0
    limit: int = LIMIT_4G
    attr: int = DATA32


@dataclass
class EntryState:
    """What differs from a processor after reset: registers by name, segments by name; IDT and GDT as (base, limit)."""

    protocol: str
    registers: dict[str, int]
    segments: dict[str, Segment]
    gdtr: tuple[int, int] = (0, 0)
    idtr: tuple[int, int] = (0, 0)


@dataclass
class Layout:
    """Physical ranges in use, each with a name, none over another."""

    size: int
    used: list[tuple[int, int, str]] = field(default_factory=list)

    def overlap(self, first: int, length: int) -> str | None:
        """The name of a range in use that this one touches."""
        for start, end, name in self.used:
            if first < end and start < first + length:
                return name
        return None

    def claim(self, first: int, length: int, name: str) -> None:
        """Take a range. Raises ImageError when it leaves memory or is taken."""
        if first + length > self.size:
            raise ImageError(
                f"{name} at {first:#x}+{length:#x} does not fit into {self.size >> 20} MiB of memory; "
                "give the machine more with -m"
            )
        other = self.overlap(first, length)
        if other is not None:
            raise ImageError(f"{name} at {first:#x}+{length:#x} overlaps {other}; link the image elsewhere")
        self.used.append((first, first + length, name))

    def find(self, length: int, first: int, last: int, name: str) -> int:
        """Take the lowest free page-aligned range between two addresses. Raises ImageError when there is none."""
        for start in range(first, min(last, self.size) - length + 1, 0x1000):
            if self.overlap(start, length) is None:
                self.claim(start, length, name)
                return start
        raise ImageError(
            f"no room for {name} between {first:#x} and {last:#x}: the image covers it; link it higher"
        )


def check_segments(size: int, image: BootImage) -> Layout:
    """Where the segments will lie in `size` bytes of memory. Raises ImageError when they do not fit."""
    layout = Layout(size)
    segments = [segment for segment in image.segments if segment.memsz]
    if not segments:
        raise ImageError("the image has nothing to load: no PT_LOAD segment with a size; is it linked?")
    for number, segment in enumerate(segments):
        if len(segment.data) > segment.memsz:
            raise ImageError(
                f"segment {number} has more bytes in the file than in memory; the ELF file is damaged"
            )
        layout.claim(segment.paddr, segment.memsz, f"segment {number}")
    return layout


def write_segments(memory: Memory, image: BootImage) -> None:
    """Write segments that were checked."""
    for segment in image.segments:
        memory.write(segment.paddr, segment.data)
