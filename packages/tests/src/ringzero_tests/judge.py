"""`python -m ringzero_tests.judge`: hold an engine to silicon, row by row, and print every row that differs.

The room's rule: this is a tool for people; the tests in rows/ use the same functions. `--total 10000000` spreads that
many cases over the rows, a thousand at a time.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ringzero.isa.form import Form
from ringzero_tests import engines, silicon
from ringzero_tests.case import Case, Outcome
from ringzero_tests.compare import describe, difference
from ringzero_tests.digests import CHUNK, undefined_in
from ringzero_tests.progress import Progress
from ringzero_tests.record import judged_rows
from ringzero_tests.vectors import cases_of_row


@dataclass
class Tally:
    """What a run has counted: cases judged, those left out where vendors differ, and kinds of disagreement."""

    cases: int = 0
    left_out: int = 0
    undefined: int = 0
    wrong: int = 0


def wrong_cases(
    form: Form, cases: list[Case], answers: list[Outcome], runner: engines.EngineRunner
) -> Iterator[tuple[Case, str]]:
    """Yield (case, what differs) for each case where the engine parts with the judge."""
    return wrong_among(form, zip(cases, answers, strict=True), runner)


def wrong_among(
    form: Form,
    judged: Iterable[tuple[Case, Outcome]],
    runner: engines.EngineRunner,
    tally: Tally | None = None,
) -> Iterator[tuple[Case, str]]:
    """Yield (case, what differs) among pairs of a case and the judge's answer; `tally` counts what is explained."""
    for case, answer in judged:
        try:
            ours = runner.run(case)
        except Exception:
            yield case, f"raised {traceback.format_exc(limit=-2).strip().splitlines()[-1]}"
            continue
        if difference(answer, ours) is None:
            continue
        found = difference(answer, ours, undefined_in(form, case, answer))
        if found:
            yield case, found
        elif tally:
            tally.undefined += 1


def _judge_row(
    form: Form, bits: int, seeds: range, judge: silicon.Silicon, runner: engines.EngineRunner, tally: Tally
) -> Iterator[tuple[Case, str]]:
    """Judge the cases of some seeds of a row, a thousand at a time."""
    for first in range(seeds.start, seeds.stop, CHUNK):
        count = min(CHUNK, seeds.stop - first)
        drawn = cases_of_row(form, bits, count, first)
        cases = [case for case in drawn if case is not None]
        tally.cases += len(cases)
        tally.left_out += count - len(cases)
        yield from wrong_among(form, zip(cases, judge.run_many(cases), strict=True), runner, tally)


def _chosen(options: argparse.Namespace) -> list[tuple[Form, int]]:
    """The rows asked for, but for those that this host does not have."""
    return [
        (form, bits)
        for form, bits in judged_rows()
        if (not options.mnemonics or form.mnemonic in options.mnemonics) and options.bits in (None, bits)
        if bits in silicon.code_widths() and silicon.has(form.feature)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.judge", description=__doc__)
    parser.add_argument("mnemonics", nargs="*", help="only these")
    parser.add_argument("--engine", default="python", choices=engines.ENGINES)
    parser.add_argument("--cases", type=int, default=32, help="cases a row (default %(default)s)")
    parser.add_argument("--total", type=int, help="cases in all, spread over the rows; in place of --cases")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--bits", type=int, choices=(16, 32, 64))
    parser.add_argument("--show", type=int, default=2, help="cases to show of a row that differs")
    parser.add_argument("-v", action="store_true", help="whole cases")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Judge; return 1 when a row differs, 2 when there is no judge."""
    options = _parser().parse_args(arguments)
    reason = silicon.why_not() or engines.missing(options.engine)
    if reason:
        print(f"judge: {reason}", file=sys.stderr)
        return 2
    rows, started, tally, failing = _chosen(options), time.monotonic(), Tally(), 0
    count = -(-options.total // max(len(rows), 1)) if options.total else options.cases
    seeds = range(options.first, options.first + count)
    runner, progress = engines.EngineRunner(options.engine), Progress(options.engine, count * len(rows))
    with silicon.Silicon() as judge:
        for form, bits in rows:
            wrong = list(_judge_row(form, bits, seeds, judge, runner, tally))
            tally.wrong, failing = tally.wrong + len(wrong), failing + bool(wrong)
            if wrong:
                print(f"{bits} {form}: {len(wrong)} of {count}")
            for case, found in wrong[: options.show]:
                print(f"    {describe(case) if options.v else case.code.hex(' ')}: {found}", flush=True)
            progress.add(count, f"{tally.wrong} wrong")
    progress.close()
    print(f"{options.engine} against {silicon.vendor()}: {failing} of {len(rows)} rows differ; {tally.cases} cases "
          f"(seeds {seeds.start} to {seeds.stop - 1}), {tally.left_out} left out (vendors differ, or nothing encodes), "
          f"{tally.undefined} differ only in what is undefined, {tally.wrong} unexplained; "
          f"{time.monotonic() - started:.0f} s")  # fmt: skip
    return int(failing > 0)


if __name__ == "__main__":
    sys.exit(main())
