"""The 8254 against its data sheet. At 1 193 182 Hz of machine clock, a cycle is a timer tick."""

from __future__ import annotations

import pytest

TICKS = 1_193_182


@pytest.fixture
def ticking(make_board):
    board = make_board(hz=TICKS)
    board.init_pics()
    return board


def program(board, channel, mode, count, bcd=0):
    board.outb(0x43, channel << 6 | 0x30 | mode << 1 | bcd)
    board.outb(0x40 + channel, count & 0xFF, count >> 8)


def latched(board, channel=0):
    board.outb(0x43, channel << 6)
    return board.inb(0x40 + channel) | board.inb(0x40 + channel) << 8


def status(board, channel=0):
    board.outb(0x43, 0xE0 | 2 << channel)
    return board.inb(0x40 + channel)


def wave(board, channel, ticks):
    """OUT over some ticks, as 0 and 1."""
    levels = []
    for _ in range(ticks):
        levels.append(int(board.platform.pit.output(channel)))
        board.advance(1)
    return levels


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [
        (0, 3, [0, 0, 0, 1, 1, 1, 1, 1, 1]),
        (2, 3, [1, 1, 0, 1, 1, 0, 1, 1, 0]),
        (3, 4, [1, 1, 0, 0, 1, 1, 0, 0, 1]),
        (3, 5, [1, 1, 1, 0, 0, 1, 1, 1, 0]),
        (4, 3, [1, 1, 1, 0, 1, 1, 1, 1, 1]),
    ],
)
def test_the_shape_of_out(ticking, mode, count, expected):
    ticking.outb(0x61, 1)
    program(ticking, 2, mode, count)
    assert wave(ticking, 2, 9) == expected


@pytest.mark.parametrize(("mode", "expected"), [(1, [0, 0, 0, 1, 1]), (5, [1, 1, 1, 0, 1])])
def test_modes_that_the_gate_triggers(ticking, mode, expected):
    program(ticking, 2, mode, 3)
    assert wave(ticking, 2, 2) == [1, 1]
    for _ in range(2):
        ticking.outb(0x61, 0)
        ticking.outb(0x61, 1)
        assert wave(ticking, 2, 5) == expected


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [
        (0, 4, [4, 3, 2, 1, 0, 0xFFFF, 0xFFFE]),
        (2, 4, [4, 3, 2, 1, 4, 3, 2]),
        (3, 4, [4, 2, 4, 2, 4, 2, 4]),
        (3, 5, [4, 2, 0, 4, 2, 4, 2]),
        (2, 0, [0, 0xFFFF, 0xFFFE]),
    ],
)
def test_what_the_counter_reads(ticking, mode, count, expected):
    program(ticking, 0, mode, count)
    seen = []
    for _ in expected:
        seen.append(latched(ticking))
        ticking.advance(1)
    assert seen == expected


def test_bcd(ticking):
    program(ticking, 0, 2, 0x1000, bcd=1)
    ticking.advance(1)
    assert latched(ticking) == 0x0999
    program(ticking, 0, 2, 0, bcd=1)
    ticking.advance(1)
    assert latched(ticking) == 0x9999


@pytest.mark.parametrize(
    ("mode", "count", "edges"), [(2, 10, [10, 20, 30]), (3, 10, [10, 20, 30]), (0, 10, [10])]
)
def test_channel_0_interrupts(ticking, mode, count, edges):
    program(ticking, 0, mode, count)
    assert ticking.advance(35) == edges
    assert ticking.platform.pending()
    assert ticking.platform.acknowledge() == 0x20


def test_edges_at_the_default_rate_do_not_drift(board):
    program(board, 0, 2, 1193)
    edges = board.advance(10_000_000)
    assert len(edges) == 100
    assert edges[-1] == -(-100 * 1193 * 100_000_000 // TICKS)


def test_a_latch_holds_until_it_is_read(ticking):
    program(ticking, 0, 2, 1000)
    ticking.outb(0x43, 0)
    ticking.advance(10)
    ticking.outb(0x43, 0)  # ignored: the first latch has not been read
    assert ticking.inb(0x40) | ticking.inb(0x40) << 8 == 1000
    assert ticking.inb(0x40) | ticking.inb(0x40) << 8 == 990


def test_read_back_latches_count_and_status(ticking):
    program(ticking, 0, 2, 0x1234)
    ticking.outb(0x43, 0xC2)
    ticking.advance(5)
    assert [ticking.inb(0x40) for _ in range(3)] == [0xB4, 0x34, 0x12]


def test_null_count(ticking):
    ticking.outb(0x43, 0x34)
    assert status(ticking) == 0xF4
    ticking.outb(0x40, 100, 0)
    assert status(ticking) == 0xB4
    ticking.outb(0x40, 50, 0)
    assert status(ticking) == 0xF4
    ticking.advance(100)
    assert status(ticking) == 0xB4


def test_a_new_count_in_mode_2_waits_for_the_period(ticking):
    program(ticking, 0, 2, 10)
    ticking.advance(4)
    ticking.outb(0x40, 3, 0)
    assert ticking.advance(13) == [10, 13, 16]


def test_single_byte_access(ticking):
    ticking.outb(0x43, 0x14)
    ticking.outb(0x40, 10)
    assert ticking.advance(25) == [10, 20]
    assert ticking.inb(0x40) == 5
    ticking.outb(0x43, 0x24)
    ticking.outb(0x40, 1)
    assert ticking.advance(600) == [25 + 256, 25 + 512]


def test_the_gate_stops_and_restarts_channel_2(ticking):
    ticking.outb(0x61, 1)
    program(ticking, 2, 0, 10)
    ticking.advance(4)
    ticking.outb(0x61, 0)
    ticking.advance(100)
    assert latched(ticking, 2) == 6
    ticking.outb(0x61, 1)
    ticking.advance(6)
    assert ticking.inb(0x61) & 0x20


def test_port_61(ticking):
    ticking.outb(0x61, 0x0F)
    assert ticking.inb(0x61) & 0x0F == 0x0F
    toggles = set()
    for _ in range(60):
        toggles.add(ticking.inb(0x61) & 0x10)
        ticking.advance(1)
    assert toggles == {0, 0x10}


@pytest.mark.parametrize(
    ("period", "phase", "edges"),
    [
        (100, None, [100, 200]),
        (100, 30, [30, 130, 230]),
        (100, 0, [0, 100, 200]),
        (100, 240, [240]),
        (0, None, []),
    ],
)
def test_the_machine_overrides_the_rate(make_board, period, phase, edges):
    board = make_board(timer_period=period, timer_phase=phase)
    assert board.advance(50) == []
    program(board, 0, 3, 11932)
    assert [when - 50 for when in board.advance(250)] == edges


def test_a_phase_alone_keeps_the_guest_s_period(make_board):
    board = make_board(timer_phase=7)
    program(board, 0, 2, 11932)
    assert board.advance(2_100_000) == [7, 1_000_022, 2_000_037]


def test_the_counter_follows_the_override(make_board):
    board = make_board(timer_period=1000)
    program(board, 0, 2, 100)
    values = []
    for _ in range(4):
        values.append(latched(board))
        board.advance(250)
    assert values == [100, 75, 50, 25]


def test_many_edges_in_one_cycle_are_one(make_board):
    board = make_board(hz=1000)
    program(board, 0, 2, 2)
    assert board.advance(3) == [1, 2, 3]
