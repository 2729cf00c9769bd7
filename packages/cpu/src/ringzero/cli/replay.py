"""`ringzero replay`: a schedule that was found, played again, exactly.

Statuses: 0 the run is well, 1 it is broken, 2 bad usage or input.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ringzero.cli.question import Question, guest, only_guest, question_options
from ringzero.cli.reporting import report_options, write_reports
from ringzero.errors import UsageError
from ringzero.files import read_bounded

if TYPE_CHECKING:
    from ringzero.explore.experiment import Experiment
    from ringzero.explore.player import Player
    from ringzero.explore.replay import Replay
    from ringzero.explore.result import Result, Trial
    from ringzero.explore.schedule import Schedule

LONGEST_FILE = 1 << 20  # bytes


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[IMAGE|NAME] STRING")
@question_options
@click.option(
    "--trace", type=click.Choice(["switches", "interrupts"]), help="Tell of them on standard error."
)
@click.option("--trace-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@report_options
def replay(
    words: tuple[str, ...],
    trace: str | None,
    trace_format: str,
    report: str | None,
    source: tuple[str, ...],
    **asked: Any,
) -> int:
    """Play the schedule of a replay STRING ('rz1:…', or a file with one) again, and say what comes of it.

    Give the options that it was found with. Without --stage and --bug, a kernel that comes as a package is looked
    through for the stage and the bug that the string is of.
    """
    from ringzero.cli.report import printable
    from ringzero.explore import replay as strings
    from ringzero.explore.player import Player
    from ringzero.explore.remarks import judge_locks

    if len(words) > 2:
        raise click.UsageError("one image and one replay string; quote the string: 'rz1:…'")
    image = words[0] if len(words) == 2 else only_guest()
    decoded = strings.decode(string(words[-1]))
    experiment = experiment_of(Question(image, **asked), decoded)
    for remark in strings.remarks(experiment, decoded):
        click.echo(f"ringzero: {remark}", err=True)
    player = Player(experiment)
    schedule = strings.resolve(player, decoded)
    if trace is not None:
        listened(experiment, schedule, trace, trace_format)
    trial = player.play(schedule)
    if trial.failure is None and experiment.strict_locks:
        trial = judge_locks(player, trial)
    print(*map(printable, lines(player, experiment, trial)), sep="\n")
    if report is not None:
        found = [(experiment, as_result(experiment, player, trial, string(words[-1])))]
        print(*write_reports(report, image, found, source, schedule), sep="\n")
    return int(trial.failure is not None)


def string(word: str) -> str:
    """The replay string itself, or the one that stands in a file."""
    if word.startswith("rz1:") or not os.path.isfile(word):
        return word
    return read_bounded(word, LONGEST_FILE).decode("utf-8", "replace").strip()


def experiment_of(question: Question, decoded: Replay) -> Experiment:
    """The experiment that a string is of; the one that was asked for, where the options name one."""
    from ringzero.explore.replay import remarks

    if os.path.exists(question.image) or question.stage or question.bug:
        experiments = candidates(question)
        return next((each for each in experiments if not remarks(each, decoded)), experiments[0])
    for each in (*offered(question), *question.whole_runs()):
        if not remarks(each, decoded):
            return each
    raise UsageError(
        f"this replay string is of no stage of {question.image} as it is built now; name the --stage or the --bug "
        "that it was found with, and its places are looked up"
    )


def candidates(question: Question) -> list[Experiment]:
    """What the options may mean: the window that `explore` has, or the whole run that `hunt` has."""
    whole = question.whole_runs()
    asked = question.until or question.until_serial or question.start or question.append
    if asked and not os.path.exists(question.image):
        return whole
    return [*question.experiments(), *whole]


def offered(question: Question) -> Iterator[Experiment]:
    """All that a kernel's package offers: its stages, then each bug where it shows."""
    yield from replace(question, stage=("*",)).experiments()
    for bug in guest(question.image).bugs:
        yield from replace(question, bug=bug).experiments()


def listened(experiment: Experiment, schedule: Schedule, kind: str, form: str) -> None:
    """Play the schedule and trace it, on a machine of its own: what is told of it later plays pieces of it again."""
    from ringzero.debug.trace import attach_to
    from ringzero.explore.player import Player
    from ringzero.machine.stages import StageList

    player = Player(experiment)
    attach_to(player.machine, StageList((), dict(experiment.threads)), kind, form)
    player.play(schedule)


def as_result(experiment: Experiment, player: Player, trial: Trial, text: str) -> Result:
    """One run as a search would tell it; the bound of -1 says that one run speaks of no other."""
    from ringzero.explore.result import Counterexample, Counts, Result, Verdict
    from ringzero.explore.sites import sites

    counts, asked = Counts(covered=1, run=1, steps=trial.steps), len(trial.schedule)
    if trial.failure is None:
        return Result(experiment.name, Verdict.HOLDS, -1, asked, counts)
    example = Counterexample(trial.schedule, trial.failure, sites(player, trial.schedule), replay=text)
    return Result(experiment.name, Verdict.BROKEN, -1, asked, counts, example)


def lines(player: Player, experiment: Experiment, trial: Trial) -> Iterator[str]:
    """What came of the run, for people."""
    from ringzero.explore.explain import describe
    from ringzero.explore.result import Counterexample
    from ringzero.explore.schedule import describe as describe_schedule
    from ringzero.explore.sites import sites

    if trial.failure is None:
        yield f"well: {experiment.name}: {describe_schedule(trial.schedule)}; {trial.steps:,} steps of the window"
        return
    yield f"broken: {experiment.name}: {describe_schedule(trial.schedule)}"
    yield from describe(Counterexample(trial.schedule, trial.failure, sites(player, trial.schedule)))
