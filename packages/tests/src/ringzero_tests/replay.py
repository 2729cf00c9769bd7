"""`python -m ringzero_tests.replay`: hold an engine to the recorded digests of what silicon said, on any host."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from ringzero.isa.form import Form
from ringzero.isa.table import FORMS
from ringzero_tests import digests, engines
from ringzero_tests.progress import Progress
from ringzero_tests.vectors import row_name


def recorded(mnemonics: list[str]) -> list[tuple[Form, digests.RowDigests]]:
    """Return the recorded rows that the table still has, of some mnemonics or of all."""
    rows = {row_name(form): form for form in FORMS}
    found = [(rows[kept.row], kept) for kept in digests.load().values() if kept.row in rows]
    return [(form, kept) for form, kept in found if not mnemonics or form.mnemonic in mnemonics]


def differences(
    form: Form, kept: digests.RowDigests, runner: engines.EngineRunner, most: int
) -> Iterator[str]:
    """Yield a line for each of the first `most` thousands of a row that the engine answers otherwise."""
    for number, (asked, answered) in enumerate(kept.thousands[:most]):
        name, first = f"{kept.bits} {form}", digests.FIRST_SEED + number * digests.CHUNK
        drawn, cases = digests.thousand(form, kept.bits, number)
        if drawn != asked:
            yield f"{name}: its cases have changed; run `python -m ringzero_tests.record` on x86-64 Linux"
        elif digests.outcomes_digest(form, cases, map(runner.run, cases)) != answered:
            way = f"python -m ringzero_tests.judge {form.mnemonic} --first {first} --cases {digests.CHUNK}"
            yield f"{name}: seeds {first} to {first + digests.CHUNK - 1} differ from {kept.judge}; see `{way}`"


def main(arguments: list[str] | None = None) -> int:
    """Replay; return 1 when a digest differs."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.replay", description=__doc__)
    parser.add_argument("mnemonics", nargs="*", help="only these")
    parser.add_argument("--engine", default="native", choices=engines.ENGINES)
    parser.add_argument(
        "--thousands", type=int, default=1 << 30, help="the first N of each row (default: all)"
    )
    options = parser.parse_args(arguments)
    if reason := engines.missing(options.engine):
        print(f"replay: {reason}", file=sys.stderr)
        return 2
    runner, rows, wrong = engines.EngineRunner(options.engine), recorded(options.mnemonics), 0
    thousands = sum(len(kept.thousands[: options.thousands]) for _, kept in rows)
    progress = Progress(f"replay on {options.engine}", thousands)
    for form, kept in rows:
        for line in differences(form, kept, runner, options.thousands):
            print(line)
            wrong += 1
        progress.add(len(kept.thousands[: options.thousands]))
    progress.close()
    print(f"{options.engine}: {thousands} thousands of {len(rows)} rows replayed, {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
