"""The 8259A pair against its data sheet, a step at a time."""

from __future__ import annotations

import pytest

EOI, READ_IRR, READ_ISR, POLL = 0x20, 0x0A, 0x0B, 0x0C


def irr_isr(board, base=0x20):
    board.outb(base, READ_IRR)
    irr = board.inb(base)
    board.outb(base, READ_ISR)
    return irr, board.inb(base)


def test_an_edge_is_latched_until_it_is_acknowledged(board):
    board.init_pics()
    board.platform.pulse(1)
    assert board.platform.pending()
    assert irr_isr(board) == (2, 0)
    assert board.platform.acknowledge() == 0x21
    assert irr_isr(board) == (0, 2)
    assert not board.platform.pending()
    board.outb(0x20, EOI)
    assert irr_isr(board) == (0, 0)


def test_a_held_line_is_one_edge(board):
    board.init_pics()
    board.platform.set_irq(4, True)
    board.platform.acknowledge()
    board.outb(0x20, EOI)
    assert not board.platform.pending()
    board.platform.set_irq(4, False)
    board.platform.set_irq(4, True)
    assert board.platform.pending()


def test_a_level_line_comes_again_until_it_drops(board):
    board.init_pics()
    board.outb(0x4D1, 0xFF)
    assert board.inb(0x4D1) == 0xDE  # IRQ 8 and 13 stay edges
    board.platform.set_irq(11, True)
    assert board.platform.acknowledge() == 0x2B
    board.outb(0xA0, EOI)
    board.outb(0x20, EOI)
    assert board.platform.pending()
    board.platform.set_irq(11, False)
    assert board.platform.acknowledge() == 0x2F  # the slave's spurious vector
    assert irr_isr(board, 0xA0)[1] == 0
    assert irr_isr(board)[1] == 4  # but the master serves its cascade line


@pytest.mark.parametrize(
    ("first", "second", "served"),
    [
        (0, 1, [0x20]),
        (1, 0, [0x21, 0x20]),
        (3, 8, [0x23, 0x28]),
        (8, 1, [0x28, 0x21]),
        (8, 9, [0x28]),
        (9, 8, [0x29]),
    ],
)
def test_a_lower_line_waits_for_the_end_of_a_higher_one(board, first, second, served):
    """IRQ 8 after 9 waits too: without special fully nested mode the master's cascade line is in service."""
    board.init_pics()
    vectors = []
    for irq in (first, second):
        board.platform.pulse(irq)
        if board.platform.pending():
            vectors.append(board.platform.acknowledge())
    assert vectors == served


def test_special_fully_nested_mode_lets_the_slave_interrupt_itself(board):
    board.init_pics(icw4=0x11)
    vectors = []
    for irq in (9, 8):
        board.platform.pulse(irq)
        vectors.append(board.platform.acknowledge())
    assert vectors == [0x29, 0x28]


def test_masking_between_request_and_acknowledge_is_spurious(board):
    board.init_pics()
    board.platform.pulse(4)
    board.outb(0x21, 0x10)
    assert not board.platform.pending()
    assert board.platform.acknowledge() == 0x27
    assert irr_isr(board) == (0x10, 0)
    board.outb(0x21, 0)
    assert board.platform.acknowledge() == 0x24


def test_initialisation_clears_masks_and_latched_edges(board):
    board.init_pics(master_mask=0xFF)
    board.platform.pulse(1)
    board.init_pics()
    assert board.inb(0x21) == 0
    assert not board.platform.pending()


def test_automatic_end_with_rotation(board):
    board.init_pics(icw4=3)
    board.outb(0x20, 0x80)
    for irq in (0, 1):
        board.platform.set_irq(irq, True)
    assert [board.platform.acknowledge() for _ in range(2)] == [0x20, 0x21]
    for irq in (0, 1, 3):
        board.platform.set_irq(irq, False)
        board.platform.pulse(irq)
    assert [board.platform.acknowledge() for _ in range(3)] == [
        0x23,
        0x20,
        0x21,
    ]  # line 1 was served last: lowest


def test_rotation_by_command(board):
    board.init_pics()
    board.outb(0x20, 0xC0 | 3)  # line 3 lowest, so 4 is highest
    for irq in (3, 4, 0):
        board.platform.pulse(irq)
    vectors = []
    while board.platform.pending():
        vectors.append(board.platform.acknowledge())
        board.outb(0x20, EOI)
    assert vectors == [0x24, 0x20, 0x23]


def test_rotate_on_end_of_interrupt(board):
    board.init_pics()
    board.platform.pulse(0)
    board.platform.acknowledge()
    board.outb(0x20, 0xA0)
    board.platform.pulse(0)
    board.platform.pulse(7)
    assert board.platform.acknowledge() == 0x27


def test_specific_end_of_interrupt(board):
    board.init_pics()
    for irq in (5, 3):
        board.platform.pulse(irq)
        board.platform.acknowledge()
    board.outb(0x20, 0x60 | 5)
    assert irr_isr(board) == (0, 8)


def test_special_mask_mode_lets_lower_lines_in(board):
    board.init_pics()
    board.platform.pulse(3)
    board.platform.acknowledge()
    board.platform.pulse(5)
    assert not board.platform.pending()
    board.outb(0x21, 0x08)
    board.outb(0x20, 0x68)
    assert board.platform.acknowledge() == 0x25
    board.outb(0x20, EOI)  # line 3 is masked, so this ends line 5
    assert irr_isr(board) == (0, 8)


def test_poll(board):
    board.init_pics(master_mask=0x04)
    board.outb(0xA0, POLL)
    assert board.inb(0xA0) == 0
    board.platform.pulse(12)
    board.outb(0xA0, POLL)
    assert board.inb(0xA0) == 0x84
    assert irr_isr(board, 0xA0) == (0, 0x10)
    board.outb(0xA0, 0x20)
    board.outb(0x21, 0)
    assert not board.platform.pending()


def test_an_uninitialised_pair_is_quiet_until_its_last_word(board):
    board.outb(0x20, 0x11)
    board.outb(0x21, 0x20, 4)
    board.platform.pulse(0)
    assert not board.platform.pending()
    board.outb(0x21, 1)
    assert board.platform.pending()
