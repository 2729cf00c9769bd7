"""The loop that runs a machine: who has the next word, the processor, a device, or the outside.

Rule of this room: the loop knows three times: the next device event, the next external event, and what the caller waits
for. The processor gets the distance to the nearest of them as its budget and stops exactly there; a device access that
brings an event nearer makes it come back at the next instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringzero.cpu.cpu import Cpu, ExitReason
from ringzero.machine.bus import Bus
from ringzero.machine.clock import Clock
from ringzero.machine.external import External, ExternalSchedule
from ringzero.machine.goal import Goal
from ringzero.machine.memory import Memory
from ringzero.machine.platform import Platform
from ringzero.machine.stop import Stop, StopReason

SLICE = 1 << 24  # steps after which the loop comes back to let the host's signals through
IDLE_EVENTS = 100_000  # device events in one sleep after which it counts as endless
INTERRUPTS_ON = 1 << 9


class Core:
    """Processor, memory, bus, clock and devices, joined by the loop. `ringzero.Machine` is its public face."""

    def __init__(self, memory: Memory, clock: Clock, bus: Bus, platform: Platform, cpu: Cpu) -> None:
        self.memory = memory
        self.clock = clock
        self.bus = bus
        self.platform = platform
        self.cpu = cpu
        self.external = ExternalSchedule()
        self.end: Stop | None = None
        self._probes: dict[int, list[Callable[[Any], object]]] = {}
        self._called_stop = False
        self._deadline = 0  # the cycle up to which the processor runs; 0 while it does not
        self._sleep_step = -1
        self._sleep_events = 0
        platform.on_stop = self.cpu.request_stop
        clock.on_earlier = self._come_back

    def _come_back(self) -> None:
        """An event was scheduled: if it lies before the processor's deadline, that is void."""
        if self.clock.next_cycle < self._deadline:
            self.cpu.request_stop()

    def _run(self, goal: Goal) -> Stop:
        """Run until a goal is met or the machine ends."""
        self._called_stop = False
        self._watch(goal)
        try:
            return self._loop(goal)
        finally:
            self._deadline = 0
            self._unwatch(goal)

    def _watch(self, goal: Goal) -> None:
        if goal.address is not None:
            self.cpu.add_probe(goal.address)
        self.cpu.returning = goal.returning
        if goal.serial is not None:
            self.platform.uarts[0].listeners.append(self._serial_listener(goal))

    def _unwatch(self, goal: Goal) -> None:
        if goal.address is not None and goal.address not in self._probes:
            self.cpu.remove_probe(goal.address)
        self.cpu.returning = None
        if goal.serial is not None:
            self.platform.uarts[0].listeners.pop()

    def _serial_listener(self, goal: Goal) -> Callable[[int], None]:
        watch = goal.serial
        assert watch is not None

        def listen(byte: int) -> None:
            if watch.byte(byte):
                self.cpu.request_stop()

        return listen

    def _loop(self, goal: Goal) -> Stop:
        while True:
            stop = self._arrived(goal)
            if stop is not None:
                return stop
            if self._run_due():
                continue
            budget = self._budget(goal)
            self._deadline = self.clock.now + budget
            exit = self.cpu.run(budget)
            self._deadline = 0
            if exit.reason is ExitReason.HALT:
                stop = self._sleep(goal)
            elif exit.reason is ExitReason.SHUTDOWN:
                stop = self._finish(StopReason.SHUTDOWN, "triple fault")
            elif exit.reason is ExitReason.UNSUPPORTED:
                stop = self._stop(StopReason.UNSUPPORTED, f"the guest wants what is not here: {exit.detail}")
            elif exit.reason is ExitReason.RETURNED:
                stop = self._stop(StopReason.RETURNED, "the return that was asked for")
            elif exit.reason is ExitReason.PROBE:
                stop = self._probe(goal)
            if stop is not None:
                return stop

    def _budget(self, goal: Goal) -> int:
        """Steps to the nearest of what may happen; at least one, since nothing is due now."""
        clock = self.clock
        cycles = min(self.clock.next_cycle, goal.cycle) - clock.now
        steps = min(self.external.next_step, goal.step, goal.limit) - clock.steps
        return min(cycles, steps, SLICE)

    def _run_due(self) -> bool:
        """Let one event that is due happen: external ones first."""
        if self.external.next_step <= self.clock.steps:
            self._happen(self.external.take())
            return True
        return self.clock.next_cycle <= self.clock.now and self.platform.run_event()

    def _happen(self, entry: External) -> None:
        if entry.kind == "irq":
            self.platform.pulse(entry.number)
        elif entry.kind == "nmi":
            if not self.platform.cmos.nmi_masked:
                self.cpu.raise_nmi()
        else:
            self.platform.uarts[entry.number].receive(entry.content)

    def _arrived(self, goal: Goal) -> Stop | None:
        """Whether the run has come to its end at this boundary."""
        if self.end is not None:
            return self.end
        request = self.platform.stop_request
        if request is not None:
            return self._device_stop(request.reason, request.value)
        if goal.serial is not None and goal.serial.seen:
            return self._stop(StopReason.SERIAL, f"serial text {goal.serial.text!r}")
        if self._called_stop:
            self._called_stop = False
            return self._stop(StopReason.CALLBACK, "stopped by a callback")
        if self.clock.steps >= goal.step or self.clock.now >= goal.cycle:
            return self._stop(StopReason.STEP, "the step that was asked for")
        if self.clock.steps >= goal.limit:
            return self._stop(StopReason.LIMIT, f"the limit of {goal.limit} steps")
        return None

    def _device_stop(self, reason: str, value: int) -> Stop:
        if reason == "exit":
            return self._finish(StopReason.EXIT, f"guest exit with {value:#x}", value)
        return self._finish(StopReason.RESET, "the guest reset the machine")

    def _stop(self, reason: StopReason, message: str, value: int | None = None) -> Stop:
        return Stop(reason, self.clock.steps, self.clock.now, message, value, self.cpu.registers["rip"])

    def _finish(self, reason: StopReason, message: str, value: int | None = None) -> Stop:
        self.end = self._stop(reason, message, value)
        return self.end

    def _probe(self, goal: Goal) -> Stop | None:
        """The instruction at a probed address is next."""
        address = self.cpu.where
        for callback in tuple(self._probes.get(address, ())):
            if callback(self):
                self._called_stop = True
        if address == goal.address:
            return self._stop(StopReason.SYMBOL, f"reached {goal.symbol}")
        return None

    def _sleep(self, goal: Goal) -> Stop | None:
        """HLT: go to the next event in no steps, or say that none can ever wake the processor."""
        clock = self.clock
        if clock.steps != self._sleep_step:
            self._sleep_step, self._sleep_events = clock.steps, 0
        self._sleep_events += 1
        if not self._can_wake():
            if not len(self.external):
                return self._stop(StopReason.HALTED, self._why_halted())
            self._happen(self.external.take())
            return None
        clock.idle += min(clock.next_cycle, goal.cycle) - clock.now
        return None

    def _can_wake(self) -> bool:
        """Whether the devices alone can wake a halted processor."""
        on = self.cpu.registers["rflags"] & INTERRUPTS_ON
        return bool(on) and self._sleep_events <= IDLE_EVENTS and self.platform.can_wake()

    def _why_halted(self) -> str:
        if not self.cpu.registers["rflags"] & INTERRUPTS_ON:
            return "halted with interrupts off: nothing can wake the processor"
        return "halted for ever: no interrupt can come"
