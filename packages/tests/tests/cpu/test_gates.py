"""Calls through call gates to an inner level and back, on both engines, and on Bochs."""

from __future__ import annotations

import struct

import pytest

from ringzero_tests.bochs import Bochs, why_not
from ringzero_tests.gate_guest import LONG, PROTECTED, SEEN, machine, start


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


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize(("text", "shape", "expected"), GUESTS)
def test_bochs_says_the_same(text: str, shape: str, expected: object) -> None:
    _, at = machine(text, "python")
    with Bochs() as bochs:
        memory = bochs.run_program(*start(text))
    assert struct.unpack_from(shape, memory, SEEN) == expected(at)  # type: ignore[operator]
