"""Memory, its dirty pages and digests, and snapshots' trees of pages."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringzero.errors import UsageError
from ringzero.machine.memory import CLEAN, CODE, TABLE, Memory, parse_size
from ringzero.machine.pages import PageStore

SMALL = 1 << 20


def guest_write(memory, address, byte):
    """As an engine writes: clear CLEAN, store."""
    memory.page_flags[address >> 12] &= ~CLEAN
    memory.ram[address] = byte


@pytest.mark.parametrize(
    "text", ["", "M", "-1M", "1.5G", "16X", "4G", "512K", "1048577", "0x10M", "٣M", "9" * 30]
)
def test_sizes_that_cannot_be(text):
    with pytest.raises(UsageError) as error:
        parse_size(text)
    assert "\n" not in str(error.value)


def test_outside_of_memory():
    memory = Memory(SMALL)
    for address, length in ((SMALL, 1), (-1, 1), (SMALL - 1, 2), (0, -1), (1 << 64, 1)):
        with pytest.raises(UsageError, match="outside"):
            memory.read(address, length)
    with pytest.raises(UsageError, match="outside"):
        memory.write(SMALL - 1, b"ab")


def test_collect_gives_each_written_page_once():
    memory = Memory(SMALL)
    for address in (0x5000, 0x5001, 0x3FFF, 0xFF000):
        guest_write(memory, address, 1)
    memory.write(0x7FFF, b"ab")
    assert memory.collect() == [3, 5, 7, 8, 255]
    assert memory.collect() == []
    assert memory.epoch == 1
    assert memory.page_flags == bytes([CLEAN]) * 256


def test_engines_hear_of_host_writes_to_code_and_tables():
    memory = Memory(SMALL)
    heard = []
    memory.on_write.append(heard.append)
    memory.page_flags[1] |= CODE
    memory.page_flags[2] |= TABLE
    memory.write(0, bytes(0x4000))
    assert heard == [1, 2]


def test_engines_hear_that_pages_are_protected():
    memory = Memory(SMALL)
    heard = []
    memory.on_protect.append(lambda: heard.append(memory.epoch))
    memory.collect()
    assert heard == []
    guest_write(memory, 0, 1)
    memory.collect()
    assert heard == [1]


def test_a_digest_is_of_the_content_alone():
    one, other = Memory(SMALL), Memory(SMALL)
    empty = one.state_digest()
    one.write(0x1234, b"x")
    other.write(0x1234, b"y")
    assert one.state_digest() != other.state_digest()
    other.write(0x1234, b"x")
    assert one.state_digest() == other.state_digest()
    one.write(0x1234, b"\0")
    assert one.state_digest() == empty
    assert one.page_digest(0) == blake2b(bytes(4096), digest_size=16).digest()


def reference_digest(content):
    """The tree, hashed from scratch."""

    def hashed(piece):
        return blake2b(piece, digest_size=16).digest()

    pages = [hashed(content[start : start + 4096]) for start in range(0, len(content), 4096)]
    return hashed(b"".join(hashed(b"".join(pages[first : first + 64])) for first in range(0, len(pages), 64)))


WRITE = st.tuples(st.just("write"), st.integers(0, SMALL - 1), st.integers(0, 255))
HOST = st.tuples(st.just("host"), st.integers(0, SMALL - 9), st.integers(0, 255))
SAVE = st.tuples(st.just("save"), st.just(0), st.just(0))
RESTORE = st.tuples(st.just("restore"), st.integers(0, 1000), st.just(0))
HASH = st.tuples(st.just("hash"), st.just(0), st.just(0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(WRITE, WRITE, HOST, SAVE, RESTORE, HASH), max_size=40))
def test_snapshots_and_digests_equal_plain_copies(actions):
    memory = Memory(SMALL)
    store = PageStore(memory)
    trees, copies = [store.save()], [bytes(memory.ram)]
    for action, where, value in actions:
        if action == "write":
            guest_write(memory, where, value)
        elif action == "host":
            memory.write(where, bytes([value]) * 9)
        elif action == "save":
            trees.append(store.save())
            copies.append(bytes(memory.ram))
        elif action == "restore":
            store.restore(trees[where % len(trees)])
            assert memory.ram[:] == copies[where % len(trees)]
        else:
            assert memory.state_digest() == reference_digest(memory.ram[:])
    assert memory.state_digest() == reference_digest(memory.ram[:])
    for tree, copy in zip(trees, copies, strict=True):
        store.restore(tree)
        assert memory.ram[:] == copy


def test_a_restore_writes_the_pages_that_changed_and_spares_equal_code():
    memory = Memory("16M")
    memory.write(0x5000, b"code")
    store = PageStore(memory)
    tree = store.save()
    heard = []
    memory.on_write.append(heard.append)
    for page in (5, 9, 11):
        memory.page_flags[page] |= CODE
    guest_write(memory, 0x5000, ord("c"))  # the byte it had
    guest_write(memory, 0x9000, 1)
    assert store.restore(tree) == 2
    assert heard == [9]
    assert store.restore(tree) == 0


def test_trees_share_what_did_not_change():
    memory = Memory("16M")
    store = PageStore(memory)
    one = store.save()
    guest_write(memory, 0x100000, 1)
    other = store.save()
    assert sum(mine is not theirs for mine, theirs in zip(one, other, strict=True)) == 1
    assert store.save() is other
