"""`python -m ringzero_tests.record`: ask this host's processor about every row, and keep its answers.

Run it on x86-64 Linux after adding rows or changing the generator: whole vectors for the first cases of a row, digests
for the thousands behind them. `--missing` asks only about rows that are not kept yet.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from ringzero.isa.form import Form
from ringzero.isa.table import FORMS
from ringzero_tests import digests, silicon
from ringzero_tests.case import Case
from ringzero_tests.digests import RowDigests
from ringzero_tests.judged import why_not_silicon
from ringzero_tests.progress import Progress
from ringzero_tests.vectors import RowVectors, absolute, cases_of_row, digest_of, load, row_name, save

CASES_A_ROW, THOUSANDS = 100, 1


def judged_rows() -> list[tuple[Form, int]]:
    """Return (row, bits) of everything that silicon judges, in the order of the table."""
    return [
        (form, bits)
        for form in FORMS
        for bits in (64, 32, 16)
        if (form.mode64 if bits == 64 else form.mode32) and why_not_silicon(form, bits) is None
    ]


def record_row(judge: silicon.Silicon, form: Form, bits: int, cases: list[Case | None]) -> RowVectors:
    """Ask the judge about the cases of a row."""
    answers = iter(judge.run_many(case for case in cases if case is not None))
    outcomes = [None if case is None else next(answers) for case in cases]
    return RowVectors(row_name(form), bits, silicon.vendor(), digest_of(cases), outcomes)


def _as_asked(kept: RowVectors, cases: list[Case | None]) -> RowVectors:
    """Loaded vectors as the judge gave them, to be saved again."""
    pairs = zip(cases, kept.outcomes, strict=True)
    return replace(kept, outcomes=[case and outcome and absolute(case, outcome) for case, outcome in pairs])


def digest_row(judge: silicon.Silicon, form: Form, bits: int, thousands: int) -> RowDigests:
    """Ask the judge about a row's thousands."""
    pairs = []
    for number in range(thousands):
        asked, cases = digests.thousand(form, bits, number)
        pairs.append((asked, digests.outcomes_digest(form, cases, judge.run_many(cases))))
    return RowDigests(row_name(form), bits, silicon.vendor(), tuple(pairs))


def main(arguments: list[str] | None = None) -> int:
    """Record everything; print a line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.record", description=__doc__)
    parser.add_argument(
        "--cases", type=int, default=CASES_A_ROW, help="whole cases a row (default %(default)s)"
    )
    parser.add_argument(
        "--thousands", type=int, default=THOUSANDS, help="digests a row (default %(default)s)"
    )
    parser.add_argument(
        "--missing", action="store_true", help="only rows of which nothing is kept, or not enough"
    )
    options = parser.parse_args(arguments)
    reason = silicon.why_not()
    if reason is None and 16 not in silicon.code_widths():
        reason = "this host's kernel gives a process no 16-bit code segment (modify_ldt), and such code is recorded too"
    if reason:
        print(f"record: {reason}", file=sys.stderr)
        return 2
    kept, hashed = (load(), digests.load()) if options.missing else ({}, {})
    cases, vectors, thousands = {}, [], []
    rows = judged_rows()
    progress = Progress("record", len(rows))
    with silicon.Silicon() as judge:
        for form, bits in rows:
            key = row_name(form), bits
            cases[key] = cases_of_row(form, bits, options.cases)
            old, known = kept.get(key), hashed.get(key)
            whole = old and old.digest == digest_of(cases[key])
            vectors.append(
                _as_asked(old, cases[key]) if old and whole else record_row(judge, form, bits, cases[key])
            )
            enough = known and whole and len(known.thousands) >= options.thousands
            thousands.append(known if known and enough else digest_row(judge, form, bits, options.thousands))
            progress.add(1, key[0])
    progress.close()
    written = save(vectors, cases) + digests.save(thousands)
    print(f"recorded {len(vectors)} rows: {sum(map(len, cases.values()))} whole cases, "
          f"{sum(len(row.thousands) for row in thousands)} thousands, {written} bytes")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
