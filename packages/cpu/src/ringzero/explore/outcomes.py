"""Every way in which an experiment can end within a bound: what a proof that two kernels behave alike compares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ringzero.errors import UsageError
from ringzero.explore.expand import Rules
from ringzero.explore.experiment import Experiment
from ringzero.explore.player import Player
from ringzero.explore.result import Trial
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


def outcomes(
    experiment: Experiment, bound: int, symbols: Iterable[tuple[str, int]] = (), rules: Rules | None = None
) -> frozenset[Outcome]:
    """All ends of all schedules up to a bound. Raises UsageError where the search comes to no end."""
    found: set[Outcome] = set()
    wanted = tuple(symbols)

    def ended(player: Player, trial: Trial) -> None:
        found.add(outcome(player, trial, wanted))

    searching = Search(experiment, bound, rules or Rules(), on_end=ended, every_failure=True)
    searching.run()
    if searching.frontier.depth < bound:
        raise UsageError(f"{experiment.name}: the search did not reach bound {bound}")
    return frozenset(found)
