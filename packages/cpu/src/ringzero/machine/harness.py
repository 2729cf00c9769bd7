"""Takes a guest to its verdict: runs it, follows its stages, and says where it stands when one is missing.

Rule of this room: the outcome is a function of the machine and the limits, never of the engine or of how the run was
cut into slices. `ringzero boot`, `ringzero run` and tests all come through here.

A guest passes when every stage was reached in order and it then exited with the status that means success; a guest
that has no way to exit passes when it still stands `GRACE` steps after its last stage. Without a list of stages the
exit status alone decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringzero.errors import StagesError, UsageError
from ringzero.machine.position import position_lines, thread_text
from ringzero.machine.stages import Reached, StageList, StageTracker
from ringzero.machine.stop import Stop, StopReason

if TYPE_CHECKING:
    from ringzero.machine.machine import Machine

SUCCESS_EXIT = 33  # isa-debug-exit's status for 0x10
MAX_STEPS = 1_000_000_000
MAX_OUTPUT = 4 << 20  # bytes on a serial port after which a guest is said to flood it
GRACE = 1_000_000
FLOOD_CHECK = 2_000_000  # a multiple of all slices, so that the verdict does not depend on them
SLICES = {"native": 2_000_000, "python": 20_000}  # steps between looks at the host: Ctrl-C, the progress bar

PASSED, FAILED, INTERRUPTED = "passed", "failed", "interrupted"


@dataclass(frozen=True)
class StageResult:
    """One row of the list and whether it was reached: at which step, at how many nanoseconds of virtual time."""

    name: str
    title: str
    reached: bool = False
    step: int | None = None
    time_ns: int | None = None


@dataclass(frozen=True)
class Outcome:
    """All that a run has shown. `stop` is a StopReason's value, "flood" or "interrupted"; `why` a failure in words.

    `state_hash` is empty where the harness was told not to take it.
    """

    configuration: str | None
    image_digest: str
    engine: str
    verdict: str
    why: str
    stop: str
    exit_status: int | None
    steps: int
    time_ns: int
    stages: tuple[StageResult, ...]
    remarks: tuple[str, ...]
    state_hash: str
    position: tuple[str, ...]
    serial: bytes
    unknown: tuple[dict[str, object], ...]

    @property
    def passed(self) -> bool:
        return self.verdict == PASSED


@dataclass
class Harness:
    """One run of one machine. `max_steps` counts from power-on."""

    machine: Machine
    stages: StageList | None = None
    configuration: str | None = None
    success_exit: int = SUCCESS_EXIT
    max_steps: int = MAX_STEPS
    on_stage: Callable[[Reached], None] = lambda reached: None
    on_steps: Callable[[int], None] = lambda steps: None
    interrupted: Callable[[], bool] = lambda: False
    before_step: Callable[[Machine], None] | None = None  # called before every single step: slow
    hashed: bool = True  # take the state's hash at the end, which reads all memory that was written
    tracker: StageTracker | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.stages is not None:
            self.tracker = StageTracker(self.stages, self.configuration)
            self.tracker.on_reached.append(self.on_stage)
            self._watch(self.tracker)

    def _watch(self, tracker: StageTracker) -> None:
        """Show the tracker the serial line, and the first execution of each symbol that it wants."""
        machine = self.machine
        clock = machine.clock

        def sent(byte: int) -> None:
            tracker.byte(byte, clock.steps, clock.nanoseconds(clock.now))

        machine.platform.uarts[0].listeners.append(sent)
        for symbol in tracker.symbols:
            try:
                machine.symbol(symbol)
            except UsageError as error:
                raise StagesError(f"a stage names a symbol to be executed: {error}") from None
            self._note_execution(tracker, symbol)

    def _note_execution(self, tracker: StageTracker, symbol: str) -> None:
        def executed(machine: Machine) -> None:
            tracker.executed(symbol)
            machine.remove_probe(symbol, executed)

        self.machine.add_probe(symbol, executed)

    def run(self) -> Outcome:
        """Run to the end, and judge."""
        stop = self._run()
        if stop is None:
            return self._outcome(INTERRUPTED, "interrupted", INTERRUPTED)
        if self._flooded():
            return self._outcome(
                FAILED, f"the guest has sent more than {MAX_OUTPUT >> 20} MiB", "flood", stop
            )
        why = self._complaint(stop)
        return self._outcome(FAILED if why else PASSED, why, stop.reason.value, stop)

    def _run(self) -> Stop | None:
        """Run in slices until something ends the run; None when the user does."""
        machine = self.machine
        slice_ = 1 if self.before_step else SLICES[machine.cpu.engine]
        while not self.interrupted():
            if self.before_step and machine.step < self._limit():
                self.before_step(machine)
            following = (machine.step // slice_ + 1) * slice_
            stop = machine.run(until_step=following, max_steps=self._limit())
            self.on_steps(machine.step)
            if stop.reason is not StopReason.STEP or (machine.step % FLOOD_CHECK == 0 and self._flooded()):
                return stop
        return None

    def _limit(self) -> int:
        """The step at which to give up, or, with every stage reached, at which to be content."""
        if self.tracker and self.tracker.passed and self.tracker.reached:
            return min(self.max_steps, self.tracker.reached[-1].step + GRACE)
        return self.max_steps

    def _flooded(self) -> bool:
        return self.machine.platform.uarts[0].output.total > MAX_OUTPUT

    def _complaint(self, stop: Stop) -> str:
        """Why a run that came to `stop` has not passed; empty when it has."""
        if self.tracker and not self.tracker.passed:
            return f"{self.tracker.verdict}; stopped: {stop.message}"
        if stop.reason is StopReason.EXIT:
            good = stop.exit_status == self.success_exit
            return "" if good else f"the guest exited with status {stop.exit_status}, not {self.success_exit}"
        stands = stop.reason in (StopReason.HALTED, StopReason.LIMIT, StopReason.STEP)
        return "" if self.tracker and stands else f"no exit; stopped: {stop.message}"

    def _outcome(self, verdict: str, why: str, stopped: str, stop: Stop | None = None) -> Outcome:
        machine = self.machine
        position: tuple[str, ...] = ()
        if verdict != PASSED:
            position = tuple(position_lines(machine, thread_text(machine, self.stages)))
        return Outcome(
            configuration=self.configuration,
            image_digest=machine.image.digest if machine.image else "",
            engine=machine.cpu.engine,
            verdict=verdict,
            why=why,
            stop=stopped,
            exit_status=stop.exit_status if stop else None,
            steps=machine.step,
            time_ns=machine.nanoseconds,
            stages=self._results(),
            remarks=tuple(self.tracker.remarks) if self.tracker else (),
            state_hash=machine.state_hash() if self.hashed else "",
            position=position,
            serial=machine.serial,
            unknown=tuple(machine.report()["unknown"]),
        )

    def _results(self) -> tuple[StageResult, ...]:
        if self.tracker is None:
            return ()
        times = {reached.stage.name: reached for reached in self.tracker.reached}
        return tuple(
            StageResult(stage.name, stage.title, True, times[stage.name].step, times[stage.name].nanoseconds)
            if stage.name in times
            else StageResult(stage.name, stage.title)
            for stage in self.tracker.stages
        )
