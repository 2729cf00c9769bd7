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

from ringzero.machine.memory import GROUP, PAGE_SHIFT, PAGE_SIZE, Tree, marked
from ringzero.machine.pages import differing

if TYPE_CHECKING:
    from ringzero.explore.experiment import Experiment
    from ringzero.explore.threads import ThreadTable
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
        self._clocks = [
            span
            for name, size in experiment.clocks.items()
            for span in self.spans(machine.symbol(name), size)
        ]
        self._saved = int(experiment.threads.get("rsp_offset", 0))
        self._thread_clocks = tuple((at, size) for at, size in experiment.threads.get("clocks", ()))

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
        yield from self._clocks
        for thread in self.threads.all():
            for at, size in self._thread_clocks:
                yield from self.spans(thread.address + at, size)

    def omitted(self) -> Iterator[Span]:
        """What is left out of the present state."""
        yield from self.clocks()
        rsp = self.machine.registers["rsp"]
        yield from self.spans(rsp - DEAD, DEAD)
        for thread in self.threads.all():
            if thread.running:
                yield from self.spans(thread.address + self._saved, 8)
            elif thread.rsp:
                yield from self.spans(thread.rsp - DEAD, DEAD)

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
