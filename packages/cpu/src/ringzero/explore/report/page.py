"""The page: what it knows, as JSON inside it, and the script that draws it.

Rule of this room: the page shows and works nothing out about kernels; whatever is said there was said by the search or
stands in a timeline.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ringzero.explore.explain import preemption_text, where_text, window_text
from ringzero.explore.report.sources import source_lines
from ringzero.explore.result import Counterexample, Result, Verdict
from ringzero.explore.schedule import describe
from ringzero.explore.timeline import Timeline

RIP = "rip"
CLASSES = {Verdict.HOLDS: "holds", Verdict.BROKEN: "broken", Verdict.UNFINISHED: "unfinished"}


def make_page(
    result: Result, failing: Timeline | None, passing: Timeline | None, sources: Sequence[Path] = ()
) -> str:
    """The whole page as text."""
    data = page_data(result, failing, passing, sources)
    encoded = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    parts = {
        "@TITLE@": html.escape(data["title"]),
        "@STYLE@": part("page.css"),
        "@SCRIPT@": part("page.js"),
        "@DATA@": encoded,
    }
    page = part("page.html")
    pieces = []
    for mark, content in sorted(parts.items(), key=lambda item: page.index(item[0])):
        before, page = page.split(mark, 1)
        pieces += [before, content]
    return "".join([*pieces, page])


def part(name: str) -> str:
    """A file of the page."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def page_data(
    result: Result, failing: Timeline | None, passing: Timeline | None, sources: Sequence[Path] = ()
) -> dict[str, Any]:
    """What the page knows."""
    example = result.counterexample
    runs = [run for run in (failing, passing) if run is not None]
    files = sorted({stretch.file for run in runs for stretch in run.stretches})
    window = example.window if example else None
    return {
        "name": result.name,
        "title": f"{result.name}: {result.verdict.value} – ringzero",
        "verdict": verdict_text(result),
        "verdictClass": CLASSES[result.verdict],
        "message": message(result),
        "facts": [[name, lines] for name, lines in facts(result) if lines],
        "replay": replay_command(example),
        "foot": foot(result),
        "window": window and {"first": window.first.placement.at, "end": window.last.placement.at + 1},
        "noReturn": example.no_return.placement.at if example and example.no_return else None,
        "difference": example.difference.step if example and example.difference else None,
        "parting": parting(failing, passing) if failing and passing else None,
        "files": files,
        "sources": source_lines(runs, sources),
        "runs": [
            run_data(run, name, files)
            for run, name in ((failing, "failing"), (passing, "passing"))
            if run is not None
        ],
    }


def verdict_text(result: Result) -> str:
    """The verdict and how far it reaches."""
    preemptions = f"{result.bound} preemption{'' if result.bound == 1 else 's'}"
    example = result.counterexample
    if result.verdict is Verdict.BROKEN and example is not None:
        count = len(example.schedule)
        return f"broken by {count} preemption{'' if count == 1 else 's'}: {example.failure.kind.value}"
    if result.verdict is Verdict.HOLDS and result.bound < 0:
        return "ends well: one schedule, played"
    if result.verdict is Verdict.HOLDS:
        return f"holds for every schedule of up to {preemptions}"
    return f"not finished: covered up to {preemptions} of {result.asked}"


def message(result: Result) -> str:
    """What went wrong, in a line."""
    example = result.counterexample
    return example.failure.message if example else ""


def facts(result: Result) -> Iterable[tuple[str, list[str]]]:
    """What is known, a heading and its lines each."""
    example = result.counterexample
    if example is not None:
        yield "Preemptions", [preemption_text(site) for site in example.sites] or [describe(example.schedule)]
        yield "Window", [window_text(example.window)] if example.window else []
        yield "What it came to", list(example.waiting or example.failure.details)
        yield (
            "No return",
            [f"from {where_text(example.no_return)} on nothing saves the run"] if example.no_return else [],
        )
        yield "First difference", [example.difference.sentence] if example.difference else []
        yield "Replay", [f"`{replay_command(example)}`"] if example.replay else []
        yield "Notes", list(example.remarks)
    counts = result.counts
    told = (
        f"{counts.covered:,} covered, {counts.run:,} run, {counts.merged:,} merged, in {counts.steps:,} steps"
    )
    yield "Schedules", [f"{told}; {counts.choices:,} choice points of {counts.boundaries:,} boundaries"]
    yield "Not covered", [f"about {result.left:,} schedules"] if result.left else []
    yield "Remarks", list(result.remarks)


def replay_command(example: Counterexample | None) -> str:
    """What brings the run back."""
    return f"ringzero replay '{example.replay}'" if example and example.replay else ""


def foot(result: Result) -> str:
    """Of what this is."""
    parts = [
        f"image {result.image_digest[:16]}" if result.image_digest else "",
        result.engine and f"engine {result.engine}",
    ]
    return " · ".join(["ringzero", *(each for each in parts if each)])


def parting(failing: Timeline, passing: Timeline) -> int | None:
    """The first step at which the runs are at different instructions; None if that never happens."""
    rip = failing.registers.index(RIP)
    first = max(failing.first, passing.first)
    ours, theirs = (instruction_pointers(run, rip)[first - run.first :] for run in (failing, passing))
    for at, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        if mine != other:
            return first + at
    return None


def instruction_pointers(run: Timeline, rip: int) -> list[int]:
    """Where the run is, at every step."""
    found, now = [], 0
    for changes in run.values:
        now = next((value for number, value in changes if number == rip), now)
        found.append(now)
    return found


def run_data(run: Timeline, name: str, files: list[str]) -> dict[str, Any]:
    """A timeline as the script reads it: texts by number, registers as hexadecimal text."""
    symbols = sorted({each.symbol for each in run.stretches} | {code.symbol for code in run.codes})
    symbol_number = {symbol: number for number, symbol in enumerate(symbols)}
    file_number = {file: number for number, file in enumerate(files)}
    return {
        "id": name,
        "label": f"{name.capitalize()} run",
        "good": run.failure is None,
        "outcome": outcome(run),
        "ended": "" if run.end < run.steps else outcome(run),
        "cut": cut(run),
        "first": run.first,
        "end": run.end,
        "steps": run.steps,
        "lanes": [lane.name for lane in run.lanes],
        "spans": [[span.lane, span.first, span.end, span.kind, span.text] for span in run.spans],
        "events": [[event.at, event.kind, event.lane, event.text, event.other] for event in run.events],
        "locks": [
            [held.lane, held.name, held.first, held.end, held.handler, held.spins] for held in run.locks
        ],
        "symbols": symbols,
        "stretches": [
            [each.first, each.end, each.lane, symbol_number[each.symbol], file_number[each.file], each.line]
            for each in run.stretches
        ],
        "registers": run.registers,
        "values": [[x for number, value in step for x in (number, f"{value:x}")] for step in run.values],
        "codes": {
            f"{code.address:x}": [symbol_number[code.symbol], code.offset, code.text] for code in run.codes
        },
    }


def outcome(run: Timeline) -> str:
    """How a run ended."""
    if run.failure is None:
        return f"{describe(run.schedule)}; ends well"
    return f"{describe(run.schedule)}; {run.failure.kind.value}: {run.failure.message}"


def cut(run: Timeline) -> str:
    """What of the run was not written down."""
    missing = [
        f"steps 0 to {run.first - 1:,}" if run.first else "",
        f"steps {run.end + 1:,} to {run.steps:,}" if run.end < run.steps else "",
    ]
    told = " and ".join(each for each in missing if each)
    return f" · {told} not shown" if told else ""
