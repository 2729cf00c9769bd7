"""What the processor needs of the machine around it; `ringzero.machine` provides it."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Memory(Protocol):
    """RAM from physical address 0 on, with a flag byte for each page; see `exits.CLEAN` and its kin."""

    size: int
    pages: int
    ram: mmap.mmap
    page_flags: bytearray
    on_protect: list[Callable[[], None]]
    on_write: list[Callable[[int], None]]

    def write(self, address: int, content: bytes | bytearray | memoryview) -> None: ...


class Bus(Protocol):
    """Everything that is not RAM. Sizes are in bytes."""

    def port_read(self, port: int, size: int) -> int: ...
    def port_write(self, port: int, size: int, value: int) -> None: ...
    def mmio_read(self, address: int, size: int) -> int: ...
    def mmio_write(self, address: int, size: int, value: int) -> None: ...


class Clock(Protocol):
    """`steps` is kept exact by the processor whenever anybody else can look."""

    steps: int

    @property
    def now(self) -> int: ...


class Interrupts(Protocol):
    """The INTR line and its acknowledge cycle."""

    def pending(self) -> bool: ...
    def acknowledge(self) -> int: ...


class Entry(Protocol):
    """What a boot protocol hands over; see `machine.boot.entry.EntryState`."""

    @property
    def registers(self) -> Mapping[str, int]: ...
    @property
    def segments(self) -> Mapping[str, Any]: ...
    @property
    def gdtr(self) -> tuple[int, int]: ...
    @property
    def idtr(self) -> tuple[int, int]: ...
