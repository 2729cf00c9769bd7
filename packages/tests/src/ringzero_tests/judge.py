"""`python -m ringzero_tests.judge`: hold an engine to silicon, row by row, and print every row that differs.

The room's rule: this is a tool for people; the tests in rows/ use the same functions.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterable, Iterator

from ringzero.isa import record as R
from ringzero.isa.decode import decode
from ringzero.isa.form import Form
from ringzero_tests import engines, silicon
from ringzero_tests.case import Case, Outcome
from ringzero_tests.compare import describe, difference
from ringzero_tests.record import judged_rows
from ringzero_tests.undefined import Undefined, undefined_for
from ringzero_tests.vectors import cases_of_row


def undefined_in(form: Form, case: Case, judge: Outcome) -> Undefined:
    """Return what the case leaves undefined; nothing when its bytes do not decode (it faults)."""
    decoded = decode(case.code, case.bits, limit=1)
    if not decoded or decoded[0][R.FORM] != form.number:
        return Undefined()
    return undefined_for(form, decoded[0], case, judge)


def wrong_cases(
    form: Form, cases: list[Case], answers: list[Outcome], runner: engines.EngineRunner
) -> Iterator[tuple[Case, str]]:
    """Yield (case, what differs) for each case where the engine parts with the judge."""
    return wrong_among(form, zip(cases, answers, strict=True), runner)


def wrong_among(
    form: Form, judged: Iterable[tuple[Case, Outcome]], runner: engines.EngineRunner
) -> Iterator[tuple[Case, str]]:
    """Yield (case, what differs) among pairs of a case and the judge's answer."""
    for case, answer in judged:
        try:
            ours = runner.run(case)
        except Exception:
            yield case, f"raised {traceback.format_exc(limit=-2).strip().splitlines()[-1]}"
            continue
        found = difference(answer, ours, undefined_in(form, case, answer))
        if found:
            yield case, found


def main(arguments: list[str] | None = None) -> int:
    """Judge; return 1 when a row differs."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.judge", description=__doc__)
    parser.add_argument("mnemonics", nargs="*", help="only these")
    parser.add_argument("--engine", default="python", choices=engines.ENGINES)
    parser.add_argument("--cases", type=int, default=32, help="cases a row (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--bits", type=int, choices=(32, 64))
    parser.add_argument("--show", type=int, default=2, help="cases to show of a row that differs")
    parser.add_argument("-v", action="store_true", help="whole cases")
    options = parser.parse_args(arguments)
    started, total, rows, failing = time.monotonic(), 0, 0, 0
    runner = engines.EngineRunner(options.engine)
    with silicon.Silicon() as judge:
        for form, bits in judged_rows():
            if (options.mnemonics and form.mnemonic not in options.mnemonics) or options.bits not in (
                None,
                bits,
            ):
                continue
            cases = [case for case in cases_of_row(form, bits, options.cases, options.first) if case]
            wrong = list(wrong_cases(form, cases, judge.run_many(cases), runner))
            total, rows, failing = total + len(cases), rows + 1, failing + bool(wrong)
            if wrong:
                print(f"{bits} {form}: {len(wrong)} of {len(cases)}")
            for case, found in wrong[: options.show]:
                print(f"    {describe(case) if options.v else case.code.hex(' ')}: {found}", flush=True)
    seconds = time.monotonic() - started
    print(f"{options.engine}: {failing} of {rows} rows differ, {total} cases, {seconds:.1f} s")
    return int(failing > 0)


if __name__ == "__main__":
    sys.exit(main())
