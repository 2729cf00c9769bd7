"""`ringzero sweep`: how often may the timer tick? The longest period at which a guest livelocks, proved.

Statuses: 0 none does, 1 one does, 2 bad usage or input, 3 not decided: out of time, or neither a proof nor an end.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ringzero.cli.guest import interruption
from ringzero.cli.question import Question, parse_duration, question_options
from ringzero.errors import UsageError

if TYPE_CHECKING:
    from ringzero.explore.rates import Sweep

RANGE = "20:2000"
LONGEST = 1 << 30  # steps


@click.command()
@click.argument("image", metavar="IMAGE|NAME")
@question_options
@click.option(
    "--periods", metavar="LOW:HIGH", default=RANGE, show_default=True, help="Of the timer, in steps."
)
@click.option("--time", "--time-budget", "budget", metavar="DURATION", help="Stop after so long.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def sweep(image: str, periods: str, budget: str | None, as_json: bool, **asked: Any) -> int:
    """Tick every so many steps of IMAGE's window, and tell which periods livelock.

    A period livelocks when the guest comes back to a state that it had, at a tick, before the window's end. Say the
    window as for `ringzero explore`, with --until.
    """
    from ringzero.explore.player import Player
    from ringzero.explore.rates import Metronome

    first, last = parse_periods(periods)
    seconds = None if budget is None else parse_duration(budget)
    end = None if seconds is None else time.monotonic() + seconds
    found: dict[str, Sweep] = {}
    with interruption() as interrupted:
        stop = lambda: interrupted() or (end is not None and time.monotonic() >= end)  # noqa: E731
        for experiment in Question(image, **asked).experiments():
            if experiment.until is None:
                raise click.UsageError("name the symbol that the guest must come to, with --until")
            found[experiment.name] = Metronome(Player(experiment), stop).sweep(first, last)
            if not as_json:
                print(*lines(experiment.name, found[experiment.name]), sep="\n", flush=True)
    status = max(map(status_of, found.values()), key=(0, 3, 1).index, default=0)
    if as_json:
        json.dump(
            {"status": status, "sweeps": {name: vars(one) for name, one in found.items()}},
            sys.stdout,
            indent=2,
        )
        print()
    return status


def status_of(found: Sweep) -> int:
    """One sweep's exit status."""
    if found.longest:
        return 1
    return 3 if found.others else 0


def lines(name: str, found: Sweep) -> list[str]:
    """One sweep, for people."""
    how = "each was tried" if found.each else "the range was halved"
    told = [f"{name}: {found}; periods {found.first} to {found.last}, {how}, {found.runs:,} runs"]
    if found.others:
        told.append(
            f"    not decided: {', '.join(map(str, found.others[:8]))}{', …' if found.others[8:] else ''}"
        )
    return told


def parse_periods(text: str) -> tuple[int, int]:
    """`20:2000`: the first and the last period. Raises UsageError."""
    parts = re.fullmatch(r"([1-9]\d{0,9}):([1-9]\d{0,9})", text)
    if parts is None or not int(parts[1]) <= int(parts[2]) <= LONGEST:
        raise UsageError(f"--periods {text!r} is no range of periods; write LOW:HIGH in steps, as {RANGE}")
    return int(parts[1]), int(parts[2])
