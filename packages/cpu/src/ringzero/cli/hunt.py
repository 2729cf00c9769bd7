"""`ringzero hunt`: no window is known. Interrupts by chance over the whole run, until one run breaks; then made small.

Statuses: 1 broken, 2 bad usage or input, 3 not finished. There is no 0: what chance has not found may still be there.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from ringzero.cli.guest import must_be_writable
from ringzero.cli.question import Question, parse_duration, question_options
from ringzero.cli.reporting import report_options, write_reports
from ringzero.files import write_atomic

SEED = click.IntRange(0, (1 << 64) - 1)
TIME = "1m"


@click.command()
@click.argument("image", metavar="IMAGE|NAME")
@question_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="The same seed is the same hunt.")
@click.option("--runs", type=click.IntRange(min=0), default=0, metavar="N", help="Stop after so many runs.")
@click.option(
    "--time", "--time-budget", "budget", metavar="DURATION", default=TIME, show_default=True, help="Stop after so long."
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML.")
@click.option("--github", is_flag=True, help="Print annotations that GitHub shows beside the code.")
@report_options
def hunt(
    image: str,
    seed: int,
    runs: int,
    budget: str,
    as_json: bool,
    junit: str | None,
    github: bool,
    report: str | None,
    source: tuple[str, ...],
    **asked: Any,
) -> int:
    """Play IMAGE's whole run again and again, with interrupts by chance, until one run breaks.

    The run begins at power-on, or at --from, and ends at --until, when --until-serial was sent, or with the guest's
    exit. What is found is made small and explained as `ringzero explore` does.
    """
    from ringzero.cli import findings
    from ringzero.cli.searching import Limits, display, session

    if junit is not None:
        must_be_writable(Path(junit))
    seconds, started = parse_duration(budget), time.monotonic()
    question = Question(image, **asked)
    experiments = question.whole_runs()
    ends = not os.path.exists(image) or bool(question.until or question.until_serial)
    results = []
    with session(Limits(0, seconds), display(sys.stderr), len(experiments)) as searches:
        for experiment in experiments:
            results.append(searches.hunt(experiment, seed, runs, ends))
            if not as_json:
                print(*findings.result_lines(results[-1]), sep="\n", flush=True)
    seconds = time.monotonic() - started
    if junit is not None:
        write_atomic(junit, findings.as_junit(results, f"ringzero hunt {image}"))
    if github:
        print(*findings.github_lines(results), sep="\n", file=sys.stderr if as_json else sys.stdout)
    print(
        findings.as_json(results, 0, seconds)
        if as_json
        else findings.verdict_line(results, seconds).rstrip("\n")
    )
    if report is not None:
        for line in write_reports(report, image, list(zip(experiments, results, strict=True)), source):
            print(line, file=sys.stderr if as_json else sys.stdout)
    return findings.overall(results).status
