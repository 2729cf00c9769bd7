"""What the project wants to reach, as figures of one run: at least, and what it aims at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from results import Result, geomean, groups, ratios

Measured = Callable[[list[Result]], float]


@dataclass(frozen=True)
class Goal:
    """`measured` is nan where what it needs was not run. `lower`: less is better."""

    title: str
    unit: str
    least: float
    aim: float
    measured: Measured
    lower: bool = False

    def verdict(self, value: float) -> str:
        """In a word."""
        if math.isnan(value):
            return "not measured"
        better = (lambda limit: value <= limit) if self.lower else (lambda limit: value >= limit)
        return "aim reached" if better(self.aim) else "reached" if better(self.least) else "missed"


def _loops(peer: str) -> Measured:
    return lambda found: geomean(ratios(found, "native", peer, "loop").values())


def _decode(peer: str) -> Measured:
    return lambda found: geomean(ratios(found, "native", peer, "decode").values())


def _rate(kind: str, who: str) -> Measured:
    return lambda found: geomean(r.rate for r in found if r.group.startswith(kind) and r.who == who)


def _each(kind: str, who: str, scale: float) -> Measured:
    """Seconds a unit of work, times `scale`."""
    return lambda found: scale / _rate(kind, who)(found)


def _growth(found: list[Result]) -> float:
    """The dearest step of a long run over the cheapest, from 10⁷ steps on: below that a process's start rules."""
    members = groups(found).get("growth: mixed", {})
    costs = [r.median / r.work for who, r in members.items() if who != "10^6"]
    return max(costs) / min(costs) if costs else math.nan


def _memory(found: list[Result]) -> float:
    members = groups(found).get("growth: mixed", {})
    kib = [float(r.facts["kib"]) for r in members.values()]
    return max(kib) / min(kib) if kib else math.nan


GOALS = (
    Goal("loops, native engine / unicorn", "×", 2.5, 4, _loops("unicorn")),
    Goal("loops, native engine / unicorn with exact counts", "×", 8, 15, _loops("unicorn, exact counts")),
    Goal("loops, native engine / bochscpu", "×", 8, 18, _loops("bochscpu")),
    Goal("loops, native engine / qemu TCG", "×", 0.4, 0.8, _loops("qemu TCG")),
    Goal("loops, Python engine", "M steps/s", 1, 5, lambda found: _rate("loop", "python")(found) / 1e6),
    Goal("C decoder / iced-x86 from Python", "×", 3, 8, _decode("iced-x86")),
    Goal("C decoder / zydis in C, without its operands", "×", 1.5, 3, _decode("zydis (C)")),
    Goal("C decoder / zydis in C, with its operands", "×", 1.5, 3, _decode("zydis, operands (C)")),
    Goal("Python decoder", "k instructions/s", 50, 200, lambda found: _rate("decode", "python")(found) / 1e3),
    Goal(
        "lowering, decode to installed block", "µs an instruction", 10, 2, _each("lower", "native", 1e6), True
    ),
    Goal("restore of 64 dirty pages of 16 MiB", "µs", 60, 15, _each("restore", "ringzero", 1e6), True),
    Goal(
        "schedules of 20 000 steps with 2 preemptions",
        "a second",
        5_000,
        20_000,
        lambda found: _rate("schedules", "ringzero")(found),
    ),
    Goal("`ringzero boot`, whole process", "s", 0.5, 0.25, _each("boot", "native", 1), True),
    Goal("cost of a step, 10⁷ to 10⁹ steps, dearest / cheapest", "×", 1.5, 1.1, _growth, True),
    Goal("memory, 10⁶ to 10⁹ steps, most / least", "×", 1.1, 1.02, _memory, True),
)
