"""The Python engine: the living definition of how µops run.

It needs no compiler, and it is what the C core is held against. A block's µops become a list of (function, operands);
the functions (`pyfunctions`) are made from the effects in `uops`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ringzero.cpu import mode as M
from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.limits import checked
from ringzero.cpu.address.mmu import Walker, is_canonical, truncated
from ringzero.cpu.engine import flags
from ringzero.cpu.engine.pyfunctions import bind, environment
from ringzero.cpu.engine.pyhot import Hot, compilable, compile_hot
from ringzero.cpu.exits import CLEAN, CODE, FETCH, IMPLICIT, READ, TABLE, USER, WRITE, Leave
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.mode import mode_word
from ringzero.cpu.state import SLOT, State
from ringzero.cpu.uops import effects
from ringzero.cpu.uops.block import NO_PAGE, Block
from ringzero.cpu.uops.table import STACK
from ringzero.isa import rflags as F
from ringzero.isa.names import GP, STACK_FAULT

if TYPE_CHECKING:
    from ringzero.cpu.lower.lowering import Lowerer

M64 = (1 << 64) - 1
RIP, RFLAGS, RES, AUX, MODE = (SLOT[n] for n in ("rip", "rflags", "res", "aux", "mode"))
LEFT, RESUME, ATTENTION, DR7 = (SLOT[n] for n in ("left", "resume", "attention", "dr7"))

#: Runs after which a block is compiled: they have cost some eight times what that does (45 µs an instruction), so it is
#: never dear, and what is left of a block that has run so often mostly repays it.
HOT = 400
Op = tuple[Callable[..., Any], int, int, int, int, int, int]
#: What a block is known by: physical address, rip, mode, and the limit of the code segment.
Key = tuple[int, int, int, int]


class _Leaving(Exception):
    """An effect leaves before its instruction."""

    def __init__(self, reason: Leave, address: int = 0, length: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.address, self.length = reason, address, length


class _Alone(Exception):
    """An effect is about to store into a page table: its instruction must end the block, for code may move."""


class _Kept:
    """A block that is kept: as a list of functions, and, once it is hot, as one."""

    __slots__ = ("block", "cold", "count", "epoch", "hot", "links", "ops", "targets")

    def __init__(self, block: Block, ops: list[Op]) -> None:
        self.block, self.ops = block, ops
        self.cold = HOT if compilable(block) else 0  # runs until it is compiled
        self.hot: Hot | None = None
        self.count, self.targets = block.count, (block.target, block.following)
        self.links: list[_Kept | None] = []  # hot blocks that came after it, by the code of its ending,
        self.epoch = -1  # good as long as nothing has been forgotten since


class PythonEngine:
    """Runs blocks on `state` and `memory`. See `native.NativeEngine` for the same in C."""

    name = "python"

    def __init__(self, state: State, memory: Memory) -> None:
        self.state, self.memory = state, memory
        self.walker = Walker(memory, self._table, self._mark_over_code)
        self.tables: list[int] = []
        self.R: list[int] = state.unpack()
        self.blocks: dict[Key, _Kept] = {}
        self.pages: dict[int, set[Key]] = {}
        self.entries: dict[tuple[int, int, int], _Kept] = {}
        self.epoch = 0  # how often entries have been forgotten
        self.readable: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.writable: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.user = 0
        self.linear = 0
        self.alone = False  # what runs is the last instruction before a fresh look-up, or a microprogram
        self.bus: Any = None  # set while one instruction runs that may reach beyond RAM
        self.at_once = True  # repeated string instructions, a page at a time; else an iteration at a time
        self.hits: int | None = None  # set then too: breakpoints on data that it has met
        self.on_code_write: Callable[[int, int], None] | None = None
        self.between_runs = False
        self.names = environment(self)
        self.functions = bind(self.names)

    # --- translations and blocks -------------------------------------------------------------------------------------

    def flush_translations(self) -> None:
        """Forget every cached translation, and with them which pages were tables: CR3, a table or the like changed."""
        for cache in (*self.readable, *self.writable):
            cache.clear()
        self._forget_entries()
        for page in self.tables:
            self.memory.page_flags[page] &= ~TABLE
        self.tables.clear()

    def _table(self, page: int) -> None:
        """A walk has read entries from this page for the first time since the last flush."""
        self.tables.append(page)
        self.protect()

    def protect(self) -> None:
        """Forget cached permission to write: some page's flags were set."""
        for cache in self.writable:
            cache.clear()

    def translate(self, linear: int, access: int) -> int:
        """Physical address; raises GuestFault. Works on the shared state between runs."""
        self.between_runs = True
        try:
            return self.walker.translate(self.state.words, linear, access)
        finally:
            self.between_runs = False

    def _mark_over_code(self, address: int, size: int, access: int) -> None:
        """A walk is about to set bits among translated bytes: those blocks go first, as before a store."""
        if self.on_code_write:
            self.on_code_write(address, size)
        elif access & FETCH or self.between_runs:
            self.invalidate(address, size)
        elif any(
            self._overlaps(self.blocks[key].block, address, size) for key in self.pages.get(address >> 12, ())
        ):
            raise _Leaving(Leave.CODE, address, size)

    def translate_block(
        self,
        lowerer: Lowerer,
        rip: int,
        mode: int,
        fetch: Callable[[int], int],
        code_limit: int = M.NO_LIMIT,
    ) -> int:
        """Make the block at `rip` and keep it; see `lowering.Lowerer.block`. Returns its length."""
        block = lowerer.block(rip, mode, fetch, code_limit=code_limit)
        self.install(block)
        return block.length

    def install(self, block: Block) -> None:
        """Keep a block until its bytes change."""
        key = (block.physical, block.linear, block.mode, M.code_limit(self.state.words))
        self.blocks[key] = _Kept(block, self.compile(block))
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
                if self._overlaps(self.blocks[key].block, physical, length):
                    self._drop(key)

    def _overlaps(self, block: Block, physical: int, length: int) -> bool:
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
        self._forget_entries()

    def _forget_entries(self) -> None:
        self.entries.clear()
        self.epoch += 1

    def flush_blocks(self) -> None:
        """Drop every block."""
        for page in self.pages:
            self.memory.page_flags[page] &= ~CODE
        self.pages.clear()
        self.blocks.clear()
        self._forget_entries()

    def close(self) -> None:
        self.flush_blocks()

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Leave:
        """Run until `left` is used up or something else must be done; see `exits.Leave`."""
        self._enter()
        try:
            while self.R[LEFT]:  # with nothing left, nothing is fetched: no fault, no accessed bit
                entry = self._entry()
                if entry is None:
                    return Leave.MISS
                if entry.cold:
                    self._warm(entry)
                if entry.hot and self.R[LEFT] >= entry.count:
                    reason = self._chain(entry)
                else:
                    reason = self._block(entry.block, entry.ops)
                if reason is not None:
                    return reason
            return Leave.BUDGET
        except GuestFault as fault:  # of the fetch
            return self._faulted(fault)
        finally:
            self._exit()

    def once(self, block: Block) -> Leave:
        """Run the first instruction of a block that is not kept."""
        self._enter()
        try:
            return self._block(block, self.compile(block)) or Leave.BUDGET
        finally:
            self._exit()

    def micro(self, block: Block) -> Leave:
        """Run a microprogram to its STOP or a fault; no step is counted."""
        self._enter()
        left = self.R[LEFT]
        rip = self.R[RIP]
        try:
            self.R[LEFT] = block.count
            self.alone = True
            reason = self._block(block, self.compile(block))
            assert reason is not None, "a microprogram must end with stop"
            if reason is not Leave.STOP:
                self.R[RIP] = rip
            return reason
        finally:
            self.alone = False
            self.R[LEFT] = left
            self._exit()

    def _enter(self) -> None:
        R = self.R
        R[:] = self.state.unpack()
        R[RES], R[AUX] = flags.lazy(R[RFLAGS])
        self.user = R[MODE] & M.CPL == 3

    def _exit(self) -> None:
        R = self.R
        R[RFLAGS] = R[RFLAGS] & ~F.ARITHMETIC | flags.arithmetic(R[RES], R[AUX])
        R[RES] = R[AUX] = 0
        self.state.pack(R)

    def _entry(self) -> _Kept | None:
        """The block at rip in this mode, if there is one and the page may be fetched from."""
        R = self.R
        rip, mode, limit = R[RIP], R[MODE], M.code_limit(R)
        entry = self.entries.get((rip, mode, limit))
        if entry is None:
            physical = self._walk(M.where(mode, rip), FETCH)
            entry = self.blocks.get((physical, rip, mode, limit))
            if entry is None:
                return None
            second = entry.block.physical2
            if second != NO_PAGE and self._walk(M.second_page(mode, rip), FETCH) != second:
                self._drop((physical, rip, mode, limit))
                return None
            self.entries[rip, mode, limit] = entry
        return entry

    def _walk(self, linear: int, access: int) -> int:
        if not is_canonical(linear):
            raise GuestFault(GP)
        if self.user and not access & IMPLICIT:
            access |= USER
        return self.walker.translate(self.R, linear, access)

    def _block(self, block: Block, ops: list[Op]) -> Leave | None:
        """Run one block, or as much of it as `left` allows. None: go on at rip."""
        R = self.R
        self.linear = block.linear
        count, left = block.count, R[LEFT]
        limit = count if left >= count else left
        R[LEFT] = left - limit
        return self._run(block, ops, 0, limit)

    def _by_itself(self, block: Block, ops: list[Op], index: int) -> Leave | None:
        """Run instruction `index`, which stores into a page table, then see where its code lies now.

        The code's pages are walked at once, so that accessed bits do not hang on where blocks and stops fall.
        """
        self.R[LEFT] -= 1
        self.alone = True
        try:
            reason = self._run(block, ops, next(at for at, op in enumerate(ops) if op[6] == index), index + 1)
        finally:
            self.alone = False
        pages = [M.where(block.mode, block.linear)]
        if block.physical2 != NO_PAGE:
            pages.append(M.second_page(block.mode, block.linear))
        with suppress(GuestFault):  # the next fetch finds it again
            for page in pages:
                self._walk(page, FETCH)
        return None if reason is Leave.BUDGET else reason

    def _run(self, block: Block, ops: list[Op], at: int, limit: int) -> Leave | None:
        """Run µops from `at` on, up to instruction `limit`, whose steps have been charged."""
        R = self.R
        op = ops[at]
        try:
            while True:
                op = ops[at]
                if op[6] >= limit:
                    R[RIP] = self._address(block, limit)
                    return Leave.BUDGET
                at += 1
                code = op[0](R, op[1], op[2], op[3], op[4], op[5])
                if code is not None:
                    if code >= 0:
                        return self._ending(code, block, op, limit)
                    at -= code
        except (GuestFault, _Alone, _Leaving) as way:
            return self._left_at(way, block, ops, op[6], limit)

    def _left_at(self, way: Exception, block: Block, ops: list[Op], index: int, limit: int) -> Leave | None:
        """An effect of instruction `index` has left by an exception."""
        R = self.R
        self._unwind(block, index, limit)
        if isinstance(way, _Alone):
            return self._by_itself(block, ops, index)
        if isinstance(way, _Leaving):
            R[SLOT["fault_address"]], R[SLOT["fault_error"]] = way.address, way.length
            return way.reason
        assert isinstance(way, GuestFault)
        return self._faulted(way)

    # --- hot blocks --------------------------------------------------------------------------------------------------

    def _warm(self, entry: _Kept) -> None:
        entry.cold -= 1
        if not entry.cold:
            user = entry.block.mode & M.CPL == 3
            caches = {"LOADABLE": self.readable[user].get, "STOREABLE": self.writable[user].get}
            entry.hot = compile_hot(entry.block, self.names | caches)

    def _chain(self, entry: _Kept) -> Leave | None:
        """Run a hot block, of which nothing is cut, and the hot ones that it jumps to."""
        R, left, mode, limit = self.R, self.R[LEFT], self.R[MODE], M.code_limit(self.R)
        try:
            while left >= entry.count:
                R[LEFT] = left = left - entry.count
                code = entry.hot.function(R)  # type: ignore[union-attr]
                if code > effects.GOTO:
                    return self._ending(code, entry.block, entry.ops[-1], entry.count)
                if code != effects.GOTO:
                    R[RIP] = entry.targets[code]
                if entry.epoch != self.epoch:
                    entry.epoch, entry.links = self.epoch, [None, None, None]
                following = entry.links[code]
                if following is None or following.block.linear != R[RIP]:
                    following = self.entries.get((R[RIP], mode, limit))
                    if following is None or following.hot is None:
                        return None
                    entry.links[code] = following
                entry = following
            return None
        except (GuestFault, _Alone, _Leaving) as way:
            index = entry.hot.instruction(way.__traceback__)  # type: ignore[union-attr]
            return self._left_at(way, entry.block, entry.ops, index, entry.count)

    @staticmethod
    def _address(block: Block, index: int) -> int:
        return block.linear + block.offsets[index] & M.ip_mask(block.mode)

    def _unwind(self, block: Block, index: int, limit: int) -> None:
        """Instruction `index` has not retired: it and those behind it cost nothing."""
        self.R[LEFT] += limit - index
        self.R[RIP] = self._address(block, index)

    def _faulted(self, fault: GuestFault) -> Leave:
        R = self.R
        R[SLOT["fault_vector"]], R[SLOT["fault_error"]], R[SLOT["fault_address"]] = fault.args
        return Leave.FAULT

    def _ending(self, code: int, block: Block, op: Op, limit: int) -> Leave | None:
        R = self.R
        match code:
            case effects.TARGET_0:
                R[RIP] = block.target
            case effects.TARGET_1:
                R[RIP] = block.following
            case effects.GOTO_WINDOW | effects.NEXT_WINDOW:
                if code == effects.NEXT_WINDOW:
                    R[RIP] = block.following
                if R[RFLAGS] & F.TF or (R[RFLAGS] & F.IF and R[ATTENTION]):
                    return Leave.WINDOW
            case effects.SYSTEM:
                index = op[6]
                R[SLOT["exit_imm"]] = op[5]
                R[SLOT["next_rip"]] = self._address(block, index + 1)
                self._unwind(block, index, limit)
                return Leave.SYSTEM
            case effects.STOP:
                return Leave.STOP
        return None

    # --- what effects call -------------------------------------------------------------------------------------------

    def set_mode(self, R: list[int]) -> None:
        """Recompute the mode word from what it stands for."""
        R[MODE] = mode_word(R)
        self.user = R[MODE] & M.CPL == 3

    def probe(self, R: list[int]) -> None:
        if R[RESUME] != self.linear + 1:
            raise _Leaving(Leave.PROBE)
        R[RESUME] = 0

    def load_slow(self, address: int, width: int, scale: int, access: int = READ) -> int:
        """A load that no cached translation serves; with WRITE in `access` checked as if it were stored to as well."""
        size = width >> 3
        parts = self._parts(address, size, scale, access)
        self._watch(address, size, access, bool(access & WRITE) and self.hits is None)
        if access & WRITE:
            self._check_store(parts)
        return int.from_bytes(b"".join(self._read(*part) for part in parts), "little")

    def store_slow(self, address: int, width: int, value: int, scale: int, access: int = WRITE) -> None:
        """A store that no cached permission serves: all checks first, then all bytes."""
        parts = self._parts(address, width >> 3, scale, access)
        self._watch(address, width >> 3, access, True)
        self._check_store(parts)
        content = (value & ((1 << width) - 1)).to_bytes(width >> 3, "little")
        for physical, size in parts:
            self._write(physical, content[:size])
            content = content[size:]

    def _parts(self, address: int, size: int, scale: int, access: int) -> list[tuple[int, int]]:
        """Physical pieces (address, size) of a linear range of at most two pages; fills the caches."""
        last = address + size - 1 & M64
        for end in (address, last):
            if not is_canonical(end):
                raise GuestFault(STACK_FAULT if scale & STACK else GP)
        head = min(size, 4096 - (address & 0xFFF))
        parts = [(self._translated(address, access), head)]
        if head < size:
            parts.append((self._translated(address + head & M64, access), size - head))
        for physical, length in parts:
            if physical + length > self.memory.size and self.bus is None:
                raise _Leaving(Leave.MMIO)
        return parts

    def _watch(self, address: int, size: int, access: int, write: bool) -> None:
        """Leave before an access that a hardware breakpoint waits for, or note it. What is loaded to be stored to
        counts as a write where it leaves; where hits are noted the store notes itself."""
        if not self.R[DR7] & breakpoints.ENABLES:
            return
        hits = breakpoints.data(self.R, truncated(self.R, address, access), size, write)
        if self.hits is not None:
            self.hits |= hits
        elif hits:
            raise _Leaving(Leave.WATCH)

    def _translated(self, linear: int, access: int) -> int:
        linear = truncated(self.R, linear, access)
        physical = self._walk(linear, access)
        page = physical >> 12
        cacheable = not self.walker.hangs_on_ac and not breakpoints.on_page(self.R, linear)
        if page < self.memory.pages and cacheable:
            who = self.user and not access & IMPLICIT
            self.readable[who][linear >> 12] = page << 12
            if access & WRITE and not self.memory.page_flags[page]:
                self.writable[who][linear >> 12] = page << 12
        return physical

    def _check_store(self, parts: list[tuple[int, int]]) -> None:
        """Leave before a store into translated code; with `on_code_write` drop those blocks and go on."""
        for physical, size in parts:
            page = physical >> 12
            if page >= self.memory.pages:
                continue
            if self.memory.page_flags[page] & TABLE and not self.alone:
                raise _Alone
            if not self.memory.page_flags[page] & CODE:
                continue
            if self.on_code_write:
                self.on_code_write(physical, size)
            elif any(
                self._overlaps(self.blocks[key].block, physical, size) for key in self.pages.get(page, ())
            ):
                raise _Leaving(Leave.CODE, physical, size)

    def _read(self, physical: int, size: int) -> bytes:
        if physical + size <= self.memory.size:
            return self.memory.ram[physical : physical + size]
        return int(self.bus.mmio_read(physical, size)).to_bytes(size, "little")

    def _write(self, physical: int, content: bytes) -> None:
        size = len(content)
        if physical + size > self.memory.size:
            self.bus.mmio_write(physical, size, int.from_bytes(content, "little"))
            return
        page = physical >> 12
        marks = self.memory.page_flags[page]
        self.memory.page_flags[page] = marks & ~(CLEAN | TABLE)
        self.memory.ram[physical : physical + size] = content
        if marks & TABLE:
            self.flush_translations()

    def segment(self, segment: int, offset: int, access: int) -> int:
        """The effect SEGMENT: `access` is the size, and 16 for a write."""
        return checked(self.R, segment, offset, access & 15, bool(access & 16))
