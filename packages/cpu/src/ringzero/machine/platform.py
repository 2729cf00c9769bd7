"""The PC around the processor: which devices there are, where they answer, and how their lines run.

Rule of this room: the device order is fixed here, because simultaneous events run in it: interrupt controllers, timer,
clock chip, serial ports, system control, debug console, then what was asked for by `devices=`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ringzero.errors import UsageError
from ringzero.machine.bus import Bus
from ringzero.machine.clock import Clock
from ringzero.machine.devices import cmos, pic, pit, uart
from ringzero.machine.devices.base import Device, DeviceState
from ringzero.machine.devices.small import DebugConsole, DebugExit, SystemControl


@dataclass(frozen=True)
class StopRequest:
    """A device has ended the run: `reason` is "exit" (with the value written) or "reset"."""

    reason: str
    value: int


def _number(text: str, where: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"device {where!r}: {text!r} is not a number; write for example 0xf4") from None


def parse_device(text: str) -> DebugExit:
    """A device in QEMU's `-device` notation: `isa-debug-exit,iobase=0xf4,iosize=4`. Raises UsageError."""
    kind, *options = text.split(",")
    if kind != "isa-debug-exit":
        raise UsageError(f"device {text!r}: no such device here; isa-debug-exit[,iobase=N][,iosize=N] is")
    values = {"iobase": 0x501, "iosize": 2}
    for option in options:
        key, _, value = option.partition("=")
        if key not in values:
            raise UsageError(f"device {text!r}: no option {key!r}; iobase and iosize are")
        values[key] = _number(value, text)
    return DebugExit(**values)


class Platform:
    """The devices wired to a bus and a clock. The processor sees `pending` and `acknowledge`."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        *,
        memory_size: int,
        rtc: str = cmos.DEFAULT_DATE,
        timer_period: int | None = None,
        timer_phase: int | None = None,
        serial_ports: int = 1,
        devices: Iterable[str] = (),
    ) -> None:
        self.bus = bus
        self.clock = clock
        self.on_stop: Callable[[], None] = lambda: None
        self.stop_request: StopRequest | None = None
        self.pic = pic.Pic()
        for name, cycles in (("timer_period", timer_period), ("timer_phase", timer_phase)):
            if cycles is not None and not 0 <= cycles < 1 << 62:
                raise UsageError(f"{name}={cycles} is not a count of cycles, 0 or more")
        if not 0 < serial_ports <= len(uart.FIRST_PORTS):
            raise UsageError(f"serial_ports={serial_ports} is not 1 to {len(uart.FIRST_PORTS)}")
        self.pit = pit.Pit(timer_period=timer_period, timer_phase=timer_phase)
        self.cmos = cmos.Cmos(base=cmos.parse_date(rtc))
        self.cmos.configure(memory_size)
        self.uarts = tuple(
            uart.Uart(first=first, irq=irq)
            for first, irq in list(zip(uart.FIRST_PORTS, uart.IRQS, strict=True))[:serial_ports]
        )
        self.control = SystemControl()
        self.control.pit = self.pit
        self.console = DebugConsole()
        self.extra = tuple(parse_device(text) for text in devices)
        self.devices: tuple[Device, ...] = (
            *(self.pic, self.pit, self.cmos, *self.uarts, self.control, self.console),
            *self.extra,
        )
        for order, device in enumerate(self.devices):
            device.attach(self, order)
        self._place()
        self.state = DeviceState(self.devices)

    def _place(self) -> None:
        """Give every device its ports."""
        add = self.bus.add_ports
        for first, count in ((pic.MASTER_PORT, 2), (pic.SLAVE_PORT, 2), (pic.ELCR_PORT, 2)):
            add(first, count, self.pic)
        add(pit.PORT, 4, self.pit)
        add(cmos.INDEX_PORT, 2, self.cmos)
        for port in self.uarts:
            add(port.first, 8, port)
        for first in (0x61, 0x64, 0x92):
            add(first, 1, self.control)
        add(0xE9, 1, self.console)
        for device in self.extra:
            add(device.iobase, device.iosize, device, width=4)

    # As devices see it

    def set_irq(self, irq: int, level: bool) -> None:
        """Drive ISA interrupt line 0 to 15."""
        if self.bus.listener is not None and self.pic.level(irq) != level:
            self.bus.tell(self.pic, pic.MASTER_PORT, 1, write=True)
        self.pic.set_irq(irq, level)

    def stop(self, reason: str, value: int) -> None:
        """End the run at the next instruction boundary. The first request counts."""
        if self.stop_request is None:
            self.stop_request = StopRequest(reason, value)
        self.on_stop()

    # As the processor sees it

    def pending(self) -> bool:
        """The level of INTR."""
        return self.pic.intr

    def acknowledge(self) -> int:
        """The interrupt acknowledge cycles: the vector to deliver."""
        self.bus.tell(self.pic, pic.MASTER_PORT, 1, write=True)
        return self.pic.acknowledge()

    # As the machine sees it

    def pulse(self, irq: int) -> None:
        """An edge on an interrupt line from outside. A line that a device holds high makes no edge."""
        chip = self.pic.slave if irq >= 8 else self.pic.master
        if not chip.lines >> (irq & 7) & 1:
            self.pic.set_irq(irq, True)
            self.pic.set_irq(irq, False)

    def load(self, state: tuple[tuple[Any, ...], ...]) -> None:
        """Put the devices' fields from `state.save()` back."""
        self.state.load(state)
        self.stop_request = None

    def can_wake(self) -> bool:
        """Whether an event that is scheduled could raise INTR, as the controllers stand now."""
        orders = {order for _, order, _, _ in self.clock.events()}
        return any(self.pic.would_interrupt(irq) for order in orders for irq in self.devices[order].irqs())

    def run_event(self) -> bool:
        """Run the first device event that is due; False when none is."""
        due = self.clock.take_due()
        if due is None:
            return False
        order, tag = due
        self.devices[order].event(tag)
        return True
