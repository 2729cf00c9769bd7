"""What an explorer may choose: at which boundary of a run which interrupt line gets an edge.

>>> schedule = (Placement(812), Placement(1204, line=4))
>>> describe(schedule)
'irq 0 at 812, irq 4 at 1204'
"""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.errors import UsageError

TIMER = 0
NMI = -1
LINES = frozenset({NMI, *range(16)}) - {2}


@dataclass(frozen=True, order=True)
class Placement:
    """An interrupt at a boundary: before the instruction that is next when `at` steps of the window have passed.

    `line` is 0 to 15 or NMI. `burst`: so many edges, each served before the next comes, count as one preemption.
    """

    at: int
    line: int = TIMER
    burst: int = 1


Schedule = tuple[Placement, ...]  # in the order of `at`


@dataclass(frozen=True)
class Source:
    """An interrupt line that may be chosen. `content`: what arrives there, a byte a placement; a serial port's.

    A line with content is one that the environment owes: what was not placed arrives when the machine idles.
    """

    line: int
    content: bytes = b""

    def __post_init__(self) -> None:
        if self.line not in LINES:
            raise UsageError(f"irq={self.line} is no line of a PC: 0 to 15 without 2 are")
        if self.content and self.line != 4:
            raise UsageError(f"irq={self.line}: only the serial port's line, 4, has input")


def line_name(line: int) -> str:
    """A line as people write it."""
    return "nmi" if line == NMI else f"irq {line}"


def describe(schedule: Schedule) -> str:
    """A schedule in words."""
    if not schedule:
        return "no preemption"
    return ", ".join(
        f"{line_name(place.line)}{f' ×{place.burst}' if place.burst > 1 else ''} at {place.at}"
        for place in schedule
    )
