"""Debug exceptions: breakpoints, single steps, RF, DR7.GD, on both engines, and on Bochs where it is a judge."""

from __future__ import annotations

import pytest

from ringzero import Machine
from ringzero_tests.bochs import Bochs, why_not
from ringzero_tests.debug_cases import CASES, DebugCase
from ringzero_tests.debug_guest import DATA, LOG, DebugGuest, Watch, armed


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_case(case: DebugCase, engine: str) -> None:
    guest = DebugGuest.build(case.body)
    assert guest.run_here(engine) == list(case.log)


@pytest.mark.parametrize("case", CASES[::8], ids=[case.name for case in CASES[::8]])
def test_stops_change_nothing(case: DebugCase, engine: str) -> None:
    """A run in pieces of one step, saved and loaded at each, is the run as a whole."""
    guest = DebugGuest.build(case.body)
    whole, pieces = guest.machine(engine), guest.machine(engine)
    whole.run(max_steps=5000)
    while not pieces.cpu.halted and pieces.step < whole.step:
        pieces.run(steps=1)
        pieces.restore(pieces.snapshot())
    assert pieces.state_hash() == whole.state_hash()


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bochs_says_the_same(case: DebugCase) -> None:
    if case.disputed:
        pytest.skip(case.disputed)
    guest = DebugGuest.build(case.body)
    with Bochs() as bochs:
        memory = bochs.run_program(*guest.start())
    assert guest.log(memory[LOG : LOG + 4096]) == list(case.log)


def test_a_debuggers_probe_comes_behind_the_guests_breakpoint(engine: str) -> None:
    """At one address: #DB first, then, when its handler has set RF, the probe, then the instruction."""
    guest = DebugGuest.build(armed(Watch(0, 0, "here")) + "here: nop")
    machine, seen = guest.machine(engine), []
    for name in ("log", "here"):
        machine.add_probe(guest.symbols[name], lambda _, name=name: seen.append(name))
    machine.run(max_steps=5000)
    assert seen == ["log", "here"]


def test_a_probe_that_goes_leaves_the_breakpoint(engine: str) -> None:
    guest = DebugGuest.build(armed(Watch(0, 0, "here")) + "mov ecx, 2\nhere: dec ecx\njnz here")
    machine = guest.machine(engine)

    def pass_on(_: Machine) -> None:
        """Look, and let it run."""

    machine.add_probe(guest.symbols["here"], pass_on)
    machine.run(steps=400)
    machine.remove_probe(guest.symbols["here"], pass_on)
    machine.run(max_steps=5000)
    assert guest.log(machine.memory.read(LOG, 4096)) == ["DB here B0", "DB here B0"]


def test_the_frame_of_a_debug_exception_may_make_the_next(engine: str) -> None:
    """Watched memory under the stack of #DB's own handler: the next #DB comes before its first instruction."""
    body = armed(Watch(1, 2, hex(DATA + 0x7E8)), Watch(1, 2, hex(DATA + 0x7B8)))
    guest = DebugGuest.build(body + f"mov esp, {DATA + 0x800}\nint 0x30\nhere: mov esp, 0x47000")
    assert guest.run_here(engine)[0] == "DB stub1 B1"
