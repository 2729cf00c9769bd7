"""Plays schedules: from the window's start, interrupts where they were placed, to the window's end.

Rule of this room: what is not placed follows one fixed policy, so that a schedule means one run:

- the timer's own ticks are off; at HLT with nothing pending a tick comes at once and costs nothing;
- idle, and a tick has led back to the same state: what the environment still owes (serial input) arrives, else it is a
  deadlock;
- no interrupt for `patience` steps: the guest is looked at for a spin. With interrupts off that is a livelock once a
  state repeats; with interrupts on a fair tick comes, and the same state at a second fair tick is a livelock.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ringzero.errors import RingzeroError, UsageError
from ringzero.explore.clocks import ClockReader
from ringzero.explore.compare import Comparer
from ringzero.explore.entering import enter
from ringzero.explore.experiment import Experiment
from ringzero.explore.oracles import (
    Interrupted,
    Look,
    judge_end,
    judge_idle,
    judge_return,
    judge_state,
    owner,
    place,
)
from ringzero.explore.result import Failure, Kind, Trial
from ringzero.explore.schedule import NMI, TIMER, Placement, Schedule, Source
from ringzero.explore.threads import ThreadTable
from ringzero.machine.goal import SerialWatch
from ringzero.machine.machine import Machine
from ringzero.machine.stop import Stop, StopReason

PATIENCE = 50_000
SPIN = 4096  # steps within which a spin must come back to where it was
EASY_IDLES = 4  # consecutive idle ticks that nobody thinks about
MAX_TICKS = 10_000
MAX_STEPS = 5_000_000


@dataclass
class Progress:
    """What a run has behind it, beside the machine's state. Copied with it."""

    ticks: int = 0
    quiet: int = 0  # idle ticks since the last instruction that was not the timer's affair
    since: int = 0  # the step of the window at which the last interrupt was raised
    given: dict[int, int] = field(default_factory=dict)  # line: how much of its content has arrived
    idle_states: frozenset[bytes] = frozenset()
    fair_states: frozenset[bytes] = frozenset()
    breaks: tuple[
        int, ...
    ] = ()  # the steps at which something came free: a tick, or what the environment owed
    clocked: bool = False  # the idle states come again, and a tick reads a clock: that proves nothing
    interrupted: Interrupted | None = None  # by the last placement, and not gone on yet
    failure: Failure | None = None
    ended: bool = False


class Player:
    """One machine, at one experiment's window. Raises UsageError for a window that is never entered."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.machine = Machine(experiment.image, **experiment.machine)
        enter(self.machine, experiment)
        self.machine.hold_timer()
        self.origin = self.machine.step
        self.threads = ThreadTable(self.machine, experiment.threads)
        self.look = Look(self.machine, self.threads, self)
        self.invariants = [load(name) for name in experiment.invariants]
        self.success = load(experiment.success) if experiment.success else None
        self.watch: Callable[[], object] | None = None  # called after every step; the run stays the same
        self._clock_reader: ClockReader | None = None
        self._at_end = False
        self._back: tuple[int, int] | None = None  # rip and rsp of the return that is waited for
        self._last = None if experiment.until is None else self.machine.symbol(experiment.until)
        if experiment.until is not None:
            self.machine.add_probe(experiment.until, self._reached)
        self._text = b"" if experiment.until else (experiment.until_serial or "").encode()
        self._sent = len(self.machine.serial)
        self.start = self.machine.snapshot()
        self.begun = 0  # the step of the window at which plays begin
        self._begin = self.start, Progress()
        self.comparer = Comparer(self.machine, experiment, self.threads, self.start.tree)
        self.progress = Progress()
        self.patience = experiment.patience or PATIENCE
        self.max_steps = experiment.max_steps or MAX_STEPS

    @property
    def at_end(self) -> bool:
        """Whether the window ends before the next instruction."""
        return self.machine.registers["rip"] == self._last

    def _reached(self, _: Any) -> bool:
        self._at_end = True
        return True

    # Playing

    @property
    def at(self) -> int:
        """Steps since the window's start."""
        return self.machine.step - self.origin

    def state_key(self) -> bytes:
        """The compared state, with what the environment still owes."""
        return self.comparer.key((sorted(self.progress.given.items()), self._sent_last()))

    def register_key(self) -> bytes:
        """The registers alone: states with other registers are not the same."""
        return hashlib.blake2b(self.machine.cpu.hashed_state(), digest_size=16).digest()

    @property
    def serial(self) -> bytes:
        """What the guest has sent since the window's start."""
        return self.machine.serial[self._sent :]

    def play(self, schedule: Schedule) -> Trial:
        """Play a schedule from the window's start to the end of the run."""
        self.rewind()
        self.follow(schedule)
        self.finish()
        return self.trial(schedule)

    def follow(self, schedule: Schedule) -> bool:
        """Run to a schedule's last placement and place it: whether the run has come so far."""
        for placement in schedule:
            if not self.advance(placement.at):
                return False
            self.place(placement)
        return True

    def begin_at(self, step: int) -> None:
        """Let every play begin at a step of the undisturbed run; steps count as before. Schedules lie behind it."""
        self.begun, self._begin = 0, (self.start, Progress())
        self.rewind()
        if step and self.advance(step):
            self.begun, self._begin = self.at, (self.machine.snapshot(), replace(self.progress))

    def rewind(self) -> None:
        """Go back to where plays begin: the window's start, unless `begin_at` said otherwise."""
        snapshot, progress = self._begin
        self.machine.restore(snapshot)
        self.progress = replace(progress)

    def trial(self, schedule: Schedule) -> Trial:
        """What the run has come to."""
        progress = self.progress
        return Trial(schedule, progress.failure, self.at, progress.ticks, self.serial)

    def finish(self) -> None:
        """Run to the end of the window."""
        self.advance(None)

    def advance(self, until: int | None) -> bool:
        """Run to a step of the window, or to its end: whether the run still goes on."""
        progress = self.progress
        while not progress.ended and (until is None or self.at < until):
            limit = min(progress.since + self.patience, self.max_steps)
            goal = limit if until is None else min(until, limit)
            stop = self._run(self.origin + max(goal, self.at + 1))
            if stop.reason is not StopReason.RETURNED:
                self._went(stop)
            elif self._returned():
                break
        return not progress.ended

    def _run(self, step: int) -> Stop:
        """Run the machine to a step at most: in one go, or by single steps while somebody watches."""
        back = self._back
        if back is None and self.progress.interrupted is not None:
            back = self.progress.interrupted.place
        while self.watch is not None:
            stop = self._piece(self.machine.step + 1, back)
            self.watch()
            if stop.reason is not StopReason.STEP or self.machine.step >= step:
                return stop
        return self._piece(step, back)

    def _piece(self, step: int, back: tuple[int, int] | None) -> Stop:
        text = self._text
        if not text:
            return self.machine.run(until_step=step, until_return=back)
        watch = SerialWatch(text, self._sent_last())
        return self.machine.run(until_step=step, until_return=back, until_serial=watch)

    def _sent_last(self) -> bytes:
        """What may be the beginning of the text that ends the window."""
        return self.serial[1 - len(self._text) :] if len(self._text) > 1 else b""

    def _returned(self) -> bool:
        """An interrupt has come back: judge that, and tell whether somebody waits for it."""
        progress, here = self.progress, place(self.machine)
        before = progress.interrupted
        if before is not None and (here, owner(self.look)) == (before.place, before.owner):
            progress.interrupted = None
            failure = judge_return(self.look, before)
            if failure is not None:
                self._end(failure)
        return here == self._back

    def come_back(self, rip: int, rsp: int) -> bool:
        """Run until an interrupt returns to just there, or to the end of the run: whether it has returned."""
        self._back = (rip, rsp)
        try:
            return self.advance(None)
        finally:
            self._back = None

    def _went(self, stop: Stop) -> None:
        """What a piece of the run has come to."""
        reason = stop.reason
        if reason is StopReason.STEP:
            if self.at >= self.max_steps:
                self.fail(Kind.LIMIT, f"no end within {self.max_steps:,} steps")
            elif self.at >= self.progress.since + self.patience:
                self._spin()
        elif reason is StopReason.HALTED:
            self._idle()
        elif reason is StopReason.SERIAL or (reason is StopReason.CALLBACK and self._at_end):
            self._at_end = False
            self._end(judge_state(self.look) or self._unsuccessful())
        else:
            self._end(judge_end(self.look, stop))

    def _end(self, failure: Failure | None) -> None:
        self.progress.ended, self.progress.failure = True, failure

    def fail(self, kind: Kind, message: str, details: tuple[str, ...] = ()) -> None:
        """End the run: this is what is wrong with it."""
        self._end(Failure(kind, message, self.at, details))

    def _unsuccessful(self) -> Failure | None:
        found = self.success(self.look) if self.success else None
        return Failure(Kind.MARKER, str(found), self.at) if found else None

    # Interrupts

    def place(self, placement: Placement) -> None:
        """Raise what was placed at this boundary, if what must hold here does."""
        failure = judge_state(self.look)
        if failure is not None:
            self._end(failure)
            return
        at_once = placement.line == NMI or (
            self.interruptible
            and self.machine.would_interrupt(placement.line)
            and not self.spent(placement.line)
        )
        self.progress.interrupted = Interrupted.now(self.look, placement.line) if at_once else None
        for edge in range(placement.burst):
            if edge and not self._served(placement.line):
                return
            self.raise_line(placement.line)

    def raise_line(self, line: int) -> None:
        """An edge on a line: with the next byte of its content, where it has some."""
        progress, machine = self.progress, self.machine
        progress.since, progress.quiet = self.at, 0
        progress.idle_states, progress.clocked = frozenset(), False
        source, given = self._source(line), progress.given.get(line, 0)
        if line == NMI:
            machine.nmi()
        elif source is not None and source.content:
            progress.given = {**progress.given, line: given + 1}
            if given < len(source.content):
                machine.send_serial(source.content[given : given + 1])
        else:
            machine.raise_irq(line)

    def _source(self, line: int) -> Source | None:
        return next((source for source in self.experiment.sources if source.line == line), None)

    def spent(self, line: int) -> bool:
        """Whether all the content of a line has arrived: no interrupt comes of more."""
        source, given = self._source(line), self.progress.given.get(line, 0)
        return source is not None and 0 < len(source.content) <= given

    def _served(self, line: int) -> bool:
        """Run on until a burst's next edge would be delivered: whether that comes."""
        while not self.progress.ended:
            self.advance(self.at + 1)
            if self.interruptible and self.machine.would_interrupt(line):
                return True
        return False

    @property
    def interruptible(self) -> bool:
        """Whether the architecture takes an interrupt before the next instruction."""
        return self.machine.interruptible

    # Nothing happens any more

    def _idle(self) -> None:
        """HLT and nothing can wake the processor: a free tick, what the environment owes, or a deadlock."""
        progress = self.progress
        if not self.machine.interruptible:
            self.fail(Kind.PANIC, "halted with interrupts off")
            return
        failure = judge_idle(self.look) or judge_state(self.look)
        if failure is not None:
            self._end(failure)
            return
        progress.quiet += 1
        if progress.quiet > EASY_IDLES:
            key = self.state_key()
            if key in progress.idle_states and not progress.clocked:
                progress.clocked = self._clock_decides()
                if not progress.clocked:
                    self._stuck()
                    return
            progress.idle_states |= {key}
        if progress.quiet > MAX_TICKS:
            self.fail(Kind.LIMIT, f"idle for {MAX_TICKS:,} ticks")
            return
        self._tick()

    def _tick(self) -> None:
        """A tick that costs nothing."""
        self.progress.ticks += 1
        self.progress.since = self.at
        self.progress.breaks += (self.at,)
        self.machine.raise_irq(TIMER)

    def _clock_decides(self) -> bool:
        """Whether the next tick reads a declared clock: then a state that comes again is no proof."""
        self._clock_reader = self._clock_reader or ClockReader(self)
        return self._clock_reader.tick_reads()

    def _stuck(self) -> None:
        """A tick has led back to the same state."""
        for source in self.experiment.sources:
            if self.progress.given.get(source.line, 0) < len(source.content):
                self.progress.breaks += (self.at,)
                self.raise_line(source.line)
                return
        self.fail(Kind.DEADLOCK, "idle, and a tick changes nothing", self.look.blocked())

    def _spin(self) -> None:
        """Too long without an interrupt: a fair tick, or the proof that the guest spins."""
        comparer, progress = self.comparer, self.progress
        first = comparer.key()
        registers, rip = self.machine.cpu.hashed_state(), self.machine.registers["rip"]
        for _ in range(SPIN):
            if self.machine.interruptible and self.machine.would_interrupt(TIMER):
                self._fair_tick()
                return
            if not self._one_step():
                return
            if self.machine.registers["rip"] != rip or self.machine.cpu.hashed_state() != registers:
                continue
            if comparer.key() == first:
                self.fail(Kind.LIVELOCK, "spins with interrupts off", self.look.blocked())
                return
        progress.since = self.at

    def _one_step(self) -> bool:
        stop = self._run(self.machine.step + 1)
        if stop.reason is StopReason.STEP:
            return True
        self._went(stop)
        return False

    def _fair_tick(self) -> None:
        progress = self.progress
        key = self.state_key()
        if key in progress.fair_states:
            self.fail(
                Kind.LIVELOCK, "under a fair timer the same state comes again and again", self.look.blocked()
            )
            return
        progress.fair_states |= {key}
        self._tick()


def load(name: str) -> Callable[[Look], object]:
    """A function by "module:function". Raises UsageError."""
    module, colon, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute) if colon else None
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name}: cannot be imported: {error}") from None
    if not callable(found):
        raise UsageError(f"{name!r} is no function; write module:function")

    def call(look: Look) -> object:
        try:
            return found(look)
        except RingzeroError:
            raise
        except Exception as error:
            raise UsageError(f"{name} failed at step {look.at}: {type(error).__name__}: {error}") from error

    return call
