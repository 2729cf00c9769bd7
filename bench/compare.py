"""Prints ratios from pytest-benchmark's JSON: ours beside the peers, and this run beside an earlier one.

    python bench/compare.py RESULT.json [EARLIER.json]

Benchmarks of one group measure the same work. Each says in `extra_info` who ran it (`who`), how many units of work one
round is (`work`) and of what (`unit`); where those are missing a round is one unit. Ratios are of medians; above 1 ours
is the faster. In the second table above 1 is faster than before.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

OURS = ("native", "python", "ringzero")


def rate(benchmark: dict[str, Any]) -> float:
    """Units of work a second, at the median."""
    return float(benchmark["extra_info"].get("work", 1)) / float(benchmark["stats"]["median"])


def who(benchmark: dict[str, Any]) -> str:
    return str(benchmark["extra_info"].get("who", "ringzero"))


def readable(value: float) -> str:
    """Three digits and a unit.

    >>> readable(12_345_678.0), readable(0.5)
    ('12.3 M', '0.5  ')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g}  "


def read(path: str) -> list[dict[str, Any]]:
    found = json.loads(Path(path).read_text(encoding="utf-8"))["benchmarks"]
    return list(found)


def print_groups(benchmarks: list[dict[str, Any]]) -> None:
    """Every group: who does how much, and our ratio to each peer."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for benchmark in benchmarks:
        groups.setdefault(benchmark["group"] or benchmark["name"], []).append(benchmark)
    ratios: dict[tuple[str, str], list[float]] = {}
    for group, members in groups.items():
        unit = members[0]["extra_info"].get("unit", "rounds")
        print(f"\n{group} ({unit} a second)")
        rates = {who(member): rate(member) for member in members}
        for name, value in rates.items():
            print(f"  {name:24} {readable(value):>9}  {beside(name, rates)}".rstrip())
        for ours in OURS:
            for peer in rates.keys() - set(OURS):
                if ours in rates:
                    ratios.setdefault((f"{group.split(':')[0]}: {ours}", peer), []).append(
                        rates[ours] / rates[peer]
                    )
    print("\ngeometric means")
    for (ours, peer), values in sorted(ratios.items()):
        mean = math.exp(sum(map(math.log, values)) / len(values))
        print(f"  {ours} / {peer}: {mean:.3g} over {len(values)}")


def beside(name: str, rates: dict[str, float]) -> str:
    """Our rate as ratios to the peers'."""
    if name not in OURS:
        return ""
    return "  ".join(
        f"{rates[name] / value:.3g} x {peer}" for peer, value in rates.items() if peer not in OURS
    )


def print_changes(now: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    earlier = {benchmark["fullname"]: rate(benchmark) for benchmark in before}
    print("\nagainst the earlier run")
    for benchmark in now:
        if benchmark["fullname"] in earlier:
            print(f"  {rate(benchmark) / earlier[benchmark['fullname']]:6.3f}  {benchmark['fullname']}")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python bench/compare.py RESULT.json [EARLIER.json]")
    benchmarks = read(sys.argv[1])
    print_groups(benchmarks)
    if len(sys.argv) == 3:
        print_changes(benchmarks, read(sys.argv[2]))


if __name__ == "__main__":
    main()
