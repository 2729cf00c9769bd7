"""`ringzero museum`: every bug of the list is put back, alone, and must be found as the list says; then the kernel
without it must hold under the same search.

Rule of this room: a row is found when the oracle is one of the list's, with as few preemptions as the list says, and
the sound kernel holds. A bug that is none must have the same outcomes as the sound kernel.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringzero.cli.guest import must_be_writable
from ringzero.explore.outcomes import all_outcomes
from ringzero.explore.result import Kind, Verdict
from ringzero.files import write_atomic
from ringzero_kernel.bugs import BUGS, Bug
from ringzero_kernel.bugs import bug as find_bug
from ringzero_kernel.explore import sources, stage_experiment
from ringzero_kernel.rates import Rates, rates

if TYPE_CHECKING:
    from ringzero.cli.searching import Session
    from ringzero.explore.result import Result


VERSION = 1
WIDTH = 160  # of the table, where there is no terminal
MOST = 2  # preemptions, where the list does not say how many


@dataclass(frozen=True)
class Exhibit:
    """One bug's row. `result`: with the bug; `sound`: without; for a bug of frequency `rates` are both. `why`: what is
    not as the list says, or "". `schedules` were played. Not `finished`: time was out."""

    bug: Bug
    why: str
    oracle: str
    preemptions: int | None
    schedules: int
    finished: bool = True
    seconds: float = 0.0
    rates: Rates | None = None
    result: Result | None = None
    sound: Result | None = None

    @property
    def found(self) -> bool:
        """As the list says."""
        return self.finished and not self.why

    @property
    def verdict(self) -> str:
        """As the table has it."""
        if not self.finished:
            return "not finished"
        if not self.found:
            return "not found"
        return "equal outcomes" if self.bug.equal else "found"

    @property
    def told(self) -> str:
        """What it is, what was measured, and what is not as it should be."""
        more = self.why or (str(self.rates) if self.rates and self.finished else "")
        return f"{self.bug.title} ({more})" if more else self.bug.title


def walk_through(
    bugs: tuple[str, ...], budget: str | None, jobs: int, scheduler: str, as_json: bool, junit: str | None
) -> int:
    """The command, with its options; its exit status."""
    from ringzero.cli.question import parse_duration
    from ringzero.cli.searching import Limits, display, session

    chosen = [find_bug(name) for name in bugs] or list(BUGS.values())
    if junit is not None:
        must_be_writable(Path(junit))
    limits = Limits(MOST, parse_duration(budget) if budget else None, jobs, scheduler, told=False)
    started = time.monotonic()
    with session(limits, display(sys.stderr), len(chosen)) as searches:
        walk = Walk(searches)
        rows = [walk.exhibit(bug) for bug in chosen]
    seconds = time.monotonic() - started
    if junit is not None:
        write_atomic(junit, as_junit(rows))
    if as_json:
        print(json.dumps(as_object(rows, seconds), indent=2, ensure_ascii=False))
    else:
        show(rows, seconds)
    return status(rows)


def status(rows: Sequence[Exhibit]) -> int:
    """0 when all is as the list says, 1 when something is not, else 3: time was out."""
    if any(row.finished and not row.found for row in rows):
        return Verdict.BROKEN.status
    return Verdict.HOLDS.status if all(row.found for row in rows) else Verdict.UNFINISHED.status


@dataclass
class Walk:
    """A walk through the museum. What is asked of the sound kernel twice is searched once."""

    searches: Session
    holds: dict[tuple[str, tuple[int, ...], int], Result] = field(default_factory=dict)

    def exhibit(self, bug: Bug) -> Exhibit:
        """One bug's row."""
        started = time.monotonic()
        if self.searches.stop():
            row = Exhibit(bug, "", "", None, 0, finished=False)
        elif bug.equal:
            row = self._equal(bug)
        else:
            row = self._of_rate(bug) if bug.periods else self._of_place(bug, bug.preemptions or 0)
        return replace(row, seconds=round(time.monotonic() - started, 3))

    def _of_rate(self, bug: Bug) -> Exhibit:
        """Sweep the timer's period."""
        found = rates(bug, self.searches.stop)
        runs, kind = found.bug.runs + found.sound.runs, Kind.LIVELOCK.value if found.bug.longest else ""
        finished = not self.searches.stop()
        return Exhibit(bug, found.why if finished else "", kind, None, runs, finished, rates=found)

    def _of_place(self, bug: Bug, bound: int) -> Exhibit:
        """Search with the bug, then without it as far."""
        result = self.searches.search(stage_experiment(bug.scenario, bug.id), bound)
        sound = self._sound(bug, bound)
        example = result.counterexample
        return Exhibit(
            bug,
            wrong(bug, result, sound),
            example.failure.kind.value if example else "",
            len(example.schedule) if example else None,
            result.counts.run + sound.counts.run,
            Verdict.UNFINISHED not in (result.verdict, sound.verdict),
            result=result,
            sound=sound,
        )

    def _sound(self, bug: Bug, bound: int) -> Result:
        """The kernel without the bug, under the same search."""
        asked = bug.scenario, bug.lines, bound
        if asked not in self.holds:
            experiment = replace(stage_experiment(bug.scenario), sources=sources(bug.id))
            self.holds[asked] = self.searches.search(experiment, bound)
        return self.holds[asked]

    def _equal(self, bug: Bug) -> Exhibit:
        """All outcomes with and without."""
        sound = replace(stage_experiment(bug.scenario), sources=sources(bug.id))
        with_it = all_outcomes(stage_experiment(bug.scenario, bug.id), MOST, stop=self.searches.stop)
        without = all_outcomes(sound, MOST, stop=self.searches.stop)
        differ = len(with_it.ends ^ without.ends)
        finished = with_it.finished and without.finished
        why = f"{differ} outcomes differ" if differ and finished else ""
        return Exhibit(bug, why, "", None, with_it.counts.run + without.counts.run, finished)


def wrong(bug: Bug, result: Result, sound: Result) -> str:
    """What is not as the list says; "" when all is."""
    example = result.counterexample
    if Verdict.UNFINISHED in (result.verdict, sound.verdict):
        return ""
    if example is None:
        return f"nothing found up to bound {result.bound}"
    kind, count = example.failure.kind.value, len(example.schedule)
    if kind not in bug.oracle:
        return f"told by {kind}, not by {' or '.join(bug.oracle)}: {example.failure.message}"
    if bug.preemptions is not None and count != bug.preemptions:
        return f"{count} preemptions, not {bug.preemptions}"
    if sound.verdict is not Verdict.HOLDS:
        return f"the kernel without it does not hold: {sound.verdict.value}"
    return ""


# What it looks like


def show(rows: Sequence[Exhibit], seconds: float) -> None:
    """A table, and a line over all."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("bug", "verdict", "oracle", "preemptions", "schedules", "seconds", "what it is", box=None)
    for row in rows:
        count = "" if row.preemptions is None else str(row.preemptions)
        table.add_row(
            row.bug.id,
            row.verdict,
            row.oracle,
            count,
            f"{row.schedules:,}",
            f"{row.seconds:.2f}",
            Text(row.told),
        )
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    print(summary(rows, seconds))


def summary(rows: Sequence[Exhibit], seconds: float) -> str:
    """The last line."""
    found = sum(row.found for row in rows)
    schedules = sum(row.schedules for row in rows)
    return f"{found} of {len(rows)} as the list says; {schedules:,} schedules in {seconds:.1f} s"


def as_object(rows: Sequence[Exhibit], seconds: float) -> dict[str, Any]:
    """What `--json` prints; docs/explore.md promises these names."""
    return {
        "version": VERSION,
        "found": all(row.found for row in rows),
        "seconds": round(seconds, 3),
        "totals": {
            "bugs": len(rows),
            "found": sum(row.found for row in rows),
            "not_finished": sum(not row.finished for row in rows),
            "schedules": sum(row.schedules for row in rows),
        },
        "bugs": [
            {
                "id": row.bug.id,
                "title": row.bug.title,
                "verdict": row.verdict,
                "why": row.why,
                "oracle": row.oracle,
                "preemptions": row.preemptions,
                "expected": row.bug.preemptions,
                "schedules": row.schedules,
                "seconds": row.seconds,
                "rates": row.rates.to_json() if row.rates else None,
                "result": row.result.to_json() if row.result else None,
                "sound": row.sound.to_json() if row.sound else None,
            }
            for row in rows
        ],
    }


def as_junit(rows: Sequence[Exhibit]) -> str:
    """A case a bug: a failure where it is not found as the list says, an error where that was not finished."""
    from ringzero.cli.findings import junit

    kinds = {"not found": "failure", "not finished": "error", "found": "", "equal outcomes": ""}

    return junit(
        "ringzero museum",
        [(row.bug.id, row.seconds, kinds[row.verdict], row.why or row.verdict, "") for row in rows],
    )
