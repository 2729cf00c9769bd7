"""The 16550A against its data sheet."""

from __future__ import annotations

import pytest

RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(0x3F8, 0x400)
FCR = IIR
LINE, TX, RX = 4, 2, 1
CHARACTER = 100_000_000 * 10 // 115_200 + 1  # cycles for 8N1 at divisor 1


@pytest.fixture
def serial(board):
    """115200 8N1, OUT2 on."""
    board.init_pics()
    board.outb(LCR, 0x80)
    board.outb(RBR, 1)
    board.outb(IER, 0)
    board.outb(LCR, 3)
    board.outb(MCR, 0x0B)
    return board


def send_in(board, content):
    board.platform.uarts[0].receive(content)


def has_interrupt(board):
    return bool(board.platform.pic.master.lines & 0x10)


def test_reset_state(board):
    assert [board.inb(port) for port in (IER, IIR, LCR, MCR, LSR, MSR, SCR)] == [0, 1, 0, 0, 0x60, 0xB0, 0]


def test_divisor_and_scratch(serial):
    serial.outb(LCR, 0x83)
    assert (serial.inb(RBR), serial.inb(IER)) == (1, 0)
    serial.outb(SCR, 0x5A)
    assert serial.inb(SCR) == 0x5A


def test_sending_takes_no_time_and_listeners_see_the_step(serial):
    heard = []
    serial.platform.uarts[0].listeners.append(lambda byte: heard.append((byte, serial.clock.steps)))
    serial.advance(7)
    serial.outb(RBR, 0x41)
    assert serial.inb(LSR) == 0x60
    serial.advance(3)
    serial.outb(RBR, 0x42)
    assert heard == [(0x41, 7), (0x42, 10)]
    assert serial.platform.uarts[0].output.content == b"AB"


def test_bytes_arrive_a_character_time_apart(serial):
    send_in(serial, b"xyz")
    assert serial.inb(LSR) & 1
    assert serial.inb(RBR) == ord("x")
    assert serial.inb(LSR) & 1 == 0
    assert serial.advance(CHARACTER) == [CHARACTER]
    assert serial.inb(RBR) == ord("y")
    assert serial.advance(3 * CHARACTER) == [2 * CHARACTER]
    assert serial.inb(RBR) == ord("z")


def test_input_that_is_added_to_keeps_its_order(serial):
    serial.outb(FCR, 1)
    send_in(serial, b"abc")
    serial.advance(CHARACTER)
    send_in(serial, b"de")
    serial.advance(9 * CHARACTER)
    assert bytes(serial.inb(RBR) for _ in range(5)) == b"abcde"


def test_a_long_input_takes_time_in_proportion(serial):
    """A megabyte on the line is no quadratic copy."""
    send_in(serial, bytes(1 << 20))
    for _ in range(2000):
        serial.advance(CHARACTER)
        serial.inb(RBR)
    assert serial.platform.uarts[0].came == 2001


def test_an_unread_byte_is_overwritten_without_fifo(serial):
    send_in(serial, b"ab")
    serial.advance(CHARACTER)
    assert serial.inb(LSR) == 0x63
    assert serial.inb(LSR) == 0x61  # the error is cleared by reading
    assert serial.inb(RBR) == ord("b")


def test_a_full_fifo_keeps_its_bytes(serial):
    serial.outb(FCR, 1)
    send_in(serial, bytes(range(20)))
    serial.advance(25 * CHARACTER)
    assert serial.inb(LSR) & 2
    assert [serial.inb(RBR) for _ in range(17)] == [*range(16), 0]


@pytest.mark.parametrize(("bits", "level"), [(0x01, 1), (0x41, 4), (0x81, 8), (0xC1, 14)])
def test_trigger_levels(serial, bits, level):
    serial.outb(FCR, bits)
    serial.outb(IER, RX)
    for count in range(1, level + 1):
        send_in(serial, b"x")
        assert has_interrupt(serial) == (count == level)
        serial.advance(CHARACTER)
    assert serial.inb(IIR) == 0xC4
    serial.inb(RBR)
    assert has_interrupt(serial) is False


def test_timeout_after_four_characters(serial):
    serial.outb(FCR, 0xC1)
    serial.outb(IER, RX)
    send_in(serial, b"x")
    assert serial.advance(3 * CHARACTER) == []
    assert serial.inb(IIR) == 0xC1
    serial.advance(CHARACTER + 1)
    assert has_interrupt(serial)
    assert serial.inb(IIR) == 0xCC
    serial.inb(RBR)
    assert serial.inb(IIR) == 0xC1


def test_interrupt_priorities(serial):
    serial.outb(IER, RX | TX | LINE)
    send_in(serial, b"ab")
    serial.advance(CHARACTER)
    assert serial.inb(IIR) == 6
    serial.inb(LSR)
    assert serial.inb(IIR) == 4
    serial.inb(RBR)
    assert serial.inb(IIR) == 2
    assert serial.inb(IIR) == 1


def test_every_sent_byte_is_an_edge(serial):
    """A handler that feeds the transmitter without reading IIR still gets its next interrupt."""
    serial.outb(IER, TX)
    for _ in range(3):
        assert serial.platform.acknowledge() == 0x24
        serial.outb(RBR, 0x2E)
        serial.outb(0x20, 0x20)
        assert serial.platform.pending()


def test_out2_lets_the_interrupt_through(serial):
    serial.outb(MCR, 3)
    serial.outb(IER, RX)
    send_in(serial, b"x")
    assert not has_interrupt(serial)
    serial.outb(MCR, 0x0B)
    assert has_interrupt(serial)


def test_loop_back(serial):
    serial.outb(MCR, 0x1F)
    assert serial.inb(MSR) == 0xF0
    serial.outb(RBR, 0x55)
    assert serial.inb(RBR) == 0x55
    assert serial.platform.uarts[0].output.total == 0
    serial.outb(MCR, 0x10)
    assert serial.inb(MSR) == 0x0F
    assert serial.inb(MSR) == 0


def test_what_went_round_interrupts_when_the_loop_is_opened(serial):
    serial.outb(FCR, 1)
    serial.outb(IER, RX)
    serial.outb(MCR, 0x1B)
    serial.outb(RBR, 0x55)
    assert serial.inb(IIR) == 0xC4
    assert not has_interrupt(serial)
    serial.outb(MCR, 0x0B)
    assert has_interrupt(serial)
    assert serial.inb(RBR) == 0x55
    assert not has_interrupt(serial)


def test_a_loop_overruns_a_full_fifo(serial):
    serial.outb(FCR, 1)
    serial.outb(MCR, 0x1B)
    for byte in range(17):
        assert serial.inb(LSR) == (0x61 if byte else 0x60)
        serial.outb(RBR, byte)
    assert serial.inb(LSR) == 0x63
    assert [serial.inb(RBR) for _ in range(16)] == list(range(16))
    assert serial.inb(LSR) == 0x60


def test_fifo_control(serial):
    serial.outb(FCR, 1)
    send_in(serial, b"x")
    serial.outb(FCR, 3)
    assert serial.inb(LSR) & 1 == 0
    assert serial.inb(IIR) == 0xC1
    serial.outb(FCR, 0)
    assert serial.inb(IIR) == 1


def test_a_flood_is_bounded(serial):
    output = serial.platform.uarts[0].output
    output.pieces = (bytes(4096),) * 2048
    output.total = 8 << 20
    for count in range(5000):
        serial.outb(RBR, count & 0xFF)
    assert output.total == (8 << 20) + 5000
    assert len(output.content) == (8 << 20) + 5000 - 4096
    assert output.dropped == 4096
    assert output.since(output.total - 3) == bytes((0x85, 0x86, 0x87))


def test_more_ports(make_board):
    board = make_board(serial_ports=2)
    board.outb(0x2F8, 0x41)
    assert board.platform.uarts[1].output.content == b"A"
    assert board.inb(0x3E8) == 0xFF
