"""Mistakes in a source: found anywhere, collected here, reported all at once.

Whoever finds one raises `Mistake` with a message and a way out; the loop that walks the lines catches it, files it
under the line's `Location` and goes on with the next line. Only `Report.check` turns them into the exception that
the caller sees. Nothing in this package may let another exception of the source's making escape.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ringzero.errors import RingzeroError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ERRORS = 100
"""A source with more mistakes than this is probably not a source; the rest is only counted."""


MAX_TEXT = 120
"""Characters of a source line that a message repeats."""


class AssemblyError(RingzeroError):
    """A source that cannot be assembled. `errors` has a line a mistake: `file:line: text: message; way out`."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors))


class Mistake(Exception):
    """One mistake of the source, on its way to the report. `str()` is `message; way out`."""


class Fatal(Mistake):
    """A mistake after which nothing that follows makes sense (a bound exceeded, `%fatal`)."""


class Forward(Mistake):
    """A value that must be known where it is used, and is defined later: wrong in the first pass and for good."""


class UnknownName(Mistake):
    """A name that is not among the known ones. The nearest of those is looked for when the message is shown."""

    def __init__(self, what: str, name: str, known: Iterable[str], way: str) -> None:
        super().__init__(what)
        self.name, self.known, self.way = name, known, way

    def __str__(self) -> str:
        return f"{self.args[0]}{nearest(self.name, self.known)}; {self.way}"


@dataclass(slots=True, frozen=True)
class Location:
    """Where a line comes from: its own file, or the call that expanded to it (then `inner` names the body's line)."""

    file: str
    line: int
    text: str
    inner: str = ""

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        text = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
        return f"{self.file}:{self.line}: {text or '(end of file)'}" + (
            f" [{self.inner}]" if self.inner else ""
        )


class Report:
    """The mistakes of one run, in the order of files as they were met and of lines in them."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.dropped = 0
        self._files: dict[str, int] = {}
        self._errors: dict[str, tuple[int, int]] = {}

    @property
    def errors(self) -> list[str]:
        """The lines to show."""
        return sorted(self._errors, key=lambda line: self._errors[line])

    def opened(self, file: str) -> None:
        """Remember the order of files."""
        self._files.setdefault(file, len(self._files))

    def error(self, where: Location, what: object) -> None:
        """File one mistake; the same one at the same place (a later pass) is filed once."""
        if len(self._errors) >= MAX_ERRORS:
            self.dropped += 1
            return
        line = f"{where}: {what}"
        if line in self._errors:
            return
        self._errors[line] = (self._files.setdefault(where.file, len(self._files)), where.line)

    def warn(self, where: Location, what: object) -> None:
        """File a remark that does not stop the assembly (`%warning`)."""
        self.warnings.append(f"{where}: warning: {what}")

    def check(self) -> None:
        """Raise AssemblyError if anything was filed."""
        if self._errors:
            more = [f"and {self.dropped} more errors"] if self.dropped else []
            raise AssemblyError(self.errors + more)


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` for a name that is close to a known one, else nothing."""
    if len(name) > 64:
        return ""
    candidates = [k for k in known if k[:1] == name[:1] and abs(len(k) - len(name)) <= 2]
    close = get_close_matches(name, sorted(candidates), 1, 0.7)
    return f" (did you mean {close[0]}?)" if close else ""
