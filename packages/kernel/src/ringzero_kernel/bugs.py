"""The bugs that a build can put back, as bugs.toml lists them.

Rule of this room: a bug is data here; its code stands in the kernel's sources, between `%ifdef BUG_…` and `%endif`,
right beside the code that does without it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringzero.errors import UsageError

LIST = Path(__file__).parent / "bugs.toml"


@dataclass(frozen=True)
class Bug:
    """One bug: what it is, where it shows, and what was measured.

    `scenario` is the name of a stage; `lines` are the interrupt lines whose placement brings it out; `oracle` are the
    kinds of verdict that may tell it. `preemptions` is the fewest that do, None for a bug of frequency rather than of
    place, which has a range of `periods` of the timer to sweep, in steps, and for one that is none (`equal`): its
    outcomes are those of the kernel without it.
    """

    id: str
    title: str
    shows: str
    scenario: str
    oracle: tuple[str, ...]
    lines: tuple[int, ...] = (0,)
    preemptions: int | None = None
    periods: tuple[int, int] | None = None
    why: str = ""
    equal: bool = False

    @property
    def define(self) -> str:
        """The name that the assembler is given: `BUG_B9A` for B9a."""
        return f"BUG_{self.id.upper()}"


def read_bugs(path: Path = LIST) -> dict[str, Bug]:
    """The list, by id, in its order."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["bugs"]
    return {row["id"]: Bug(**{key: frozen(value) for key, value in row.items()}) for row in rows}


def frozen(value: Any) -> Any:
    """A list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


BUGS = read_bugs()


def bug(name: str) -> Bug:
    """Look one up; UsageError names those there are."""
    if name not in BUGS:
        raise UsageError(f"no bug {name!r}; there are {', '.join(BUGS)}")
    return BUGS[name]
