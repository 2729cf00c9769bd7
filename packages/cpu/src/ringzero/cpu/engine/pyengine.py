"""The Python engine: the living definition of how µops run.

It needs no compiler, and it is what the C core is held against. A block's µops become a list of (function, operands);
the functions (`pyfunctions`) are made from the effects in `uops`. It stands on two floors: `pyblocks` keeps blocks,
`pymemory` is what loads and stores meet.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ringzero.cpu import mode as M
from ringzero.cpu.engine import flags
from ringzero.cpu.engine.log import Log, PythonLog
from ringzero.cpu.engine.pyblocks import Kept, Op
from ringzero.cpu.engine.pyfunctions import bind, environment
from ringzero.cpu.engine.pyhot import compile_hot
from ringzero.cpu.engine.pymemory import Alone, GuestMemory, Leaving
from ringzero.cpu.exits import FETCH, RETURNING, WAITING, Leave
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.mode import mode_word
from ringzero.cpu.state import SLOT, State
from ringzero.cpu.uops import effects
from ringzero.cpu.uops.block import NO_PAGE, Block
from ringzero.isa import rflags as F

if TYPE_CHECKING:
    from ringzero.cpu.lower.lowering import Lowerer

RIP, RFLAGS, RES, AUX, MODE = (SLOT[n] for n in ("rip", "rflags", "res", "aux", "mode"))
LEFT, END_STEP, RESUME, ATTENTION = (SLOT[n] for n in ("left", "end_step", "resume", "attention"))
RSP, RETURN_RIP, RETURN_RSP = (SLOT[n] for n in ("rsp", "return_rip", "return_rsp"))


class PythonEngine(GuestMemory):
    """Runs blocks on `state` and `memory`. See `native.NativeEngine` for the same in C."""

    name = "python"

    def __init__(self, state: State, memory: Memory) -> None:
        super().__init__(state, memory)
        self.linear = 0
        self.at_once = True  # repeated string instructions, a page at a time; else an iteration at a time
        self.names = environment(self)
        self.functions = bind(self.names)

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

    def record(self, on: bool) -> Log | None:
        """Begin a log of accesses that is empty, or end it."""
        self.follow(PythonLog() if on else None)
        return self.log

    def close(self) -> None:
        self.flush_blocks()

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Leave:
        """Run until `left` is used up or something else must be done; see `exits.Leave`."""
        self._enter()
        try:
            while self.R[LEFT]:  # with nothing left, nothing is fetched: no fault, no accessed bit
                self.step = self.R[END_STEP] - self.R[LEFT]
                entry = self._entry()
                if entry is None:
                    return Leave.MISS
                if entry.cold:
                    self._warm(entry)
                if entry.hot and self.log is None and self.R[LEFT] >= entry.count:
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
        left, end = self.R[LEFT], self.R[END_STEP]
        rip = self.R[RIP]
        try:
            self.R[LEFT], self.R[END_STEP] = block.count, end - left + block.count
            self.alone = True
            if self.log is not None:
                self.log.attempt()
            reason = self._block(block, self.compile(block))
            assert reason is not None, "a microprogram must end with stop"
            if reason is not Leave.STOP:
                self.R[RIP] = rip
            return reason
        finally:
            self.alone = False
            self.R[LEFT], self.R[END_STEP] = left, end
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

    def _entry(self) -> Kept | None:
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
        if self.log is not None:
            ops = self._telling(ops, R[END_STEP] - R[LEFT] - limit)
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
        except (GuestFault, Alone, Leaving) as way:
            return self._left_at(way, block, ops, op[6], limit)

    def _telling(self, ops: list[Op], first: int) -> list[Op]:
        """The same µops, which say at which step they are; `first` is the block's."""

        def telling(function: Callable[..., Any], step: int) -> Callable[..., Any]:
            def tell(*operands: Any) -> Any:
                self.step = step
                return function(*operands)

            return tell

        return [(telling(op[0], first + op[6]), *op[1:]) for op in ops]

    def _left_at(self, way: Exception, block: Block, ops: list[Op], index: int, limit: int) -> Leave | None:
        """An effect of instruction `index` has left by an exception."""
        R = self.R
        self._unwind(block, index, limit)
        if self.log is not None and not isinstance(way, GuestFault):
            self.log.drop(self.step)
        if isinstance(way, Alone):
            return self._by_itself(block, ops, index)
        if isinstance(way, Leaving):
            R[SLOT["fault_address"]], R[SLOT["fault_error"]] = way.address, way.length
            return way.reason
        assert isinstance(way, GuestFault)
        return self._faulted(way)

    # --- hot blocks --------------------------------------------------------------------------------------------------

    def _warm(self, entry: Kept) -> None:
        entry.cold -= 1
        if not entry.cold:
            user = entry.block.mode & M.CPL == 3
            caches = {"LOADABLE": self.readable[user].get, "STOREABLE": self.writable[user].get}
            entry.hot = compile_hot(entry.block, self.names | caches)

    def _chain(self, entry: Kept) -> Leave | None:
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
        except (GuestFault, Alone, Leaving) as way:
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
                if self._has_returned():
                    return Leave.RETURN
                if R[RFLAGS] & F.TF or (R[RFLAGS] & F.IF and R[ATTENTION] & WAITING):
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

    def _has_returned(self) -> bool:
        """Whether this is the place that somebody waits to be come back to."""
        R = self.R
        return bool(R[ATTENTION] & RETURNING) and R[RIP] == R[RETURN_RIP] and R[RSP] == R[RETURN_RSP]

    # --- what effects call --------------------------------------------------------------------------------------------

    def set_mode(self, R: list[int]) -> None:
        """Recompute the mode word from what it stands for."""
        R[MODE] = mode_word(R)
        self.user = R[MODE] & M.CPL == 3

    def probe(self, R: list[int]) -> None:
        if R[RESUME] != self.linear + 1:
            raise Leaving(Leave.PROBE)
        R[RESUME] = 0
