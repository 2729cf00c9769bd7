"""A bench for engines alone: state, memory, and blocks packed by hand, with no decoder and no lowering.

A program is a dict of blocks by linear address; `Rig.go` is the smallest driver there can be: it installs what the
engine misses, from that dict, and does nothing else.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from ringzero.cpu.engine.pyengine import PythonEngine
from ringzero.cpu.exits import Leave
from ringzero.cpu.lower.emitter import PackedUop
from ringzero.cpu.mode import mode_word
from ringzero.cpu.state import SLOT, State
from ringzero.cpu.uops.block import NO_PAGE, Block
from ringzero.cpu.uops.table import BY_NAME, NUMBER
from ringzero.isa.control import CR0_PE, CR0_PG, CR0_WP, EFER_LMA, EFER_NXE
from ringzero.machine.memory import Memory

Uop = tuple[Any, ...]
M64 = (1 << 64) - 1
EDGES = (
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 63,
    M64,
)


def number(slot: str | int) -> int:
    """A slot's number from its name."""
    return SLOT[slot] if isinstance(slot, str) else slot


def uop(name: str, d: str | int = 0, a: str | int = "zero", b: str | int = "zero", scale: str | int = 0,
        imm: int = 0, index: int = 0) -> PackedUop:  # fmt: skip
    """One µop; slots by name or number. `imm` may be given as unsigned."""
    imm &= M64
    return (NUMBER[name], number(d), number(a), number(b), number(scale), index, imm - (imm >> 63 << 64))


def make_engine(name: str, state: State, memory: Memory, **options: Any) -> Any:
    if name == "python":
        return PythonEngine(state, memory)
    from ringzero.cpu.engine.native import NativeEngine

    return NativeEngine(state, memory, **options)


class Rig:
    """One engine over `size` bytes, in 64-bit mode at CPL 0 with paging off."""

    def __init__(self, engine: str = "native", size: int = 1 << 20, **options: Any) -> None:
        self.state, self.memory = State(), Memory(size)
        self.state["rflags"] = 2
        self.state["cr0"] = CR0_PE | CR0_WP
        self.state["efer"] = EFER_LMA | EFER_NXE
        self.state["cs_attr"], self.state["ss_attr"] = 0x29B, 0x493
        self.state["mode"] = mode_word(self.state.words)
        self.engine = make_engine(engine, self.state, self.memory, **options)
        self.memory.on_protect.append(self.engine.protect)
        self.program: dict[int, Block] = {}
        self._inside: dict[int, tuple[Block, int]] = {}
        self.misses = 0

    def paging(self, root: int) -> None:
        """Switch paging on, with the PML4 at `root`."""
        self.state["cr3"] = root
        self.state["cr0"] |= CR0_PG
        self.engine.flush_translations()

    def privilege(self, level: int) -> None:
        self.state["cpl"] = level
        self.state["mode"] = mode_word(self.state.words)

    def block(self, linear: int, *instructions: list[Uop], target: int = 0, physical: int | None = None,
              physical2: int = NO_PAGE, length: int = 4, lengths: list[int] | None = None) -> Block:  # fmt: skip
        """A block of instructions, each a list of argument tuples of `uop`."""
        uops = [
            (*uop(*u)[:5], i, uop(*u)[6]) for i, instruction in enumerate(instructions) for u in instruction
        ]
        offsets = [0]
        for i in range(len(instructions)):
            offsets.append(offsets[-1] + (lengths[i] if lengths else length))
        where = linear & 0xFFF_FFFF if physical is None else physical
        return Block(linear, where, physical2, self.state["mode"], len(instructions), uops, offsets, target)

    def add(self, linear: int, *instructions: list[Uop], **fields: Any) -> Block:
        """A block that `go` may install when it is missed."""
        self.program[linear] = block = self.block(linear, *instructions, **fields)
        for index in range(1, block.count):
            self._inside[linear + block.offsets[index]] = (block, index)
        return block

    def _missed(self, rip: int) -> Block | None:
        """The block that begins at `rip`, or the rest of one that a stop has cut there."""
        if rip in self.program or rip not in self._inside:
            return self.program.get(rip)
        block, first = self._inside[rip]
        start = block.offsets[first]
        uops = [(*u[:5], u[5] - first, u[6]) for u in block.uops if u[5] >= first]
        offsets = [offset - start for offset in block.offsets[first:]]
        return replace(block, linear=rip, physical=block.physical + start, count=block.count - first,
                       uops=uops, offsets=offsets)  # fmt: skip

    def go(self, steps: int, rip: int | None = None) -> Leave:
        """Run at most `steps`, installing what is missed; the first reason that is not a known miss."""
        if rip is not None:
            self.state["rip"] = rip
        self.state["left"] = steps
        while True:
            reason = Leave(self.engine.run())
            block = self._missed(self.state["rip"])
            if reason is not Leave.MISS or block is None:
                return reason
            self.misses += 1
            self.engine.install(block)

    def micro(self, *uops: Uop) -> Leave:
        return Leave(self.engine.micro(self.block(0, [*uops, ("stop",)])))

    def fault(self) -> tuple[int, int, int]:
        """Vector, error code and address of the last fault."""
        return self.state["fault_vector"], self.state["fault_error"], self.state["fault_address"]

    def snapshot(self) -> dict[str, int]:
        """All slots but those that only pass between driver and engine."""
        return {
            name: self.state[name] for name in SLOT if not name.startswith(("fault_", "exit_", "next_rip"))
        }


def word(chance: random.Random) -> int:
    """A random 64-bit word in which edges are common."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.choice(EDGES)
    if kind == 1:
        return (chance.choice(EDGES) + chance.randrange(-3, 4)) & M64
    return chance.getrandbits(64 if kind == 2 else chance.randrange(1, 65))


__all__ = ["BY_NAME", "EDGES", "M64", "NO_PAGE", "Rig", "make_engine", "uop", "word"]
