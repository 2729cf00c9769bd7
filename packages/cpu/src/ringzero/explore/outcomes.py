"""Every way in which an experiment can end within a bound: what a proof that two kernels behave alike compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ringzero.errors import UsageError
from ringzero.explore.experiment import Experiment
from ringzero.explore.nodes import Rules
from ringzero.explore.player import Player
from ringzero.explore.result import Counts, Trial
from ringzero.explore.search import Search


class Outcome(NamedTuple):
    """One end: what was wrong ("" for nothing), the serial bytes of the window, the values of the symbols asked for."""

    failure: str
    serial: bytes
    values: tuple[bytes, ...]


def outcome(player: Player, trial: Trial, symbols: Iterable[tuple[str, int]] = ()) -> Outcome:
    """The end at which a player stands. `symbols`: names, with their sizes in bytes."""
    kind = trial.failure.kind.value if trial.failure else ""
    return Outcome(kind, trial.serial, tuple(player.look.read(name, size) for name, size in symbols))


@dataclass(frozen=True)
class Outcomes:
    """All ends that a search came to, what it took, and whether it came to its bound."""

    ends: frozenset[Outcome]
    counts: Counts
    finished: bool


def all_outcomes(
    experiment: Experiment,
    bound: int,
    symbols: Iterable[tuple[str, int]] = (),
    rules: Rules | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcomes:
    """The ends of all schedules up to a bound, or of those that were played when told to stop."""
    found: set[Outcome] = set()
    wanted = tuple(symbols)

    def ended(player: Player, trial: Trial) -> None:
        found.add(outcome(player, trial, wanted))

    searching = Search(experiment, bound, rules or Rules(), on_end=ended, every_failure=True, stop=stop)
    searching.run()
    return Outcomes(frozenset(found), searching.frontier.counts, searching.frontier.depth >= bound)


def outcomes(
    experiment: Experiment, bound: int, symbols: Iterable[tuple[str, int]] = (), rules: Rules | None = None
) -> frozenset[Outcome]:
    """All ends of all schedules up to a bound. Raises UsageError where the search comes to no end."""
    found = all_outcomes(experiment, bound, symbols, rules)
    if not found.finished:
        raise UsageError(f"{experiment.name}: the search did not reach bound {bound}")
    return found.ends
