"""A marked test, played: its body judges the end of every schedule, or of those that a replay string names."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringzero.cli.findings import preemptions, progress
from ringzero.cli.question import parse_duration
from ringzero.errors import RingzeroError, UsageError
from ringzero.explore import replay as strings
from ringzero.explore.experiment import Experiment
from ringzero.explore.explain import describe, explain
from ringzero.explore.oracles import Look
from ringzero.explore.player import Player
from ringzero.explore.result import Counterexample, Result, Trial, Verdict
from ringzero.explore.schedule import NMI, Source
from ringzero.explore.search import Search
from ringzero.machine.machine import read_image
from ringzero.machine.stages import read_stages

BOUND = 2
MACHINE = ("memory", "append", "cpu", "engine", "devices", "rtc", "rng_seed", "hz")
PLAIN = (
    "start",
    "start_serial",
    "until",
    "until_serial",
    "burst",
    "success_exit",
    "max_steps",
    "patience",
    "strict_locks",
)
OTHERS = ("bound", "image", "irq", "nmi", "serial_input", "stages", "threads", "clocks", "invariants")


def play_item(item: pytest.Function) -> None:
    """Play a test that is marked; fails it with the counterexample."""
    try:
        settings, texts = settings_of(item)
        player = Player(experiment_of(item, settings))
        player.success = judge(item)
        player.invariants += [check for check in settings.get("invariants", ()) if callable(check)]
        for text in texts:
            replayed(player, text)
        if item.get_closest_marker("explore"):
            explored(item, player, settings)
    except RingzeroError as error:
        pytest.fail(str(error), pytrace=False)


def settings_of(item: pytest.Function) -> tuple[dict[str, Any], list[str]]:
    """The marks' keywords, those nearest to the test first, and the replay strings. Raises UsageError."""
    settings: dict[str, Any] = {}
    texts: list[str] = []
    for mark in [*item.iter_markers("explore"), *item.iter_markers("replay")]:
        if mark.name == "explore" and mark.args:
            raise UsageError("@pytest.mark.explore takes keywords alone: bound=2, start=…, until=…")
        texts += mark.args
        settings = {**mark.kwargs, **settings}
    unknown = sorted(set(settings) - {*MACHINE, *PLAIN, *OTHERS})
    if unknown:
        raise UsageError(
            f"@pytest.mark.explore knows no {unknown[0]!r}; it knows {', '.join((*OTHERS, *PLAIN, *MACHINE))}"
        )
    return settings, texts


def experiment_of(item: pytest.Function, settings: Mapping[str, Any]) -> Experiment:
    """What the marks ask. Raises RingzeroError."""
    image = settings.get("image", item.funcargs.get("image"))
    rows = read_stages(settings["stages"]) if "stages" in settings else None
    return Experiment(
        item.nodeid,
        read_image(image).data,
        {key: settings[key] for key in MACHINE if key in settings},
        sources=tuple(sources(settings)),
        threads=settings.get("threads", rows.threads if rows else {}),
        clocks=settings.get("clocks", rows.clocks if rows else {}),
        invariants=tuple(check for check in settings.get("invariants", ()) if isinstance(check, str)),
        **{key: settings[key] for key in PLAIN if key in settings},
    )


def sources(settings: Mapping[str, Any]) -> Iterator[Source]:
    """The interrupt lines to choose from."""
    content = settings.get("serial_input", b"")
    content = content.encode() if isinstance(content, str) else content
    irq = settings.get("irq", (0,))
    lines: Iterable[int] = (irq,) if isinstance(irq, int) else irq
    for line in dict.fromkeys([*lines, *((4,) if content else ()), *((NMI,) if settings.get("nmi") else ())]):
        yield Source(line, content if line == 4 else b"")


def judge(item: pytest.Function) -> Callable[[Look], str]:
    """The test's body: what it asserts and is not so, as a text; anything else that it raises ends the test."""

    def body(look: Look) -> str:
        given = {**item.funcargs, "machine": look.machine, "look": look}
        try:
            item.obj(**{name: given[name] for name in item._fixtureinfo.argnames})
        except (AssertionError, pytest.fail.Exception) as error:
            return (
                "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
                or "the test fails"
            )
        return ""

    return body


def replayed(player: Player, text: str) -> None:
    """Play a replay string. Where a rebuild has made it void its places are looked up, with a warning."""
    decoded = strings.decode(text)
    for remark in strings.remarks(player.experiment, decoded):
        warnings.warn(pytest.PytestWarning(f"{text}: {remark}"), stacklevel=2)
    trial = player.play(strings.resolve(player, decoded))
    if trial.failure is not None:
        example = Counterexample(trial.schedule, trial.failure, replay=text)
        pytest.fail("\n".join([f"broken again by {text}:", *indented(example)]), pytrace=False)


def explored(item: pytest.Function, player: Player, settings: Mapping[str, Any]) -> None:
    """Play every schedule within the bound."""
    asked = item.config.getoption("--explore-bound")
    bound = settings.get("bound", BOUND) if asked is None else asked
    search = Search(player.experiment, bound, player=player, stop=stopper(item))
    result = search.run()
    item.user_properties.append(("explore", f"{result.verdict.value}, {result.counts.run} schedules"))
    if result.verdict is Verdict.UNFINISHED:
        pytest.fail(f"not finished: {progress(result)}", pytrace=False)
    if search.failed is not None:
        pytest.fail("\n".join(told(item, player, result, search.failed)), pytrace=False)


def stopper(item: pytest.Function) -> Callable[[], bool]:
    """Whether the time that the command line gives has passed."""
    budget = item.config.getoption("--explore-time")
    if budget is None:
        return lambda: False
    end = time.monotonic() + parse_duration(budget)
    return lambda: time.monotonic() >= end


def told(item: pytest.Function, player: Player, result: Result, trial: Trial) -> Iterator[str]:
    """The counterexample, how to replay it, and where the report is."""
    example = explain(player, trial, result.asked)
    count = f"{result.counts.run:,} schedules were run, bound {result.asked}"
    yield f"broken: {preemptions(example)} ({count})"
    yield from indented(example)
    yield "keep it as a regression test, above the mark that explores:"
    yield f'  @pytest.mark.replay("{example.replay}")'
    yield f"report: {report(item, player, replace(result, counterexample=example))}"


def indented(example: Counterexample) -> list[str]:
    """The lines that tell a counterexample."""
    return [f"  {line}" for line in describe(example)]


def report(item: pytest.Function, player: Player, result: Result) -> str:
    """Write the report: where it is, or why there is none."""
    from ringzero.explore.report import report_result

    chosen = item.config.getoption("--explore-report")
    cache: Any = getattr(item.config, "cache", None)
    name = re.sub(r"\W+", "-", item.nodeid).strip("-")
    if chosen is None and cache is None:
        return "none; --explore-report DIR says where"
    try:
        directory = Path(chosen) if chosen is not None else cache.mkdir("ringzero")
        return str(report_result(directory / name, player, result))
    except (RingzeroError, OSError) as error:
        return f"could not be written: {error}"
