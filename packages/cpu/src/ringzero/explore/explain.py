"""All that is told of a counterexample once a search has found one, and the lines that tell it.

    minimise    the smallest schedule that breaks the kernel in the same way
    sites       for each placement the thread, the symbol, the visit, the line of source
    windows     the boundaries at which the last preemption does it; from where on nothing helps
    waiting     who waits for whom; spinning: who spins for what
    difference  the first read that saw another value than in the run that passes
    replay      the schedule in a line of text

Rule of this room: what is told is computed by playing the guest again, and what was not computed is said not to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ringzero.explore import replay, windows
from ringzero.explore.difference import difference
from ringzero.explore.minimise import Trials, minimise
from ringzero.explore.result import Counterexample, Kind, Site, Trial, Window
from ringzero.explore.schedule import line_name
from ringzero.explore.sites import NOT_COUNTED, sites, walk
from ringzero.explore.waiting import waiting

if TYPE_CHECKING:
    from ringzero.explore.player import Player

ALLOWANCE = 100_000_000  # steps that each of the searches here may play
RESCUE = 10  # so much less is spent on the point of no return: there every placement leads to as many others
LONGEST = 500_000  # steps of a run whose boundaries are all numbered


def explain(
    player: Player, trial: Trial, bound: int, *, minimal: bool = False, allowance: int = ALLOWANCE
) -> Counterexample:
    """A failed trial, made small and told. `bound`: so many further preemptions may try to save the run.

    minimal: it need not be made small, for it was found by a search that tries what is smaller first; the last
    preemption still goes to the beginning of its window.
    allowance: steps that may be played for each part.
    """
    assert trial.failure is not None
    if trial.failure.kind is Kind.LOCK:  # of the run as a whole: no other place makes it better or worse
        text = replay.encode(player.experiment, player, trial.schedule)
        return Counterexample(trial.schedule, trial.failure, sites(player, trial.schedule), replay=text)
    trial = trial if minimal else minimise(player, trial, allowance)
    assert trial.failure is not None
    told: tuple[Site, ...] = ()
    remarks: tuple[str, ...] = ()
    frame, back, read = None, None, None
    if trial.schedule:
        walked = walk(player, trial.schedule[:-1], trial.schedule[-1].at, LONGEST)
        frame, said = windows.window(Trials(player, allowance), trial.schedule, trial.failure, walked)
        if frame is not None and frame.first.placement != trial.schedule[-1]:
            trial = player.play((*trial.schedule[:-1], frame.first.placement))
        failing = walk(player, trial.schedule, trial.schedule[-1].at, LONGEST)
        back, more = windows.no_return(Trials(player, allowance // RESCUE), trial.schedule, bound, failing)
        read, most = difference(player, trial.schedule)
        remarks = (*said, *more, *most)
        told = sites(player, trial.schedule, failing)
    player.begin_at(0)  # who woke whom is told of the whole run
    text = replay.encode(player.experiment, player, trial.schedule)
    sentences = waiting(player, trial)
    assert trial.failure is not None
    return Counterexample(trial.schedule, trial.failure, told, frame, sentences, back, read, text, remarks)


def describe(example: Counterexample) -> list[str]:
    """The lines that a command prints."""
    return list(_lines(example))


def _lines(example: Counterexample) -> Iterator[str]:
    failure = example.failure
    yield f"{failure.kind.value}: {failure.message} (step {failure.step:,} of the window)"
    if not example.schedule:
        yield "  without any preemption"
    for number, place in enumerate(example.sites, 1):
        yield f"  {number}. {preemption_text(place)}"
    if example.window is not None:
        yield f"  window: {window_text(example.window)}"
    yield from (f"  {sentence}" for sentence in example.waiting or failure.details)
    if example.no_return is not None:
        yield f"  no return: from {where_text(example.no_return)} on nothing saves the run"
    if example.difference is not None:
        yield f"  first difference: {example.difference.sentence}"
    yield from (f"  note: {remark}" for remark in example.remarks)
    if example.replay:
        yield f"  replay: {example.replay}"


def preemption_text(site: Site) -> str:
    """`irq 0 interrupts thread 2 worker before work_take+0x10 (workqueue.asm:41), visit 2`."""
    burst = f" ×{site.placement.burst}" if site.placement.burst > 1 else ""
    who = f"thread {site.thread}" if site.thread else "the code"
    return f"{line_name(site.placement.line)}{burst} interrupts {who} before {where_text(site)}"


def where_text(site: Site) -> str:
    """`work_take+0x10 (workqueue.asm:41), visit 2, boundary 168`."""
    number = "" if site.boundary == NOT_COUNTED else f", boundary {site.boundary:,}"
    return f"{site.place}, visit {site.visit:,}{number}"


def window_text(window: Window) -> str:
    """`any of 37 of 4,812 boundaries: from here to there`."""
    if window.count == 1:
        return f"only this one of {window.boundaries:,} boundaries"
    stretch = window.last.boundary - window.first.boundary + 1
    return (
        f"any of {window.count:,} of {window.boundaries:,} boundaries"
        f"{'' if stretch == window.count else ', around here'}: "
        f"from {window.first.place} to {window.last.place}"
    )
