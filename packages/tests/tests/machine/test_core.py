"""The loop, with a processor that is told what each step does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ringzero.cpu.cpu import ExitReason
from ringzero.machine.bus import Bus
from ringzero.machine.clock import Clock
from ringzero.machine.core import Core
from ringzero.machine.goal import make_goal
from ringzero.machine.memory import Memory
from ringzero.machine.platform import Platform
from ringzero.machine.stop import StopReason


@dataclass
class Exit:
    reason: ExitReason


class Script:
    """A processor whose instruction at step n is `program[n]`; the others do nothing. Takes interrupts at once."""

    def __init__(self, program: dict[int, Callable[[Script], object]]) -> None:
        self.program = program
        self.registers = {"rip": 0, "rflags": 0x202}
        self.halted = False
        self.stop = False
        self.probes: set[int] = set()
        self.taken: list[tuple[int, int]] = []
        self.runs: list[int] = []
        self.shut = False
        self._probed = -1

    def join(self, platform: Platform) -> None:
        self.platform, self.bus, self.clock = platform, platform.bus, platform.clock

    def run(self, budget: int) -> Exit:
        assert budget > 0
        self.runs.append(budget)
        end = self.clock.steps + budget
        while self.clock.steps < end:
            if self.stop:
                self.stop = False
                return Exit(ExitReason.STOP)
            if self.platform.pending() and self.registers["rflags"] & 0x200:
                self.halted = False
                self.taken.append((self.clock.steps, self.platform.acknowledge()))
                self.bus.port_write(0x20, 1, 0x20)
                self.clock.steps += 1
            elif self.halted:
                return Exit(ExitReason.HALT)
            elif self.clock.steps in self.probes and self._probed != self.clock.steps:
                self._probed = self.registers["rip"] = self.clock.steps
                return Exit(ExitReason.PROBE)
            else:
                self.program.get(self.clock.steps, lambda cpu: None)(self)
                self.clock.steps += 1
                if self.shut:
                    return Exit(ExitReason.SHUTDOWN)
        return Exit(ExitReason.BUDGET)

    @property
    def where(self) -> int:
        return self.registers["rip"]

    def request_stop(self) -> None:
        self.stop = True

    def raise_nmi(self) -> None:
        self.halted = False
        self.taken.append((self.clock.steps, 2))

    def add_probe(self, address: int) -> None:
        self.probes.add(address)

    def remove_probe(self, address: int) -> None:
        self.probes.discard(address)


def out(port, *values):
    return lambda cpu: [cpu.bus.port_write(port, 1, value) for value in values]


def halt(cpu):
    cpu.halted = True


def cli_halt(cpu):
    cpu.registers["rflags"] = 2
    cpu.halted = True


def shut(cpu):
    cpu.shut = True


def pics(mask=0):
    return lambda cpu: [
        cpu.bus.port_write(port, 1, value)
        for base, vector, wiring in ((0x20, 0x20, 4), (0xA0, 0x28, 2))
        for port, value in (
            (base, 0x11),
            (base + 1, vector),
            (base + 1, wiring),
            (base + 1, 1),
            (base + 1, mask),
        )
    ]


def timer(count):
    return lambda cpu: [out(0x43, 0x34)(cpu), out(0x40, count & 0xFF, count >> 8)(cpu)]


def make_core(program, **options):
    memory, clock, bus = Memory("1M"), Clock(options.pop("hz", 1_193_182)), Bus()
    platform = Platform(
        bus, clock, memory_size=1 << 20, devices=("isa-debug-exit,iobase=0xf4,iosize=4",), **options
    )
    cpu = Script(program)
    cpu.join(platform)
    return Core(memory, clock, bus, platform, cpu)


def run(core, **wishes):
    return core._run(make_goal(core.clock.steps, **wishes))


def test_a_timer_programmed_in_the_middle_of_a_slice_ticks_at_its_step():
    core = make_core({0: pics(), 10: timer(100)})
    stop = run(core, steps=350)
    assert (stop.reason, stop.step) == (StopReason.STEP, 350)
    assert core.cpu.taken == [(110, 0x20), (210, 0x20), (310, 0x20)]


def test_external_interrupts_come_at_their_steps_and_in_order():
    core = make_core({0: pics()})
    for step, irq in ((7, 3), (5, 4), (7, 1)):
        core.external.add(step, "irq", irq)
    run(core, until_step=20)
    assert core.cpu.taken == [(5, 0x24), (7, 0x21), (8, 0x23)]


def test_sleep_costs_no_steps():
    core = make_core({0: pics(), 1: timer(1000), 2: halt})
    stop = run(core, until_step=10)
    assert core.cpu.taken == [(3, 0x20)]
    assert (stop.step, core.clock.idle) == (10, 998)


def test_sleep_ends_at_a_cycle_that_was_asked_for():
    core = make_core({0: pics(), 1: timer(1000), 2: halt})
    stop = run(core, until_cycle=500)
    assert (stop.reason, stop.step, stop.cycle) == (StopReason.STEP, 3, 500)
    assert run(core, until_cycle=2000).cycle == 2000
    assert core.cpu.taken == [(3, 0x20)]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ({0: halt}, "halted for ever"),
        ({0: pics(), 1: timer(100), 2: cli_halt}, "halted with interrupts off"),
        ({0: pics(0xFF), 1: timer(100), 2: halt}, "halted for ever"),
        (
            {
                0: pics(),
                1: lambda cpu: (cpu.platform.pulse(0), cpu.platform.acknowledge(), timer(9)(cpu)),
                2: halt,
            },
            "for ever",
        ),
    ],
)
def test_sleep_without_end_is_told(program, message):
    core = make_core(program)
    stop = run(core)
    assert stop.reason is StopReason.HALTED
    assert message in stop.message


def test_an_alarm_that_never_matches_is_no_hang():
    """The clock chip looks for its alarm every second, for ever."""

    def alarm(cpu):
        for register, value in ((1, 0x99), (0x0B, 0x22)):
            out(0x70, register)(cpu)
            out(0x71, value)(cpu)

    core = make_core({0: pics(), 1: alarm, 2: halt}, hz=1000)
    assert run(core).reason is StopReason.HALTED


def test_a_sleeper_that_nothing_else_wakes_gets_the_next_external_event():
    core = make_core({0: pics(), 1: halt})
    core.external.add(1000, "irq", 4)
    stop = run(core, until_step=5)
    assert core.cpu.taken == [(2, 0x24)]
    assert stop.step == 5


def test_a_halted_run_can_be_woken_from_outside():
    core = make_core({0: pics(), 1: halt})
    assert run(core).reason is StopReason.HALTED
    core.external.add(core.clock.steps, "irq", 1)
    assert run(core, steps=3).reason is StopReason.STEP
    assert core.cpu.taken == [(2, 0x21)]


@pytest.mark.parametrize(
    ("action", "reason", "value", "status"),
    [
        (out(0xF4, 0x10), StopReason.EXIT, 0x10, 33),
        (out(0xF4, 0x11), StopReason.EXIT, 0x11, 35),
        (out(0x64, 0xFE), StopReason.RESET, None, None),
        (shut, StopReason.SHUTDOWN, None, None),
    ],
)
def test_ends_are_ends(action, reason, value, status):
    core = make_core({3: action})
    for _ in range(2):
        stop = run(core, steps=100)
        assert (stop.reason, stop.value, stop.exit_status, stop.step) == (reason, value, status, 4)
        assert stop.ended


def test_serial_text_stops_at_its_last_byte():
    core = make_core({step: out(0x3F8, byte) for step, byte in enumerate(b"say: hello!", 10)})
    stop = run(core, until_serial="hello")
    assert (stop.reason, stop.step) == (StopReason.SERIAL, 20)
    assert run(core, until_serial="hello", max_steps=50).reason is StopReason.LIMIT
    assert core.platform.uarts[0].listeners == []


def test_probes_call_before_their_instruction():
    core = make_core({})
    seen = []
    core._probes[5] = [lambda core: seen.append(core.clock.steps)]
    core._probes[8] = [lambda core: True]
    core.cpu.probes |= {5, 8}
    stop = run(core, steps=20)
    assert (stop.reason, stop.step, seen) == (StopReason.CALLBACK, 8, [5])
    assert run(core, steps=20).step == 28


def test_nmi_and_its_mask():
    core = make_core({6: out(0x70, 0x80)})
    for step in (5, 8):
        core.external.add(step, "nmi")
    run(core, steps=20)
    assert core.cpu.taken == [(5, 2)]


def test_serial_input_by_step():
    core = make_core({0: pics(), 1: out(0x3FC, 0x0B), 2: out(0x3F9, 1)})
    core.external.add(9, "serial", 0, b"k")
    run(core, steps=20)
    assert core.cpu.taken[0] == (9, 0x24)


def test_a_stop_in_pieces_is_the_same_run():
    program = {0: pics(), 1: timer(97), 400: halt, 700: halt}
    whole, cut = make_core(program), make_core(program)
    run(whole, until_step=900)
    while cut.clock.steps < 900:
        run(cut, until_step=min(cut.clock.steps + 13, 900))
    assert whole.cpu.taken == cut.cpu.taken
    assert whole.clock.save() == cut.clock.save()
    assert whole.platform.state.save() == cut.platform.state.save()
