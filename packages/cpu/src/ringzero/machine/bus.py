"""The port and MMIO bus: who answers, how an access is split, and what happens where nobody does.

Rule of this room: a range belongs to one device. A device says how wide an access it takes; a wider one, or one that
leaves the device's range, is split into bytes at ascending addresses, as PC hardware splits a word access to an 8-bit
port. Where nobody answers, reads give all ones, writes are lost, and both are counted for the report.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from ringzero.cpu.exits import NO_DEVICE
from ringzero.errors import UsageError

PORTS = 0x10000
UNKNOWN_KINDS = 4096  # distinct unknown accesses that are counted one by one; the rest share one line


class BusDevice(Protocol):
    """What the bus needs of a device. `address` is absolute, `size` is 1, 2, 4 or, for MMIO, 8 bytes."""

    name: str

    def read(self, address: int, size: int) -> int: ...

    def write(self, address: int, size: int, value: int) -> None: ...


class Range(NamedTuple):
    """Addresses `first` to `last` of one device, in accesses of at most `width` bytes."""

    first: int
    last: int
    width: int
    device: BusDevice


class Unknown(NamedTuple):
    """A kind of access that nobody answered; `address` -1 stands for all that did not fit the table."""

    space: str  # "port" or "memory"
    address: int
    size: int
    direction: str  # "read" or "write"


OVERFLOW = Unknown("any", -1, 0, "any")


class Bus:
    """Ports 0 to 0xffff and memory-mapped ranges outside of RAM."""

    def __init__(self) -> None:
        self._ports: dict[int, Range] = {}
        self._mmio: list[Range] = []
        self._mmio_starts: list[int] = []
        self.unknown: Counter[Unknown] = Counter()
        #: Hears of each access while somebody records: the device's number, address, size, whether it is a write.
        self.listener: Callable[[int, int, int, bool], None] | None = None
        self._numbers: dict[str, int] = {}  # of devices, by name, in the order in which they were added

    def number(self, device: BusDevice | None) -> int:
        """A small number for a device; NO_DEVICE for none."""
        return NO_DEVICE if device is None else self._numbers[device.name]

    def tell(self, device: BusDevice | None, address: int, size: int, *, write: bool) -> None:
        """Something has asked the device, or a line of it has changed."""
        if self.listener is not None:
            self.listener(self.number(device), address, size, write)

    def _name(self, device: BusDevice) -> None:
        self._numbers.setdefault(device.name, min(len(self._numbers), NO_DEVICE - 1))

    def add_ports(self, first: int, count: int, device: BusDevice, width: int = 1) -> None:
        """Give `count` ports from `first` to a device. Raises UsageError when one of them is taken or no port."""
        if not (count > 0 and first >= 0 and first + count <= PORTS):
            raise UsageError(f"{device.name}: ports {first:#x}+{count:#x} are not within 0 to 0xffff")
        taken = [port for port in range(first, first + count) if port in self._ports]
        if taken:
            owner = self._ports[taken[0]].device.name
            raise UsageError(
                f"{device.name}: port {taken[0]:#x} belongs to {owner} already; choose another iobase"
            )
        self._name(device)
        owned = Range(first, first + count - 1, width, device)
        self._ports.update(dict.fromkeys(range(first, first + count), owned))

    def add_mmio(self, first: int, count: int, device: BusDevice, width: int = 8) -> None:
        """Give `count` bytes of physical memory from `first` to a device. Raises UsageError on an overlap."""
        new = Range(first, first + count - 1, width, device)
        for other in self._mmio:
            if new.first <= other.last and other.first <= new.last:
                raise UsageError(
                    f"{device.name}: memory {first:#x}+{count:#x} overlaps that of {other.device.name}"
                )
        self._name(device)
        self._mmio = sorted([*self._mmio, new], key=lambda owned: owned.first)
        self._mmio_starts = [owned.first for owned in self._mmio]

    def _mmio_range(self, address: int) -> Range | None:
        index = bisect_right(self._mmio_starts, address) - 1
        if index < 0 or address > self._mmio[index].last:
            return None
        return self._mmio[index]

    def _count(self, kind: Unknown) -> None:
        if kind not in self.unknown and len(self.unknown) >= UNKNOWN_KINDS:
            kind = OVERFLOW
        self.unknown[kind] += 1

    def load_unknown(self, counts: Collection[tuple[str, int, int, str, int]]) -> None:
        """Put the counts of a snapshot back."""
        if counts or self.unknown:  # a Counter takes its time
            self.unknown = Counter({Unknown(*key[:4]): key[4] for key in counts})

    def _tell_each(self, port: int, size: int, *, write: bool) -> None:
        """Of an access that is split into bytes."""
        for at in range(port, port + size):
            owned = self._ports.get(at % PORTS)
            self.tell(owned and owned.device, at % PORTS, 1, write=write)

    def port_read(self, port: int, size: int) -> int:
        """IN: `size` bytes (1, 2, 4) from a port."""
        owned = self._ports.get(port)
        if owned is not None and size <= owned.width and port + size - 1 <= owned.last:
            self.tell(owned.device, port, size, write=False)
            return owned.device.read(port, size)
        self._tell_each(port, size, write=False)
        owners = [self._ports.get((port + offset) % PORTS) for offset in range(size)]
        if not any(owners):
            self._count(Unknown("port", port, size, "read"))
            return (1 << 8 * size) - 1
        value = 0
        for offset, owner in enumerate(owners):
            byte = 0xFF if owner is None else owner.device.read((port + offset) % PORTS, 1) & 0xFF
            value |= byte << 8 * offset
        return value

    def port_write(self, port: int, size: int, value: int) -> None:
        """OUT: `size` bytes (1, 2, 4) to a port."""
        owned = self._ports.get(port)
        if owned is not None and size <= owned.width and port + size - 1 <= owned.last:
            self.tell(owned.device, port, size, write=True)
            owned.device.write(port, size, value)
            return
        self._tell_each(port, size, write=True)
        owners = [self._ports.get((port + offset) % PORTS) for offset in range(size)]
        if not any(owners):
            self._count(Unknown("port", port, size, "write"))
        for offset, owner in enumerate(owners):
            if owner is not None:
                owner.device.write((port + offset) % PORTS, 1, value >> 8 * offset & 0xFF)

    def mmio_read(self, address: int, size: int) -> int:
        """A load of `size` bytes (1, 2, 4, 8) from a physical address outside of RAM."""
        owned = self._mmio_range(address)
        if owned is None:
            # By page, so that a sweep over the address space stays one line for each page.
            self._count(Unknown("memory", address & ~0xFFF, size, "read"))
            self.tell(None, address, size, write=False)
            return (1 << 8 * size) - 1
        if size <= owned.width and address + size - 1 <= owned.last:
            self.tell(owned.device, address, size, write=False)
            return owned.device.read(address, size)
        return sum(self.mmio_read(address + offset, 1) << 8 * offset for offset in range(size))

    def mmio_write(self, address: int, size: int, value: int) -> None:
        """A store of `size` bytes (1, 2, 4, 8) to a physical address outside of RAM."""
        owned = self._mmio_range(address)
        if owned is None:
            self._count(Unknown("memory", address & ~0xFFF, size, "write"))
            self.tell(None, address, size, write=True)
        elif size <= owned.width and address + size - 1 <= owned.last:
            self.tell(owned.device, address, size, write=True)
            owned.device.write(address, size, value)
        else:
            for offset in range(size):
                self.mmio_write(address + offset, 1, value >> 8 * offset & 0xFF)
