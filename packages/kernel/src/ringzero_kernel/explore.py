"""The kernel as something to explore: an experiment for each stage, and for each bug.

Rule of this room: a stage's window is the run from the marker before it to its own; a scenario's from its code's start,
reached by the shortest way, to its marker. All are explored with a quantum of one tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from ringzero.errors import UsageError
from ringzero.explore.experiment import Experiment
from ringzero.explore.schedule import TIMER, Source
from ringzero.machine.stages import StageList, read_stages
from ringzero_kernel.bugs import BUGS
from ringzero_kernel.bugs import bug as find_bug
from ringzero_kernel.build import build
from ringzero_kernel.config import MEMORY, STAGES, SUCCESS_EXIT

DEFINES = {"QUANTUM": "1"}
SCENARIOS = "scenarios"
#: Where a stage stands in several configurations, the first of these is the shortest way to it.
CONFIGURATIONS = (SCENARIOS, "workqueue", "boot-stages", "kthread-stress")
#: What `--all` means: threads, waiting and work. A stage of another name proves nothing that depends on when.
EVERYTHING = (
    *(
        "kthread-*",
        "should-stop-*",
        "no-waiter-*",
        "completion-*",
        "spurious-*",
        "boot-thread-waits",
        "two-waiters",
    ),
    *("wait-*", "wake-*", "wq-*", "system-wq-*"),
)
#: What arrives on a line that has input: the serial port.
CONTENT = {4: b"k"}
INVARIANTS = tuple(
    f"ringzero_kernel.invariants:{name}"
    for name in ("ready_once", "current_runs", "own_stack", "work_queued", "heap_whole")
)


class KernelGuest:
    """`ringzero.explore.guest.Guest`, for this kernel."""

    @property
    def bugs(self) -> tuple[str, ...]:
        """The ids of bugs.toml."""
        return tuple(BUGS)

    @property
    def source_directories(self) -> tuple[Path, ...]:
        """This package's: line tables name files relative to it."""
        return (STAGES.parent,)

    def experiments(
        self, *, stages: Sequence[str] = (), bug: str | None = None, everything: bool = False
    ) -> Iterator[Experiment]:
        """One for each stage: those that are named, those of `EVERYTHING`, or the one where a bug shows."""
        if bug is not None and not stages and not everything:
            stages = (find_bug(bug).scenario,)
        if not stages and not everything:
            raise UsageError("nothing to explore: name a --stage or a --bug, or say --all")
        names = matching((*stages, *(EVERYTHING if everything else ())))
        return (stage_experiment(name, bug) for name in names)


GUEST = KernelGuest()


@cache
def stage_list() -> StageList:
    """stages.toml."""
    return read_stages(STAGES)


@cache
def image(bug: str | None) -> bytes:
    """The image to explore, as an ELF file's content."""
    return build(defines=DEFINES, bug=bug).data


def matching(patterns: Sequence[str]) -> list[str]:
    """The stages that a pattern names, in the list's order. Raises UsageError for one that names none."""
    names = [stage.name for stage in stage_list().stages]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"no stage {pattern!r}; `ringzero boot` lists them, and a name may be a pattern: 'wq-*'"
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def stage_experiment(name: str, bug: str | None = None) -> Experiment:
    """One stage of the kernel, with a bug or without."""
    start, start_serial, append = window(name)
    return Experiment(
        f"{name} with {bug}" if bug else name,
        image(bug),
        {"memory": MEMORY, "append": append},
        start=start,
        start_serial=start_serial,
        until="stage_passed",
        sources=sources(bug),
        threads=stage_list().threads,
        clocks=stage_list().clocks,
        invariants=INVARIANTS,
        success_exit=SUCCESS_EXIT,
    )


def sources(bug: str | None) -> tuple[Source, ...]:
    """The interrupt lines to choose from: the timer's, or those that a bug needs."""
    lines = find_bug(bug).lines if bug else (TIMER,)
    return tuple(Source(line, CONTENT.get(line, b"")) for line in lines)


def window(name: str) -> tuple[str | None, str | None, str]:
    """Where a stage's window starts, a symbol or a serial text, and the command line that leads there."""
    stages = stage_list()
    inside = [each for each in CONFIGURATIONS if any(name == row.name for row in stages.of(each))]
    if inside == [SCENARIOS]:
        return "scenario_start", None, f"config={SCENARIOS} only={name}"
    configuration = next(
        each for each in inside if each != SCENARIOS
    )  # what all have in common is no scenario
    rows = [row.name for row in stages.of(configuration)]
    before = rows[: rows.index(name)]
    return None, f"[stage] {before[-1]}\n" if before else None, f"config={configuration}"
