"""When two states are the same for our purposes.

Compared are registers, memory, devices and what is pending, relative to now. Left out are:

- the count of steps: deadlines are taken as distances;
- declared clocks: bytes that count and never decide (`[clocks]` of the stage list, `clocks` of its threads);
- the bytes below the stack pointers of all threads, and the saved stack pointer of the thread that runs: nobody reads
  them before writing them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ringzero.machine.footprint import first_read, footprint
from ringzero.machine.memory import GROUP, PAGE_SHIFT, PAGE_SIZE, Tree, marked
from ringzero.machine.pages import differing

if TYPE_CHECKING:
    from ringzero.explore.experiment import Experiment
    from ringzero.explore.threads import Thread, ThreadTable
    from ringzero.machine.accesses import Accesses
    from ringzero.machine.machine import Machine

DEAD = 2048  # bytes below a stack pointer that are taken for dead
TOLD_BY_TIME = ("pit", "cmos")  # devices whose fields are moments: what they will do is in the clock's events
Span = tuple[int, int]  # first physical byte, and the one behind the last


class Comparer:
    """Compared states of one machine, in one window. `start`: memory at the window's start."""

    def __init__(self, machine: Machine, experiment: Experiment, threads: ThreadTable, start: Tree) -> None:
        self.machine = machine
        self.threads = threads
        self.start = start
        self._from = start
        self._between: list[int] = []
        self._declared = [(name, machine.symbol(name), size) for name, size in experiment.clocks.items()]
        self._saved = int(experiment.threads.get("rsp_offset", 0))
        self._thread_clocks = tuple((at, size) for at, size in experiment.threads.get("clocks", ()))

    def clock_read(self, accesses: Accesses) -> str:
        """The declared clock that some step reads without counting it up, and where; empty for none."""
        for name, span in self._clocks():
            step = first_read(accesses, span)
            if step is not None:
                return name
        return ""

    def _clocks(self) -> Iterator[tuple[str, Span]]:
        """The declared clocks, where they are mapped now: at power-on they may not be."""
        for name, linear, size in self._declared:
            yield from ((name, span) for span in self.spans(linear, size))

    def spans(self, linear: int, size: int) -> Iterator[Span]:
        """The physical bytes behind linear ones."""
        while size > 0:
            count = min(size, PAGE_SIZE - linear % PAGE_SIZE)
            physical = self.machine.cpu.translate(linear)
            if physical is not None:
                yield physical, physical + count
            linear, size = linear + count, size - count

    def clocks(self) -> Iterator[Span]:
        """The bytes that are declared to count and never to decide."""
        yield from (span for _, span in self._clocks())
        for thread in self.threads.all():
            yield from self._counters(thread)

    def omitted(self) -> Iterator[Span]:
        """What is left out of the present state."""
        yield from self.clocks()
        yield from self._dead()

    def _counters(self, thread: Thread) -> Iterator[Span]:
        """What a thread's structure only counts."""
        for at, size in self._thread_clocks:
            yield from self.spans(thread.address + at, size)

    def _dead(self) -> Iterator[Span]:
        """What is written before it is read: below the stacks, and where the running thread's pointer will be saved."""
        threads = self.threads.all()
        stacks = [thread.rsp for thread in threads if thread.rsp and not thread.running]
        rsp = self.machine.registers["rsp"]
        for thread in threads:
            if thread.running:
                yield from self.spans(thread.address + self._saved, 8)
        for top in (rsp, *stacks):
            # Within reach of another stack nothing is left out: its bytes are alive.
            if not any(top - DEAD <= other < top for other in (rsp, *stacks)):
                yield from self.spans(top - DEAD, DEAD)

    def reads_omitted(self, accesses: Accesses, step: int) -> bool:
        """Whether what runs from `step` on reads something that the present state's key leaves out."""
        counters = [span for thread in self.threads.all() for span in self._counters(thread)]
        if any(first_read(accesses, span, step) is not None for span in counters):
            return True
        reads, dead = footprint(accesses, step, accesses.end).reads, list(self._dead())
        return any(first < end and start < last for first, last in reads for start, end in dead)

    def pages(self) -> list[int]:
        """The pages that may differ from the window's start."""
        memory = self.machine.memory
        memory.collect()
        if memory.tree is not self._from:
            self._from, self._between = memory.tree, differing(self.start, memory.tree)
        return sorted({*self._between, *marked(memory.unsaved)})

    def key(self, extra: object = ()) -> bytes:
        """A digest of the compared state, and of whatever else belongs to it."""
        hidden: dict[int, list[Span]] = {}
        for first, end in self.omitted():
            hidden.setdefault(first >> PAGE_SHIFT, []).append(
                (first % PAGE_SIZE, first % PAGE_SIZE + end - first)
            )
        whole = hashlib.blake2b(self._rest(extra), digest_size=16)
        ram, start = self.machine.memory.ram, self.start
        for number in self.pages():
            content: bytes = ram[number << PAGE_SHIFT : (number + 1) << PAGE_SHIFT]
            before = start[number // GROUP][number % GROUP].content
            if number in hidden:
                content, before = blank(content, hidden[number]), blank(before, hidden[number])
            if content != before:
                whole.update(number.to_bytes(4, "little"))
                whole.update(content)
        return whole.digest()

    def _rest(self, extra: object) -> bytes:
        """Everything but memory."""
        machine, state = self.machine, self.machine.platform.state
        now = machine.clock.now
        events = [(order, tag, when - now) for when, order, _, tag in machine.clock.events()]
        devices = [
            values
            for (name, _), values in zip(state.layout, state.hashed(), strict=True)
            if not name.startswith(TOLD_BY_TIME)
        ]
        waiting: tuple[Any, ...] = machine.external.save()[1:]
        return machine.cpu.hashed_state() + repr((events, devices, waiting, extra)).encode()


def blank(content: bytes, spans: Iterable[Span]) -> bytes:
    """A page with some bytes taken for zero."""
    page = bytearray(content)
    for first, end in spans:
        page[first:end] = bytes(end - first)
    return bytes(page)
