"""Recorded vectors: what silicon said, kept so that every host can hold the engines to it.

The room's rule: a vector holds the judge's answer, never a computed one, and says who the judge was. Cases are
generated anew from the row's text and a seed; the digest of the cases stands beside their outcomes, so that answers to
questions that are no longer asked are noticed and not compared.

Files: `recorded/<set>-<initial of the mnemonic>.jsonl.xz`, text lines under xz, sorted by row, one JSON object a row::

    {"row": "add rm8, r8 [00 /r]", "bits": 64, "judge": "AuthenticAMD", "cases": "<sha256, 16 digits>",
     "outcomes": [[rip - address, flags, {"0": rax, …changed registers}, [[address, "hex"], …], fault], …]}

where an outcome is null when its seed gives no case or the vendors part ways there, and fault is null or
[vector, error, cr2]. Seeds count from 0.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ringzero.isa.form import Form
from ringzero_tests.case import Case, Fault, Outcome
from ringzero_tests.generate import case_for, first_record
from ringzero_tests.judged import vendors_differ, vendors_differ_on

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True, slots=True)
class RowVectors:
    """Cases of one row for one code width, and what the judge answered; both lists in the order of the seeds."""

    row: str
    bits: int
    judge: str
    digest: str
    outcomes: list[Outcome | None]


def cases_of_row(form: Form, bits: int, count: int, first: int = 0) -> list[Case | None]:
    """Return the cases of `count` seeds from `first` on; None where there is none that vendors agree on."""
    return [agreed(form, case_for(form, bits, seed)) for seed in range(first, first + count)]


def agreed(form: Form, case: Case | None) -> Case | None:
    """The case, or None where Intel and AMD part ways on it."""
    if case is None:
        return None
    record = first_record(case.code, case.bits)
    if record is not None and record[0] == form.number:
        if vendors_differ(form, record, case.bits) or vendors_differ_on(case, form, record):
            return None
    elif form.mnemonic in ("ud0", "ud1"):
        return None  # AMD raises #UD before it fetches the ModRM byte
    return case


def digest_of(cases: Iterable[Case | None]) -> str:
    """Return 16 hexadecimal digits that change when any case does."""
    said = [
        case and (case.code, case.registers, case.flags, case.memory, case.address, case.bits)
        for case in cases
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def row_name(form: Form) -> str:
    """Return the name under which a row's vectors are kept: its text, not its number."""
    return str(form)


def load(kind: str = "user", directory: Path = RECORDED) -> dict[tuple[str, int], RowVectors]:
    """Return all recorded vectors of a set by (row name, bits)."""
    found = {}
    for path in sorted(directory.glob(f"{kind}-*.jsonl.xz")):
        for line in lzma.decompress(path.read_bytes()).decode().splitlines():
            vectors = _from_line(json.loads(line))
            found[vectors.row, vectors.bits] = vectors
    return found


def save(vectors: Iterable[RowVectors], cases: dict[tuple[str, int], list[Case | None]], kind: str = "user",
         directory: Path = RECORDED) -> int:  # fmt: skip
    """Write vectors, replacing the set; `cases` has each row's cases. Return the bytes written."""
    directory.mkdir(exist_ok=True)
    for old in directory.glob(f"{kind}-*.jsonl.xz"):
        old.unlink()
    files: dict[str, list[str]] = {}
    for row in sorted(vectors, key=lambda row: (row.row, -row.bits)):
        line = json.dumps(_to_line(row, cases[row.row, row.bits]), separators=(",", ":"))
        files.setdefault(row.row[0], []).append(line)
    total = 0
    for initial, lines in files.items():
        packed = lzma.compress(("\n".join(lines) + "\n").encode(), preset=9 | lzma.PRESET_EXTREME)
        (directory / f"{kind}-{initial}.jsonl.xz").write_bytes(packed)
        total += len(packed)
    return total


def rebuild(vectors: RowVectors, cases: list[Case | None]) -> Iterator[tuple[Case, Outcome]]:
    """Yield (case, recorded outcome) for every seed that has both."""
    for case, outcome in zip(cases, vectors.outcomes, strict=True):
        if case is not None and outcome is not None:
            yield case, absolute(case, outcome)


def absolute(case: Case, stored: Outcome) -> Outcome:
    """Return an outcome as judges give it; stored, RIP counts from the case's start, and None is "unchanged"."""
    registers = tuple(
        before if after is None else after
        for before, after in zip(case.registers, stored.registers, strict=True)
    )  # fmt: skip
    rip = stored.rip + case.address
    return Outcome(registers, stored.flags, rip & (1 << 64) - 1, stored.memory, stored.fault)


def _to_line(row: RowVectors, cases: list[Case | None]) -> dict[str, object]:
    outcomes = [
        None if case is None or outcome is None else pack_outcome(case, outcome)
        for case, outcome in zip(cases, row.outcomes, strict=True)
    ]
    return {"row": row.row, "bits": row.bits, "judge": row.judge, "cases": row.digest, "outcomes": outcomes}


def pack_outcome(case: Case, outcome: Outcome) -> list[object]:
    changed = {
        str(number): after
        for number, (before, after) in enumerate(zip(case.registers, outcome.registers, strict=True))
        if before != after
    }
    memory = [[address, data.hex()] for address, data in outcome.memory]
    fault = outcome.fault and [outcome.fault.vector, outcome.fault.error, outcome.fault.cr2]
    return [outcome.rip - case.address, outcome.flags, changed, memory, fault]


def _from_line(line: dict[str, object]) -> RowVectors:
    outcomes = [packed and unpack_outcome(packed) for packed in line["outcomes"]]  # type: ignore[attr-defined]
    return RowVectors(str(line["row"]), int(line["bits"]), str(line["judge"]), str(line["cases"]), outcomes)  # type: ignore[call-overload]


def unpack_outcome(packed: list) -> Outcome:  # type: ignore[type-arg]
    rip, flags, changed, memory, fault = packed
    registers = tuple(changed.get(str(number)) for number in range(16))
    runs = tuple((address, bytes.fromhex(data)) for address, data in memory)
    return Outcome(registers, flags, rip, runs, Fault(*fault) if fault else None)
