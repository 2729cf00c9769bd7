"""`python -m ringzero_tests.record`: ask this host's processor about every row, and keep its answers.

Run it on x86-64 Linux after adding rows or changing the generator; it replaces the whole set of user-mode vectors.
"""

from __future__ import annotations

import argparse
import sys

from ringzero.isa.form import Form
from ringzero.isa.table import FORMS
from ringzero_tests import silicon
from ringzero_tests.case import Case
from ringzero_tests.judged import why_not_silicon
from ringzero_tests.vectors import RowVectors, cases_of_row, digest_of, row_name, save

CASES_A_ROW = 100


def judged_rows() -> list[tuple[Form, int]]:
    """Return (row, bits) of everything that silicon judges, in the order of the table."""
    return [
        (form, bits)
        for form in FORMS
        for bits in (64, 32)
        if (form.mode64 if bits == 64 else form.mode32) and why_not_silicon(form, bits) is None
    ]


def record_row(judge: silicon.Silicon, form: Form, bits: int, cases: list[Case | None]) -> RowVectors:
    """Ask the judge about the cases of a row."""
    answers = iter(judge.run_many(case for case in cases if case is not None))
    outcomes = [None if case is None else next(answers) for case in cases]
    return RowVectors(row_name(form), bits, silicon.vendor(), digest_of(cases), outcomes)


def main(arguments: list[str] | None = None) -> int:
    """Record everything; print a line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.record", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES_A_ROW, help="cases a row (default %(default)s)")
    options = parser.parse_args(arguments)
    reason = silicon.why_not()
    if reason:
        print(f"record: {reason}", file=sys.stderr)
        return 2
    cases = {
        (row_name(form), bits): cases_of_row(form, bits, options.cases) for form, bits in judged_rows()
    }  # fmt: skip
    with silicon.Silicon() as judge:
        vectors = [
            record_row(judge, form, bits, cases[row_name(form), bits]) for form, bits in judged_rows()
        ]  # fmt: skip
    written = save(vectors, cases)
    print(f"recorded {len(vectors)} rows, {sum(map(len, cases.values()))} cases, {written} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
