"""Recorded answers of Bochs about ring 0, kept like silicon's (see vectors.py) with the system registers beside them.

`python -m ringzero_tests.ring0_vectors` records them where bochscpu-python is installed; every host replays them.
Files: `recorded/ring0.jsonl.xz`, a line a row: as in vectors.py, and each outcome has a sixth element, the system
registers and descriptor tables that changed from the case's start (null: that judges do not look at it any more).
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator

from ringzero.isa.decode import decode
from ringzero.isa.form import Form
from ringzero_tests import bochs
from ringzero_tests.ring0 import PLAIN, SEGMENTS, SystemCase, SystemOutcome, disputed, rows, system_case
from ringzero_tests.vectors import RECORDED, absolute, digest_of, pack_outcome, row_name, unpack_outcome

PATH = RECORDED / "ring0.jsonl.xz"
CASES_A_ROW = 60

Start = dict[str, int]


def cases_of(form: Form, bits: int, count: int) -> list[SystemCase | None]:
    """Return the cases of a row by seed; None where there is none, or Bochs is no judge of it."""
    return [_undisputed(form, system_case(form, bits, seed)) for seed in range(count)]


def _undisputed(form: Form, wanted: SystemCase | None) -> SystemCase | None:
    if wanted is None:
        return None
    record = decode(wanted.case.code, wanted.case.bits, limit=1)[0]
    return None if disputed(form, wanted, record) else wanted


def _start(wanted: SystemCase) -> Start:
    """System registers before the case, under the names that outcomes use."""
    state = wanted.state()
    names = [
        *PLAIN,
        "rflags",
        *(f"{s}_{part}" for s in SEGMENTS for part in ("selector", "base", "limit", "attr")),
    ]
    return {name: state[name] for name in names}


def _digest(cases: list[SystemCase | None]) -> str:
    return digest_of([None if wanted is None else wanted.case for wanted in cases])


def load() -> dict[str, dict[str, object]]:
    """Return the recorded lines by row."""
    if not PATH.exists():
        return {}
    lines = [json.loads(line) for line in lzma.decompress(PATH.read_bytes()).decode().splitlines()]
    return {line["row"]: line for line in lines}


def rebuild(form: Form, line: dict[str, object]) -> Iterator[tuple[SystemCase, SystemOutcome]]:
    """Yield (case, Bochs's outcome); ValueError when the cases are not those that were asked."""
    packed: list[list[object] | None] = line["outcomes"]  # type: ignore[assignment]
    cases = cases_of(form, int(str(line["bits"])), len(packed))
    if _digest(cases) != line["cases"]:
        raise ValueError(
            f"{row_name(form)}: its cases have changed; run `python -m ringzero_tests.ring0_vectors`"
        )
    for wanted, answer in zip(cases, packed, strict=True):
        if wanted is not None and answer is not None:
            changes: dict[str, int | None] = answer[5]  # type: ignore[assignment]
            merged = {**_start(wanted), **changes}
            system = {name: value for name, value in merged.items() if value is not None}
            yield wanted, SystemOutcome(absolute(wanted.case, unpack_outcome(answer[:5])), system)


def _pack(wanted: SystemCase, answer: SystemOutcome) -> list[object]:
    start = _start(wanted)
    changes: dict[str, int | None] = {n: v for n, v in answer.system.items() if start.get(n) != v}
    changes |= dict.fromkeys(start.keys() - answer.system.keys())
    return [*pack_outcome(wanted.case, answer.outcome), dict(sorted(changes.items()))]


def main() -> int:
    """Record all rows; return the exit status."""
    reason = bochs.why_not()
    if reason:
        print(f"ring0_vectors: {reason}", file=sys.stderr)
        return 2
    lines, total = [], 0
    with bochs.Bochs() as judge:
        for form, bits in rows():
            cases = cases_of(form, bits, CASES_A_ROW)
            answers = iter(judge.run_system(wanted for wanted in cases if wanted))
            outcomes = [None if wanted is None else _pack(wanted, next(answers)) for wanted in cases]
            line = {
                "row": row_name(form),
                "bits": bits,
                "judge": "Bochs",
                "cases": _digest(cases),
                "outcomes": outcomes,
            }
            lines.append(json.dumps(line, separators=(",", ":")))
            total += len(outcomes) - outcomes.count(None)
    PATH.write_bytes(lzma.compress(("\n".join(sorted(lines)) + "\n").encode(), preset=9))
    print(f"recorded {len(lines)} rows, {total} cases, {PATH.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
