"""What an exploration looks like to people and to programs: lines, JSON, JUnit, GitHub's annotations.

Rule of this room: nothing here decides anything; all is made from `explore.result` values. explore/result.schema.json
says what the JSON looks like.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from ringzero.cli.report import printable, xml_text
from ringzero.explore.explain import describe
from ringzero.explore.result import JSON_VERSION, Counterexample, Result, Verdict

#: Of several verdicts the first that is there counts.
WORST = (Verdict.BROKEN, Verdict.UNFINISHED, Verdict.HOLDS)


def overall(results: Sequence[Result]) -> Verdict:
    """The verdict over all."""
    return next(verdict for verdict in WORST if any(result.verdict is verdict for result in results))


def result_lines(result: Result) -> Iterator[str]:
    """One experiment, for people."""
    counts = result.counts
    covered = (
        f"{counts.covered:,} schedules, {counts.run:,} run, {counts.merged:,} merged, {result.seconds:.2f} s"
    )
    example = result.counterexample
    if example is not None:
        yield f"broken        {result.name}: {preemptions(example)}; {covered}"
        yield from (f"    {printable(line)}" for line in told(example))
    elif result.verdict is Verdict.HOLDS:
        yield f"holds         {result.name}: bound {result.bound}; {covered}"
    else:
        yield f"not finished  {result.name}: {progress(result)}; {covered}"
    yield from (f"    {printable(remark)}" for remark in result.remarks)


def told(example: Counterexample) -> list[str]:
    """A counterexample, for people."""
    return describe(example)


def preemptions(example: Counterexample) -> str:
    """How many, in words."""
    count = len(example.schedule)
    return f"{count} preemption{'' if count == 1 else 's'}" if count else "without any preemption"


def progress(result: Result) -> str:
    """How far an unfinished search has come."""
    if result.bound < 0:
        return "not begun"
    left = f", about {result.left:,} schedules left" if result.left else ""
    return f"bound {result.bound} of {result.asked} holds{left}"


def verdict_line(results: Sequence[Result], seconds: float) -> str:
    """The last line: over all."""
    verdict, total = overall(results), len(results)
    engines = ", ".join(sorted({result.engine for result in results if result.engine}))
    ran = f"{sum(result.counts.run for result in results):,} schedules in {seconds:.1f} s" + (
        f", {engines} engine" if engines else ""
    )
    if verdict is Verdict.HOLDS:
        return f"holds: {total} of {total} up to bound {min(result.bound for result in results)}; {ran}"
    count = sum(result.verdict is verdict for result in results)
    return f"{verdict.value}: {count} of {total}; {ran}"


def as_json(results: Sequence[Result], bound: int, seconds: float) -> str:
    """One object."""
    verdict = overall(results)
    whole = {
        "version": JSON_VERSION,
        "verdict": verdict.value,
        "status": verdict.status,
        "bound": bound,
        "seconds": round(seconds, 3),
        "experiments": [result.to_json() for result in results],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def as_junit(results: Sequence[Result], suite: str) -> str:
    """A case an experiment: a failure where it is broken, an error where it was not finished."""
    kinds = {Verdict.HOLDS: "", Verdict.BROKEN: "failure", Verdict.UNFINISHED: "error"}
    return junit(
        suite,
        [
            (
                result.name,
                result.seconds,
                kinds[result.verdict],
                summary(result),
                "\n".join(result_lines(result)),
            )
            for result in results
        ],
    )


def junit(suite: str, rows: Sequence[tuple[str, float, str, str, str]]) -> str:
    """Rows of (name, seconds, "failure", "error" or "", message, text)."""
    root = ElementTree.Element("testsuites")
    cases = ElementTree.SubElement(root, "testsuite", name=suite)
    for name, seconds, kind, message, text in rows:
        case = ElementTree.SubElement(
            cases, "testcase", classname=suite, name=xml_text(name), time=f"{seconds:.3f}"
        )
        if kind:
            ElementTree.SubElement(case, kind, message=xml_text(message)).text = xml_text(text)
    kinds = [row[2] for row in rows]
    counts = {
        "tests": len(rows),
        "failures": kinds.count("failure"),
        "errors": kinds.count("error"),
        "skipped": 0,
    }
    for count, number in counts.items():
        cases.set(count, str(number))
    cases.set("time", f"{sum(row[1] for row in rows):.3f}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def summary(result: Result) -> str:
    """One line about what is not well."""
    example = result.counterexample
    if example is None:
        return f"{result.name}: not finished: {progress(result)}"
    return (
        f"{result.name}: {example.failure.kind.value} with {preemptions(example)}: {example.failure.message}"
    )


def github_lines(results: Sequence[Result]) -> Iterator[str]:
    """GitHub's workflow commands: an error at the line that was interrupted last, a warning for the unfinished."""
    for result in results:
        if result.verdict is Verdict.HOLDS:
            continue
        kind = "error" if result.verdict is Verdict.BROKEN else "warning"
        example = result.counterexample
        source = example.sites[-1].source if example is not None and example.sites else ""
        file, _, line = source.rpartition(":")
        place = {"file": file, "line": line, "title": f"ringzero: {result.name}"}
        where = ",".join(f"{key}={escape(value, True)}" for key, value in place.items() if value)
        message = "\n".join([summary(result), *(told(example) if example is not None else ())])
        yield f"::{kind} {where}::{escape(message)}"


def escape(text: str, is_property: bool = False) -> str:
    """As the runner reads it back (its toolkit's `command.ts`)."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
