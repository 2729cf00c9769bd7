"""Writes the report of a run of the benchmarks: Markdown for people, JSON for programs, one picture.

    python bench/report.py RESULT.json [DIRECTORY]

The directory is bench/report unless another is named. Ratios are of medians, above 1 ours is the faster.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import decoded
import goals
import loops
import native_decoders
import peers
import results
from results import Result, readable

PACKAGES = ("ringzero-cpu", "unicorn", "bochscpu-python", "iced-x86", "capstone", "pytest-benchmark")
Facts = dict[str, Any]


def _first_line(*command: str) -> str:
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    except OSError:
        lines = []
    return lines[0] if lines else "not installed"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def machine(raw: Facts) -> Facts:
    """Where it ran, and on which versions."""
    cpu = raw["machine_info"].get("cpu", {})
    return {
        "processor": cpu.get("brand_raw", platform.machine()),
        "processors": cpu.get("count"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "compiler": _first_line("cc", "--version"),
        "qemu": _first_line(peers.QEMU, "--version"),
        "decoded": decoded.release(),
        "date": raw["datetime"][:10],
        **{package: _version(package) for package in PACKAGES},
    }


def absent() -> dict[str, str]:
    """Peers that could not be measured, and why."""
    found = {peer.name: peer.why_not() for peer in peers.PEERS}
    found |= {library.name: native_decoders.why_not(library) for library in native_decoders.LIBRARIES}
    return {name: reason for name, reason in found.items() if reason}


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _goal_rows(found: list[Result]) -> list[tuple[str, ...]]:
    rows = []
    for goal in goals.GOALS:
        value, sign = goal.measured(found), "≤" if goal.lower else "≥"
        figure = f"{_number(value)} {goal.unit}"
        rows.append(
            (goal.title, figure, f"{sign} {goal.least:g}", f"{sign} {goal.aim:g}", goal.verdict(value))
        )
    return rows


def _loop_rows(found: list[Result]) -> list[tuple[str, ...]]:
    """A row for each peer: rates by loop, and our ratio over all."""
    by_group, rows = results.groups(found), []
    for peer in peers.PEERS:
        cells = [by_group.get(f"loop: {name}", {}).get(peer.name) for name in loops.SOURCES]
        if any(cells):
            ratio = results.geomean(results.ratios(found, "native", peer.name, "loop").values())
            rates = [_number(cell.rate / 1e6) if cell else "–" for cell in cells]
            rows.append((peer.name, *rates, f"{_number(ratio)} ×"))
    return rows


def _other_rows(found: list[Result]) -> list[tuple[str, ...]]:
    rows = []
    for result in found:
        if not result.group.startswith("loop"):
            rate = f"{readable(result.rate).strip()} {result.unit}/s"
            rows.append((result.group, result.who, rate, f"{result.spread:.0%}", str(result.rounds)))
    return rows


def markdown(found: list[Result], host: Facts) -> str:
    """The report for people."""
    worst = max((r.spread for r in found if r.group.startswith("loop")), default=0)
    lines = [
        "# How fast it is", "",
        "Made by `tox -e bench`, all in one run. Ratios are of medians; above 1 ours is the faster.", "",
        "![Native engine against each peer](loops.svg)", "",
        "## What is wanted, and what is", "",
        *_table(("figure", "measured", "at least", "aim", ""), _goal_rows(found)),
        "## Guest loops, millions of steps a second", "",
        "Native and Python: our engines, paging on, able to stop at any step. Last column: the native engine's rate",
        "over this peer's, geometric mean over the loops. Spread is the interquartile range over the median; here at",
        f"most {worst:.0%}.", "",
        *_table(("", *loops.SOURCES, "native /"), _loop_rows(found)),
        "QEMU: a whole process, its start subtracted. In `memcpy` source and destination lie 1 MiB apart, where a",
        "translation cache that is indexed by the low bits of the page number alone misses at every access.", "",
        "## Everything else", "",
        *_table(("work", "who", "rate", "spread", "rounds"), _other_rows(found)),
        "## Where", "", *_table(("", ""), [(name, str(value)) for name, value in host.items()]),
    ]  # fmt: skip
    for name, reason in absent().items():
        lines.append(f"Not measured: {name}: {reason}.")
    return "\n".join(lines).rstrip() + "\n"


def as_json(found: list[Result], host: Facts) -> Facts:
    """The report for programs: seconds are of one round; rates are units of work a second."""
    measured = {goal.title: goal.measured(found) for goal in goals.GOALS}
    return {
        "version": 1, "machine": host, "not_measured": absent(),
        "goals": [
            {"title": goal.title, "unit": goal.unit, "at_least": goal.least, "aim": goal.aim,
             "measured": None if math.isnan(measured[goal.title]) else measured[goal.title],
             "verdict": goal.verdict(measured[goal.title])}
            for goal in goals.GOALS
        ],
        "results": [
            {"group": r.group, "who": r.who, "rate": r.rate, "unit": r.unit, "median_seconds": r.median,
             "interquartile_seconds": r.quartiles, "rounds": r.rounds}
            for r in found
        ],
    }  # fmt: skip


def picture(found: list[Result], path: Path) -> None:
    """Each loop and their mean: our native engine's rate over each peer's, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ringzero"
    from matplotlib import pyplot

    others = [p.name for p in peers.PEERS if p.name not in ("native", "python")]
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    names = [*loops.SOURCES, "geomean"]
    for place, peer in enumerate(others):
        by_loop = results.ratios(found, "native", peer, "loop")
        if by_loop:
            values = [by_loop.get(f"loop: {name}", math.nan) for name in loops.SOURCES]
            places = [number + 0.8 * (place / len(others) - 0.5) for number in range(len(names))]
            axes.bar(
                places,
                [*values, results.geomean(by_loop.values())],
                0.75 / len(others),
                label=peer,
                align="edge",
            )
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("native engine / peer, steps a second")
    axes.legend(frameon=False, fontsize="small", ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python bench/report.py RESULT.json [DIRECTORY]")
    raw = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found, host = results.read(sys.argv[1]), machine(raw)
    directory = Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent / "report"
    directory.mkdir(parents=True, exist_ok=True)
    text = markdown(found, host)
    (directory / "report.md").write_text(text, encoding="utf-8")
    (directory / "report.json").write_text(
        json.dumps(as_json(found, host), indent=1) + "\n", encoding="utf-8"
    )
    try:
        picture(found, directory / "loops.svg")
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)
    print(text)


if __name__ == "__main__":
    main()
