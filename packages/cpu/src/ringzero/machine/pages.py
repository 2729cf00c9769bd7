"""Memory as snapshots keep it: a persistent tree of pages, shared by all snapshots of a machine.

Rule of this room: a tree is tuples of tuples of `Page`, and never changes. Two trees of the same run share whatever did
not change between them, so that taking one costs the pages written since the last, and going from one to another costs
the pages in which they differ: found by comparing references, group by group. A restore is told twice, in `_put_back`
and in csrc/pages.c, and a test holds the two together; memory itself keeps what both work on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ringzero.machine.memory import CODE, GROUP, PAGE_SHIFT, PAGE_SIZE, TABLE, Memory, Page, Tree, marked

if TYPE_CHECKING:
    from ringzero.machine.native_pages import NativePages

CODE_OR_TABLE = CODE | TABLE


def with_pages(tree: Tree, changed: Iterable[tuple[int, Page]]) -> Tree:
    """The tree with some pages replaced."""
    groups: dict[int, list[Page]] = {}
    for number, page in changed:
        group = groups.setdefault(number // GROUP, [])
        if not group:
            group.extend(tree[number // GROUP])
        group[number % GROUP] = page
    if not groups:
        return tree
    root = list(tree)
    for number, pages in groups.items():
        root[number] = tuple(pages)
    return tuple(root)


def differing(one: Tree, other: Tree) -> list[int]:
    """Numbers of the pages that are not the same object in two trees of one size."""
    return [
        first * GROUP + index
        for first, (mine, theirs) in enumerate(zip(one, other, strict=True))
        if mine is not theirs
        for index, (page, wanted) in enumerate(zip(mine, theirs, strict=True))
        if page is not wanted
    ]


def _native_pages(memory: Memory) -> NativePages | None:
    """The loops in C, where the extension is built."""
    try:
        from ringzero.machine.native_pages import NativePages
    except ImportError:
        return None
    return NativePages(memory)


class PageStore:
    """Takes memory's tree and puts trees back. `native`: in C where it is built; both ways do the same."""

    def __init__(self, memory: Memory, *, native: bool = True) -> None:
        self.memory = memory
        memory.native = _native_pages(memory) if native else None

    def save(self) -> Tree:
        """The tree of memory as it is now."""
        memory = self.memory
        memory.collect()
        changed = [(number, memory.page(number)) for number in marked(memory.unsaved)]
        if changed:
            self._turn_to(with_pages(memory.tree, changed), [number for number, _ in changed])
            memory.unsaved[:] = bytes(memory.pages)
        return memory.tree

    def restore(self, tree: Tree) -> int:
        """Make memory equal to a tree; the number of pages that were written."""
        memory = self.memory
        if tree is not memory.tree:
            changed = differing(memory.tree, tree)
            for number in changed:
                memory.unsaved[number] = 1
            self._turn_to(tree, changed)
        if memory.native is None:
            return self._put_back()
        written, dirty, told = memory.native.put_back(tree)
        if dirty:
            memory.protected()
        self._tell(told)
        return written

    def _turn_to(self, tree: Tree, changed: list[int]) -> None:
        self.memory.tree = tree
        if self.memory.native is not None:
            self.memory.native.turn_to(tree, changed)

    def _tell(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            for hook in self.memory.on_write:
                hook(number)

    def _put_back(self) -> int:
        """Write all that is unsaved from the tree; what rz_put_back does."""
        memory = self.memory
        memory.collect()
        numbers, told = marked(memory.unsaved), []
        ram, tree = memory.ram, memory.tree
        for number in numbers:
            start, content = number << PAGE_SHIFT, tree[number // GROUP][number % GROUP].content
            # Translated blocks and cached walks stay when the bytes they came from stay.
            if memory.page_flags[number] & CODE_OR_TABLE and ram[start : start + PAGE_SIZE] != content:
                told.append(number)
            ram[start : start + PAGE_SIZE] = content
            memory.unsaved[number], memory.unhashed[number] = 0, 1
        self._tell(told)
        return len(numbers)
