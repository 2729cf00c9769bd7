"""What the steps of a run read and wrote: the machine's log, taken.

The bytes of instructions themselves are in no record: a fetch is no access here, but what its walk reads is. Who moves
steps about must see to it that none of them writes code (the CODE bit of `memory.page_flags`).

Rule of this room: nothing here runs anything. The records are those of `cpu.engine.log`, as bytes: plain values, which
compare, pickle and can be sent elsewhere; names and tuples are made when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple, overload

from ringzero.cpu import exits
from ringzero.cpu.engine.log import SHADOW


class Kind(IntEnum):
    """What a record tells of."""

    READ = exits.ACCESS_READ
    WRITE = exits.ACCESS_WRITE
    WALK = exits.ACCESS_WALK  # a walk read an entry of a page table
    MARK = exits.ACCESS_MARK  # … and set its accessed or dirty bit
    DEVICE_READ = exits.ACCESS_DEVICE_READ
    DEVICE_WRITE = exits.ACCESS_DEVICE_WRITE
    SYSTEM = exits.ACCESS_SYSTEM  # a change of what is neither memory, a device, nor what IRET restores


class Access(NamedTuple):
    """One record. `address` is physical, or a port; an access to RAM never crosses a page."""

    step: int
    address: int
    size: int
    kind: Kind
    device: int = 0


def unpacked(step: int, what: int) -> Access:
    """A record from its two words."""
    return Access(step, what >> 16, what >> 4 & 15, Kind(what & 15), what >> 8 & 0xFF)


class Accesses(Sequence[Access]):
    """The accesses of the steps from `start` on, up to but not including `end`, in the order in which they happened.

    `walks` are apart: entries of page tables that were read, each once, at the first step that did; any later step may
    have read it too. Both engines give equal ones for equal runs.
    """

    def __init__(self, accesses: bytes, walks: bytes, windows: bytes, *, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.data, self.walk_data, self._window_data = accesses, walks, windows
        self.words = memoryview(accesses).cast("Q")
        self.walk_words = memoryview(walks).cast("Q")
        self.native: Any = None  # what C has been told of it, see `native_footprint`

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.data, self.walk_data, self._window_data, self.start, self.end)

    def __len__(self) -> int:
        return len(self.words) // 2

    @overload
    def __getitem__(self, index: int) -> Access: ...
    @overload
    def __getitem__(self, index: slice) -> list[Access]: ...
    def __getitem__(self, index: int | slice) -> Access | list[Access]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        n = range(len(self))[index]
        return unpacked(self.words[2 * n], self.words[2 * n + 1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Accesses):
            return NotImplemented
        return (self.start, self.end, self.data, self.walks, self.windows) == (
            *(other.start, other.end, other.data, other.walks, other.windows),
        )

    def __hash__(self) -> int:
        return hash((self.start, self.end, self.data))

    def at(self, step: int) -> list[Access]:
        """The accesses of one step."""
        first = bisect_left(self.words[::2], step)
        return self[first : bisect_left(self.words[::2], step + 1, first)]

    @cached_property
    def walks(self) -> tuple[Access, ...]:
        """WALK and MARK records, by step, then address."""
        words = self.walk_words
        return tuple(sorted(unpacked(words[n], words[n + 1]) for n in range(0, len(words), 2)))

    @cached_property
    def windows(self) -> tuple[range, ...]:
        """The steps at whose beginning a maskable interrupt would have been taken, as ranges in ascending order."""
        return tuple(found for found in self._windows() if found)

    def _windows(self) -> Iterator[range]:
        """Between IF's changes, and around shadows."""
        records = memoryview(self._window_data).cast("Q").tolist()
        opened: int | None = None
        for step, value in sorted(
            zip(records[::2], records[1::2], strict=True), key=lambda record: record[0]
        ):
            if value == 1:
                opened = step if opened is None else opened
            elif opened is not None:
                yield range(opened, min(step, self.end))
                opened = step + 1 if value == SHADOW else None
        if opened is not None:
            yield range(opened, self.end)

    def boundaries(self, start: int | None = None, end: int | None = None) -> list[int]:
        """The steps of `windows` in [start, end)."""
        first, last = self.start if start is None else start, self.end if end is None else end
        return [
            step
            for window in self.windows
            for step in range(max(window.start, first), min(window.stop, last))
        ]

    def interruptible(self, step: int) -> bool:
        """Whether a maskable interrupt would have been taken before this step."""
        return any(step in window for window in self.windows)


def _again(accesses: bytes, walks: bytes, windows: bytes, start: int, end: int) -> Accesses:
    return Accesses(accesses, walks, windows, start=start, end=end)
