"""`python -m ringzero_tests.segmented_vectors`: what Bochs says about 16-bit rows in segments, kept for every host.

File: `recorded/segments.jsonl.xz`, a line a row: as in vectors.py, and each outcome has a sixth element, the segments'
fields behind the case. Even seeds ran in real mode, odd ones in protected mode.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator

from ringzero.isa.form import Form
from ringzero_tests import bochs
from ringzero_tests.compare import difference
from ringzero_tests.digests import undefined_in
from ringzero_tests.segmented import SegmentedCase, SegmentedOutcome, disputed, rows, segmented_case
from ringzero_tests.vectors import RECORDED, absolute, digest_of, pack_outcome, row_name, unpack_outcome

PATH = RECORDED / "segments.jsonl.xz"
CASES_A_ROW = 20

Line = tuple[str, list[list[object] | None]]


def cases_of(form: Form, count: int) -> list[SegmentedCase | None]:
    """Return the cases of a row by seed; None where there is none, or Bochs is no judge of it."""
    drawn = [segmented_case(form, seed) for seed in range(count)]
    return [None if wanted is None or disputed(form, wanted) else wanted for wanted in drawn]


def _digest(cases: list[SegmentedCase | None]) -> str:
    return digest_of([wanted and wanted.case for wanted in cases])


def load() -> dict[str, Line]:
    """Return (digest of the cases, packed outcomes) by row."""
    lines = [json.loads(line) for line in lzma.decompress(PATH.read_bytes()).decode().splitlines()]
    return {line["row"]: (line["cases"], line["outcomes"]) for line in lines}


def rebuild(form: Form, line: Line) -> Iterator[tuple[SegmentedCase, SegmentedOutcome]]:
    """Yield (case, Bochs's outcome); ValueError when the cases are not those that were asked."""
    digest, packed = line
    cases = cases_of(form, len(packed))
    if _digest(cases) != digest:
        raise ValueError(
            f"{row_name(form)}: its cases have changed; run `python -m ringzero_tests.segmented_vectors`"
        )
    for wanted, answer in zip(cases, packed, strict=True):
        if wanted is not None and answer is not None:
            segments: dict[str, int] = answer[5]  # type: ignore[assignment]
            yield wanted, (absolute(wanted.case, unpack_outcome(answer[:5])), segments)


def segmented_difference(
    form: Form, wanted: SegmentedCase, judge: SegmentedOutcome, ours: SegmentedOutcome | None
) -> str | None:
    """Return where two outcomes of a case of this row part, or None."""
    if ours is None:
        return "ours does not end"
    found = difference(judge[0], ours[0], undefined_in(form, wanted.case, judge[0]))
    return found or (f"segments {judge[1]}, ours {ours[1]}" if judge[1] != ours[1] else None)


def _ask(judge: bochs.Bochs, cases: list[SegmentedCase]) -> tuple[bochs.Bochs, list[SegmentedOutcome | None]]:
    """Return who may be asked next, and the answers: None where Bochs, as a library, died of a shutdown."""
    try:
        return judge, judge.run_segmented(cases)
    except EOFError:
        judge = bochs.Bochs()
    if len(cases) == 1:
        return judge, [None]
    answers: list[SegmentedOutcome | None] = []
    for wanted in cases:
        judge, answer = _ask(judge, [wanted])
        answers += answer
    return judge, answers


def _line(form: Form, cases: list[SegmentedCase | None], answers: list[SegmentedOutcome | None]) -> str:
    waiting = iter(answers)
    outcomes: list[list[object] | None] = []
    for wanted in cases:
        answer = next(waiting) if wanted else None
        outcomes.append([*pack_outcome(wanted.case, answer[0]), answer[1]] if wanted and answer else None)
    line = {"row": row_name(form), "judge": "Bochs", "cases": _digest(cases), "outcomes": outcomes}
    return json.dumps(line, separators=(",", ":"))


def main() -> int:
    """Record all rows; return the exit status."""
    if reason := bochs.why_not():
        print(f"segmented_vectors: {reason}", file=sys.stderr)
        return 2
    judge, lines, total = bochs.Bochs(), [], 0
    for form in rows():
        cases = cases_of(form, CASES_A_ROW)
        judge, answers = _ask(judge, [wanted for wanted in cases if wanted])
        lines.append(_line(form, cases, answers))
        total += len(answers) - answers.count(None)
    judge.close()
    PATH.write_bytes(lzma.compress(("\n".join(sorted(lines)) + "\n").encode(), preset=9))
    print(f"recorded {len(lines)} rows, {total} cases, {PATH.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
