"""Footprints: which bytes some steps read and wrote, exactly, and which other steps they conflict with.

Two pieces of a run that do not conflict may change places, and nobody can tell: neither reads what the other writes,
nor do both write the same. `Footprint` is told twice, here and in csrc/footprint.c, and a test holds the two together;
what `footprint` makes is C's where the extension is built.

- `reads` are the bytes read before the footprint itself wrote them: only on these does it depend.
- What walks read counts for all later steps of the run: a translation may have been cached.
- Accessed and dirty bits are only ever set by walks, so two of them may change places, with each other and with walks.
- Devices conflict where both touch the same; one that drives an interrupt line touches the interrupt controller.
- SYSTEM conflicts with everything, on either side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol

from ringzero.cpu.exits import NO_DEVICE
from ringzero.machine.accesses import Accesses, Kind

PAGE = 4096
Ranges = list[tuple[int, int]]  # of bytes, [first, end), ascending
NEVER = (1 << 64) - 1


class Footprint(Protocol):
    """What some steps touched. Both kinds answer alike."""

    def add(self, path: Accesses, start: int | None = None, end: int | None = None) -> None:
        """Add the steps in [start, end) of a path, all of it unless said: after all that was added before."""

    def first_conflict(
        self, path: Accesses, start: int | None = None, end: int | None = None, dead: tuple[int, int] = (0, 0)
    ) -> int | None:
        """The first step of the path in [start, end) that conflicts with this, or None.

        dead: physical bytes [first, end) that nobody reads any more: that both write them is no conflict.
        """

    @property
    def reads(self) -> Ranges:
        """Bytes read before the footprint itself wrote them."""

    @property
    def writes(self) -> Ranges: ...

    @property
    def walked(self) -> Ranges:
        """Bytes of page-table entries that walks read."""

    @property
    def devices(self) -> frozenset[int]:
        """Devices touched, by the bus's numbers."""

    @property
    def system(self) -> bool:
        """Whether something else of the processor changes."""


def footprint(path: Accesses | None = None, start: int | None = None, end: int | None = None) -> Footprint:
    """A footprint of some steps of a path, in C where it is built."""
    made = _native() or PythonFootprint()
    if path is not None:
        made.add(path, start, end)
    return made


def _native() -> Footprint | None:
    try:
        from ringzero.machine.native_footprint import NativeFootprint
    except ImportError:
        return None
    return NativeFootprint()


def first_read(
    path: Accesses, span: tuple[int, int], start: int | None = None, end: int | None = None
) -> int | None:
    """The first step in [start, end) that reads one of the physical bytes [first, end) and does not write it too.

    A byte that is only counted up (`inc [jiffies]`) is never read so: what is made of it stays in it.
    """
    first, last = path.start if start is None else start, path.end if end is None else end
    try:
        from ringzero.machine import native_footprint
    except ImportError:
        return python_first_read(path, span, first, last)
    return native_footprint.first_read(path, span, first, last)


def python_first_read(path: Accesses, span: tuple[int, int], start: int, end: int) -> int | None:
    """`first_read`, in Python."""
    here = [
        (step, what & 15)
        for step, what in records(path.words, start, end)
        if what & 15 in (Kind.READ, Kind.WRITE) and span[0] - (what >> 4 & 15) < what >> 16 < span[1]
    ]
    for index, (step, kind) in enumerate(here):
        if kind == Kind.READ and (step, Kind.WRITE) not in here[index:]:
            return step
    return None


def ranges(pages: Iterable[tuple[int, int]]) -> Ranges:
    """From sets of bytes, (page number, bitmap), to ranges."""
    found: Ranges = []
    for number, bits in sorted(pages):
        at = number * PAGE
        while bits:
            skipped = (bits & -bits).bit_length() - 1
            bits >>= skipped
            length = ((bits + 1) & ~bits).bit_length() - 1
            first, end = at + skipped, at + skipped + length
            if found and found[-1][1] == first:
                found[-1] = (found[-1][0], end)
            else:
                found.append((first, end))
            at, bits = end, bits >> length
    return found


def overlap(one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]) -> bool:
    """Whether two lists of [first, end) share a byte.

    >>> overlap([(0, 4), (8, 12)], [(4, 8)]), overlap([(0, 4)], [(3, 5)])
    (False, True)
    """
    ends = sorted([*((first, end, 0) for first, end in one), *((first, end, 1) for first, end in other)])
    reach = [0, 0]
    for first, end, whose in ends:
        if first < end and first < reach[1 - whose]:
            return True
        reach[whose] = max(reach[whose], end)
    return False


def without(ranges: Iterable[tuple[int, int]], taken: Iterable[tuple[int, int]]) -> Ranges:
    """What is left of [first, end) ranges when others are taken out.

    >>> without([(0, 10)], [(2, 4), (8, 20)])
    [(0, 2), (4, 8)]
    """
    left = list(ranges)
    for start, stop in taken:
        left = [
            piece
            for first, end in left
            for piece in ((first, min(end, start)), (max(first, stop), end))
            if piece[0] < piece[1]
        ]
    return left


def records(words: memoryview, start: int, end: int) -> Iterable[tuple[int, int]]:
    """(step, what) of the steps in [start, end)."""
    steps = words[::2]
    first = bisect_left(steps, start)
    last = bisect_left(steps, end, first)
    return zip(steps[first:last], words[2 * first + 1 : 2 * last : 2], strict=True)


class _Page:
    """Bitmaps of one page's bytes."""

    __slots__ = ("marked", "reads", "walked", "writes")

    def __init__(self) -> None:
        self.reads = self.writes = self.walked = self.marked = 0


class PythonFootprint:
    """`Footprint`, in Python."""

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}
        self._devices: set[int] = set()
        self.system = False

    def add(self, path: Accesses, start: int | None = None, end: int | None = None) -> None:
        """See `Footprint`."""
        first, last = path.start if start is None else start, path.end if end is None else end
        for words, since in ((path.walk_words, 0), (path.words, first)):
            for _, what in records(words, since, last):
                self._add(what)

    def _add(self, what: int) -> None:
        kind = what & 15
        if kind == Kind.SYSTEM:
            self.system = True
        elif kind in (Kind.DEVICE_READ, Kind.DEVICE_WRITE):
            self._devices.add(what >> 8 & 63)
        else:
            number, bits = _bytes(what)
            page = self._pages.setdefault(number, _Page())
            if kind == Kind.READ:
                page.reads |= bits & ~page.writes
            elif kind == Kind.WRITE:
                page.writes |= bits
            else:
                page.walked |= bits
                page.marked |= bits if kind == Kind.MARK else 0

    def first_conflict(
        self, path: Accesses, start: int | None = None, end: int | None = None, dead: tuple[int, int] = (0, 0)
    ) -> int | None:
        """See `Footprint`."""
        first, last = path.start if start is None else start, path.end if end is None else end
        if first >= last:
            return None
        if self.system:
            return first
        steps = [
            *(
                max(step, first)
                for step, what in records(path.walk_words, 0, last)
                if self._meets(what, (0, 0))
            ),
            *(step for step, what in records(path.words, first, last) if self._meets(what, dead)),
        ]
        return min(steps, default=None)

    def _meets(self, what: int, dead: tuple[int, int]) -> bool:
        kind = what & 15
        if kind == Kind.SYSTEM:
            return True
        if kind in (Kind.DEVICE_READ, Kind.DEVICE_WRITE):
            return what >> 8 & 63 in self._devices - {NO_DEVICE}
        number, bits = _bytes(what)
        page = self._pages.get(number)
        if page is None:
            return False
        if kind == Kind.READ:
            return bool(bits & (page.writes | page.marked))
        if kind == Kind.WALK:
            return bool(bits & page.writes)
        if kind == Kind.MARK:
            return bool(bits & (page.writes | page.reads))
        first, end = (min(max(at - number * PAGE, 0), PAGE) for at in dead)
        alive = bits & ~((1 << max(end, first)) - (1 << first))
        return bool(bits & (page.reads | page.walked) or alive & page.writes)

    def _ranges(self, which: str) -> Ranges:
        return ranges((number, getattr(page, which)) for number, page in self._pages.items())

    @property
    def reads(self) -> Ranges:
        return self._ranges("reads")

    @property
    def writes(self) -> Ranges:
        return self._ranges("writes")

    @property
    def walked(self) -> Ranges:
        return self._ranges("walked")

    @property
    def devices(self) -> frozenset[int]:
        return frozenset(self._devices)


def _bytes(what: int) -> tuple[int, int]:
    """The page of an access and the bits of its bytes."""
    address, size = what >> 16, what >> 4 & 15
    return address // PAGE, ((1 << size) - 1) << address % PAGE & (1 << PAGE) - 1
