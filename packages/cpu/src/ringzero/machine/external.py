"""What comes from outside at exact steps: interrupts, NMIs and serial input, put there by the user or an explorer.

Rule of this room: a run is a function of this list. Entries due at one step take effect in the order in which they were
added, before the devices' own events of that step. Sleeping takes no steps, so a machine that sleeps, and that nothing
else can wake, gets its first entry at once.
"""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

NEVER_STEP = 1 << 63


class External(NamedTuple):
    """One entry. `kind` is "irq" (number: the line), "nmi" or "serial" (number: the port's index, with its bytes)."""

    step: int
    sequence: int
    kind: str
    number: int = 0
    content: bytes = b""


class ExternalSchedule:
    """The entries that have not taken effect, first one first."""

    def __init__(self) -> None:
        self._entries: list[External] = []
        self._sequence = 0
        self.next_step = NEVER_STEP

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, step: int, kind: str, number: int = 0, content: bytes = b"") -> None:
        """Add an entry at a step."""
        insort(self._entries, External(step, self._sequence, kind, number, content))
        self._sequence += 1
        self.next_step = self._entries[0].step

    def take(self) -> External:
        """Remove the first entry."""
        entry = self._entries.pop(0)
        self.next_step = self._entries[0].step if self._entries else NEVER_STEP
        return entry

    def save(self) -> tuple[object, ...]:
        """The state as plain values."""
        return self._sequence, tuple(tuple(entry) for entry in self._entries)

    def load(self, state: tuple[object, ...]) -> None:
        """Put a state from `save()` back."""
        sequence, entries = state
        assert isinstance(sequence, int)
        assert isinstance(entries, tuple)
        self._sequence = sequence
        self._entries = [External(*entry) for entry in entries]
        self.next_step = self._entries[0].step if self._entries else NEVER_STEP
