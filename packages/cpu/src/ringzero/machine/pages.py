"""Memory as snapshots keep it: a persistent tree of pages, shared by all snapshots of a machine.

Rule of this room: a tree is tuples of tuples of `Page`, and never changes. Two trees of the same run share whatever did
not change between them, so that taking one costs the pages written since the last, and going from one to another costs
the pages in which they differ: found by comparing references, group by group.
"""

from __future__ import annotations

from collections.abc import Iterable

from ringzero.machine.memory import CODE, GROUP, PAGE_SHIFT, PAGE_SIZE, TABLE, ZERO_PAGE, Memory, Page

CODE_OR_TABLE = CODE | TABLE

Tree = tuple[tuple[Page, ...], ...]


def empty_tree(pages: int) -> Tree:
    """The tree of memory that is all zero."""
    full, rest = divmod(pages, GROUP)
    group = (ZERO_PAGE,) * GROUP
    return (group,) * full + ((group[:rest],) if rest else ())


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


class PageStore:
    """Keeps the tree that memory was last equal to, apart from `memory.unsaved`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.tree = empty_tree(memory.pages)

    def save(self) -> Tree:
        """The tree of memory as it is now."""
        memory = self.memory
        memory.collect()
        if memory.unsaved:
            changed = {number: memory.page(number) for number in sorted(memory.unsaved)}
            memory.same_as(changed)
            self.tree = with_pages(self.tree, changed.items())
            memory.unsaved.clear()
        return self.tree

    def restore(self, tree: Tree) -> int:
        """Make memory equal to a tree; the number of pages that were written."""
        memory = self.memory
        memory.collect()
        numbers = memory.unsaved
        if tree is not self.tree:
            numbers.update(differing(self.tree, tree))
        pages = {number: tree[number // GROUP][number % GROUP] for number in numbers}
        ram, flags = memory.ram, memory.page_flags
        for number, page in pages.items():
            start = number << PAGE_SHIFT
            # Translated blocks and cached walks stay when the bytes they came from stay.
            if flags[number] & CODE_OR_TABLE and ram[start : start + PAGE_SIZE] != page.content:
                for hook in memory.on_write:
                    hook(number)
            ram[start : start + PAGE_SIZE] = page.content
        memory.same_as(pages)
        self.tree = tree
        numbers.clear()
        return len(pages)
