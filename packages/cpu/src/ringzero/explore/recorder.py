"""Writes a timeline while a player plays.

Rule of this room: it looks and changes nothing. It is called after every step of a watched player, compares what it
sees with what it saw before, and notes what is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringzero.cpu.state import GPRS
from ringzero.explore.locks import LockWatch, Taken
from ringzero.explore.schedule import Placement, Schedule, line_name
from ringzero.explore.sites import called
from ringzero.explore.threads import Thread
from ringzero.explore.timeline import HANDLERS, Code, Event, Held, Lane, Span, Stretch, Timeline
from ringzero.machine.position import VECTORS, instruction_text

if TYPE_CHECKING:
    from ringzero.explore.player import Player

REGISTERS = (*GPRS, "rip", "rflags")
IRET = ("iret", "iretd", "iretq", "iretw")
CPU = 0  # the address of the one thread of a guest whose threads are not told


@dataclass
class _Frame:
    """An interrupt that was delivered and has not returned: where its frame lies, and what it is called."""

    stack: int
    name: str


class Recorder:
    """Notes the steps `first` to `last` of one run of a player. `start`, then play, then `close` and `timeline`."""

    def __init__(self, player: Player, first: int, last: int) -> None:
        self.player, self.machine = player, player.machine
        self.first, self.last = first, last
        self._at = -1  # the step that was looked at last; none yet
        self._delivered: tuple[int, int | None] | None = None
        self._lanes = [Lane("handlers")]
        self._lane_of: dict[int, int] = {}
        self._threads: dict[int, Thread] = {}
        self._listed: set[int] = set()  # who was ever in the guest's table
        self._unlisted: dict[int, None] = {}  # who ran without
        self._frames: dict[int, list[_Frame]] = {}
        self._on_cpu = CPU
        self._open: dict[int, tuple[int, str, str]] = {}
        self._spans: list[Span] = []
        self._events: list[Event] = []
        self._stretches: list[Stretch] = []
        self._codes: dict[int, Code] = {}
        self._lines: dict[int, tuple[str, int]] = {}
        self._registers: tuple[int, ...] = (-1,) * len(REGISTERS)
        self._values: list[tuple[tuple[int, int], ...]] = []
        self._locks = LockWatch(self.machine)
        self._tries: list[tuple[int, str, int, int]] = []
        self._names: dict[int, str] = {}
        self._ticks = 0
        self._sent = 0
        spec = player.experiment.threads
        switch = spec.get("switch") if player.threads.known else None
        self._switch = self.machine.symbol(switch) if isinstance(switch, str) else None

    # The run

    def start(self) -> None:
        """From here on every step is looked at; play up to the first one that is noted."""
        if self.first:
            self.player.advance(self.first)
        self.machine.cpu.on_delivery.append(self._deliver)
        self.player.watch = self._look
        self._ticks, self._sent = self.player.progress.ticks, self._total
        current = self.player.threads.current
        self._meet_threads()
        self._on_cpu = current if current in self._lane_of else CPU
        self._boundary(self.player.at)

    def placed(self, placement: Placement) -> None:
        """A preemption of the schedule comes now."""
        burst = f" ×{placement.burst}" if placement.burst > 1 else ""
        self._note("placed", f"{line_name(placement.line)}{burst}", at=placement.at)

    def close(self) -> None:
        """Look no more."""
        self.player.watch = None
        if self._deliver in self.machine.cpu.on_delivery:
            self.machine.cpu.on_delivery.remove(self._deliver)

    @property
    def _total(self) -> int:
        return self.machine.platform.uarts[0].output.total

    def _deliver(self, vector: int, error: int | None, _: int) -> None:
        self._delivered = (vector, error)

    def _look(self) -> None:
        """Called after every step, and when none could be made."""
        progress, at = self.player.progress, self.player.at
        if progress.ticks != self._ticks:
            self._ticks = progress.ticks
            self._note("tick", "a free tick: nothing else could wake the processor", at=self._at)
        if at <= self._at:
            return
        if at > self.last:
            self.close()
            return
        self._stepped(self._at)
        self._boundary(at)

    # One step

    def _stepped(self, step: int) -> None:
        """What the step from the last boundary to this one has done."""
        self._handlers(step)
        for kind, taken in self._locks.after(step, self._lane, self._in_handler):
            self._called(taken.address)
            self._tries.append((step, kind, taken.address, self._lane))
        self._meet_threads(step)
        self._switches(step)
        if self._total != self._sent:
            new = self.machine.serial[-(self._total - self._sent) :]
            self._sent = self._total
            self._write(step, new.decode("latin-1"))

    def _write(self, step: int, text: str) -> None:
        """Bytes on the serial line: what one lane sends up to the end of a line is one event."""
        last = next((n for n in reversed(range(len(self._events))) if self._events[n].kind == "serial"), None)
        if last is not None:
            line = self._events[last]
            if line.lane == self._lane and not line.text.endswith("\n"):
                self._events[last] = Event(line.at, "serial", line.lane, line.text + text)
                return
        self._note("serial", text, at=step)

    def _handlers(self, step: int) -> None:
        """Interrupts that were delivered, and their returns."""
        frames = self._frames.setdefault(self._on_cpu, [])
        rsp = self.machine.registers["rsp"]
        if self._delivered is not None:
            vector, error = self._delivered
            self._delivered = None
            name = self._vector_name(vector)
            self._note("interrupt", f"{name} interrupts {self._lanes[self._lane].name}", at=step)
            frames.append(_Frame(rsp + (8 if error is not None else 0), name))
        elif self._codes[self._registers[16]].text.split(" ")[0] in IRET:
            stack = self._registers[4]
            place = next((n for n, frame in enumerate(frames) if frame.stack == stack), None)
            if place is not None:
                self._note(
                    "return", f"{frames[place].name} returns to {self._lanes[self._lane].name}", at=step
                )
                del frames[place:]

    def _vector_name(self, vector: int) -> str:
        """An interrupt line, or an exception as the manual calls it."""
        pic = self.machine.platform.pic
        for chip, line in ((pic.master, 0), (pic.slave, 8)):
            if vector >= 32 and chip.base <= vector < chip.base + 8:
                return line_name(line + vector - chip.base)
        return VECTORS.get(vector, f"vector {vector}")

    def _all_threads(self) -> dict[int, Thread]:
        """By address: those in the guest's table, the running one, and those that ran and were never in the table."""
        table = self.player.threads
        found = {thread.address: thread for thread in table.all()}
        self._listed |= found.keys()
        current = table.current
        for address in (*self._unlisted, current):
            thread = table.read(address, current) if address and address not in found else None
            if thread is not None and (address == current or address not in self._listed):
                found[address] = thread
        if current in found and current not in self._listed:
            self._unlisted[current] = None
        return found

    def _meet_threads(self, step: int | None = None) -> None:
        """Threads that are new, gone, or in another state."""
        found = self._all_threads()
        for address in [known for known in self._threads if known not in found]:
            self._note("end", f"{self._threads[address]} is gone", address, step)
            self._close_span(self._lane_of[address], self.player.at)
            del self._lane_of[address], self._threads[address]
            self._frames.pop(address, None)
        for address, thread in found.items():
            before = self._threads.get(address)
            if before is None or str(before) != str(thread):
                self._lane_of[address] = len(self._lanes)
                self._lanes.append(Lane(str(thread), address))
            if before is None and step is not None:
                self._note("start", f"{thread} is made", address, step)
            elif before is not None and before.state != thread.state and step is not None:
                self._changed(before, thread, step)
            self._threads[address] = thread
        if not self._lane_of:
            self._lane_of[CPU] = len(self._lanes)
            self._lanes.append(Lane("processor"))

    def _changed(self, before: Thread, now: Thread, step: int) -> None:
        """A thread went from one state to another."""
        lane = self._lane_of[now.address]
        if now.state == "blocked":
            where = f" on {self._called(now.waits_on)}" if now.waits_on else ""
            self._events.append(Event(step, "sleep", lane, f"{now} sleeps{where}"))
        elif before.state == "blocked":
            by = (
                f"a handler in {self._lanes[self._lane].name}"
                if self._in_handler
                else self._lanes[self._lane].name
            )
            self._events.append(Event(step, "wake", self._lane, f"{now} is woken by {by}", lane))
        elif now.state == "dead":
            self._events.append(Event(step, "end", lane, f"{now} has ended"))

    def _switches(self, step: int) -> None:
        """Whether another thread runs now: at the kernel's `switch`, or when its word for the current one changes."""
        current = self.player.threads.current
        here = self._switch is None or self.machine.registers["rip"] == self._switch
        if here and current != self._on_cpu and current in self._lane_of:
            before, self._on_cpu = self._lane, current
            self._note(
                "switch", f"from {self._lanes[before].name} to {self._lanes[self._lane].name}", at=step
            )
            self._events[-1] = Event(step, "switch", before, self._events[-1].text, self._lane)

    def _boundary(self, at: int) -> None:
        """What is true before the next instruction."""
        self._at = at
        registers = self.machine.registers
        now = tuple(registers[name] for name in REGISTERS)
        self._values.append(
            tuple((n, v) for n, (v, old) in enumerate(zip(now, self._registers, strict=True)) if v != old)
        )
        self._registers = now
        self._come_to(at, now[16])
        self._moods(at)
        self._locks.before()

    def _come_to(self, at: int, rip: int) -> None:
        """The instruction that is next, and its line."""
        if rip not in self._codes:
            place = self.machine.where()
            self._codes[rip] = Code(rip, place.symbol or "", place.offset, instruction_text(self.machine))
            self._lines[rip] = place.line or ("", 0)
        code, (file, line), lane = self._codes[rip], self._lines[rip], self._lane
        last = self._stretches[-1] if self._stretches else None
        here = (lane, code.symbol, file, line)
        if last is not None and (last.lane, last.symbol, last.file, last.line) == here:
            self._stretches[-1] = Stretch(last.first, at + 1, *here)
        else:
            self._stretches.append(Stretch(at, at + 1, *here))

    def _moods(self, at: int) -> None:
        """Open and close spans."""
        frames = self._frames.get(self._on_cpu)
        inside = (f"{frames[-1].name} in {self._lanes[self._lane].name}") if frames else ""
        self._span(HANDLERS, at, "handler" if inside else "", inside)
        for address, lane in self._lane_of.items():
            thread = self._threads.get(address)
            state = thread.state if thread else ""
            if address == self._on_cpu:
                self._span(lane, at, "interrupted" if inside else "running", state)
            else:
                self._span(lane, at, "ready" if state == "running" else state, state)

    def _span(self, lane: int, at: int, kind: str, text: str) -> None:
        old = self._open.get(lane)
        if old is not None and old[1:] == (kind, text):
            return
        self._close_span(lane, at)
        if kind:
            self._open[lane] = (at, kind, text)

    def _close_span(self, lane: int, at: int) -> None:
        old = self._open.pop(lane, None)
        if old is not None and at > old[0]:
            self._spans.append(Span(lane, old[0], at, old[1], old[2]))

    # Words

    @property
    def _lane(self) -> int:
        return self._lane_of.get(self._on_cpu, HANDLERS)

    @property
    def _in_handler(self) -> bool:
        return bool(self._frames.get(self._on_cpu))

    def _note(self, kind: str, text: str, address: int | None = None, at: int | None = None) -> None:
        lane = self._lane if address is None else self._lane_of.get(address, self._lane)
        self._events.append(Event(self.player.at if at is None else at, kind, lane, text))

    def _called(self, address: int) -> str:
        """A word of memory by its name, as it was when it was first told of."""
        if address not in self._names:
            self._names[address] = called(self.player, address)
        return self._names[address]

    # The end

    def timeline(self, schedule: Schedule) -> Timeline:
        """All that was noted."""
        for lane in list(self._open):
            self._close_span(lane, self._at + 1)
        locks = self._locks.locks()
        for step, kind, address, lane in self._tries:
            if address in locks:
                verb = {"lock": "takes", "unlock": "gives back", "spin": "spins on"}[kind]
                text = f"{self._lanes[lane].name} {verb} {self._called(address)}"
                self._events.append(Event(step, kind, lane, text))
        player, progress = self.player, self.player.progress
        return Timeline(
            schedule, progress.failure, self.first, self._at, player.at, progress.ticks,
            tuple(self._lanes), tuple(sorted(self._spans, key=lambda span: (span.lane, span.first))),
            tuple(sorted(self._events, key=lambda event: event.at)),
            tuple(self._held(taken) for taken in self._locks.all if taken.address in locks),
            tuple(self._stretches), REGISTERS, tuple(self._values),
            tuple(self._codes[address] for address in sorted(self._codes)), self.machine.state_hash(),
        )  # fmt: skip

    def _held(self, taken: Taken) -> Held:
        name = self._called(taken.address)
        return Held(
            taken.owner, name, taken.address, taken.first, taken.end, taken.handler, tuple(taken.spins)
        )
