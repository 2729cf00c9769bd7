"""The native engine: the C core behind the same methods as `pyengine.PythonEngine`.

State and memory are shared, not copied: the slots, the RAM and the page flags are the C core's own arrays. What it
caches can be seen by no guest; `count` tells tests and reports about it.
"""

from __future__ import annotations

from collections.abc import Callable

from ringzero._native import ffi, lib
from ringzero.cpu import mode as M
from ringzero.cpu.engine.log import Log
from ringzero.cpu.engine.native_log import NativeLog
from ringzero.cpu.exits import Leave
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.lower.lowering import Lowerer, alone
from ringzero.cpu.lower.templates import PATCH, learn
from ringzero.cpu.state import SLOT, STATE_SIZE, State
from ringzero.cpu.uops.block import Block
from ringzero.cpu.uops.ctables import digest
from ringzero.cpu.uops.table import PACKED
from ringzero.errors import RingzeroError
from ringzero.isa import record as R

#: Bytes kept of translated blocks: some 30 000 of them. When they are full all are forgotten.
ARENA = 16 << 20

COUNTS = ("blocks", "walks", "flushes", "links", "arena", "uops")
M64 = (1 << 64) - 1
_LEAVES = tuple(Leave)
_FAULT = tuple(SLOT[f"fault_{name}"] for name in ("vector", "error", "address"))
_UNKNOWN, _IN_PYTHON = lib.RZ_LOWER_UNKNOWN, lib.RZ_LOWER_IN_PYTHON
_REFUSED = {
    lib.RZ_BAD_BLOCK: "its addresses, offsets or counts do not fit together",
    lib.RZ_BAD_UOP: "a µop has an unknown number, slot, index or skip",
    lib.RZ_BAD_END: "control runs past its last µop",
    lib.RZ_BAD_SPACE: "it is larger than the whole arena",
}


class StaleExtension(RingzeroError):
    """The extension was built from other lists of slots and µops."""


class RefusedBlock(ValueError):
    """A block that the C core's verifier turns away: a fault of the lowering, never of a guest."""


class NativeEngine:
    """Runs blocks on `state` and `memory`, which must live as long as this does. `arena`: bytes for blocks.

    Raises StaleExtension when the C core was built from other lists than these sources have.
    """

    name = "native"

    def __init__(self, state: State, memory: Memory, *, arena: int = ARENA) -> None:
        if lib.rz_lists_digest() != digest():
            raise StaleExtension(
                "ringzero._native was built from other lists of µops: build or install it again"
            )
        if len(state.data) != STATE_SIZE or len(memory.page_flags) < memory.size >> 12:
            raise ValueError("state or page flags have the wrong size")
        self.state, self.memory = state, memory
        words = ffi.from_buffer("uint64_t[]", state.data, require_writable=True)
        ram = ffi.from_buffer("uint8_t[]", memory.ram, require_writable=True)
        flags = ffi.from_buffer("uint8_t[]", memory.page_flags, require_writable=True)
        self._buffers = (words, ram, flags)
        engine = lib.rz_new(words, ram, memory.size, flags, arena)
        if engine == ffi.NULL:
            raise MemoryError(f"no memory for an engine with {arena} bytes of translated blocks")
        self._engine = ffi.gc(engine, lib.rz_free)
        self._physical = ffi.new("uint64_t *")
        self._run = lib.rz_run
        self._lower = lib.rz_lower
        self._place, self._place_mode = ffi.new("rz_place *"), -1
        self._microprograms: dict[int, tuple[Block, bytes]] = {}

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Leave:
        """Run until `left` is used up or something else must be done; see `exits.Leave`."""
        return self._left(self._run(self._engine))

    def once(self, block: Block) -> Leave:
        """Run a block of one instruction that is not kept. BUDGET or WINDOW: it has retired."""
        uops, offsets = block.packed(), self._offsets(block)
        if len(block.offsets) != 2:
            raise RefusedBlock(f"block at {block.linear:#x}: {block.count} instructions, `once` runs one")
        return self._left(
            lib.rz_once(self._engine, block.linear, block.physical, block.physical2, block.mode,
                        uops, len(block.uops), offsets, block.target, block.following)
        )  # fmt: skip

    def micro(self, block: Block) -> Leave:
        """Run a microprogram to its STOP or a fault; no step is counted."""
        known = self._microprograms.get(id(block))
        if known is None:
            if len(self._microprograms) >= 64:
                self._microprograms.clear()
            known = self._microprograms[id(block)] = (block, block.packed())  # keeps the id taken
        packed = known[1]
        return self._left(lib.rz_micro(self._engine, packed, len(packed) >> 4))

    def _left(self, reason: int) -> Leave:
        if reason < 0:
            raise RefusedBlock(f"µops at {self.state['rip']:#x}: {_REFUSED[reason]}")
        return _LEAVES[reason]

    # --- blocks ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _offsets(block: Block) -> bytes:
        return b"".join([offset.to_bytes(2, "little") for offset in block.offsets])

    def translate_block(
        self,
        lowerer: Lowerer,
        rip: int,
        mode: int,
        fetch: Callable[[int], int],
        code_limit: int = M.NO_LIMIT,
    ) -> int:
        """Make the block at `rip` and keep it: what `lowering.Lowerer.block` makes. Returns its length.

        Templates know nothing of a code segment's limit.
        """
        if code_limit != M.NO_LIMIT:
            return self._lower_in_python(lowerer, rip, mode, fetch, code_limit)
        place, linear = self._place, M.where(mode, rip)
        place.linear, place.physical = rip, fetch(linear)
        if mode != self._place_mode:
            self._place_mode = place.mode = mode
            place.ip_mask, place.code_bits = M.ip_mask(mode), M.code_bits(mode)
        place.probe = min(rip + lowerer.next_probe(linear) - linear, M64)
        found = self._lower(self._engine, place)
        while found == _UNKNOWN:
            self._learn(lowerer, mode)
            found = self._lower(self._engine, place)
        if found == _IN_PYTHON:
            return self._lower_in_python(lowerer, rip, mode, fetch, code_limit)
        if found:
            raise RefusedBlock(f"block at {rip:#x}: {_REFUSED[found]}")
        return int(place.length)

    def _lower_in_python(
        self, lowerer: Lowerer, rip: int, mode: int, fetch: Callable[[int], int], code_limit: int
    ) -> int:
        block = lowerer.block(rip, mode, fetch, code_limit=code_limit)
        self.install(block)
        return block.length

    def drafted(self) -> tuple[bytes, int, int, int]:
        """The last block that was made from templates, for tests: µops, instructions, bytes, taken branch."""
        place = self._place
        uops = bytes(ffi.buffer(lib.rz_drafted(self._engine), place.count * PACKED.size))
        return uops, place.n, place.length, place.target

    def _learn(self, lowerer: Lowerer, mode: int) -> None:
        """Teach the C core the instruction that it does not know."""
        insn = ffi.addressof(self._place, "unknown")
        record = R.RECORD.unpack(ffi.buffer(insn))
        template = learn(lowerer.lower, lowerer.systems, record, mode)
        what = ffi.new("rz_learned *", {"alone": alone(record), "refused": template is None})
        uops = patches = b""
        if template:
            what.imm, what.disp, what.ended, what.target = (
                template.imm, template.disp, template.ended, template.target & M64,
            )  # fmt: skip
            ffi.memmove(ffi.addressof(what, "target_patch"), template.target_patch, PATCH.size)
            uops, patches, what.count = template.uops, template.patches, len(template.uops) // PACKED.size
        if error := lib.rz_learn(self._engine, mode, insn, what, uops, patches):
            raise RefusedBlock(f"a template: {_REFUSED[error]}")

    def install(self, block: Block) -> None:
        """Keep a block until its bytes change. Raises RefusedBlock."""
        if len(block.offsets) != block.count + 1:
            raise RefusedBlock(
                f"block at {block.linear:#x}: {len(block.offsets)} offsets, {block.count} instructions"
            )
        error = lib.rz_install(
            self._engine, block.linear, block.physical, block.physical2, block.mode, block.count,
            block.packed(), len(block.uops), self._offsets(block), block.target, block.following,
        )  # fmt: skip
        if error:
            raise RefusedBlock(f"block at {block.linear:#x}: {_REFUSED[error]}")

    def invalidate(self, physical: int, length: int) -> None:
        """Drop every block with bytes in [physical, physical + length), rounded out to 64 bytes."""
        lib.rz_invalidate(self._engine, physical, length)

    def flush_blocks(self) -> None:
        """Drop every block."""
        lib.rz_flush_blocks(self._engine)

    # --- translations ------------------------------------------------------------------------------------------------

    def flush_translations(self) -> None:
        """Forget every cached translation: a page table, CR3 or a paging bit changed."""
        lib.rz_flush_translations(self._engine)

    def protect(self) -> None:
        """Forget cached permission to write: some page's flags were set."""
        lib.rz_protect(self._engine)

    def translate(self, linear: int, access: int) -> int:
        """Physical address of a linear one; sets A and D as the access would. Raises GuestFault."""
        if lib.rz_translate(self._engine, linear, access, self._physical):
            vector, error, address = (self.state.words[slot] for slot in _FAULT)
            raise GuestFault(vector, error, address)
        return int(self._physical[0])

    def peek(self, linear: int) -> int | None:
        """Physical address of a linear one, or None; nothing changes."""
        return int(self._physical[0]) if lib.rz_peek(self._engine, linear, self._physical) else None

    # --- the log of accesses -----------------------------------------------------------------------------------------

    def record(self, on: bool) -> Log | None:
        """Begin a log of accesses that is empty, or end it."""
        lib.rz_log_switch(self._engine, on)
        return NativeLog(self._engine) if on else None

    # --- the engine itself -------------------------------------------------------------------------------------------

    def count(self, what: str) -> int:
        """A figure of the caches: one of COUNTS."""
        return int(lib.rz_count(self._engine, COUNTS.index(what)))

    def close(self) -> None:
        """Give the memory back. The engine must not be used afterwards."""
        self.flush_blocks()
        ffi.release(self._engine)
        self._engine = ffi.NULL
        self._microprograms.clear()
