"""The MC146818 clock and its CMOS memory: a virtual date that follows the machine's clock and nothing else.

Ports 70 (index; bit 7 masks NMI) and 71. The date is `base` seconds since 1970 plus the virtual time that has passed.
Periodic, alarm and update interrupts come on IRQ 8; they are scheduled only while one is enabled. The flags of a
register C that is polled are computed when it is read.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from ringzero.errors import UsageError
from ringzero.machine.clock import NANOSECONDS
from ringzero.machine.devices.base import Device

INDEX_PORT, DATA_PORT = 0x70, 0x71
IRQ = 8
EPOCH = datetime.datetime(1970, 1, 1)
LAST_SECOND = 8000 * 365 * 86_400  # dates wrap there, before Python's end
DEFAULT_DATE = "2026-01-01T00:00:00"

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D = range(6, 14)
CENTURY = 0x32
TIME_REGISTERS = (SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY)

UIP = 0x80  # register A
SET, BINARY, HOURS24 = 0x80, 0x04, 0x02  # register B
PERIODIC, ALARM, UPDATE = 0x40, 0x20, 0x10  # enables in B, flags in C
UPDATE_WARNING = 244_141  # ns that UIP is set before the second changes


def parse_date(text: str) -> int:
    """Seconds since 1970 of an ISO date, without a time zone.

    >>> parse_date("1970-01-02T00:00:00")
    86400
    """
    try:
        date = datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise UsageError(f"date {text!r} is not like {DEFAULT_DATE}") from None
    return int((date - EPOCH).total_seconds())


@dataclass
class Cmos(Device):
    """The clock chip. `memory` is its 128 bytes, where those of the time are computed instead."""

    base: int = 0
    index: int = 0
    nmi_masked: bool = False
    memory: bytes = bytes(128)
    reg_a: int = 0x26  # 32 768 Hz divider on, 1024 Hz periodic rate
    reg_b: int = HOURS24
    flags: int = 0  # register C's flags that are raised already
    seen: int = 0  # virtual nanoseconds up to which flags were raised

    def __post_init__(self) -> None:
        self.name = "cmos"

    def configure(self, memory_size: int) -> None:
        """What a BIOS leaves in the CMOS memory: the sizes of memory."""
        extended = min((memory_size >> 10) - 1024, 0xFFFF)
        high = max((memory_size >> 16) - 256, 0)
        content = bytearray(self.memory)
        for place, value in ((0x15, 640), (0x17, extended), (0x30, extended), (0x34, min(high, 0xFFFF))):
            content[place : place + 2] = value.to_bytes(2, "little")
        self.memory = bytes(content)

    def irqs(self) -> tuple[int, ...]:
        return (IRQ,)

    # Time

    def _nanoseconds(self) -> int:
        clock = self.host.clock
        return clock.nanoseconds(clock.now)

    def _date(self) -> datetime.datetime:
        seconds = self.base + self._nanoseconds() // NANOSECONDS
        return EPOCH + datetime.timedelta(seconds=seconds % LAST_SECOND)

    def _encode(self, value: int) -> int:
        return value if self.reg_b & BINARY else value // 10 << 4 | value % 10

    def _decode(self, value: int) -> int:
        return value if self.reg_b & BINARY else (value >> 4) * 10 + (value & 15)

    def _encode_hour(self, hour: int) -> int:
        if self.reg_b & HOURS24:
            return self._encode(hour)
        return self._encode(hour % 12 or 12) | (0x80 if hour >= 12 else 0)

    def _decode_hour(self, value: int) -> int:
        if self.reg_b & HOURS24:
            return self._decode(value)
        return self._decode(value & 0x7F) % 12 + (12 if value & 0x80 else 0)

    def _time_bytes(self) -> dict[int, int]:
        """The time registers as the date that runs would show them."""
        date = self._date()
        values = {
            SECONDS: date.second,
            MINUTES: date.minute,
            WEEKDAY: date.isoweekday() % 7 + 1,
            DAY: date.day,
            MONTH: date.month,
            YEAR: date.year % 100,
            CENTURY: date.year // 100,
        }
        return {register: self._encode(value) for register, value in values.items()} | {
            HOURS: self._encode_hour(date.hour)
        }

    def _store(self, register: int, value: int) -> None:
        self.memory = self.memory[:register] + bytes((value,)) + self.memory[register + 1 :]

    def _hold(self) -> None:
        """SET: the time registers are plain memory from now on."""
        for register, value in self._time_bytes().items():
            self._store(register, value)

    def _release(self) -> None:
        """Let the date run on from the time registers; a part out of range is cut to it."""
        decoded = {register: self._decode(self.memory[register]) for register in TIME_REGISTERS}
        decoded[HOURS] = self._decode_hour(self.memory[HOURS])
        passed = self._nanoseconds() // NANOSECONDS
        self.base = int((_clamped(decoded) - EPOCH).total_seconds()) - passed

    def _set_time(self, register: int, value: int) -> None:
        if self.reg_b & SET:
            self._store(register, value)
        else:
            self._hold()
            self._store(register, value)
            self._release()

    # Interrupts

    def _period(self) -> int:
        """Nanoseconds times 32768 between periodic interrupts; 0 when they are off."""
        rate = self.reg_a & 15
        if rate == 0:
            return 0
        return (1 << (rate + 6 if rate <= 2 else rate - 1)) * NANOSECONDS

    def _alarm_matches(self) -> bool:
        """The second that has begun is the alarm's; a value of C0 or more there matches any."""
        date = self._date()
        times = (
            (SECONDS_ALARM, self._encode(date.second)),
            (MINUTES_ALARM, self._encode(date.minute)),
            (HOURS_ALARM, self._encode_hour(date.hour)),
        )
        return all(self.memory[register] in (now, 0xC0 | self.memory[register]) for register, now in times)

    def _raise_flags(self) -> None:
        """Raise the flags for what has happened since the last look."""
        now = self._nanoseconds()
        period = self._period()
        if period and now * 32_768 // period != self.seen * 32_768 // period:
            self.flags |= PERIODIC
        if not self.reg_b & SET and now // NANOSECONDS != self.seen // NANOSECONDS:
            self.flags |= UPDATE
            if self._alarm_matches():
                self.flags |= ALARM
        self.seen = now

    def _plan(self) -> None:
        """Schedule the next moment at which an enabled interrupt may come, and drive the line."""
        self.host.set_irq(IRQ, bool(self.flags & self.reg_b & (PERIODIC | ALARM | UPDATE)))
        moments = []
        now, period = self._nanoseconds(), self._period()
        if self.reg_b & PERIODIC and period:
            moments.append(-(-(now * 32_768 // period + 1) * period // 32_768))
        if self.reg_b & (ALARM | UPDATE) and not self.reg_b & SET:
            moments.append((now // NANOSECONDS + 1) * NANOSECONDS)
        if moments:
            self.schedule(max(self.host.clock.cycles(min(moments)), self.host.clock.now + 1))
        else:
            self.cancel()

    def event(self, tag: int) -> None:
        self._raise_flags()
        self._plan()

    # Ports

    def read(self, address: int, size: int) -> int:
        if address != DATA_PORT:
            return 0xFF
        register = self.index
        if register in TIME_REGISTERS:
            return self.memory[register] if self.reg_b & SET else self._time_bytes()[register]
        if register == REG_A:
            ending = self._nanoseconds() % NANOSECONDS >= NANOSECONDS - UPDATE_WARNING
            return self.reg_a | (UIP if ending and not self.reg_b & SET else 0)
        if register == REG_B:
            return self.reg_b
        if register == REG_C:
            return self._take_flags()
        return 0x80 if register == REG_D else self.memory[register]

    def _take_flags(self) -> int:
        """Register C: reading it clears the flags and the interrupt."""
        self._raise_flags()
        flags, self.flags = self.flags, 0
        self._plan()
        return flags | (0x80 if flags & self.reg_b & (PERIODIC | ALARM | UPDATE) else 0)

    def write(self, address: int, size: int, value: int) -> None:
        if address != DATA_PORT:
            self.index, self.nmi_masked = value & 0x7F, bool(value & 0x80)
        elif self.index in TIME_REGISTERS:
            self._set_time(self.index, value)
        elif self.index == REG_A:
            self._raise_flags()
            self.reg_a = value & 0x7F
            self._plan()
        elif self.index == REG_B:
            self._raise_flags()
            self._write_b(value)
            self._plan()
        elif self.index not in (REG_C, REG_D):
            self._store(self.index, value)

    def _write_b(self, value: int) -> None:
        """Register B: SET stops the date until it is cleared again."""
        if value & SET:
            value &= ~UPDATE  # the data sheet: SET clears UIE
            if not self.reg_b & SET:
                self._hold()
            self.reg_b = value
            return
        released, self.reg_b = self.reg_b & SET, value
        if released:
            self._release()


def _clamped(parts: dict[int, int]) -> datetime.datetime:
    """A date from time registers that may be out of range."""
    year = min(max(parts[CENTURY] * 100 + parts[YEAR] % 100, 1970), 9000)
    month = min(max(parts[MONTH], 1), 12)
    month_end = datetime.datetime(year + month // 12, month % 12 + 1, 1)
    day = min(max(parts[DAY], 1), (month_end - datetime.datetime(year, month, 1)).days)
    return datetime.datetime(
        year, month, day, min(parts[HOURS], 23), min(parts[MINUTES], 59), min(parts[SECONDS], 59)
    )
