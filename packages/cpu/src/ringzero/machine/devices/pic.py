"""Two cascaded 8259A interrupt controllers, with the edge/level registers of a PC chipset.

Judged by the 8259A data sheet. One choice: a request on an edge-triggered line is latched until it is acknowledged, as
in QEMU and KVM; on the real chip the line must also stay high until then. So a pulse is an interrupt, and the spurious
IRQ 7 and 15 come from level-triggered lines that drop, and from masking between request and acknowledge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.machine.devices.base import Device

MASTER_PORT, SLAVE_PORT, ELCR_PORT = 0x20, 0xA0, 0x4D0
CASCADE = 2  # the master's line that the slave drives
EDGE_ONLY = (0b0000_0111, 0b0010_0001)  # lines 0, 1, 2 and 8, 13 of a PC cannot be made level-triggered


@dataclass
class Chip:
    """One 8259A. Lines, requests, services and masks are bit sets of its eight inputs."""

    is_master: bool
    lines: int = 0
    irr: int = 0
    isr: int = 0
    imr: int = 0
    elcr: int = 0
    base: int = 0
    lowest: int = 7  # the line with the lowest priority
    icw: int = 0  # initialisation words still expected: the number of the next one, or 0
    needs_icw4: bool = False
    single: bool = False
    level: bool = False  # LTIM in ICW1
    nested: bool = False  # special fully nested mode
    auto_eoi: bool = False
    rotate_on_auto_eoi: bool = False
    special_mask: bool = False
    read_isr: bool = False
    poll: bool = False

    def set_line(self, line: int, level: bool) -> None:
        """Drive one input."""
        bit = 1 << line
        if self._levels() & bit:
            self.irr = self.irr | bit if level else self.irr & ~bit
        elif level and not self.lines & bit:
            self.irr |= bit
        self.lines = self.lines | bit if level else self.lines & ~bit

    def _levels(self) -> int:
        return 0xFF if self.level else self.elcr

    def _rank(self, bits: int) -> int:
        """Priority of the highest of some lines: 0 is first, 8 is none."""
        for rank in range(8):
            if bits >> (self.lowest + 1 + rank & 7) & 1:
                return rank
        return 8

    def request(self) -> int | None:
        """The line this chip would interrupt for now, or None."""
        return self._first(self.irr)

    def accepts(self, line: int) -> bool:
        """Whether this chip would interrupt for a request on that line alone."""
        return self._first(1 << line) is not None

    def _first(self, requests: int) -> int | None:
        waiting = requests & ~self.imr
        if not waiting or self.icw:
            return None
        rank = self._rank(waiting)
        served = self.isr
        if self.special_mask:
            served &= ~self.imr
        if self.is_master and self.nested:
            served &= ~(1 << CASCADE)
        if rank >= self._rank(served):
            return None
        return self.lowest + 1 + rank & 7

    def take(self, line: int) -> None:
        """Acknowledge a line: in service now, unless the end of interrupt is automatic."""
        bit = 1 << line
        if not self._levels() & bit:
            self.irr &= ~bit
        if not self.auto_eoi:
            self.isr |= bit
        elif self.rotate_on_auto_eoi:
            self.lowest = line

    def acknowledge(self) -> int:
        """INTA: the line, 7 when the request has gone (spurious: nothing comes into service)."""
        line = self.request()
        if line is None:
            return 7
        self.take(line)
        return line

    def read(self, offset: int) -> int:
        """Port 0: IRR, ISR or the poll word; port 1: IMR."""
        if self.poll:
            self.poll = False
            line = self.request()
            if line is None:
                return 0
            self.take(line)
            return 0x80 | line
        if offset:
            return self.imr
        return self.isr if self.read_isr else self.irr

    def write(self, offset: int, value: int) -> None:
        """A command word."""
        if offset:
            self._write_data(value)
        elif value & 0x10:
            self._icw1(value)
        elif value & 0x08:
            self._ocw3(value)
        else:
            self._ocw2(value)

    def _icw1(self, value: int) -> None:
        """Initialise: clears masks, services and latched edges; line 7 gets the lowest priority."""
        self.imr = self.isr = 0
        self.level = bool(value & 8)
        self.irr = self.lines & self._levels()
        self.lowest = 7
        self.single, self.needs_icw4 = bool(value & 2), bool(value & 1)
        self.special_mask = self.read_isr = self.poll = False
        self.auto_eoi = self.rotate_on_auto_eoi = self.nested = False
        self.icw = 2

    def _write_data(self, value: int) -> None:
        """OCW1, or the next initialisation word. ICW3 only says what is wired anyway."""
        if self.icw == 0:
            self.imr = value
        elif self.icw == 2:
            self.base = value & 0xF8
            self.icw = (4 if self.needs_icw4 else 0) if self.single else 3
        elif self.icw == 3:
            self.icw = 4 if self.needs_icw4 else 0
        else:
            self.auto_eoi, self.nested = bool(value & 2), bool(value & 0x10)
            self.icw = 0

    def _ocw2(self, value: int) -> None:
        """End of interrupt, rotation, priority."""
        rotate, specific, end, line = value & 0x80, value & 0x40, value & 0x20, value & 7
        if not end:
            if specific and rotate:
                self.lowest = line
            elif not specific:
                self.rotate_on_auto_eoi = bool(rotate)
            return
        if not specific:
            # SMM: the highest line in service that is not masked; the data sheet leaves a masked one alone.
            served = self.isr & ~self.imr if self.special_mask else self.isr
            if not served:
                return
            line = self.lowest + 1 + self._rank(served) & 7
        self.isr &= ~(1 << line)
        if rotate:
            self.lowest = line

    def _ocw3(self, value: int) -> None:
        """Special mask mode, poll, and which register port 0 reads."""
        if value & 0x40:
            self.special_mask = bool(value & 0x20)
        if value & 0x04:
            self.poll = True
        elif value & 0x02:
            self.read_isr = bool(value & 0x01)


@dataclass
class Pic(Device):
    """Both chips and the edge/level registers: ports 20, 21, A0, A1, 4D0, 4D1 and the lines IRQ 0 to 15."""

    master: Chip = field(default_factory=lambda: Chip(is_master=True))
    slave: Chip = field(default_factory=lambda: Chip(is_master=False))
    intr: bool = False  # the level of the INTR pin

    def __post_init__(self) -> None:
        self.name = "pic"

    def _settle(self) -> None:
        """Let the slave drive its line, and the master the INTR pin."""
        self.master.set_line(CASCADE, self.slave.request() is not None)
        self.intr = self.master.request() is not None

    def level(self, irq: int) -> bool:
        """The level of IRQ 0 to 15."""
        chip, line = (self.slave, irq - 8) if irq >= 8 else (self.master, irq)
        return bool(chip.lines >> line & 1)

    def set_irq(self, irq: int, level: bool) -> None:
        """Drive IRQ 0 to 15. IRQ 2 does not exist: its pin is the slave's."""
        chip, line = (self.slave, irq - 8) if irq >= 8 else (self.master, irq)
        if irq == CASCADE or (chip.lines >> line & 1) == level:
            return
        chip.set_line(line, level)
        self._settle()

    def would_interrupt(self, irq: int) -> bool:
        """Whether an edge on that line would raise INTR: it is low, not masked, and nothing in service is before it."""
        chip, line = (self.slave, irq - 8) if irq >= 8 else (self.master, irq)
        if chip.lines >> line & 1:
            return False
        if chip is self.slave and not self.master.accepts(CASCADE):
            return False
        return chip.accepts(line)

    def acknowledge(self) -> int:
        """The two INTA cycles: the vector to deliver. A request that has gone gives IRQ 7's or 15's vector."""
        line = self.master.acknowledge()
        if line == CASCADE and not self.master.single:
            vector = self.slave.base | self.slave.acknowledge()
            # The slave's output falls during INTA, so its next request is an edge for the master again.
            self.master.set_line(CASCADE, False)
        else:
            vector = self.master.base | line
        self._settle()
        return vector

    def read(self, address: int, size: int) -> int:
        if address & ~1 == ELCR_PORT:
            return (self.slave if address & 1 else self.master).elcr
        chip = self.slave if address & 0x80 else self.master
        if chip is self.slave and chip.poll:
            # A poll takes the request away from the master, which has not acknowledged it.
            self.master.set_line(CASCADE, False)
            self.master.irr &= ~(1 << CASCADE)
        value = chip.read(address & 1)
        self._settle()
        return value

    def write(self, address: int, size: int, value: int) -> None:
        if address & ~1 == ELCR_PORT:
            chip = self.slave if address & 1 else self.master
            chip.elcr = value & ~EDGE_ONLY[address & 1]
            chip.irr = chip.irr & ~chip.elcr | chip.lines & chip.elcr
        else:
            (self.slave if address & 0x80 else self.master).write(address & 1, value)
        self._settle()
