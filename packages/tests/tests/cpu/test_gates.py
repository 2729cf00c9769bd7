"""Calls through call gates to an inner level and back, and what refuses them, on both engines and on Bochs."""

from __future__ import annotations

import struct

import pytest

from ringzero_tests.bochs import Bochs, why_not
from ringzero_tests.gate_guest import LONG, PROTECTED, SEEN, faulty, machine, start


def _long(at: dict[str, int]) -> tuple[int, ...]:
    """After the return: rsp, ss, cs; inside: rsp, ss, cs; the frame rip, cs, rsp, ss (SDM 3A 5.8.5.1)."""
    return (0x2A000, 0x23, 0x2B, 0x28000 - 32, 0, 0x10, at["back"], 0x2B, 0x2A000, 0x23)


def _protected(at: dict[str, int]) -> tuple[int, ...]:
    """After the return, which releases 12 bytes of both stacks: esp, ss, cs, fs; inside: esp, ss, cs; then the frame:
    eip, cs, three parameters, esp, ss (SDM 3A, figure 5-14)."""
    frame = (at["back"], 0x33, 0x33, 0x22, 0x11, 0x2A000 - 12, 0x23)
    return (0x2A000, 0x23, 0x33, 0, 0x28000 - 28, 0x18, 0x08, 0, *frame)


GUESTS = [
    pytest.param(LONG, "<10Q", _long, id="long"),
    pytest.param(PROTECTED, "<15I", _protected, id="protected"),
]


@pytest.mark.parametrize(("text", "shape", "expected"), GUESTS)
def test_a_call_to_an_inner_level_and_back(text: str, shape: str, expected: object, engine: str) -> None:
    guest, at = machine(text, engine)
    guest.run(max_steps=1000)
    assert guest.registers["rip"] == at["last"] + 1
    found = struct.unpack(shape, guest.memory.read(SEEN, struct.calcsize(shape)))
    assert found == expected(at)  # type: ignore[operator]


BP, TS, NP, SS, GP = 3, 10, 11, 12, 13
CALL, JUMP = "call 0x4b:0", "jmp 0x4b:0"
#: name, what is changed, the transfer, vector and error code (SDM 2A, CALL, JMP; BP: it arrived).
FAULTS = [
    ("call", "", CALL, BP, None),
    ("jump to an inner level", "", JUMP, GP, 0x10),
    ("gate of ring 0", "mov byte [0x904d], 0x8c", CALL, GP, 0x48),
    ("gate of ring 2", "mov byte [0x904d], 0xcc", CALL, GP, 0x48),
    ("gate absent", "mov byte [0x904d], 0x6c", CALL, NP, 0x48),
    ("gate to nothing", "mov word [0x904a], 3", CALL, GP, 0),
    ("gate beyond", "mov word [0x904a], 0x58", CALL, GP, 0x58),
    ("gate to data", "mov word [0x904a], 0x18", CALL, GP, 0x18),
    ("code absent", "mov byte [0x9015], 0x3b", CALL, NP, 0x10),
    ("code too short", "mov dword [0x9010], 0xf\nmov dword [0x9014], 0x0040bb00", CALL, GP, 0),
    ("null stack", "mov dword [0xa010], 0", CALL, TS, 0),
    ("stack beyond", "mov dword [0xa010], 0x59", CALL, TS, 0x58),
    ("stack of another ring", "mov dword [0xa010], 0x23", CALL, TS, 0x20),
    ("stack of another RPL", "mov dword [0xa010], 0x42", CALL, TS, 0x40),
    ("stack read-only", "mov byte [0x9045], 0xb1", CALL, TS, 0x40),
    ("stack absent", "mov byte [0x9045], 0x33", CALL, SS, 0x40),
    ("stack too small", "mov word [0x9040], 0xfff\nmov byte [0x9046], 0x40", CALL, SS, 0x40),
    ("gate of a busy TSS", "", "call 0x3b:0", GP, 0x38),
]


@pytest.mark.parametrize(
    ("change", "call", "vector", "error"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_faults(change: str, call: str, vector: int, error: int | None, engine: str) -> None:
    guest, at = machine(faulty(change, call), engine)
    guest.run(max_steps=1000)
    assert guest.registers["rip"] == at["last"] + 1
    found = struct.unpack("<2I", guest.memory.read(SEEN, 8))
    assert found[0] == vector
    assert error in (None, found[1])


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize(
    ("change", "call", "vector", "error"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_bochs_faults_the_same(change: str, call: str, vector: int, error: int | None) -> None:
    with Bochs() as bochs:
        memory = bochs.run_program(*start(faulty(change, call)))
    found = struct.unpack_from("<2I", memory, SEEN)
    assert found[0] == vector
    assert error in (None, found[1])


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize(("text", "shape", "expected"), GUESTS)
def test_bochs_says_the_same(text: str, shape: str, expected: object) -> None:
    _, at = machine(text, "python")
    with Bochs() as bochs:
        memory = bochs.run_program(*start(text))
    assert struct.unpack_from(shape, memory, SEEN) == expected(at)  # type: ignore[operator]
