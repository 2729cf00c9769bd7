"""Memory's loops over its pages, in C: what `memory.Memory` and `pages.PageStore` say in Python.

Rule of this room: all marks lie in memory's own bytearrays, which both ways share. The one thing kept here is where the
tree's pages lie: `_content`, an address a page, or 0 for what C has not been told yet. The tree keeps them alive, and
a page's bytes never move. Importing this without the extension raises ImportError.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ringzero._native import ffi, lib
from ringzero.machine.memory import GROUP, PAGE_SIZE, Memory, Page, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable


def find_address(page: Page) -> int:
    """Where a page's content lies, as long as the page lives. Raises ValueError for one that is no whole page."""
    if len(page.content) != PAGE_SIZE:
        raise ValueError(f"a page of {len(page.content)} bytes")
    page.address = int(ffi.cast("uintptr_t", ffi.from_buffer(page.content)))
    return page.address


class NativePages:
    """C's view of a memory, whose buffers it keeps from changing their size."""

    def __init__(self, memory: Memory) -> None:
        self._content = array("Q", bytes(8 * memory.pages))
        self._numbers = ffi.new("uint32_t[]", memory.pages)
        self._count = memory.pages
        marks = (memory.ram, memory.page_flags, memory.unsaved, memory.unhashed)
        self._buffers = [ffi.from_buffer("uint8_t[]", part, require_writable=True) for part in marks]
        self._content_buffer = ffi.from_buffer("uint64_t[]", self._content, require_writable=True)
        self._pages = ffi.new(
            "rz_pages *", [*self._buffers, self._content_buffer, memory.pages, self._numbers]
        )

    def collect(self) -> list[int]:
        """The pages written since the last time; see `Memory.collect`."""
        lib.rz_collect(self._pages)
        return self._first(self._pages.changed)

    def turn_to(self, tree: Tree, changed: Iterable[int]) -> None:
        """The tree is another, in these pages."""
        content = self._content
        for number in changed:
            content[number] = tree[number // GROUP][number % GROUP].address

    def put_back(self, tree: Tree) -> tuple[int, bool, list[int]]:
        """Write all that is unsaved from the tree: how many pages, whether any had been dirty, whom to tell of."""
        pages = self._pages
        written = lib.rz_put_back(pages)
        dirty, told = pages.dirty > 0, self._first(pages.changed)
        if pages.missing:
            for number in self._numbers[self._count - pages.missing : self._count]:
                page = tree[number // GROUP][number % GROUP]
                self._content[number] = page.address or find_address(page)
            written += lib.rz_put_back(pages)
            told += self._first(pages.changed)
        return written, dirty, told

    def _first(self, count: int) -> list[int]:
        return ffi.unpack(self._numbers, count) if count else []
