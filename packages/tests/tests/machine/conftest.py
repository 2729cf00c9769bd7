"""A PC without a processor: bus, clock and devices, driven by the test instead of by instructions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero.machine.bus import Bus
from ringzero.machine.clock import Clock
from ringzero.machine.platform import Platform


class Board:
    """Ports and time for tests."""

    def __init__(self, hz: int = 100_000_000, **options: object) -> None:
        self.clock = Clock(hz)
        self.bus = Bus()
        self.platform = Platform(
            self.bus,
            self.clock,
            memory_size=16 << 20,
            devices=("isa-debug-exit,iobase=0xf4,iosize=4",),
            **options,
        )

    def outb(self, port: int, *values: int) -> None:
        for value in values:
            self.bus.port_write(port, 1, value)

    def inb(self, port: int) -> int:
        return self.bus.port_read(port, 1)

    def advance(self, cycles: int) -> list[int]:
        """Let time pass; the cycles at which device events ran."""
        end, ran = self.clock.now + cycles, []
        while self.clock.next_cycle <= end:
            self.clock.steps = max(self.clock.next_cycle - self.clock.idle, self.clock.steps)
            ran.append(self.clock.now)
            self.platform.run_event()
        self.clock.steps = end - self.clock.idle
        return ran

    def init_pics(self, master_mask: int = 0, slave_mask: int = 0, icw4: int = 1) -> None:
        """Vectors 0x20 and 0x28, as every PC kernel sets them."""
        for base, vector, wiring, mask in ((0x20, 0x20, 4, master_mask), (0xA0, 0x28, 2, slave_mask)):
            self.outb(base, 0x11)
            self.outb(base + 1, vector, wiring, icw4, mask)

    def save(self) -> tuple[object, ...]:
        return self.clock.save(), self.platform.state.save()

    def load(self, state: tuple) -> None:
        clock, devices = state
        self.clock.load(clock)
        self.platform.load(devices)


@pytest.fixture(scope="session")
def make_board() -> Callable[..., Board]:
    return Board


@pytest.fixture
def board() -> Board:
    return Board()
