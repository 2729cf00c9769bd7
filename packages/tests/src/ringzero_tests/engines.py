"""Our own engines answer cases: a bare processor on 2 MiB of memory, without a machine around it.

The room's rule: only public names of `ringzero.cpu` and `ringzero.machine.memory` are used, so that what is judged is
what a machine would run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from operator import itemgetter

from ringzero.cpu.cpu import Cpu, Exit, ExitReason
from ringzero.cpu.engine.engines import native_available
from ringzero.cpu.state import SLOT, SLOTS
from ringzero.machine.memory import Memory
from ringzero_tests.case import HANG, PAGE, REGISTERS, Case, Fault, Outcome
from ringzero_tests.ring0 import SystemCase, SystemOutcome, read_system_outcome
from ringzero_tests.segmented import SegmentedCase, SegmentedOutcome, read_segmented
from ringzero_tests.system import (
    FIRST_REGION,
    IST_STACK_TOP,
    MEMORY_SIZE,
    memory_for,
    read_outcome,
    state_for,
    system_image,
)

ENGINES = ("python", "native")
STEP_LIMIT = 100_000


# What outcomes are made of; the state begins with the general registers.
_SEEN = (*REGISTERS, "rip", "rflags", "cr2")
_SLOTS_SEEN = itemgetter(*(SLOT[name] for name in _SEEN))
assert SLOTS[: len(REGISTERS)] == REGISTERS


@cache
def _system_pieces() -> tuple[tuple[int, bytes], ...]:
    """The system's image by address, with the stack by itself: it alone is written anew for almost every case, and
    what was translated of the handlers, and walked of the tables, stays."""
    image, ends = system_image(), (0, IST_STACK_TOP - PAGE, IST_STACK_TOP, FIRST_REGION)
    return tuple((start, image[start:end]) for start, end in pairwise(ends))


class NoBus:
    """Nothing beyond RAM: reads are all ones, as on a PC."""

    def port_read(self, port: int, size: int) -> int:
        """All ones."""
        return (1 << 8 * size) - 1

    def port_write(self, port: int, size: int, value: int) -> None:
        """Lost."""

    def mmio_read(self, address: int, size: int) -> int:
        """All ones."""
        return (1 << 8 * size) - 1

    def mmio_write(self, address: int, size: int, value: int) -> None:
        """Lost."""


class StepClock:
    """Time is the count of steps."""

    def __init__(self) -> None:
        self.steps = 0

    @property
    def now(self) -> int:
        """Cycles: one a step."""
        return self.steps


class NoInterrupts:
    """An INTR line that nothing drives."""

    def pending(self) -> bool:
        """Never."""
        return False

    def acknowledge(self) -> int:
        """Cannot happen."""
        raise AssertionError("an interrupt was acknowledged that nobody raised")


def missing(engine: str) -> str | None:
    """Return why this engine cannot run here, or None."""
    if engine == "native" and not native_available():
        return "the native engine is not built into this installation"
    return None


class EngineRunner:
    """One engine that runs cases, one after another, on the same processor and memory."""

    def __init__(self, engine: str, model: str = "max") -> None:
        self.engine = engine
        self.memory = Memory(MEMORY_SIZE)
        self.clock = StepClock()
        self.cpu = Cpu(self.memory, NoBus(), self.clock, NoInterrupts(), engine=engine, model=model)
        self._starts: dict[tuple[int, int], bytes] = {}

    def load(self, case: Case, privilege: int = 3, registers: dict[str, int] | None = None) -> None:
        """Put a case, its tables and all registers in place; `registers` override what the case's system has."""
        for address, contents in (*_system_pieces(), *memory_for(case).items()):
            if self.memory.read(address, len(contents)) != contents:
                self.memory.write(address, contents)
        state = self.cpu.state
        state.data[:] = self._start_of(case.bits, privilege)
        struct.pack_into(f"<{len(REGISTERS)}Q", state.data, 0, *case.registers)
        state["rip"], state["rflags"] = case.address, case.flags | 0x202
        for name, value in (registers or {}).items():
            state[name] = value
        self.cpu.context_changed()

    def _start_of(self, bits: int, privilege: int) -> bytes:
        """All registers as every case of one code width and privilege finds them, but for its own."""
        if (bits, privilege) not in self._starts:
            self.cpu.reset()
            for name, value in state_for(Case(b"", (0,) * 16, bits=bits), privilege).items():
                self.cpu.state[name] = value
            self._starts[bits, privilege] = bytes(self.cpu.state.data)
        return self._starts[bits, privilege]

    def finish(self, case: Case, budgets: Sequence[int] = ()) -> Outcome:
        """Run a loaded case to its end, first in slices of the given budgets; return its outcome."""
        end = self.clock.steps + STEP_LIMIT
        exit_ = Exit(ExitReason.BUDGET)
        for budget in budgets:
            exit_ = self.cpu.run(budget)
            if exit_.reason is not ExitReason.BUDGET:
                break
        if exit_.reason is ExitReason.BUDGET:
            exit_ = self.cpu.run(end - self.clock.steps)
        return self.outcome(case, exit_)

    def outcome(self, case: Case, exit_: Exit) -> Outcome:
        """Return what the case has come to, given why the processor stopped."""
        state = self.cpu.state
        if exit_.reason is ExitReason.BUDGET:
            return Outcome(case.registers, 0, 0, (), Fault(HANG))
        if exit_.reason is not ExitReason.HALT:
            raise AssertionError(
                f"{case.code.hex(' ')}: {self.engine} stopped: {exit_.reason.value} {exit_.detail}"
            )
        seen = dict(zip(_SEEN, _SLOTS_SEEN(state.words), strict=True))
        return read_outcome(case, seen.__getitem__, self.memory.read)

    def run(self, case: Case, privilege: int = 3) -> Outcome:
        """Run one case."""
        self.load(case, privilege)
        return self.finish(case)


def run_system(runner: EngineRunner, wanted: SystemCase) -> SystemOutcome:
    """Run a ring-0 case."""
    runner.load(wanted.case, 0, wanted.state())
    exit_ = runner.cpu.run(STEP_LIMIT)
    if exit_.reason is not ExitReason.HALT:
        raise AssertionError(
            f"{wanted.case.code.hex(' ')}: {runner.engine} stopped: {exit_.reason.value} {exit_.detail}"
        )
    state = runner.cpu.state
    return read_system_outcome(wanted, lambda name: state[name], runner.memory.read)


def run_segmented(runner: EngineRunner, wanted: SegmentedCase) -> SegmentedOutcome | None:
    """Run a case in segments; None where it does not end, or ends in a shutdown."""
    memory = wanted.memory()
    if runner.memory.read(0, len(memory)) != memory:
        runner.memory.write(0, memory)
    runner.cpu.reset()
    state = runner.cpu.state
    for name, value in wanted.state().items():
        state[name] = value
    runner.cpu.context_changed()
    if runner.cpu.run(STEP_LIMIT).reason is not ExitReason.HALT:
        return None
    return read_segmented(wanted, lambda name: state[name], runner.memory.read)


def run_many(cases: Iterable[Case], engine: str) -> list[Outcome]:
    """Run cases on one processor."""
    runner = EngineRunner(engine)
    return [runner.run(case) for case in cases]
