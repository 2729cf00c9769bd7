"""Digests: what silicon said about a thousand cases, in 16 digits, for the many cases that are not kept whole.

The room's rule: a digest covers the defined outputs alone, so it is the same from every engine and judge that is right,
and each stands beside the digest of its cases, so that other questions are never taken for other answers.

File: `recorded/digests.jsonl`, sorted by row, one JSON object a row and code width::

    {"row": "add rm8, r8 [00 /r]", "bits": 64, "judge": "AuthenticAMD", "thousands": [["<cases>", "<outcomes>"], …]}

The n-th thousand has the seeds FIRST_SEED + 1000 n and up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ringzero.isa import record as R
from ringzero.isa.form import Form
from ringzero_tests.case import Case, Outcome
from ringzero_tests.generate import first_record
from ringzero_tests.undefined import Undefined, undefined_for
from ringzero_tests.vectors import RECORDED, cases_of_row, digest_of

FIRST_SEED, CHUNK = 10_000, 1000
FILE = "digests.jsonl"

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RowDigests:
    """One row's digests for one code width: for each thousand that of the cases and that of their outcomes."""

    row: str
    bits: int
    judge: str
    thousands: tuple[Pair, ...]


def undefined_in(form: Form, case: Case, judge: Outcome) -> Undefined:
    """Return what the case leaves undefined; nothing when its bytes do not decode (it faults)."""
    record = first_record(case.code, case.bits)
    if record is None or record[R.FORM] != form.number:
        return Undefined()
    return undefined_for(form, record, case, judge)


def defined(form: Form, case: Case, outcome: Outcome) -> tuple[object, ...]:
    """Return an outcome without what the manual leaves undefined: equal for every processor that is right."""
    ignore = undefined_in(form, case, outcome)
    registers: tuple[int | None, ...] = outcome.registers
    if ignore.registers:
        registers = tuple(None if n in ignore.registers else value for n, value in enumerate(registers))
    fault = outcome.fault and (outcome.fault.vector, outcome.fault.error, outcome.fault.cr2)
    return (
        outcome.rip,
        outcome.flags & ~ignore.flags,
        registers,
        () if ignore.memory else outcome.memory,
        "some" if fault and ignore.fault else fault,
    )


def outcomes_digest(form: Form, cases: Iterable[Case], outcomes: Iterable[Outcome]) -> str:
    """Return 16 digits over the defined parts of all outcomes, in order."""
    hashed = hashlib.sha256()
    for case, outcome in zip(cases, outcomes, strict=True):
        hashed.update(repr(defined(form, case, outcome)).encode())
    return hashed.hexdigest()[:16]


def thousand(form: Form, bits: int, number: int) -> tuple[str, list[Case]]:
    """Return the cases of a row's n-th thousand and their digest."""
    drawn = cases_of_row(form, bits, CHUNK, FIRST_SEED + CHUNK * number)
    return digest_of(drawn), [case for case in drawn if case is not None]


def load(directory: Path = RECORDED) -> dict[tuple[str, int], RowDigests]:
    """Return all recorded digests by (row name, bits)."""
    path, found = directory / FILE, {}
    for line in path.read_text().splitlines() if path.exists() else ():
        kept = json.loads(line)
        pairs = tuple((cases, outcomes) for cases, outcomes in kept["thousands"])
        found[kept["row"], kept["bits"]] = RowDigests(kept["row"], kept["bits"], kept["judge"], pairs)
    return found


def save(rows: Iterable[RowDigests], directory: Path = RECORDED) -> int:
    """Write digests, replacing the file. Return the bytes written."""
    lines = [
        json.dumps({"row": row.row, "bits": row.bits, "judge": row.judge, "thousands": row.thousands})
        for row in sorted(rows, key=lambda row: (row.row, -row.bits))
    ]
    return (directory / FILE).write_text("\n".join(lines) + "\n")
