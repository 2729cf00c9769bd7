"""The runs in the Trace Event format (JSON), which ui.perfetto.dev and chrome://tracing open.

A run is a process, a lane is a thread of it. One step is shown as one microsecond. In a thread's track lie the slices
"running", "ready", "blocked"; inside "running" the functions. Interrupts and preemptions are instant events, a wake is
a flow from who wakes to where the woken one runs, a lock is a slice of its own, by its address.

Rule of this room: slices of one track nest; what may overlap (locks) is asynchronous.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ringzero.explore.result import Result
from ringzero.explore.timeline import HANDLERS, Event, Span, Stretch, Timeline

Row = dict[str, Any]
ON_CPU = ("running", "handler")
INSTANTS = ("placed", "interrupt", "return", "sleep", "start", "end", "spin", "serial", "tick")


def make_trace(result: Result, failing: Timeline | None, passing: Timeline | None) -> str:
    """The trace as JSON text."""
    rows: list[Row] = []
    for pid, (name, run) in enumerate((("failing run", failing), ("passing run", passing)), 1):
        if run is not None:
            rows += run_rows(run, name, pid)
    other = {
        "experiment": result.name,
        "verdict": result.verdict.value,
        "image": result.image_digest,
        "unit": "1 us = 1 step",
    }
    return json.dumps(
        {"traceEvents": rows, "displayTimeUnit": "ns", "otherData": other}, separators=(",", ":")
    )


def run_rows(run: Timeline, name: str, pid: int) -> Iterator[Row]:
    """All rows of one run."""
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": pid}}
    for number, lane in enumerate(run.lanes):
        tid = number + 1
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": lane.name}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": tid}}
    spans = merged(run.spans)
    for span in spans:
        yield slice_row(
            pid, span.lane, span.first, span.end, span.text if span.kind == "handler" else span.kind, "state"
        )
        if span.kind in ON_CPU:
            for place in functions(run, span):
                where = {"file": place.file, "line": place.line} if place.line else {}
                yield {
                    **slice_row(pid, span.lane, place.first, place.end, place.symbol or "?", "code"),
                    "args": where,
                }
    for event in run.events:
        if event.kind in INSTANTS:
            yield instant(pid, event)
    yield from flows(run, spans, pid)
    yield from locks(run, pid)


def merged(spans: tuple[Span, ...]) -> list[Span]:
    """Spans of one kind that follow each other are one; `text` counts in the handlers' lane alone."""
    found: list[Span] = []
    for span in spans:
        last = found[-1] if found else None
        same = last is not None and (last.lane, last.end, last.kind) == (span.lane, span.first, span.kind)
        if last is not None and same and (span.lane != HANDLERS or last.text == span.text):
            found[-1] = Span(span.lane, last.first, span.end, span.kind, last.text)
        else:
            found.append(span)
    return found


def functions(run: Timeline, span: Span) -> Iterator[Stretch]:
    """What was executed in a span, a function each; the line is that at which it was entered."""
    now: Stretch | None = None
    for each in run.stretches:
        if each.end <= span.first or each.first >= span.end:
            continue
        first, end = max(each.first, span.first), min(each.end, span.end)
        if now is not None and now.symbol == each.symbol and now.end == first:
            now = Stretch(now.first, end, now.lane, now.symbol, now.file, now.line)
            continue
        if now is not None:
            yield now
        now = Stretch(first, end, each.lane, each.symbol, each.file, each.line)
    if now is not None:
        yield now


def slice_row(pid: int, lane: int, first: int, end: int, name: str, category: str) -> Row:
    """A complete event."""
    return {
        "ph": "X",
        "pid": pid,
        "tid": lane + 1,
        "ts": first,
        "dur": end - first,
        "name": name,
        "cat": category,
    }


def instant(pid: int, event: Event) -> Row:
    """An instant event; interrupts stand in the handlers' lane."""
    lane = HANDLERS if event.kind in ("interrupt", "return", "placed") else event.lane
    return {
        "ph": "i",
        "s": "t",
        "pid": pid,
        "tid": lane + 1,
        "ts": event.at,
        "name": event.text,
        "cat": event.kind,
    }


def flows(run: Timeline, spans: list[Span], pid: int) -> Iterator[Row]:
    """From each wake to the slice in which the woken thread runs."""
    for number, event in enumerate(event for event in run.events if event.kind == "wake"):
        waker = next(
            (
                span
                for span in spans
                if span.kind in ON_CPU
                and span.first <= event.at < span.end
                and span.lane in (HANDLERS, event.lane)
            ),
            None,
        )
        runs = next(
            (
                span
                for span in spans
                if span.lane == event.other and span.kind == "running" and span.end > event.at
            ),
            None,
        )
        if waker is None or runs is None:
            continue
        common = {"cat": "wake", "name": event.text, "id": pid << 32 | number, "pid": pid}
        yield {**common, "ph": "s", "tid": waker.lane + 1, "ts": event.at}
        yield {**common, "ph": "f", "bp": "e", "tid": runs.lane + 1, "ts": max(runs.first, event.at)}


def locks(run: Timeline, pid: int) -> Iterator[Row]:
    """Each lock that was held, from begin to end."""
    for number, held in enumerate(run.locks):
        common = {
            "cat": "lock",
            "name": held.name,
            "id": f"lock-{pid}-{number}",
            "pid": pid,
            "tid": held.lane + 1,
        }
        yield {**common, "ph": "b", "ts": held.first, "args": {"holder": run.lanes[held.lane].name}}
        yield {**common, "ph": "e", "ts": run.end + 1 if held.end is None else held.end}
