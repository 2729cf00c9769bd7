"""Real mode, a line a case: which vector ends it, at which label, and what the registers hold; on both engines."""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble
from ringzero_tests import bochs, boot_sector, real_mode_cases
from ringzero_tests.real_mode_cases import CASES, DISPUTED, DONE, LIMITS, REGISTERS, SHUTDOWN, source_of


def found(result: bytes) -> dict[str, int]:
    """What the stub left."""
    words = [int.from_bytes(result[at : at + 2], "little") for at in range(0, 8, 2)]
    registers = [int.from_bytes(result[at : at + 4], "little") for at in range(0x20, 0x38, 4)]
    return dict(zip(("vector", "ip", "cs", "sp", *REGISTERS), words + registers, strict=True))


def judge(
    body: str, vector: int, expected: dict[str, int | str], result: bytes, labels: dict[str, int]
) -> None:
    if vector == SHUTDOWN:
        assert result == bytes(len(result))
        return
    expected = {"vector": vector, "ip": "here" if "here:" in body else "done", "cs": 0} | expected
    wanted = {key: labels[value] if isinstance(value, str) else value for key, value in expected.items()}
    if vector == DONE and expected["ip"] == "done":
        wanted["ip"] += 2 - 16 * int(wanted["cs"])
    left = found(result)
    assert {name: left[name] for name in wanted} == wanted


NAMES = [case[0] for case in CASES]

QEMU_CASES = [case for case in CASES if case[0] not in LIMITS]


@pytest.mark.parametrize(("body", "vector", "expected"), [case[1:] for case in CASES], ids=NAMES)
def test_case(body: str, vector: int, expected: dict[str, int | str], engine: str) -> None:
    text = source_of(body)
    labels = assemble(text, format="bin", name="sector.asm").symbols
    judge(body, vector, expected, boot_sector.run_here(boot_sector.build(text), engine), labels)


@pytest.mark.judge("qemu-system-x86_64")
@pytest.mark.parametrize(
    ("body", "vector", "expected"), [case[1:] for case in QEMU_CASES], ids=[case[0] for case in QEMU_CASES]
)
def test_case_on_qemu(body: str, vector: int, expected: dict[str, int | str]) -> None:
    text = source_of(body)
    labels = assemble(text, format="bin", name="sector.asm").symbols
    judge(body, vector, expected, boot_sector.run_on_qemu(boot_sector.build(text)), labels)


RECORDED = real_mode_cases.load()
JUDGED = [case for case in CASES if case[0] not in DISPUTED]
JUDGED_NAMES = [case[0] for case in JUDGED]


@pytest.mark.parametrize(("name", "body"), [case[:2] for case in JUDGED], ids=JUDGED_NAMES)
def test_case_leaves_what_bochs_left(name: str, body: str, engine: str) -> None:
    digest, left = RECORDED[name]
    assert digest == real_mode_cases.digest_of(body), "run `python -m ringzero_tests.real_mode_cases`"
    assert boot_sector.run_here(boot_sector.build(source_of(body)), engine) == left


@pytest.mark.slow
@pytest.mark.skipif(bochs.why_not() is not None, reason=str(bochs.why_not()))
@pytest.mark.parametrize(("name", "body"), [case[:2] for case in JUDGED], ids=JUDGED_NAMES)
def test_bochs_still_says_so(name: str, body: str) -> None:
    assert boot_sector.run_on_bochs(source_of(body)) == RECORDED[name][1]


#: Programs and what they leave. SWITCHES: 5 ticks; ESP in protected mode; a 64-bit register; CS of the 16-bit segment
#: and CR0 there; CS and SP back in real mode. GATES: TR; SP behind a far call; CS and SP of ring 3, its CF behind an
#: INT; SP in the 16-bit gate, and CS, SP, SS of its frame; SP in the 32-bit gate, and CS, EIP of its frame; CS.
PROGRAMS = [
    (boot_sector.SWITCHES, "05000000 00700000 f0debc9a78563412 20000000 11000000 0007 0070 0000 0100"),
    (boot_sector.GATES, "2800 fc5f 1b00 0050 ffff f667 1b00 0050 2300 ec67 1b000000 9a0c0000 0800 0100"),
]
PROGRAM_NAMES = ["switches", "gates"]


@pytest.mark.parametrize(("source", "result"), PROGRAMS, ids=PROGRAM_NAMES)
def test_program(source: str, result: str, engine: str) -> None:
    assert boot_sector.run_here(boot_sector.build(source), engine)[:32] == bytes.fromhex(result)


@pytest.mark.judge("qemu-system-x86_64")
@pytest.mark.parametrize(("source", "result"), PROGRAMS, ids=PROGRAM_NAMES)
def test_program_on_qemu(source: str, result: str) -> None:
    assert boot_sector.run_on_qemu(boot_sector.build(source))[:32] == bytes.fromhex(result)


def test_both_engines_agree_stopped_anywhere() -> None:
    """A third of the table, a few steps at a time on each engine, gives the same states."""
    for name, body, *_ in CASES[::3]:
        code = assemble(source_of(body), format="bin", name="sector.asm").binary
        machines = [Machine.flat(code, mode=16, engine=engine) for engine in ("python", "auto")]
        for _ in range(30):
            for machine in machines:
                machine.run(steps=13)
            assert machines[0].state_hash() == machines[1].state_hash(), name
