"""The 16550A serial port.

Judged by the PC16550D data sheet. Two choices. Sending takes no virtual time: the transmitter is empty again at once,
as on QEMU, so a polling guest never waits. Receiving is at line rate: the first byte of an input arrives at the step
it is scripted for, the following ones a character time apart, as the divisor and the word length set it, and a guest
that does not read them in time overruns its receiver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ringzero.machine.devices.base import Device
from ringzero.machine.devices.output import OutputLog

FIRST_PORTS = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
IRQS = (4, 3, 4, 3)
CRYSTAL = 1_843_200
DEPTH = 16
TRIGGERS = (1, 4, 8, 14)

# IER bits and, in priority order, what IIR reports for them
RX_ENABLE, TX_ENABLE, LINE_ENABLE, MODEM_ENABLE = 1, 2, 4, 8
IIR_NONE, IIR_MODEM, IIR_TX, IIR_RX, IIR_LINE, IIR_TIMEOUT = 1, 0, 2, 4, 6, 12
# LSR bits
READY, OVERRUN, LINE_ERRORS, TX_EMPTY = 0x01, 0x02, 0x1E, 0x60
# MCR bits
OUT2, LOOP = 0x08, 0x10

EVENT_RECEIVE, EVENT_TIMEOUT = 0, 1


@dataclass
class Uart(Device):
    """Eight ports from `first`, and one interrupt line."""

    first: int = FIRST_PORTS[0]
    irq: int = IRQS[0]
    divisor: int = 12
    ier: int = 0
    fcr: int = 0
    lcr: int = 0
    mcr: int = 0
    line_errors: int = 0
    modem_lines: int = 0xB0  # CTS, DSR, DCD: somebody listens
    modem_changes: int = 0
    scratch: int = 0
    received: bytes = b""  # what stands in the receiver, one byte or a FIFO of 16
    holding: int = 0  # what the receiver's register held last
    coming: bytes = b""  # what is on the line, of which `came` bytes have arrived
    came: int = 0
    timed_out: bool = False
    tx_interrupt: bool = False  # the transmitter became empty, and IIR has not said so yet
    output: OutputLog = field(default_factory=OutputLog)

    def __post_init__(self) -> None:
        self.name = f"uart-{self.first:x}"
        self.listeners: list[Callable[[int], None]] = []

    def irqs(self) -> tuple[int, ...]:
        return (self.irq,)

    # The line

    def receive(self, sent: bytes) -> None:
        """Bytes begin to come in: the first one now, when the line is free."""
        idle = not self.coming
        self.coming, self.came = self.coming[self.came :] + sent, 0
        if idle and sent:
            self.event(EVENT_RECEIVE)

    def event(self, tag: int) -> None:
        if tag == EVENT_TIMEOUT:
            self.timed_out = bool(self.received)
        elif self.coming:
            byte, self.came = self.coming[self.came], self.came + 1
            if self.came == len(self.coming):
                self.coming, self.came = b"", 0
            if not self.mcr & LOOP:
                self._accept(byte)
            if self.coming:
                self.schedule(self.host.clock.now + self._character(), EVENT_RECEIVE)
        self._update()

    def _character(self, count: int = 1) -> int:
        """Cycles for some characters: start bit, word, parity and stop bits."""
        bits = 2 + 5 + (self.lcr & 3) + (self.lcr >> 2 & 1) + (self.lcr >> 3 & 1)
        baud_clocks = 16 * (self.divisor or 0x10000) * bits * count
        return -(-baud_clocks * self.host.clock.hz // CRYSTAL)

    def _accept(self, byte: int) -> None:
        """A byte has come in whole. A full FIFO keeps its bytes; the single register is overwritten."""
        full = len(self.received) >= (DEPTH if self.fcr & 1 else 1)
        if full:
            self.line_errors |= OVERRUN
        if not self.fcr & 1:
            self.received, self.holding = bytes((byte,)), byte
        elif not full:
            self.received += bytes((byte,))
        self._arm_timeout()

    def _arm_timeout(self) -> None:
        """FIFO mode: four character times without a byte in or out."""
        self.timed_out = False
        if self.fcr & 1 and self.received:
            self.schedule(self.host.clock.now + self._character(4), EVENT_TIMEOUT)
        else:
            self.cancel(EVENT_TIMEOUT)

    def _send(self, byte: int) -> None:
        # Filling the register drops a transmitter interrupt, emptying it raises one: an edge for each byte.
        self.tx_interrupt = False
        self._update()
        if self.mcr & LOOP:
            self._accept(byte)
        else:
            self.output.append(byte)
            for listener in self.listeners:
                listener(byte)
        self.tx_interrupt = True

    # Interrupts

    def _cause(self) -> int:
        """IIR's low four bits: the first cause in the data sheet's order of priority."""
        if self.ier & LINE_ENABLE and self.line_errors:
            return IIR_LINE
        if self.ier & RX_ENABLE and self.received:
            trigger = TRIGGERS[self.fcr >> 6] if self.fcr & 1 else 1
            if len(self.received) >= trigger:
                return IIR_RX
            if self.timed_out:
                return IIR_TIMEOUT
        if self.ier & TX_ENABLE and self.tx_interrupt:
            return IIR_TX
        if self.ier & MODEM_ENABLE and self.modem_changes:
            return IIR_MODEM
        return IIR_NONE

    def _update(self) -> None:
        """Drive the interrupt line: on a PC, OUT2 lets it through; in loop-back it is cut."""
        open_gate = self.mcr & (OUT2 | LOOP) == OUT2
        self.host.set_irq(self.irq, open_gate and self._cause() != IIR_NONE)

    # Registers

    def read(self, address: int, size: int) -> int:
        register = address - self.first
        value = self._read(register)
        self._update()
        return value

    def _read(self, register: int) -> int:
        if register == 0:
            return self.divisor & 0xFF if self.lcr & 0x80 else self._take()
        if register == 1:
            return self.divisor >> 8 if self.lcr & 0x80 else self.ier
        if register == 2:
            return self._identify()
        if register == 5:
            return self._line_status()
        if register == 6:
            return self._modem_status()
        return {3: self.lcr, 4: self.mcr, 7: self.scratch}[register]

    def _take(self) -> int:
        """RBR: the oldest byte. Without FIFOs an empty one still gives its last byte, an empty FIFO gives 0."""
        if not self.received:
            return 0 if self.fcr & 1 else self.holding
        byte, self.received = self.received[0], self.received[1:]
        self._arm_timeout()
        return byte

    def _identify(self) -> int:
        """IIR: reading it answers a transmitter interrupt."""
        cause = self._cause()
        if cause == IIR_TX:
            self.tx_interrupt = False
        return cause | (0xC0 if self.fcr & 1 else 0)

    def _line_status(self) -> int:
        """LSR: reading it clears the errors."""
        status = TX_EMPTY | self.line_errors | (READY if self.received else 0)
        self.line_errors = 0
        return status

    def _modem_lines(self) -> int:
        """CTS, DSR, RI, DCD in bits 4 to 7: in loop-back RTS, DTR, OUT1 and OUT2."""
        if not self.mcr & LOOP:
            return self.modem_lines
        dtr, rts, out1, out2 = (self.mcr >> bit & 1 for bit in range(4))
        return rts << 4 | dtr << 5 | out1 << 6 | out2 << 7

    def _modem_status(self) -> int:
        """MSR: reading it clears the changes."""
        status = self._modem_lines() | self.modem_changes
        self.modem_changes = 0
        return status

    def write(self, address: int, size: int, value: int) -> None:
        register = address - self.first
        if register == 0 and self.lcr & 0x80:
            self.divisor = self.divisor & 0xFF00 | value
        elif register == 0:
            self._send(value)
        elif register == 1 and self.lcr & 0x80:
            self.divisor = self.divisor & 0xFF | value << 8
        elif register == 1:
            self._enable(value & 0x0F)
        elif register == 2:
            self._fifo_control(value)
        elif register == 3:
            self.lcr = value
        elif register == 4:
            self._modem_control(value & 0x1F)
        elif register == 7:
            self.scratch = value
        self._update()

    def _enable(self, value: int) -> None:
        """IER: enabling the transmitter's interrupt while it is empty raises one."""
        if value & TX_ENABLE and not self.ier & TX_ENABLE:
            self.tx_interrupt = True
        self.ier = value

    def _fifo_control(self, value: int) -> None:
        """FCR: switching the FIFOs empties them; bit 1 empties the receiver; without bit 0 nothing else is taken."""
        switched = (value ^ self.fcr) & 1
        if switched or value & 3 == 3:
            self.received = b""
        self.fcr = value & 0xC9 if value & 1 else 0
        self._arm_timeout()

    def _modem_control(self, value: int) -> None:
        """MCR: what loop-back changes on the modem lines shows in the modem status; RI only when it falls."""
        before = self._modem_lines()
        self.mcr = value
        after = self._modem_lines()
        self.modem_changes |= ((before ^ after) & 0xB0 | before & ~after & 0x40) >> 4
