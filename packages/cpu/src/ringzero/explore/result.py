"""What a search has found, as plain values: every report, and the exit status, are made from these.

Rule of this room: nothing here runs a machine. A result can be pickled, sent, written as JSON and read back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ringzero.explore.schedule import Placement, Schedule

JSON_VERSION = 1


class Kind(Enum):
    """What can be wrong with a run. The value is the name that users write and read."""

    PANIC = "panic"  # the guest said that it cannot go on, or the machine did: exit status, triple fault
    ASSERTION = "assertion"  # a check of the guest's own failed
    MARKER = "marker"  # the run ended well, but not where it should have come to
    DEADLOCK = "deadlock"  # idle, and a tick leads back to the same state
    LIVELOCK = "livelock"  # the same state comes again and again under a fair timer
    MASKED = "masked-wakeup"  # a thread was made ready, yet the processor idles until one more tick
    INVARIANT = "invariant"  # what must always hold did not
    LOCK = "lock"  # a lock is taken in a handler, and elsewhere with interrupts on
    REGISTERS = "registers"  # an interrupt did not give its registers back
    LIMIT = "limit"  # no end within the limit, and no proof that there is none


class Verdict(Enum):
    """The answer to an experiment."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNFINISHED = "not finished"

    @property
    def status(self) -> int:
        """The exit status; bad input has 2."""
        return {Verdict.HOLDS: 0, Verdict.BROKEN: 1, Verdict.UNFINISHED: 3}[self]


@dataclass(frozen=True)
class Failure:
    """What an oracle says of one run: at `step` of the window, in one line, with more lines where there is more."""

    kind: Kind
    message: str
    step: int
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One schedule, played. `steps` from the window's start to its end; `ticks` that came free at idle."""

    schedule: Schedule
    failure: Failure | None
    steps: int
    ticks: int
    serial: bytes = b""


@dataclass(frozen=True)
class Site:
    """A placement, told: which thread was interrupted, where, and what line of source would have come next."""

    placement: Placement
    thread: str
    address: int
    symbol: str
    offset: int
    visit: int  # this is the n-th time that the window's run comes to this address, from 1
    source: str  # "sched.asm:41", or "" where the image has no lines
    boundary: int  # the n-th boundary of the run, from 0; -1 where they were not counted

    @property
    def place(self) -> str:
        """`symbol+0x10 (file:line)`."""
        text = f"{self.symbol}+{self.offset:#x}" if self.offset else self.symbol or f"{self.address:#x}"
        return f"{text} ({self.source})" if self.source else text


@dataclass(frozen=True)
class Window:
    """All boundaries at which the last preemption breaks the kernel in the same way: from `first` to `last`."""

    first: Site
    last: Site
    count: int
    boundaries: int


@dataclass(frozen=True)
class Difference:
    """The first read that saw another value than in the passing run."""

    step: int
    place: str
    thread: str
    address: int
    symbol: str
    passing: int
    failing: int
    size: int

    @property
    def sentence(self) -> str:
        """In words, with numbers as wide as what was read."""
        digits = 2 * self.size + 2
        return (
            f"at step {self.step:,} thread {self.thread} reads {self.symbol or hex(self.address)} at {self.place}: "
            f"{self.failing:#0{digits}x}, in the passing run {self.passing:#0{digits}x}"
        )


@dataclass(frozen=True)
class Counterexample:
    """A shortest schedule that breaks the kernel, and all that is known of it."""

    schedule: Schedule
    failure: Failure
    sites: tuple[Site, ...] = ()
    window: Window | None = None
    waiting: tuple[str, ...] = ()  # who waits for whom, a sentence each
    no_return: Site | None = None  # from here on no schedule within the bound succeeds
    difference: Difference | None = None
    replay: str = ""
    remarks: tuple[str, ...] = ()  # what was not computed, and why


@dataclass(frozen=True)
class Counts:
    """What was covered, and what it took."""

    boundaries: int = 0  # of the run without preemptions
    choices: int = 0  # of them left after reduction
    covered: int = 0  # schedules that the verdict speaks of
    run: int = 0  # schedules that were played to their end
    merged: int = 0  # schedules that were cut because their state was known
    steps: int = 0  # steps played

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """The fields in their order."""
        return tuple(getattr(self, each.name) for each in dataclasses.fields(self))


@dataclass(frozen=True)
class Result:
    """The answer to one experiment. `bound`: preemptions up to which the verdict speaks, of the `asked` ones."""

    name: str
    verdict: Verdict
    bound: int
    asked: int
    counts: Counts = field(default_factory=Counts)
    counterexample: Counterexample | None = None
    remarks: tuple[
        str, ...
    ] = ()  # omitted bytes that were read, locks, the longest stretch with interrupts off
    engine: str = ""
    image_digest: str = ""
    left: int = 0  # an estimate of the schedules that were not covered
    seconds: float = 0.0  # put there by who has a clock

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields; docs/explore.md has the schema."""
        return {"version": JSON_VERSION, **plain(self)}


def plain(value: Any) -> Any:
    """Dataclasses as dicts, enums as their values, tuples as lists."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value
