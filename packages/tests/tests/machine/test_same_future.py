"""A device that is saved and put back, here or on another board, has the same future."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ringzero.machine.codec import decode, encode

PORTS = (
    *(0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1),
    *(0x40, 0x41, 0x42, 0x43, 0x43, 0x61),
    *(0x70, 0x71),
    *range(0x3F8, 0x400),
    0xE9,
)
BYTES = st.one_of(st.integers(0, 255), st.sampled_from([0x11, 0x20, 0x34, 0x36, 0xB6, 0xC2, 0x0B, 0x83]))
ACTION = st.one_of(
    st.tuples(st.just("out"), st.sampled_from(PORTS), BYTES),
    st.tuples(st.just("out"), st.sampled_from(PORTS), BYTES),
    st.tuples(st.just("in"), st.sampled_from(PORTS), st.just(0)),
    st.tuples(st.just("time"), st.sampled_from([1, 84, 8681, 100_000, 3_000_000]), st.just(0)),
    st.tuples(st.just("pulse"), st.sampled_from([0, 1, 3, 4, 7, 8, 12, 15]), st.just(0)),
    st.tuples(st.just("inta"), st.just(0), st.just(0)),
    st.tuples(st.just("serial"), st.integers(0, 255), st.integers(1, 20)),
)
ACTIONS = st.lists(ACTION, max_size=60)


def act(board, action, what, value):
    """Do one thing, and give all that a guest can see of it."""
    platform = board.platform
    if action == "out":
        board.outb(what, value)
    elif action == "in":
        return board.inb(what), platform.pending()
    elif action == "time":
        # Bounded: a timer with the shortest count has events without end.
        return bounded_advance(board, what), platform.pending()
    elif action == "pulse":
        platform.pulse(what)
    elif action == "inta":
        return platform.acknowledge(), platform.pending()
    else:
        platform.uarts[0].receive(bytes([what]) * value)
    return platform.pending(), board.clock.events()


def bounded_advance(board, cycles):
    end, ran = board.clock.now + cycles, []
    while board.clock.next_cycle <= end and len(ran) < 20:
        board.clock.steps = max(board.clock.next_cycle, board.clock.steps)
        ran.append((board.clock.now, board.clock.events()[0]))
        board.platform.run_event()
    board.clock.steps = max(board.clock.steps, min(end, board.clock.next_cycle))
    return ran


@settings(max_examples=150, deadline=None)
@given(before=ACTIONS, after=ACTIONS, period=st.sampled_from([None, 0, 1000]))
def test_saved_devices_have_the_same_future(make_board, before, after, period):
    board, other = make_board(timer_period=period), make_board(timer_period=period)
    for action in before:
        act(board, *action)
    saved = board.save()
    first = [act(board, *action) for action in after]
    end = board.save()
    board.load(saved)
    assert board.save() == saved
    assert [act(board, *action) for action in after] == first
    other.load(decode(encode(saved)))
    assert [act(other, *action) for action in after] == first
    assert other.save() == board.save() == end


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PORTS), BYTES), max_size=200))
def test_no_guest_can_make_a_device_fail(make_board, writes):
    """Any bytes at any ports, and any reads between: values come out, never an exception, and time goes on."""
    board = make_board()
    for port, value in writes:
        board.outb(port, value)
        assert 0 <= board.inb(port ^ 1) <= 0xFF
        assert len(bounded_advance(board, 50_000)) <= 20
    vector = board.platform.acknowledge()
    assert 0 <= vector <= 0xFF


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PORTS), BYTES), max_size=60), st.integers(1, 1000))
def test_the_counter_is_the_same_however_time_is_cut(make_board, writes, pieces):
    """Looking more often changes nothing: one long wait and many short ones end in the same reads."""
    boards = make_board(), make_board()
    for board, cuts in zip(boards, (1, 7), strict=True):
        for port, value in writes:
            board.outb(port, value)
        for cut in range(cuts):
            board.advance(700 * pieces // cuts if cut else 700 * pieces - 700 * pieces // cuts * (cuts - 1))
    reads = [[board.inb(port) for port in (0x40, 0x40, 0x41, 0x42, 0x61, 0x71)] for board in boards]
    assert reads[0] == reads[1]
    assert boards[0].clock.events() == boards[1].clock.events()
