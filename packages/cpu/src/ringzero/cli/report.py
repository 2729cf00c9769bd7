"""What a boot looks like to people and to programs: lines, a progress bar, JSON, JUnit.

Rule of this room: nothing here decides anything. It is told what happened (`machine.harness`) and writes it down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

    from ringzero.machine.harness import Outcome
    from ringzero.machine.stages import Reached

SERIAL_TAIL = 20  # lines


def moment(nanoseconds: int) -> str:
    """Virtual time in a fixed width.

    >>> moment(1_234_567)
    '   1.234567 ms'
    """
    return f"{nanoseconds // 1_000_000:4d}.{nanoseconds % 1_000_000:06d} ms"


def stage_line(reached: Reached) -> str:
    stage = reached.stage
    return f"{stage.name:28} step {reached.step:>10,}  {moment(reached.nanoseconds)}  {stage.title}"


class Report:
    """Says nothing while the machine runs; at the end the verdict, and for a failure where the machine stands."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def begin(self, stages: int) -> None: ...

    def stage(self, reached: Reached) -> None: ...

    def steps(self, steps: int) -> None: ...

    def end(self) -> None: ...

    def verdict(self, outcome: Outcome) -> None:
        for line in (
            *outcome.remarks,
            *([] if outcome.passed else failure_lines(outcome)),
            verdict_line(outcome),
        ):
            print(line, file=self.stream)


class Lines(Report):
    """A line a stage, as it is reached."""

    def stage(self, reached: Reached) -> None:
        print(stage_line(reached), file=self.stream, flush=True)


class Bar(Report):
    """The same lines above a progress bar, on a terminal."""

    _progress: Progress | None = None

    def begin(self, stages: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("stages  {task.description}"))
        self._progress = Progress(*columns, console=Console(file=self.stream), transient=True)
        self._task = self._progress.add_task("", total=stages)
        self._progress.start()

    def stage(self, reached: Reached) -> None:
        if self._progress:
            self._progress.console.print(stage_line(reached), markup=False, highlight=False, soft_wrap=True)
            self._progress.advance(self._task)

    def steps(self, steps: int) -> None:
        if self._progress:
            self._progress.update(self._task, description=f"step {steps:,}")

    def end(self) -> None:
        if self._progress:
            self._progress.stop()


class Json(Report):
    """One object, at the end."""

    def verdict(self, outcome: Outcome) -> None:
        print(as_json(outcome), end="", file=self.stream)


def reporter(json_wanted: bool, stream: TextIO) -> Report:
    """The one that fits: an object, lines in a pipe, a bar on a terminal."""
    if json_wanted:
        return Json(stream)
    return Bar(stream) if stream.isatty() else Lines(stream)


def verdict_line(outcome: Outcome) -> str:
    """The verdict in one line: what, how far, on which engine, and for a failure why."""
    ran = f"{outcome.steps:,} steps, {moment(outcome.time_ns).strip()} virtual, {outcome.engine} engine"
    if outcome.stages and outcome.passed:
        ran = f"all {len(outcome.stages)} stages, {ran}"
    return f"{outcome.verdict}: {ran}" + (f"; {outcome.why}" if outcome.why else "")


def failure_lines(outcome: Outcome) -> list[str]:
    """Where the machine stands, and the last it printed."""
    lines = [*outcome.position]
    tail = serial_tail(outcome)
    if tail:
        lines += ["last serial lines:", *(f"    {line}" for line in tail)]
    return lines


def serial_tail(outcome: Outcome) -> list[str]:
    text = outcome.serial.decode("utf-8", "replace")
    return [printable(line) for line in text.splitlines()[-SERIAL_TAIL:]]


def printable(line: str) -> str:
    """A guest's line without what would steer the terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )


def as_object(outcome: Outcome) -> dict[str, Any]:
    """What `--json` prints; README and CHANGELOG promise these names."""
    return {
        "configuration": outcome.configuration,
        "image": outcome.image_digest,
        "engine": outcome.engine,
        "verdict": outcome.verdict,
        "reason": outcome.why,
        "stop": outcome.stop,
        "exit_status": outcome.exit_status,
        "steps": outcome.steps,
        "time_ns": outcome.time_ns,
        "stages": [
            {"name": s.name, "title": s.title, "reached": s.reached, "step": s.step, "time_ns": s.time_ns}
            for s in outcome.stages
        ],
        "remarks": list(outcome.remarks),
        "state_hash": outcome.state_hash,
        "position": list(outcome.position),
        "serial_tail": serial_tail(outcome),
        "unknown": list(outcome.unknown),
    }


def as_json(outcome: Outcome) -> str:
    import json

    return json.dumps(as_object(outcome), indent=2, ensure_ascii=False) + "\n"


def as_junit(outcome: Outcome, suite: str) -> str:
    """A case a stage; seconds are virtual. What was not reached failed if it is the first, and was skipped if not."""
    from xml.etree import ElementTree

    root = ElementTree.Element("testsuites")
    cases = ElementTree.SubElement(root, "testsuite", name=suite)
    counts = {"tests": len(outcome.stages), "failures": 0, "skipped": 0, "errors": 0}
    before = 0
    for stage in outcome.stages:
        now = before if stage.time_ns is None else stage.time_ns
        seconds = f"{(now - before) / 1e9:.9f}"
        before = now
        case = ElementTree.SubElement(cases, "testcase", classname=suite, name=stage.name, time=seconds)
        if stage.reached:
            continue
        kind = "skipped" if counts["failures"] else "failure"
        counts["skipped" if counts["failures"] else "failures"] += 1
        mark = ElementTree.SubElement(case, kind, message=xml_text(outcome.why or "not reached"))
        if kind == "failure":
            mark.text = xml_text("\n".join(failure_lines(outcome)))
    if outcome.verdict != "passed" and not counts["failures"]:
        counts["tests"] += 1
        counts["failures"] = 1
        case = ElementTree.SubElement(cases, "testcase", classname=suite, name="verdict", time="0")
        ElementTree.SubElement(case, "failure", message=xml_text(outcome.why)).text = xml_text(
            "\n".join(failure_lines(outcome))
        )
    for name, count in counts.items():
        cases.set(name, str(count))
    cases.set("time", f"{outcome.time_ns / 1e9:.9f}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def xml_text(text: str) -> str:
    """Characters that XML 1.0 allows."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
