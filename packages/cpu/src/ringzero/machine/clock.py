"""Virtual time: a count of steps, plus the cycles that HLT skipped; and the one list of what is due when.

Rule of this room: integers only, and nothing of the host's. A step is a retired instruction, an iteration of a repeated
string instruction, or a delivered interrupt or exception; `now = steps + idle` in cycles. `hz` cycles are one second of
device time. An event is named by its device's place in the fixed order and a small tag; each name has at most one event
at a time, so scheduling moves it. Events due at the same cycle run in device order, then in the order of scheduling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringzero.errors import UsageError

DEFAULT_HZ = 100_000_000
NANOSECONDS = 1_000_000_000
NEVER = 1 << 63

Events = tuple[
    tuple[int, int, int, int], ...
]  # (cycle, device order, sequence, tag), in the order they will run


class Clock:
    """The machine's only clock. The processor keeps `steps` exact, the machine moves `idle` on at HLT."""

    def __init__(self, hz: int = DEFAULT_HZ) -> None:
        if not 1_000 <= hz <= 1_000_000_000_000:
            raise UsageError(
                f"clock rate {hz} Hz is not between 1 kHz and 1 THz; {DEFAULT_HZ} is the default"
            )
        self.hz = hz
        self.steps = 0
        self.idle = 0
        self.next_cycle = NEVER
        self.on_earlier: Callable[[], None] | None = None
        self._sequence = 0
        self._events: dict[tuple[int, int], tuple[int, int]] = {}

    @property
    def now(self) -> int:
        """Cycles since power-on."""
        return self.steps + self.idle

    def nanoseconds(self, cycles: int) -> int:
        """Cycles as nanoseconds of virtual time, rounded down."""
        return cycles * NANOSECONDS // self.hz

    def cycles(self, nanoseconds: int) -> int:
        """The first cycle at which that many nanoseconds have passed."""
        return -(-nanoseconds * self.hz // NANOSECONDS)

    def schedule(self, order: int, when: int, tag: int = 0) -> None:
        """Let the device at `order` have event `tag` at cycle `when`, or now if that has passed, and at no other."""
        self._events[order, tag] = (max(when, self.now), self._sequence)
        self._sequence += 1
        earlier = when < self.next_cycle
        self._find_next()
        if earlier and self.on_earlier is not None:
            self.on_earlier()

    def cancel(self, order: int, tag: int = 0) -> None:
        """Forget that event, if there is one."""
        if self._events.pop((order, tag), None) is not None:
            self._find_next()

    def _find_next(self) -> None:
        self.next_cycle = min((when for when, _ in self._events.values()), default=NEVER)

    def take_due(self) -> tuple[int, int] | None:
        """Remove the first event that is due now and return its (device order, tag); None if none is due."""
        now = self.now
        if self.next_cycle > now:
            return None
        _, order, _, tag = next(event for event in self.events())
        del self._events[order, tag]
        self._find_next()
        return order, tag

    def events(self) -> Events:
        """All events in the order in which they will run."""
        return tuple(sorted((when, order, seq, tag) for (order, tag), (when, seq) in self._events.items()))

    def save(self) -> tuple[int, int, int, Events]:
        """The whole state of the clock as plain values."""
        return self.steps, self.idle, self._sequence, self.events()

    @staticmethod
    def fits(state: tuple[Any, ...], devices: int) -> bool:
        """Whether a state that came from a file has the shape of `save()`'s, for so many devices."""
        *counts, events = state
        plain = [*counts, *(number for event in events for number in event)]
        return (
            len(counts) == 3
            and all(isinstance(number, int) and 0 <= number <= NEVER for number in plain)
            and all(len(event) == 4 and event[1] < devices for event in events)
        )

    def load(self, state: tuple[int, int, int, Events]) -> None:
        """Put a state from `save()` back."""
        self.steps, self.idle, self._sequence, events = state
        self._events = {(order, tag): (when, seq) for when, order, seq, tag in events}
        self._find_next()
