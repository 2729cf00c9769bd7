"""The blocks that the Python engine keeps, by what they are known by and by the pages of their bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ringzero.cpu import mode as M
from ringzero.cpu.engine.pyhot import Hot, compilable
from ringzero.cpu.exits import CODE
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.state import State
from ringzero.cpu.uops.block import NO_PAGE, Block

M64 = (1 << 64) - 1
#: Runs after which a block is compiled: they have cost some eight times what that does (45 µs an instruction), so it is
#: never dear, and what is left of a block that has run so often mostly repays it.
HOT = 400
Op = tuple[Callable[..., Any], int, int, int, int, int, int]
#: What a block is known by: physical address, rip, mode, and the limit of the code segment.
Key = tuple[int, int, int, int]


class Kept:
    """A block that is kept: as a list of functions, and, once it is hot, as one."""

    __slots__ = ("block", "cold", "count", "epoch", "hot", "links", "ops", "targets")

    def __init__(self, block: Block, ops: list[Op]) -> None:
        self.block, self.ops = block, ops
        self.cold = HOT if compilable(block) else 0  # runs until it is compiled
        self.hot: Hot | None = None
        self.count, self.targets = block.count, (block.target, block.following)
        self.links: list[Kept | None] = []  # hot blocks that came after it, by the code of its ending,
        self.epoch = -1  # good as long as nothing has been forgotten since


class Blocks(ABC):
    """Keeps blocks until their bytes change."""

    functions: list[Callable[..., Any]]

    def __init__(self, state: State, memory: Memory) -> None:
        self.state, self.memory = state, memory
        self.blocks: dict[Key, Kept] = {}
        self.pages: dict[int, set[Key]] = {}
        self.entries: dict[tuple[int, int, int], Kept] = {}
        self.epoch = 0  # how often entries have been forgotten

    @abstractmethod
    def protect(self) -> None:
        """Forget cached permission to write: some page's flags were set."""

    def install(self, block: Block) -> None:
        """Keep a block until its bytes change."""
        key = (block.physical, block.linear, block.mode, M.code_limit(self.state.words))
        self.blocks[key] = Kept(block, self.compile(block))
        for page in self._pages_of(block):
            self.pages.setdefault(page, set()).add(key)
            self.memory.page_flags[page] |= CODE
        self.protect()

    @staticmethod
    def _pages_of(block: Block) -> list[int]:
        first = block.physical >> 12
        return [first] if block.physical2 == NO_PAGE else [first, block.physical2 >> 12]

    def compile(self, block: Block) -> list[Op]:
        """The µops with their functions in place of their numbers."""
        functions = self.functions
        return [(functions[op], d, a, b, s, imm & M64, index) for op, d, a, b, s, index, imm in block.uops]

    def invalidate(self, physical: int, length: int) -> None:
        """Drop every block that has bytes in [physical, physical + length)."""
        for page in range(physical >> 12, ((physical + length - 1) >> 12) + 1):
            for key in sorted(self.pages.get(page, ())):
                if self.overlaps(self.blocks[key].block, physical, length):
                    self._drop(key)

    def overlaps(self, block: Block, physical: int, length: int) -> bool:
        if block.physical2 == NO_PAGE:
            return block.physical < physical + length and physical < block.physical + block.length
        head = 4096 - (block.physical & 0xFFF)
        return any(
            start < physical + length and physical < start + size
            for start, size in ((block.physical, head), (block.physical2, block.length - head))
        )

    def _drop(self, key: Key) -> None:
        block = self.blocks.pop(key).block
        for page in self._pages_of(block):
            self.pages[page].discard(key)
            if not self.pages[page]:
                self.memory.page_flags[page] &= ~CODE
        self.forget_entries()

    def forget_entries(self) -> None:
        self.entries.clear()
        self.epoch += 1

    def flush_blocks(self) -> None:
        """Drop every block."""
        for page in self.pages:
            self.memory.page_flags[page] &= ~CODE
        self.pages.clear()
        self.blocks.clear()
        self.forget_entries()
