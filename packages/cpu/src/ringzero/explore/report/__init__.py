"""The report: what people show each other of an answer. A page that needs no network, and a trace for Perfetto.

    page       what the page knows, as plain values, and the page around it (page.html, page.css, page.js)
    perfetto   the runs in the Trace Event format that ui.perfetto.dev opens

Rule of this room: a report is a function of the result and the timelines. It is written whole or not at all, and text
that comes from a guest is data in it, never markup.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringzero.errors import UsageError
from ringzero.explore.report.page import make_page
from ringzero.explore.report.perfetto import make_trace
from ringzero.explore.result import Result
from ringzero.explore.schedule import Schedule
from ringzero.explore.timeline import Timeline, record

if TYPE_CHECKING:
    from ringzero.explore.player import Player

__all__ = ["make_page", "make_trace", "report_result", "write_report"]


def report_result(
    directory: Path | str,
    player: Player,
    result: Result,
    sources: Sequence[Path | str] = (),
    otherwise: Schedule = (),
) -> Path:
    """Play a result's counterexample, and the same schedule without its last preemption, and write the report.

    Where there is no counterexample the run of the schedule `otherwise` is shown. Raises UsageError, as `write_report`
    does.
    """
    example = result.counterexample
    if example is None:
        return write_report(directory, result, None, record(player, otherwise), sources)
    failing = record(player, example.schedule)
    if not example.schedule:
        return write_report(directory, result, failing, None, sources)
    passing = record(player, example.schedule[:-1], around=example.schedule[-1].at)
    return write_report(directory, result, failing, passing, sources)


def write_report(
    directory: Path | str,
    result: Result,
    failing: Timeline | None,
    passing: Timeline | None,
    sources: Sequence[Path | str] = (),
) -> Path:
    """Write `index.html` and `trace.json` into a directory, which is made if need be; returns the page's path.

    failing: the counterexample's run, None where there is none; passing: one that goes well. sources: directories that
    the image's source files lie in; the lines around those that were executed become part of the page. Raises
    UsageError, one line, with nothing written: a full disk, a directory that cannot be written.
    """
    directory = Path(directory)
    files = {
        "index.html": make_page(result, failing, passing, [Path(source) for source in sources]),
        "trace.json": make_trace(result, failing, passing),
    }
    beside = directory.parent / f".{directory.name}.{os.getpid()}.part"
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            (beside / name).write_text(content, encoding="utf-8")
        _put(beside, directory, list(files))
    except OSError as error:
        raise UsageError(f"{directory}: the report cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return directory / "index.html"


def _put(beside: Path, directory: Path, names: list[str]) -> None:
    """Move what was written to its place; an earlier report there is replaced, a file each."""
    if not directory.exists():
        os.rename(beside, directory)
        return
    for name in names:
        os.replace(beside / name, directory / name)
