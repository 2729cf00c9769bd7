"""`--report DIR`: the page and the trace of what was found, for every command that finds something.

Rule of this room: verdicts are told first. A report that cannot be written is an error behind them, and takes nothing
back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ringzero.explore.experiment import Experiment
    from ringzero.explore.result import Result
    from ringzero.explore.schedule import Schedule

Command = Callable[..., int]


def report_options(command: Command) -> Command:
    """`--report` and `--source`; they arrive as `report` and `source`."""
    command = click.option(
        "--source", metavar="DIR", multiple=True, help="Where source files lie, for the report."
    )(command)
    return click.option("--report", metavar="DIR", help="Write a page to look at, and a trace for Perfetto.")(
        command
    )


def write_reports(
    directory: str,
    image: str,
    found: Sequence[tuple[Experiment, Result]],
    source: Sequence[str],
    otherwise: Schedule = (),
) -> Iterator[str]:
    """A report of every counterexample: in the directory, or in one of its own below; a line for each.

    What was asked alone has a report in any case, of the schedule `otherwise` if none breaks it. Raises UsageError
    where one cannot be written.
    """
    from ringzero.explore.player import Player
    from ringzero.explore.report import report_result

    alone = len(found) == 1
    wanted = [pair for pair in found if alone or pair[1].counterexample is not None]
    for experiment, result in wanted:
        place = Path(directory) if alone else Path(directory) / re.sub(r"[^\w.-]+", "-", result.name)
        page = report_result(place, Player(experiment), result, directories(image, source), otherwise)
        yield f"report: {page}"
    if not wanted:
        yield "report: nothing is broken, none was written"


def directories(image: str, source: Sequence[str]) -> list[Path]:
    """Where source files may lie: what the user says, and what a kernel's package says."""
    from ringzero.cli.question import guest

    named = [Path(name) for name in source]
    return named if os.path.exists(image) else [*named, *guest(image).source_directories]
