"""`ringzero explore`: every placement of interrupts within a bound, or the shortest schedule that breaks the kernel.

Statuses: 0 every experiment holds, 1 one is broken, 2 bad usage or input, 3 none is broken and one was not finished.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ringzero.cli.guest import COUNT, must_be_writable
from ringzero.cli.question import Question, parse_duration, question_options
from ringzero.cli.reporting import report_options, write_reports
from ringzero.files import write_atomic

if TYPE_CHECKING:
    from ringzero.cli.searching import Chances

BOUND = 2
DEPTH = 3
RUNS = 1000


@click.command()
@click.argument("image", metavar="IMAGE|NAME")
@question_options
@click.option(
    "--bound", type=click.IntRange(0, 64), default=BOUND, show_default=True, help="Preemptions, at most."
)
@click.option(
    "--time-budget", "--time", "budget", metavar="DURATION", help="Stop after so long: 30s, 10m, 1h30m."
)
@click.option("--jobs", type=COUNT, default=1, show_default=True, help="Processes that search at a time.")
@click.option("--scheduler", metavar="ADDRESS", default="", help="A Dask scheduler whose workers search.")
@click.option("--frontier", metavar="PATH", help="Go on from here, and keep here what was not finished.")
@click.option(
    "--random",
    "strategy",
    type=click.Choice(["pct"]),
    help="Not every schedule: some, by chance. See --depth.",
)
@click.option("--depth", type=click.IntRange(1, 64), help=f"Interrupts in each of these. [{DEPTH}]")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), help="The same seed is the same search. [0]")
@click.option("--runs", type=COUNT, metavar="N", help=f"How many of these. [{RUNS}]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@click.option("--log", type=click.Choice(["json"]), help="Tell what happens as events on standard error.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML, a case an experiment.")
@click.option("--github", is_flag=True, help="Print annotations that GitHub shows beside the code.")
@report_options
def explore(
    image: str,
    bound: int,
    budget: str | None,
    jobs: int,
    scheduler: str,
    frontier: str | None,
    strategy: str | None,
    depth: int | None,
    seed: int | None,
    runs: int | None,
    as_json: bool,
    log: str | None,
    junit: str | None,
    github: bool,
    report: str | None,
    source: tuple[str, ...],
    **asked: Any,
) -> int:
    """Play every schedule of interrupts over a window of IMAGE's run, and print the shortest that breaks it.

    IMAGE is an ELF file, explored between --from and --until; or the NAME of a kernel that comes as a package,
    explored by --stage, --bug or --all.
    """
    from ringzero.cli import findings
    from ringzero.cli.searching import Limits, display, keeping, session

    if junit is not None:
        must_be_writable(Path(junit))
    chance = by_chance(strategy, depth, seed, runs)
    if chance is not None and (jobs > 1 or scheduler or frontier):
        raise click.UsageError("--random plays here alone: without --jobs, --scheduler and --frontier")
    seconds = parse_duration(budget) if budget is not None else None
    started = time.monotonic()
    experiments = Question(image, **asked).experiments()
    limits = Limits(bound, seconds, jobs, scheduler, chance=chance, kept=keeping(frontier, len(experiments)))

    results = []
    with session(limits, display(sys.stderr, log), len(experiments)) as searches:
        for experiment in experiments:
            results.append(searches.search(experiment))
            if not as_json:
                print(*findings.result_lines(results[-1]), sep="\n", flush=True)
    seconds = time.monotonic() - started
    if junit is not None:
        write_atomic(junit, findings.as_junit(results, f"ringzero explore {image}"))
    if github:
        print(*findings.github_lines(results), sep="\n", file=sys.stderr if as_json else sys.stdout)
    print(
        findings.as_json(results, bound, seconds)
        if as_json
        else findings.verdict_line(results, seconds).rstrip("\n")
    )
    if report is not None:
        for line in write_reports(report, image, list(zip(experiments, results, strict=True)), source):
            print(line, file=sys.stderr if as_json else sys.stdout)
    return findings.overall(results).status


def by_chance(strategy: str | None, depth: int | None, seed: int | None, runs: int | None) -> Chances | None:
    """What --random and its options ask for; None without it. Raises UsageError for options that would be ignored."""
    from ringzero.cli.searching import Chances

    if strategy is not None:
        return Chances(depth or DEPTH, seed or 0, runs or RUNS)
    ignored = {"--depth": depth, "--seed": seed, "--runs": runs}
    for option, value in ignored.items():
        if value is not None:
            raise click.UsageError(f"{option} is for --random pct")
    return None
