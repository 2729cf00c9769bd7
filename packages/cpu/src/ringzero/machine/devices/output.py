"""What a guest has printed: bounded, and cheap to have in a snapshot.

Rule of this room: the log is a value made of immutable pieces, so that a snapshot of it costs a reference. Bytes beyond
`KEPT` are forgotten from the front, but stay in `total` and in `chain`, the digest of all full pieces so far.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.machine.devices.base import derived
from ringzero.machine.memory import digest

PIECE = 4096
KEPT = 8 << 20


@dataclass
class OutputLog:
    """Bytes in the order in which they were sent."""

    pieces: tuple[bytes, ...] = derived(())  # `total` and `chain` stand for them
    tail: bytes = b""
    total: int = 0
    chain: bytes = b""

    def append(self, byte: int) -> None:
        """One more byte."""
        self.tail += bytes((byte,))
        self.total += 1
        if len(self.tail) == PIECE:
            kept = self.pieces[1:] if len(self.pieces) == KEPT // PIECE else self.pieces
            self.chain = digest(self.chain + self.tail)
            self.pieces, self.tail = (*kept, self.tail), b""

    @property
    def content(self) -> bytes:
        """What is kept: everything, or the last 8 MiB of it."""
        return b"".join((*self.pieces, self.tail))

    @property
    def dropped(self) -> int:
        """How many bytes were forgotten from the front."""
        return self.total - len(self.pieces) * PIECE - len(self.tail)

    def since(self, position: int) -> bytes:
        """The bytes from `position` (a former `total`) on, as far as they are kept."""
        if self.total - position <= len(self.tail):
            return self.tail[len(self.tail) - (self.total - position) :]
        return self.content[max(position - self.dropped, 0) :]
