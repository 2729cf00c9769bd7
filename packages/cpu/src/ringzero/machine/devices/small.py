"""The small ones: debug exit, debug console, the system control ports 61 and 92, and the reset through port 64."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.errors import UsageError
from ringzero.machine.devices.base import Device
from ringzero.machine.devices.output import OutputLog
from ringzero.machine.devices.pit import Pit


@dataclass
class DebugExit(Device):
    """QEMU's isa-debug-exit: a write of `value` ends the run with status `value << 1 | 1`."""

    iobase: int = 0x501
    iosize: int = 2

    def __post_init__(self) -> None:
        self.name = "isa-debug-exit"
        if not 1 <= self.iosize <= 8:
            raise UsageError(
                f"isa-debug-exit: iosize={self.iosize} is not 1 to 8; iobase=0xf4,iosize=4 is usual"
            )

    def read(self, address: int, size: int) -> int:
        return 0

    def write(self, address: int, size: int, value: int) -> None:
        self.host.stop("exit", value)


@dataclass
class DebugConsole(Device):
    """Port E9: what is written is kept; reading it gives E9, by which a guest finds it."""

    output: OutputLog = field(default_factory=OutputLog)

    def __post_init__(self) -> None:
        self.name = "debugcon"

    def read(self, address: int, size: int) -> int:
        return 0xE9

    def write(self, address: int, size: int, value: int) -> None:
        self.output.append(value)


@dataclass
class SystemControl(Device):
    """Ports 61 and 92, and the one command of port 64 that matters here.

    61: bit 0 timer 2's gate, bit 1 speaker, bits 2 and 3 stored; read: bit 4 refresh toggle, bit 5 timer 2's output.
    92: bit 0 resets, bit 1 is A20, which is always on. 64: a write of FE resets; reads are all ones: no keyboard.
    """

    port61: int = 0
    port92: int = 2

    def __post_init__(self) -> None:
        self.name = "system-control"
        self.pit: Pit | None = None

    def read(self, address: int, size: int) -> int:
        if address == 0x61:
            return self._read_61()
        return self.port92 if address == 0x92 else 0xFF

    def _read_61(self) -> int:
        clock = self.host.clock
        refresh = clock.nanoseconds(clock.now) // 15_085 & 1  # memory is refreshed every 15.085 µs
        output = self.pit.output(2) if self.pit is not None else False
        return self.port61 | refresh << 4 | output << 5

    def write(self, address: int, size: int, value: int) -> None:
        if address == 0x61:
            self.port61 = value & 0x0F
            if self.pit is not None:
                self.pit.set_gate(bool(value & 1))
        elif address == 0x92:
            self.port92 = value & 0xFE | 2
            if value & 1:
                self.host.stop("reset", 0)
        elif value == 0xFE:
            self.host.stop("reset", 0)
