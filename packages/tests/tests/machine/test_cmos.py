"""The clock chip: a virtual date."""

from __future__ import annotations

import pytest

from ringzero.errors import UsageError

SECOND = 100_000_000


def get(board, *registers):
    values = []
    for register in registers:
        board.outb(0x70, register)
        values.append(board.inb(0x71))
    return values


def put(board, register, value):
    board.outb(0x70, register)
    board.outb(0x71, value)


DATE = (9, 8, 7, 4, 2, 0)


def test_the_date_follows_the_clock(make_board):
    board = make_board(rtc="2027-12-31T23:59:58")
    assert get(board, *DATE, 0x32, 6) == [0x27, 0x12, 0x31, 0x23, 0x59, 0x58, 0x20, 6]
    board.advance(2 * SECOND)
    assert get(board, *DATE, 0x32, 6) == [0x28, 0x01, 0x01, 0x00, 0x00, 0x00, 0x20, 7]


def test_binary_and_twelve_hours(make_board):
    board = make_board(rtc="2026-01-01T15:30:45")
    put(board, 0x0B, 0x04)
    assert get(board, 4, 2, 0) == [0x83, 30, 45]
    put(board, 0x0B, 0x06)
    assert get(board, 4) == [15]


def test_update_in_progress_before_the_second_changes(board):
    board.advance(SECOND - 24_414)
    assert get(board, 0x0A) == [0xA6]
    board.advance(24_414)
    assert get(board, 0x0A) == [0x26]
    assert get(board, 0) == [1]


def test_setting_the_date(board):
    put(board, 0x0B, 0x82)
    for register, value in zip(DATE, (0x30, 0x02, 0x28, 0x23, 0x59, 0x59), strict=True):
        put(board, register, value)
    board.advance(5 * SECOND)
    assert get(board, *DATE) == [0x30, 0x02, 0x28, 0x23, 0x59, 0x59]
    put(board, 0x0B, 0x02)
    board.advance(SECOND)
    assert get(board, *DATE) == [0x30, 0x03, 0x01, 0x00, 0x00, 0x00]


def test_a_date_that_is_none_is_cut(board):
    for register, value in zip(DATE, (0x30, 0x99, 0x99, 0x99, 0x99, 0x99), strict=True):
        put(board, register, value)
    assert get(board, *DATE) == [0x30, 0x12, 0x31, 0x23, 0x59, 0x59]


def test_update_interrupt(board):
    board.init_pics()
    put(board, 0x0B, 0x12)
    assert board.advance(SECOND) == [SECOND]
    assert board.platform.acknowledge() == 0x28
    assert get(board, 0x0C)[0] & 0x90 == 0x90
    assert get(board, 0x0C) == [0]
    board.advance(SECOND)
    assert get(board, 0x0C)[0] & 0x90 == 0x90


def test_periodic_interrupt(board):
    board.init_pics()
    put(board, 0x0B, 0x42)
    edges = []
    for _ in range(2):
        edges += board.advance(100_000)
        assert get(board, 0x0C) == [0xC0]
    assert edges == [97_657, 195_313]


def test_alarm(board):
    board.init_pics()
    for register, value in ((1, 0x03), (3, 0xC0), (5, 0xFF)):
        put(board, register, value)
    put(board, 0x0B, 0x22)
    board.advance(2 * SECOND)
    assert not board.platform.pending()
    board.advance(SECOND)
    assert board.platform.pending()
    assert get(board, 0x0C)[0] & 0xA0 == 0xA0


def test_flags_without_interrupts(board):
    assert get(board, 0x0C) == [0]
    board.advance(SECOND)
    assert get(board, 0x0C) == [0x50]
    assert board.clock.events() == ()


def test_memory_sizes_nmi_mask_and_memory(board):
    assert get(board, 0x15, 0x16, 0x17, 0x18) == [0x80, 0x02, 0x00, 0x3C]
    put(board, 0x40, 0x77)
    assert get(board, 0x40, 0x0D) == [0x77, 0x80]
    assert not board.platform.cmos.nmi_masked
    board.outb(0x70, 0x80)
    assert board.platform.cmos.nmi_masked


def test_a_date_that_cannot_be_read(make_board):
    with pytest.raises(UsageError, match="'yesterday' is not like 2026"):
        make_board(rtc="yesterday")
