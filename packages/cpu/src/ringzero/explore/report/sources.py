"""The lines of source that a page shows: those that were executed, and a few around them.

Rule of this room: an image names its files, and nobody knows who made the image. A file is read only if it lies in one
of the directories that the caller gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ringzero.explore.timeline import Timeline
from ringzero.files import read_bounded

CONTEXT = 4  # lines before and behind
MAX_SOURCE = 4 << 20


def source_lines(runs: Iterable[Timeline], directories: Sequence[Path]) -> dict[str, dict[int, str]]:
    """By file and line number, the text of the lines around those that the runs executed."""
    executed: dict[str, set[int]] = {}
    for run in runs:
        for stretch in run.stretches:
            if stretch.line:
                executed.setdefault(stretch.file, set()).add(stretch.line)
    found = {}
    for file, lines in sorted(executed.items()):
        text = read_source(file, directories)
        if text is not None:
            found[file] = around(text, lines)
    return found


def around(text: list[str], lines: set[int]) -> dict[int, str]:
    """The lines near some lines, by number from 1."""
    wanted = {near for line in lines for near in range(line - CONTEXT, line + CONTEXT + 1)}
    return {number: text[number - 1] for number in sorted(wanted) if 0 < number <= len(text)}


def read_source(file: str, directories: Sequence[Path]) -> list[str] | None:
    """The lines of a file that lies in one of the directories; None where it does not, or cannot be read."""
    for directory in directories:
        home = directory.resolve()
        path = (home / file).resolve()
        if not path.is_relative_to(home) or not path.is_file():
            continue
        try:
            return read_bounded(path, MAX_SOURCE).decode("utf-8", "replace").expandtabs(8).splitlines()
        except OSError:
            continue
    return None
