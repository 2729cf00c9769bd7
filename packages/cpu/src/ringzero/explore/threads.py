"""The guest's threads, found as the `[threads]` of its stage list tells, without the kernel's help.

Rule of this room: it looks and changes nothing. A guest that has wrecked its tables gets fewer threads, and no
exception.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringzero.errors import UsageError
from ringzero.machine.views import Place

if TYPE_CHECKING:
    from ringzero.machine.machine import Machine

STACK = 1 << 14  # bytes below a stack pointer that may count as that stack's


@dataclass(frozen=True)
class Thread:
    """One thread as the guest's memory has it. `rsp` and `rip`: of its last switch away, or the processor's own."""

    address: int
    tid: int
    name: str
    state: str
    rsp: int
    rip: int
    running: bool
    waits_on: int  # the address of the wait queue it stands in, 0 for none
    size: int = 0  # bytes of its structure, as far as they are told

    def __str__(self) -> str:
        return f"{self.tid} {self.name}" if self.name else f"{self.tid}"


class ThreadTable:
    """How one guest's threads are found. `spec`: the `[threads]` of a stage list; empty for a guest without any."""

    def __init__(self, machine: Machine, spec: Mapping[str, Any]) -> None:
        self.machine = machine
        self.spec = spec
        self.known = isinstance(spec.get("table"), str) and isinstance(spec.get("current"), str)
        self._table = machine.symbol(spec["table"]) if self.known else 0
        self._current = machine.symbol(spec["current"]) + spec.get("current_offset", 0) if self.known else 0
        self._entries = int(spec.get("table_entries", 0))
        self._states = tuple(spec.get("states", ()))
        offsets = [value for key, value in spec.items() if key.endswith("_offset") and isinstance(value, int)]
        self._size = max([*offsets, 0]) + 32

    def word(self, address: int) -> int:
        """Eight bytes of the guest, 0 where nothing is mapped."""
        try:
            return int.from_bytes(self.machine.read_virtual(address, 8), "little")
        except UsageError:
            return 0

    @property
    def current(self) -> int:
        """The address of the structure of the thread that the guest takes for the running one."""
        return self.word(self._current) if self.known else 0

    def all(self) -> tuple[Thread, ...]:
        """Every thread of the table, by its place there."""
        if not self.known:
            return ()
        try:
            table = self.machine.read_virtual(self._table, 8 * self._entries)
        except UsageError:
            return ()
        current = self.current
        found = (
            self.read(address, current) for address in struct.unpack(f"<{self._entries}Q", table) if address
        )
        return tuple(thread for thread in found if thread is not None)

    def state(self, address: int) -> str:
        """The state alone of the thread whose structure lies at an address."""
        thread = self.read(address, 0)
        return thread.state if thread else ""

    def read(self, address: int, current: int) -> Thread | None:
        """The thread whose structure lies at an address."""
        spec = self.spec
        try:
            content = self.machine.read_virtual(address, self._size)
        except UsageError:
            return None

        def field(name: str, size: int = 8) -> int:
            offset = spec.get(name)
            return int.from_bytes(content[offset : offset + size], "little") if isinstance(offset, int) else 0

        running = address == current
        registers = self.machine.registers
        rsp = registers["rsp"] if running else field("rsp_offset")
        saved = spec.get("saved_rip_offset")
        rip = registers["rip"] if running or saved is None else self.word(rsp + saved)
        number = field("state_offset", 4)
        state = self._states[number] if number < len(self._states) else str(number)
        start = spec.get("name_offset", 0)
        name = content[start : start + spec.get("name_size", 0)].split(b"\0")[0].decode("latin-1")
        return Thread(
            address,
            field("tid_offset"),
            name,
            state,
            rsp,
            rip,
            running,
            field("wait_queue_offset"),
            int(spec.get("size", self._size)),
        )

    def running(self) -> Thread | None:
        """The thread that the guest takes for the running one."""
        current = self.current
        return self.read(current, current) if current else None

    def name(self) -> str:
        """The running thread in words; empty for a guest whose threads are not told."""
        thread = self.running()
        return str(thread) if thread else ""

    def waiting(self) -> Iterator[tuple[Thread, Place]]:
        """Every thread that stands in a wait queue, and what that queue is called."""
        for thread in self.all():
            if thread.waits_on:
                yield thread, self.machine.where(thread.waits_on)
