"""The 8254 interval timer: three channels, whose counters are computed from the clock and never tick by themselves.

Rule of this room: a channel keeps *when* its count began, in timer ticks, and everything else follows from the clock.
Judged by the 8254 data sheet. Channel 0 drives IRQ 0 (an edge for each rising OUT), channel 1 nothing, channel 2 the
speaker: its gate and output are seen through port 61.

A machine may override the rate of channel 0 in its periodic modes (2 and 3): the guest's count then stands for
`timer_period` cycles, the first edge comes `timer_phase` cycles after the count was written, and the counter reads
accordingly. Period 0 means that no tick ever comes; a phase without a period keeps the guest's own period.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.machine.devices.base import Device

FREQUENCY = 1_193_182
PORT, CONTROL_PORT = 0x40, 0x43
LOW, HIGH, BOTH = 1, 2, 3


def from_bcd(value: int) -> int:
    """Four decimal digits; a digit above 9 counts as its value."""
    return sum((value >> 4 * place & 15) * 10**place for place in range(4))


def to_bcd(value: int) -> int:
    """Four decimal digits of `value`."""
    return sum(value // 10**place % 10 << 4 * place for place in range(4))


@dataclass
class Channel:
    """One counter. `count` is what it counts from (1 to 65536), `start` the tick at which it began; see `elapsed`."""

    control: int = 0x30  # access, mode, BCD as written in the last control word
    mode: int = 0
    gate: bool = True
    count: int = 0x10000
    counting: bool = False  # a count has been written, and for modes 1 and 5 the gate has triggered
    start: int = 0  # in ticks, or in cycles under an override
    paused: int | None = None  # elapsed ticks when the gate went low, where a low gate stops the count
    next_count: int | None = None  # written, and taken over when the present period ends or the gate triggers
    period: int | None = None  # cycles, for a channel whose rate is overridden
    low_byte: int | None = None  # the first of two bytes written
    read_high: bool = False  # the next read gives the high byte
    latched: int | None = None
    status: int | None = None

    @property
    def access(self) -> int:
        """LOW, HIGH or BOTH."""
        return self.control >> 4 & 3

    @property
    def bcd(self) -> bool:
        return bool(self.control & 1)

    def elapsed(self, now: int, hz: int) -> int:
        """Ticks since the count began, at cycle `now`. Before the first period of an override it is negative."""
        if self.paused is not None:
            return self.paused
        if self.period:
            return (now - self.start) * self.count // self.period
        return now * FREQUENCY // hz - self.start

    def cycle_at(self, ticks: int, hz: int) -> int:
        """The first cycle at which that many ticks have passed since the count began."""
        if self.period:
            return self.start - (-ticks * self.period // self.count)
        return -(-(ticks + self.start) * hz // FREQUENCY)

    def out(self, ticks: int) -> bool:
        """The level of OUT when `ticks` have passed."""
        if not self.counting:
            return self.mode != 0
        if self.mode == 0:
            return ticks >= self.count
        if self.mode == 1:
            return ticks >= self.count
        if self.mode == 2:
            return not self.gate or ticks % self.count != self.count - 1
        if self.mode == 3:
            return not self.gate or ticks % self.count < (self.count + 1) // 2
        return ticks != self.count

    def value(self, ticks: int) -> int:
        """The counter as a guest reads it, in binary or BCD."""
        wrap = 10_000 if self.bcd else 0x10000
        if self.mode == 2:
            left = self.count - ticks % self.count
        elif self.mode == 3:
            # Counts down by two, from an even number, once for each half of the wave.
            half, position = (self.count + 1) // 2, ticks % self.count
            left = (self.count & ~1) - 2 * (position if position < half else position - half)
        else:
            left = self.count - ticks
        return to_bcd(left % wrap) if self.bcd else left % wrap


@dataclass
class Pit(Device):
    """Ports 40 to 43."""

    channels: tuple[Channel, Channel, Channel] = field(
        default_factory=lambda: (Channel(), Channel(), Channel(gate=False))
    )
    timer_period: int | None = None
    timer_phase: int | None = None
    held: bool = False  # channel 0 gives no edges: they come from outside

    def __post_init__(self) -> None:
        self.name = "pit"

    def irqs(self) -> tuple[int, ...]:
        return (0,)

    # Counting

    def _settle(self, channel: Channel) -> int:
        """Take over a new count at the end of the period in which it was written; ticks since the count began."""
        clock = self.host.clock
        ticks = channel.elapsed(clock.now, clock.hz)
        if channel.next_count is not None and channel.mode in (2, 3) and channel.counting and channel.gate:
            periods = ticks // channel.count
            if periods > 0:
                self._move_start(channel, periods * channel.count)
                channel.count, channel.next_count = channel.next_count, None
                ticks = channel.elapsed(clock.now, clock.hz)
        return ticks

    def _move_start(self, channel: Channel, ticks: int) -> None:
        if channel.period:
            channel.start += ticks * channel.period // channel.count
        else:
            channel.start += ticks

    def _begin(self, channel: Channel, count: int) -> None:
        """Start counting from `count` at this cycle."""
        clock = self.host.clock
        channel.count, channel.next_count, channel.counting = count, None, True
        channel.period = self._override(channel)
        if channel.period:
            phase = channel.period if self.timer_phase is None else self.timer_phase
            channel.start = clock.now + phase - channel.period
        else:
            channel.start = clock.now * FREQUENCY // clock.hz
        channel.paused = 0 if not channel.gate and channel.mode not in (1, 5) else None
        self._plan(channel, clock.now)

    def _override(self, channel: Channel) -> int | None:
        """The cycles of a period where the machine sets them. A phase alone keeps the guest's, in whole cycles."""
        if channel is not self.channels[0] or channel.mode not in (2, 3):
            return None
        if self.timer_period is None and self.timer_phase is not None:
            return max(channel.count * self.host.clock.hz // FREQUENCY, 1)
        return self.timer_period

    def _plan(self, channel: Channel, earliest: int | None = None) -> None:
        """Schedule channel 0's next edge of OUT: after this cycle, or not before cycle `earliest`."""
        if channel is not self.channels[0]:
            return
        if not channel.counting or channel.paused is not None or channel.period == 0 or self.held:
            self.cancel()
            return
        edge = self._next_edge(channel, self.host.clock.now + 1 if earliest is None else earliest)
        if edge is None:
            self.cancel()
        else:
            self.schedule(edge)

    def _next_edge(self, channel: Channel, earliest: int) -> int | None:
        """The cycle of the first rising OUT not before `earliest`. Edges within one cycle are one."""
        hz, ticks = self.host.clock.hz, self._settle(channel)
        if channel.mode not in (2, 3):
            rise = channel.cycle_at(channel.count if channel.mode in (0, 1) else channel.count + 1, hz)
            return rise if rise >= earliest else None
        periods = max(ticks // channel.count, 1)
        while (when := channel.cycle_at(periods * channel.count, hz)) < earliest:
            periods += 1
        return when

    def hold(self) -> None:
        """Have no more edges on channel 0, whatever the guest programs; its counter reads as ever."""
        self.held = True
        self.cancel()

    def event(self, tag: int) -> None:
        """Channel 0's OUT rises: an edge on IRQ 0."""
        self.host.set_irq(0, True)
        self.host.set_irq(0, False)
        self._plan(self.channels[0])

    # Port 61

    def set_gate(self, gate: bool) -> None:
        """Drive channel 2's gate."""
        channel = self.channels[2]
        if gate == channel.gate:
            return
        ticks = self._settle(channel)
        channel.gate = gate
        if not gate:
            if channel.mode not in (1, 5) and channel.counting:
                channel.paused = ticks
        elif channel.mode in (1, 5):
            if channel.next_count is not None or channel.counting:
                self._begin(channel, channel.next_count or channel.count)
        elif channel.counting and channel.mode in (2, 3):
            self._begin(channel, channel.next_count or channel.count)
        elif channel.paused is not None:
            clock = self.host.clock
            channel.start, channel.paused = clock.now * FREQUENCY // clock.hz - channel.paused, None

    def output(self, number: int) -> bool:
        """The level of a channel's OUT at this cycle."""
        channel = self.channels[number]
        return channel.out(self._settle(channel))

    # Ports

    def read(self, address: int, size: int) -> int:
        if address == CONTROL_PORT:
            return 0xFF  # the data sheet: no operation, the bus floats
        channel = self.channels[address - PORT]
        if channel.status is not None:
            status, channel.status = channel.status, None
            return status
        value = channel.latched
        if value is None:
            value = channel.value(self._settle(channel)) if channel.counting else 0
        if channel.access == BOTH:
            channel.read_high = not channel.read_high
            if channel.read_high:
                return value & 0xFF
        channel.latched = None
        return value & 0xFF if channel.access == LOW else value >> 8

    def write(self, address: int, size: int, value: int) -> None:
        if address == CONTROL_PORT:
            self._control(value)
            return
        channel = self.channels[address - PORT]
        if channel.access == LOW:
            self._load(channel, value)
        elif channel.access == HIGH:
            self._load(channel, value << 8)
        elif channel.low_byte is None:
            channel.low_byte = value
            if channel.mode == 0:
                channel.counting = False  # the first of two bytes stops the count
                self._plan(channel)
        else:
            low, channel.low_byte = channel.low_byte, None
            self._load(channel, value << 8 | low)

    def _load(self, channel: Channel, written: int) -> None:
        """A whole count has been written."""
        count = from_bcd(written) if channel.bcd else written
        count = count or (10_000 if channel.bcd else 0x10000)
        if channel.mode in (1, 5):
            channel.next_count = count  # counts from the gate's next rising edge
        elif channel.mode in (2, 3) and channel.counting:
            self._settle(channel)
            channel.next_count = count
            self._plan(channel)
        else:
            self._begin(channel, count)

    def _control(self, value: int) -> None:
        number, access = value >> 6, value >> 4 & 3
        if number == 3:
            self._read_back(value)
        elif access == 0:
            self._latch(self.channels[number])
        else:
            channel = self.channels[number]
            mode = value >> 1 & 7
            channel.control, channel.mode = value & 0x3F, mode if mode < 6 else mode - 4
            channel.counting, channel.read_high, channel.period = False, False, None
            channel.paused = channel.next_count = None
            channel.low_byte = channel.latched = channel.status = None
            self._plan(channel)

    def _latch(self, channel: Channel) -> None:
        """Hold the count for the next read; a second latch before that is ignored."""
        if channel.latched is None:
            channel.latched = channel.value(self._settle(channel)) if channel.counting else 0

    def _read_back(self, value: int) -> None:
        """The 8254's read-back command: bits 5 and 4 low latch count and status of the channels in bits 1 to 3."""
        for number, channel in enumerate(self.channels):
            if not value >> 1 + number & 1:
                continue
            if not value & 0x20:
                self._latch(channel)
            if not value & 0x10 and channel.status is None:
                out = self.output(number)
                null = not channel.counting or channel.next_count is not None
                channel.status = out << 7 | null << 6 | channel.control
