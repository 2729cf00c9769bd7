"""What `ringzero explore` and `ringzero replay` are asked about: their options, made into experiments.

Rule of this room: an image is a file, or a kernel that a package brings (entry-point group `ringzero.guests`). The
first has the window that the options name, the second has its own, by stage and by bug; options that would be ignored
are refused.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ringzero.cli import extensions
from ringzero.cli.guest import COUNT, choose_cpu
from ringzero.errors import UsageError
from ringzero.files import read_bounded

if TYPE_CHECKING:
    from ringzero.explore.experiment import Experiment
    from ringzero.explore.guest import Guest
    from ringzero.explore.schedule import Source
    from ringzero.machine.stages import StageList

Command = TypeVar("Command", bound=Callable[..., Any])
CLOCK_BYTES = 8
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def question_options(command: Command) -> Command:
    """The options that make the experiments; they arrive as the fields of `Question`."""
    options = (
        click.option("--stage", "stage", metavar="NAME", multiple=True, help="A stage, or a pattern: 'wq-*'."),
        click.option("--all", "everything", is_flag=True, help="All stages that the kernel's package offers."),
        click.option("--bug", metavar="ID", help="Put one bug back, where the kernel's package has it."),
        click.option("--from", "start", metavar="SYMBOL", help="The window begins here. [power-on]"),
        click.option("--until", metavar="SYMBOL", help="It ends before the instruction here. [the exit]"),
        click.option("--until-serial", metavar="TEXT", help="It ends when this was sent."),
        click.option("--irq", metavar="LINES", help="Interrupt lines to choose from, as 0,4. [0, the timer]"),
        click.option("--nmi", is_flag=True, help="The NMI is one of them."),
        click.option("--serial-input", metavar="TEXT", help="What arrives at the serial port, byte by byte."),
        click.option("--burst", type=COUNT, metavar="K", help="Up to K ticks in a row are one preemption. [1]"),
        click.option("--stages", metavar="FILE", help="A TOML list: the kernel's stages, threads and clocks."),
        click.option("--clock", "clocks", metavar="SYMBOL[=BYTES]", multiple=True, help="It counts, never decides."),
        click.option("--invariant", "invariants", metavar="MODULE:FUNCTION", multiple=True, help="What always holds."),
        click.option("--success", metavar="MODULE:FUNCTION", help="What holds at the window's end."),
        click.option("--success-exit", type=COUNT, metavar="N", help="The exit status that means success. [33]"),
        click.option("--max-steps", type=COUNT, metavar="N", help="Steps of the window that a run may take. [5000000]"),
        click.option("--strict-locks", is_flag=True, help="A lock that can deadlock with a handler fails."),
        click.option("-m", "memory", metavar="SIZE", help="Memory, as QEMU takes it. [16M]"),
        click.option("-append", "--append", metavar="TEXT", help="The guest's command line."),
        click.option("-cpu", "--cpu", metavar="MODEL", default=None, callback=chosen_cpu, help="As QEMU takes it."),
        click.option("-device", "--device", "devices", metavar="DEVICE", multiple=True, help="As QEMU takes it."),
        click.option("--engine", type=click.Choice(["auto", "native", "python"]), default=None),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def chosen_cpu(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """`choose_cpu`, where something is chosen."""
    return None if text is None else choose_cpu(context, parameter, text)


@dataclass(frozen=True)
class Question:
    """What the user asked about; see `question_options`. None and () are what was left out."""

    image: str
    stage: tuple[str, ...] = ()
    everything: bool = False
    bug: str | None = None
    start: str | None = None
    until: str | None = None
    until_serial: str | None = None
    irq: str | None = None
    nmi: bool = False
    serial_input: str | None = None
    burst: int | None = None
    stages: str | None = None
    clocks: tuple[str, ...] = ()
    invariants: tuple[str, ...] = ()
    success: str | None = None
    success_exit: int | None = None
    max_steps: int | None = None
    strict_locks: bool = False
    memory: str | None = None
    append: str | None = None
    cpu: str | None = None
    devices: tuple[str, ...] = ()
    engine: str | None = None

    def experiments(self) -> list[Experiment]:
        """All that is asked. Raises RingzeroError, or OSError for a file."""
        if self.invariants or self.success:
            sys.path.insert(0, os.getcwd())  # a file of the user's, beside where he stands
        if os.path.exists(self.image):
            return [self._asked(experiment) for experiment in self._of_file()]
        return [self._asked(experiment) for experiment in self._of_guest()]

    def whole_runs(self) -> list[Experiment]:
        """What a hunt is about: a file's run; of a kernel that comes as a package the runs that lead to the stages that
        are named, or to all of them, each once. They begin at power-on or --from. Raises what `experiments` raises."""
        if os.path.exists(self.image):
            return self.experiments()
        named = bool(self.stage or self.bug or self.everything)
        asked = replace(
            self,
            start=None,
            until=None,
            until_serial=None,
            append=None,
            everything=not named or self.everything,
        )
        runs: dict[tuple[bytes, str], Experiment] = {}
        for each in map(self._whole, asked.experiments()):
            runs.setdefault((each.image, each.configuration_digest), each)
        return list(runs.values())

    def _whole(self, experiment: Experiment) -> Experiment:
        append = self.append or experiment.machine.get("append", "")
        return replace(
            experiment,
            name=f"{append} with {self.bug}" if self.bug else append or experiment.name,
            machine={**experiment.machine, "append": append},
            start=self.start,
            start_serial=None,
            until=self.until,
            until_serial=self.until_serial,
        )

    def _of_guest(self) -> Iterable[Experiment]:
        self._refuse("is no file, and a kernel that comes as a package has windows of its own",
                     {"--from": self.start, "--until": self.until, "--until-serial": self.until_serial,
                      "--stages": self.stages, "--append": self.append})  # fmt: skip
        return guest(self.image).experiments(stages=self.stage, bug=self.bug, everything=self.everything)

    def _of_file(self) -> Iterator[Experiment]:
        from ringzero.asm.image import Image
        from ringzero.explore.experiment import Experiment
        from ringzero.machine.stages import read_stages

        self._refuse("is a file, and only a kernel that comes as a package has these",
                     {"--all": self.everything, "--bug": self.bug})  # fmt: skip
        rows = read_stages(self.stages) if self.stages is not None else None
        image = Image.from_bytes(read_bounded(self.image), self.image)
        whole = Experiment(
            os.path.basename(self.image),
            image.data,
            {"append": self.append}
            if self.append
            else {},  # else Machine's own, as in pytest: the same strings
            start=self.start,
            until=self.until,
            until_serial=self.until_serial,
            threads=rows.threads if rows else {},
            clocks=rows.clocks if rows else {},
        )
        if not self.stage:
            yield whole
        for name in self.stage:
            yield stage_of(whole, rows, name)

    def _refuse(self, why: str, options: dict[str, object]) -> None:
        for option, value in options.items():
            if value not in (None, False, ()):
                raise click.UsageError(f"{option} cannot be used here: {self.image} {why}")

    def _asked(self, experiment: Experiment) -> Experiment:
        """An experiment with what the user wants different."""
        machine = {
            "memory": self.memory,
            "cpu": self.cpu,
            "engine": self.engine,
            "devices": self.devices or None,
        }
        return replace(
            experiment,
            machine={
                **experiment.machine,
                **{key: value for key, value in machine.items() if value is not None},
            },
            sources=self._sources() or experiment.sources,
            burst=self.burst or experiment.burst,
            clocks={**experiment.clocks, **dict(map(parse_clock, self.clocks))},
            invariants=(*experiment.invariants, *self.invariants),
            success=self.success or experiment.success,
            success_exit=self.success_exit or experiment.success_exit,
            max_steps=self.max_steps or experiment.max_steps,
            strict_locks=self.strict_locks or experiment.strict_locks,
        )

    def _sources(self) -> tuple[Source, ...]:
        from ringzero.explore.schedule import NMI, Source

        lines = parse_lines(self.irq) if self.irq is not None else []
        content = (self.serial_input or "").encode()
        if content and 4 not in lines:
            lines = [*(lines or [0]), 4]
        if self.nmi:
            lines = [*(lines or [0]), NMI]
        return tuple(Source(line, content if line == 4 else b"") for line in lines)


def only_guest() -> str:
    """The name of the kernel that a package brings, where there is one. Raises UsageError."""
    names: Sequence[str] = sorted(extensions.every(extensions.GUESTS))
    if len(names) != 1:
        raise click.UsageError(
            f"name the image first: a file, or one of {', '.join(names) or 'no kernel that there is'}"
        )
    return names[0]


def guest(name: str) -> Guest:
    """The kernel of that name that a package brings. Raises UsageError for one that there is not."""
    place = extensions.find(extensions.GUESTS, name)
    if place is None:
        known = ", ".join(sorted(extensions.every(extensions.GUESTS))) or "none"
        raise UsageError(
            f"{name}: no such file, and no package brings a kernel of that name (there are: {known})"
        )
    module, _, attribute = place.partition(":")
    found: Guest = getattr(importlib.import_module(module), attribute)
    return found


def stage_of(whole: Experiment, rows: StageList | None, name: str) -> Experiment:
    """The window of a stage of the user's list: from the marker before it to its own."""
    if rows is None:
        raise click.UsageError("--stage chooses from the stages of a list; name one with --stages FILE")
    names = [row.name for row in rows.stages]
    if name not in names:
        raise UsageError(f"no stage {name!r} in the list; there are {', '.join(names) or 'none'}")
    before = names[: names.index(name)]
    start = f"[stage] {before[-1]}\n" if before and whole.start is None else None
    return replace(whole, name=name, start_serial=start, until_serial=f"[stage] {name}\n")


def parse_lines(text: str) -> list[int]:
    """`0,4`: interrupt lines. Raises UsageError."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UsageError(f"--irq {text!r} is no list of interrupt lines; write 0,4")
    return list(dict.fromkeys(map(int, text.split(","))))


def parse_clock(text: str) -> tuple[str, int]:
    """`jiffies=8`: a symbol, or symbol+offset, and its bytes. Raises UsageError."""
    symbol, _, size = text.partition("=")
    if not symbol or not re.fullmatch(r"([1-9]\d*)?", size) or text.endswith("="):
        raise UsageError(f"--clock {text!r} is no clock; write SYMBOL or SYMBOL=BYTES")
    return symbol, int(size) if size else CLOCK_BYTES


def parse_duration(text: str) -> float:
    """Seconds of `90`, `30s`, `10m`, `1h30m`. Raises UsageError.

    >>> parse_duration("1h30m")
    5400.0
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)s?|((?:\d+(?:h|ms|m|s))+)", text)
    if parts is None:
        raise UsageError(f"{text!r} is no duration; write 30s, 10m or 1h30m")
    if parts[1] is not None:
        return float(parts[1])
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)(h|ms|m|s)", text))
