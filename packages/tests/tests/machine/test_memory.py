"""Memory, its dirty pages and digests, and snapshots' trees of pages."""

from __future__ import annotations

import pickle
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringzero.cpu.engine.engines import native_available
from ringzero.errors import UsageError
from ringzero.machine.memory import CLEAN, CODE, TABLE, Memory, Page, parse_size
from ringzero.machine.pages import PageStore, with_pages

SMALL = 1 << 20


WAYS = [
    pytest.param(False, id="python"),
    pytest.param(
        True, id="C", marks=pytest.mark.skipif(not native_available(), reason="needs the C extension")
    ),
]


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


@pytest.mark.parametrize("native", WAYS)
def test_collect_gives_each_written_page_once(native):
    memory = PageStore(Memory(SMALL), native=native).memory
    for address in (0x5000, 0x5001, 0x3FFF, 0xFF000):
        guest_write(memory, address, 1)
    memory.write(0x7FFF, b"ab")
    assert memory.collect() == [3, 5, 7, 8, 255]
    assert memory.collect() == []
    assert (memory.native is not None) is native
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


@pytest.mark.parametrize("native", WAYS)
@settings(max_examples=60, deadline=None)
@given(actions=st.lists(st.one_of(WRITE, WRITE, HOST, SAVE, RESTORE, HASH), max_size=40))
def test_snapshots_and_digests_equal_plain_copies(native, actions):
    memory = Memory(SMALL)
    store = PageStore(memory, native=native)
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


class Twins:
    """Two memories under the same actions, one kept in Python, one in C; whatever can be seen of them is equal."""

    def __init__(self, size):
        self.stores = [PageStore(Memory(size), native=native) for native in (False, True)]
        self.heard = [[], []]
        for heard, store in zip(self.heard, self.stores, strict=True):
            store.memory.on_write.append(heard.append)
            store.memory.on_protect.append(lambda heard=heard: heard.append("protect"))
        self.trees = [[store.save()] for store in self.stores]

    def act(self, action, where, value):
        if action == "restore":
            where %= len(self.trees[0])
            written = [s.restore(trees[where]) for s, trees in zip(self.stores, self.trees, strict=True)]
            assert written[0] == written[1]
        for store, trees in zip(self.stores, self.trees, strict=True):
            if action == "mark":
                store.memory.page_flags[where >> 12] |= (CODE, TABLE)[value & 1]
            elif action == "save":
                trees.append(store.save())
            elif action == "write":
                guest_write(store.memory, where, value & 1)
            elif action == "hash":
                store.memory.state_digest()

    def check(self):
        one, other = (store.memory for store in self.stores)
        assert one.ram[:] == other.ram[:]
        for name in ("page_flags", "unsaved", "unhashed", "epoch"):
            assert getattr(one, name) == getattr(other, name), name
        assert self.heard[0] == self.heard[1]


MARK = st.tuples(st.just("mark"), st.integers(0, SMALL - 1), st.integers(0, 1))


@pytest.mark.skipif(not native_available(), reason="needs the C extension")
@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([SMALL, SMALL + 0x3000]),
    actions=st.lists(st.one_of(WRITE, WRITE, MARK, SAVE, RESTORE, HASH), max_size=40),
)
def test_python_and_c_find_and_put_back_the_same_pages(size, actions):
    twins = Twins(size)
    for action in actions:
        twins.act(*action)
        twins.check()


@pytest.mark.parametrize("native", WAYS)
def test_a_restore_writes_the_pages_that_changed_and_spares_equal_code(native):
    memory = Memory("16M")
    memory.write(0x5000, b"code")
    store = PageStore(memory, native=native)
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


@pytest.mark.skipif(not native_available(), reason="needs the C extension")
def test_an_address_stays_in_its_process_and_a_short_page_is_refused():
    memory = Memory(SMALL)
    store = PageStore(memory)
    memory.write(0x5000, b"page")
    page = store.save()[0][5]
    memory.write(0x5000, b"none")
    store.restore(memory.tree)
    assert page.address
    copy = pickle.loads(pickle.dumps(page))
    assert (copy.content, copy.address) == (page.content, 0)
    with pytest.raises(ValueError, match="a page of 4 bytes"):
        store.restore(with_pages(memory.tree, [(6, Page(b"page"))]))
