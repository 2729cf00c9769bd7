"""Hold two outcomes of a case against each other and say in one line where they part."""

from __future__ import annotations

from collections.abc import Iterator

from ringzero_tests.case import REGISTERS, Case, Outcome
from ringzero_tests.undefined import Undefined

_FLAG_NAMES = {
    0: "CF",
    2: "PF",
    4: "AF",
    6: "ZF",
    7: "SF",
    8: "TF",
    10: "DF",
    11: "OF",
    14: "NT",
    18: "AC",
    21: "ID",
}


def difference(judge: Outcome, ours: Outcome, undefined: Undefined | None = None) -> str | None:
    """Return what differs ("judge's, ours …"), or None. What is undefined does not count."""
    parts = list(_differences(judge, ours, undefined or Undefined()))
    return "; ".join(parts) or None


def _differences(judge: Outcome, ours: Outcome, ignore: Undefined) -> Iterator[str]:
    if judge.fault != ours.fault and not (ignore.fault and judge.fault and ours.fault):
        yield f"fault {judge.fault or 'none'}, ours {ours.fault or 'none'}"
    if judge.rip != ours.rip:
        yield f"rip {judge.rip:#x}, ours {ours.rip:#x}"
    for number, (theirs, mine) in enumerate(zip(judge.registers, ours.registers, strict=True)):
        if theirs != mine and number not in ignore.registers:
            yield f"{REGISTERS[number]} {theirs:#x}, ours {mine:#x}"
    wrong = (judge.flags ^ ours.flags) & ~ignore.flags
    if wrong:
        names = [f"{name}={judge.flags >> bit & 1}" for bit, name in _FLAG_NAMES.items() if wrong >> bit & 1]
        yield f"flags {' '.join(names)} (judge's)"
    if judge.memory != ours.memory and not ignore.memory:
        yield f"memory {_runs(judge)}, ours {_runs(ours)}"


def _runs(outcome: Outcome) -> str:
    shown = [f"{address:#x}:{data[:16].hex()}" for address, data in outcome.memory[:4]]
    return " ".join(shown) or "unchanged"


def describe(case: Case) -> str:
    """Return the case in one line: bytes, flags and the registers by name."""
    registers = " ".join(f"{name}={value:#x}" for name, value in zip(REGISTERS, case.registers, strict=True))
    memory = " ".join(f"[{address:#x}]={data.hex()}" for address, data in case.memory)
    return f"{case.bits}-bit {case.code.hex(' ')} at {case.address:#x} flags={case.flags:#x} {registers} {memory}"
