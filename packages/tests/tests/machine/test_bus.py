"""Who answers on the bus, how accesses split, and what nobody answers."""

from __future__ import annotations

import pytest

from ringzero.errors import UsageError
from ringzero.machine.bus import OVERFLOW, UNKNOWN_KINDS, Bus, Unknown
from ringzero.machine.platform import parse_device


class Recorder:
    """Answers with the low byte of the address, and remembers."""

    name = "recorder"

    def __init__(self):
        self.log = []

    def read(self, address, size):
        self.log.append(("r", address, size))
        return sum((address + offset & 0xFF) << 8 * offset for offset in range(size))

    def write(self, address, size, value):
        self.log.append(("w", address, size, value))


@pytest.fixture
def recorder():
    return Recorder()


def test_a_word_to_byte_ports_is_two_bytes(recorder):
    bus = Bus()
    bus.add_ports(0x10, 4, recorder)
    bus.port_write(0x11, 2, 0xBEEF)
    assert bus.port_read(0x12, 2) == 0x1312
    assert recorder.log == [("w", 0x11, 1, 0xEF), ("w", 0x12, 1, 0xBE), ("r", 0x12, 1), ("r", 0x13, 1)]


def test_an_access_that_leaves_a_device(recorder):
    bus = Bus()
    bus.add_ports(0x10, 2, recorder, width=4)
    assert bus.port_read(0x11, 4) == 0xFFFFFF11
    assert bus.port_read(0xFFFF, 2) == 0xFFFF
    bus.port_write(0x0F, 2, 0x1234)
    assert recorder.log[-1] == ("w", 0x10, 1, 0x12)


def test_mmio_splits_too(recorder):
    bus = Bus()
    bus.add_mmio(0xFEC00000, 0x20, recorder, width=4)
    assert bus.mmio_read(0xFEC00010, 4) == 0x13121110
    assert bus.mmio_read(0xFEC0001E, 4) == 0xFFFF1F1E
    bus.mmio_write(0xFEC00000, 8, 0x0807060504030201)
    assert recorder.log[-1] == ("w", 0xFEC00007, 1, 8)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_unknown_reads_all_ones_and_is_counted(size):
    bus = Bus()
    for _ in range(3):
        assert bus.port_read(0x1234, size) == (1 << 8 * size) - 1
    bus.port_write(0x1234, size, 0)
    assert bus.mmio_read(0xFEE00020, size) == (1 << 8 * size) - 1
    assert bus.unknown == {
        Unknown("port", 0x1234, size, "read"): 3,
        Unknown("port", 0x1234, size, "write"): 1,
        Unknown("memory", 0xFEE00000, size, "read"): 1,
    }


def test_a_sweep_over_all_ports_is_bounded():
    bus = Bus()
    for port in range(0x10000):
        bus.port_read(port, 1)
    assert len(bus.unknown) == UNKNOWN_KINDS + 1
    assert bus.unknown[OVERFLOW] == 0x10000 - UNKNOWN_KINDS


def test_overlaps_are_refused(recorder):
    bus = Bus()
    bus.add_ports(0x10, 4, recorder)
    bus.add_mmio(0x1000, 0x100, recorder)
    with pytest.raises(UsageError, match="port 0x13 belongs to recorder"):
        bus.add_ports(0x13, 1, recorder)
    with pytest.raises(UsageError, match="overlaps that of recorder"):
        bus.add_mmio(0x10FF, 1, recorder)
    with pytest.raises(UsageError, match="not within"):
        bus.add_ports(0xFFFF, 2, recorder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("virtio-net", "no such device here"),
        ("isa-debug-exit,iobase=x", "'x' is not a number"),
        ("isa-debug-exit,base=1", "no option 'base'"),
        ("isa-debug-exit,iosize=0", "iosize=0 is not 1 to 8"),
        ("", "no such device here"),
    ],
)
def test_devices_that_cannot_be(text, message):
    with pytest.raises(UsageError, match=message):
        parse_device(text)


@pytest.mark.parametrize(
    "option", ["isa-debug-exit,iobase=0x3f8", "isa-debug-exit,iobase=0xffff", "isa-debug-exit,iobase=-1"]
)
def test_devices_that_do_not_fit(make_board, option):
    with pytest.raises(UsageError, match="isa-debug-exit: port"):
        make_board().platform.__class__(Bus(), make_board().clock, memory_size=1 << 20, devices=(option,))


@pytest.mark.parametrize(
    ("port", "size", "value", "reason", "seen"),
    [
        (0xF4, 1, 0x10, "exit", 0x10),
        (0xF4, 4, 0x12345, "exit", 0x12345),
        (0x92, 1, 3, "reset", 0),
        (0x64, 1, 0xFE, "reset", 0),
    ],
)
def test_ports_that_end_a_run(board, port, size, value, reason, seen):
    board.bus.port_write(port, size, value)
    assert (board.platform.stop_request.reason, board.platform.stop_request.value) == (reason, seen)


def test_the_small_ports(board):
    for byte in b"log":
        board.outb(0xE9, byte)
    assert board.inb(0xE9) == 0xE9
    assert board.platform.console.output.content == b"log"
    assert board.inb(0x64) == 0xFF
    board.outb(0x92, 0)
    assert board.inb(0x92) == 2  # A20 stays on
