"""The log of accesses: what an engine, and the driver beside it, tell of each step while somebody records.

Rule of this room: both engines log the same, whatever they cache. A record is two words, the step and `what`, which is
address << 16 | device << 8 | size << 4 | kind (`exits.ACCESS_…`). There are three lists, each by ascending step:

- accesses: the bytes that steps read and wrote, in order; devices (a port's number, or a physical address, and which
  device the bus says it is); SYSTEM for a change of what is neither memory, a device, nor a part of what IRET restores.
- walks: the entries of page tables that walks read, each once for the whole log, since a later walk may be cached; and
  those whose accessed or dirty bits they set.
- windows: from which step on RFLAGS.IF was 1 or 0, and, as 2, single steps in the shadow of STI or of a load of SS.

The C core keeps its own (csrc/log.c).
"""

from __future__ import annotations

from array import array
from typing import Protocol

from ringzero.cpu.exits import ACCESS_WALK
from ringzero.errors import RingzeroError

SHADOW = 2
#: Records of one list; more of them end the log with an error rather than the host's memory.
MOST = 1 << 26


class LogOverflow(RingzeroError):
    """More was recorded than fits: take it more often."""

    def __init__(self) -> None:
        super().__init__(
            f"the record of accesses is full ({MOST} of a kind, or no memory): take it more often"
        )


class Log(Protocol):
    """What keeps the records; `PythonLog`, or `native_log.NativeLog` for the C core's."""

    def add(self, step: int, kind: int, address: int = 0, size: int = 0, device: int = 0) -> None: ...
    def walk(self, step: int, kind: int, entry: int, size: int) -> None: ...
    def window(self, step: int, value: int) -> None: ...
    def attempt(self) -> None: ...
    def drop(self, step: int) -> None: ...
    def lists(self) -> tuple[bytes, bytes, bytes]: ...


def packed(kind: int, address: int, size: int, device: int = 0) -> int:
    """The second word of a record."""
    return (address & (1 << 48) - 1) << 16 | device << 8 | size << 4 | kind


class PythonLog:
    """The log as the Python engine keeps it."""

    def __init__(self) -> None:
        self._accesses, self._walks, self._windows = array("Q"), array("Q"), array("Q")
        self._walked: set[int] = set()
        self._attempt = 0
        self._last = {False: -1, True: -1}  # the last window's value; the last shadow's step

    def add(self, step: int, kind: int, address: int = 0, size: int = 0, device: int = 0) -> None:
        """One access."""
        self._accesses.extend((step, packed(kind, address, size, device)))

    def walk(self, step: int, kind: int, entry: int, size: int) -> None:
        """A walk has read an entry (ACCESS_WALK) or set bits in it (ACCESS_MARK)."""
        if kind == ACCESS_WALK:
            if entry in self._walked:
                return
            self._walked.add(entry)
        self._walks.extend((step, packed(kind, entry, size)))

    def window(self, step: int, value: int) -> None:
        """From `step` on IF is `value`; or it is SHADOW, for this step alone."""
        shadow = value == SHADOW
        told = step if shadow else value
        if self._last[shadow] != told:
            self._last[shadow] = told
            self._windows.extend((step, value))

    def attempt(self) -> None:
        """A microprogram begins: what its step has logged before, the instruction that faulted, stays."""
        self._attempt = len(self._accesses)

    def drop(self, step: int) -> None:
        """Take back what an attempt of this step's instruction has logged: it will be run again in another way."""
        while len(self._accesses) > self._attempt and self._accesses[-2] == step:
            del self._accesses[-2:]

    def lists(self) -> tuple[bytes, bytes, bytes]:
        """Accesses, walks, windows. Raises LogOverflow."""
        lists = self._accesses, self._walks, self._windows
        if any(len(records) > 2 * MOST for records in lists):
            raise LogOverflow
        return lists[0].tobytes(), lists[1].tobytes(), lists[2].tobytes()
