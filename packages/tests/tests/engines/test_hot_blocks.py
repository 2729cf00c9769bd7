"""A hot block of the Python engine is the same block: same states, same faults, same steps, wherever it is stopped."""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble
from ringzero.cpu.engine import pyblocks, pyhot
from ringzero.cpu.uops.table import NUMBER, uop
from ringzero_tests.draws import Draws
from ringzero_tests.engines import EngineRunner
from ringzero_tests.programs import program
from ringzero_tests.rig import Rig

NEVER = 1 << 60
LOOP = """
        bits 64
        org 0x100000
        mov rsp, 0x180000
        mov rdi, 0x200000
again:  mov rcx, 50
fill:   mov [rdi+rcx*8], rcx        ; stores that cross pages as rdi moves
        add [rdi+rcx*8+3], eax
        adc eax, ecx
        call twice
        dec rcx
        jnz fill
        add rdi, 1021
        and rdi, 0x20ffff
        or rdi, 0x200000
        inc byte [patch+1]          ; a store into code, every time round
patch:  mov bl, 0
        jmp again
twice:  rol rax, 3
        xor ebx, eax
        ret
"""


def states(seed: int, hot: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bytes, bytes]]:
    """A random program, cut at random: why it stopped, steps, processor and memory after each budget."""
    monkeypatch.setattr(pyblocks, "HOT", hot)
    draws = Draws("hot", seed)
    runner = EngineRunner("python")
    runner.load(program(seed, "wild"))
    found = []
    for _ in range(8):
        reason = runner.cpu.run(draws.pick((1, 2, 3, draws.between(1, 200)))).reason.value
        memory = runner.memory.read(0, runner.memory.size)
        found.append((reason, runner.clock.steps, runner.cpu.hashed_state(), memory))
    return found


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_wild_programs(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(first, first + 20):
        assert states(seed, 1, monkeypatch) == states(seed, NEVER, monkeypatch), seed


def test_a_loop_cut_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that link, return, cross pages, are stored into, and become hot on the way."""
    code = assemble(LOOP, format="bin", name="loop.asm").binary
    machines = []
    for hot in (NEVER, 3, pyblocks.HOT):
        monkeypatch.setattr(pyblocks, "HOT", hot)
        machines.append(Machine.flat(code, address=0x10_0000, engine="python", memory="4M"))
    draws = Draws("cuts")
    for _ in range(60):
        steps = draws.between(1, 900)
        hashes = set()
        for machine, hot in zip(machines, (NEVER, 3, 400), strict=True):
            monkeypatch.setattr(pyblocks, "HOT", hot)
            machine.run(steps=steps)
            hashes.add(machine.state_hash())
        assert len(hashes) == 1


def test_flags_that_nothing_sees_are_left_out_before_nothing_that_may_leave() -> None:
    rig = Rig("python")
    add, load = ("add64", "rax", "rax", "rbx"), ("ld64", "rcx", "rdx")
    dead = rig.block(0x1000, [add], [add], [("jump",)])
    assert [u and u.name for u in pyhot._live(dead)] == ["addq64", "add64", "jump"]
    seen = rig.block(0x1000, [add], [load], [add], [("je",)])
    assert [u and u.name for u in pyhot._live(seen)] == ["add64", "ld64", "add64", "je"]


def test_what_skips_or_changes_the_mode_stays_a_list() -> None:
    rig = Rig("python")
    for name in ("skipz", "setmode", "setflags", "probe", "writeslot", "next_shadow"):
        assert not pyhot.compilable(rig.block(0x1000, [(name, 0, "rax")], [("jump",)])), name
        assert name in NUMBER


@pytest.mark.parametrize("local", ["page", "at", "imm", "ra", "e", "u", "x2"])
def test_a_local_that_printed_code_means_otherwise_is_refused(local: str) -> None:
    with pytest.raises(ValueError, match=f"µop odd: local '{local}': not one lower-case letter"):
        uop("odd", f"r = A\nif r:\n    {local} = B\nD = r")
