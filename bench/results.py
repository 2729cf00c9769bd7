"""Reads pytest-benchmark's JSON as this project writes it.

Benchmarks of one group measure the same work. Each says in `extra_info` who ran it (`who`), how many units of work one
round is (`work`), of what (`unit`), and how many seconds of a round are not that work (`start`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """One benchmark: seconds of a round as median and interquartile range, `start` taken off the first."""

    name: str
    group: str
    who: str
    work: float
    unit: str
    median: float
    quartiles: float
    rounds: int
    facts: dict[str, Any]

    @property
    def rate(self) -> float:
        """Units of work a second, at the median."""
        return self.work / self.median

    @property
    def spread(self) -> float:
        """How far the rounds lie apart: the interquartile range over the median."""
        return self.quartiles / self.median


def _result(entry: dict[str, Any]) -> Result:
    info, stats = entry["extra_info"], entry["stats"]
    median = max(1e-9, float(stats["median"]) - float(info.get("start", 0)))
    return Result(
        entry["fullname"], entry["group"] or entry["name"], str(info.get("who", "ringzero")),
        float(info.get("work", 1)), str(info.get("unit", "rounds")), median, float(stats["iqr"]),
        int(stats["rounds"]), dict(info),
    )  # fmt: skip


def read(path: str | Path) -> list[Result]:
    """All results of a run."""
    return [_result(entry) for entry in json.loads(Path(path).read_text(encoding="utf-8"))["benchmarks"]]


def groups(results: Iterable[Result]) -> dict[str, dict[str, Result]]:
    """Results by group, then by who."""
    found: dict[str, dict[str, Result]] = {}
    for result in results:
        found.setdefault(result.group, {})[result.who] = result
    return found


def ratios(results: Iterable[Result], ours: str, peer: str, kind: str) -> dict[str, float]:
    """How many times our rate is the peer's, in each group of a kind (`loop`: the groups `loop: …`) where both ran."""
    return {
        name: members[ours].rate / members[peer].rate
        for name, members in groups(results).items()
        if name.split(":")[0] == kind and ours in members and peer in members
    }


def geomean(values: Iterable[float]) -> float:
    """The geometric mean; nan of nothing.

    >>> geomean([2.0, 8.0])
    4.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def readable(value: float) -> str:
    """Three digits and a unit.

    >>> readable(12_345_678.0), readable(0.5)
    ('12.3 M', '0.5  ')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g}  "
