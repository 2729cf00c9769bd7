"""Physical memory: one anonymous mapping, a flag byte per page, and who has to hear of a write.

Rule of this room: `page_flags` is the only truth about a page. An engine may cache permission to write a page only
after it has cleared CLEAN there; `collect()` sets CLEAN again and moves `epoch` on, and then every cached permission
is void (`on_protect`). Writes from the host's side go through `write()`, which tells `on_write` of pages that hold
translated blocks or page tables. What memory was last equal to is `tree`, a snapshot's pages, apart from pages that are
`unsaved` or not CLEAN.

The digest of memory is a tree: page digests, digests of 64 pages each, and one digest over those; only what was
written since the last time is hashed again.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from ringzero.errors import UsageError

if TYPE_CHECKING:
    from ringzero.machine.native_pages import NativePages

PAGE_SIZE = 4096
PAGE_SHIFT = 12
GROUP = 64  # pages hashed, and kept by snapshots, as one group

CLEAN = 1  # not written since the last collect()
CODE = 2  # holds bytes that translated blocks were made of
TABLE = 4  # was read as a page table

MIN_SIZE = 1 << 20
MAX_SIZE = 3 << 30

DIGEST_SIZE = 16


def digest(content: bytes | bytearray | memoryview) -> bytes:
    """BLAKE2b with 16 bytes: the hash used for pages, device state and snapshots."""
    return blake2b(content, digest_size=DIGEST_SIZE).digest()


class Page:
    """The content of a page at one moment, never changed, with its digest once somebody has asked for it."""

    __slots__ = ("_digest", "address", "content")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.address = 0  # where the content lies, for C; 0 until it is asked for
        self._digest: bytes | None = None

    def __reduce__(self) -> tuple[type[Page], tuple[bytes]]:
        return Page, (self.content,)  # an address means nothing to another process

    @property
    def digest(self) -> bytes:
        """The digest of the content."""
        if self._digest is None:
            self._digest = digest(self.content)
        return self._digest


ZERO_PAGE = Page(bytes(PAGE_SIZE))
ZERO_DIGEST = ZERO_PAGE.digest
_IS_DIRTY = bytes(0 if flags & CLEAN else 1 for flags in range(256))

Tree = tuple[tuple[Page, ...], ...]  # pages, in groups; never changed


def empty_tree(pages: int) -> Tree:
    """The tree of memory that is all zero."""
    full, rest = divmod(pages, GROUP)
    group = (ZERO_PAGE,) * GROUP
    return (group,) * full + ((group[:rest],) if rest else ())


def marked(marks: bytes | bytearray) -> list[int]:
    """The places of the ones among zeros, ascending."""
    found = []
    place = marks.find(1)
    while place >= 0:
        found.append(place)
        place = marks.find(1, place + 1)
    return found


def parse_size(size: int | str) -> int:
    """Bytes of memory from a number of bytes or QEMU's `-m` notation: "16M", "1G", "2048K"; a bare text number is MiB.

    >>> parse_size("16M") == parse_size("16") == parse_size(16 << 20)
    True
    """
    if isinstance(size, str):
        text = size.strip().upper().removesuffix("IB").removesuffix("B")
        unit = {"K": 10, "M": 20, "G": 30}.get(text[-1:])
        number = text if unit is None else text[:-1]
        if not (number.isascii() and number.isdigit() and len(number) <= 12):
            raise UsageError(f"memory size {size!r} is not a number with K, M or G; write for example 16M")
        size = int(number) << (20 if unit is None else unit)
    if not MIN_SIZE <= size <= MAX_SIZE or size % PAGE_SIZE:
        raise UsageError(f"memory size {size} is not a multiple of 4 KiB from 1 MiB to 3 GiB; 16M is usual")
    return size


class Memory:
    """`size` bytes of RAM at physical address 0, all zero at first and costing the host nothing until written."""

    def __init__(self, size: int | str) -> None:
        self.size = parse_size(size)
        self.ram = mmap.mmap(-1, self.size)
        self.pages = self.size >> PAGE_SHIFT
        self.page_flags = bytearray([CLEAN]) * self.pages
        self.epoch = 0
        self.on_protect: list[Callable[[], None]] = []
        self.on_write: list[Callable[[int], None]] = []
        self.tree = empty_tree(self.pages)
        self.unsaved = bytearray(self.pages)  # 1: may differ from the tree; see pages.py
        self.unhashed = bytearray(self.pages)  # 1: written since its digest was taken
        self.native: NativePages | None = (
            None  # does this room's loops over pages, where the extension is built
        )
        self._digests: list[bytes] = [ZERO_DIGEST] * self.pages
        self._groups: list[bytes] = [
            digest(ZERO_DIGEST * min(GROUP, self.pages - first)) for first in range(0, self.pages, GROUP)
        ]

    def _check(self, address: int, length: int) -> None:
        if address < 0 or length < 0 or address + length > self.size:
            raise UsageError(
                f"physical memory {address:#x}+{length:#x} lies outside the {self.size:#x} bytes of this machine"
            )

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes at a physical address. Raises UsageError outside of RAM."""
        self._check(address, length)
        return self.ram[address : address + length]

    def write(self, address: int, content: bytes | bytearray | memoryview) -> None:
        """Write from the host's side, at a physical address. Raises UsageError outside of RAM."""
        length = len(content)
        self._check(address, length)
        if not length:
            return
        self.ram[address : address + length] = bytes(content)
        self.touch(range(address >> PAGE_SHIFT, ((address + length - 1) >> PAGE_SHIFT) + 1))

    def touch(self, pages: Iterable[int]) -> None:
        """Note that the host has written these pages: they are dirty, and the engines hear of code and tables."""
        flags = self.page_flags
        for page in pages:
            flags[page] &= ~CLEAN
            if flags[page] & (CODE | TABLE):
                for hook in self.on_write:
                    hook(page)

    def collect(self) -> list[int]:
        """The pages written since the last collect, ascending; from now on they count as clean again."""
        pages = self.native.collect() if self.native else self._find_dirty()
        if pages:
            self.protected()
        return pages

    def _find_dirty(self) -> list[int]:
        pages = marked(self.page_flags.translate(_IS_DIRTY))
        for page in pages:
            self.page_flags[page] |= CLEAN
            self.unsaved[page] = self.unhashed[page] = 1
        return pages

    def protected(self) -> None:
        """Some pages have become CLEAN: permission to write that was cached is void."""
        self.epoch += 1
        for hook in self.on_protect:
            hook()

    def page_digest(self, page: int) -> bytes:
        """The digest of one page's content."""
        self.state_digest()
        return self._digests[page]

    def page(self, number: int) -> Page:
        """The present content of a page; one that is all zero is the one ZERO_PAGE."""
        content = self.ram[number << PAGE_SHIFT : (number + 1) << PAGE_SHIFT]
        return ZERO_PAGE if content == ZERO_PAGE.content else Page(content)

    def state_digest(self) -> bytes:
        """The digest of all memory. Hashes the pages written since the last call, and the tree above them."""
        self.collect()
        for page in marked(self.unhashed):
            saved = None if self.unsaved[page] else self.tree[page // GROUP][page % GROUP]
            self._digests[page] = (saved or self.page(page)).digest
            self._groups[page // GROUP] = b""
            self.unhashed[page] = 0
        for group, known in enumerate(self._groups):
            if not known:
                first = group * GROUP
                self._groups[group] = digest(b"".join(self._digests[first : first + GROUP]))
        return digest(b"".join(self._groups))
