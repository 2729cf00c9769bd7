"""What `ringzero run` and `ringzero boot` share: the options, the run under the user's eyes, the report, the status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ringzero.files import write_atomic

if TYPE_CHECKING:
    from ringzero.asm.image import Image
    from ringzero.machine.harness import Outcome
    from ringzero.machine.machine import Machine
    from ringzero.machine.stages import StageList

STATUS = {"passed": 0, "failed": 1, "interrupted": 130}
COUNT = click.IntRange(min=1)
Command = TypeVar("Command", bound=Callable[..., Any])


def choose_cpu(context: click.Context, _: click.Parameter, text: str) -> str:
    """`--cpu help` lists the models and features and ends; anything else is looked at before something runs."""
    from ringzero.cpu.system.model import help_text, parse_model

    if text in ("help", "?"):
        click.echo(help_text())
        context.exit()
    parse_model(text)
    return text


def guest_options(command: Command) -> Command:
    """The options of every command that runs a guest; they arrive as the fields of `Options`."""
    options = (
        click.option(
            "--engine", type=click.Choice(["auto", "native", "python"]), default="auto", show_default=True
        ),
        click.option(
            "-cpu",
            "--cpu",
            metavar="MODEL",
            default="ringzero",
            show_default=True,
            callback=choose_cpu,
            help="The processor, as QEMU takes it: NAME[,+FEATURE][,-FEATURE]; help lists them.",
        ),
        click.option(
            "-serial", "--serial", metavar="FILE", help="Keep the serial text: a file, - or stdio, none."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines."),
        click.option("--junit", metavar="FILE", help="Write JUnit XML, a case a stage."),
        click.option(
            "--trace", type=click.Choice(["switches", "interrupts", "instructions"]), help="On stderr."
        ),
        click.option(
            "--trace-format", type=click.Choice(["text", "json"]), default="text", show_default=True
        ),
        click.option("--timer-period", type=COUNT, metavar="N", help="Steps between two timer ticks."),
        click.option(
            "--rng-seed",
            type=click.IntRange(0, (1 << 64) - 1),
            metavar="N",
            default=0,
            help="What the numbers of RDRAND and RDSEED follow from; 0 unless said.",
        ),
        click.option("--phase", type=click.IntRange(min=0), metavar="N", help="Steps before the first tick."),
        click.option("--max-steps", type=COUNT, metavar="N", help="Give up at this step."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Options:
    """What the user asked for; see `guest_options`."""

    engine: str = "auto"
    cpu: str = "ringzero"
    serial: str | None = None
    as_json: bool = False
    junit: str | None = None
    trace: str | None = None
    trace_format: str = "text"
    timer_period: int | None = None
    phase: int | None = None
    rng_seed: int = 0
    max_steps: int | None = None

    @property
    def serial_file(self) -> str | None:
        """The file for the serial text; None for standard output and for nowhere."""
        if self.serial_on_stdout or self.serial in (None, "none", "null"):
            return None
        return str(self.serial).removeprefix("file:")

    @property
    def serial_on_stdout(self) -> bool:
        return self.serial in ("-", "stdio")

    def check(self) -> None:
        """Refuse what cannot be done before anything runs. Raises UsageError, or OSError for a file."""
        if self.as_json and self.serial_on_stdout:
            raise click.UsageError(
                "--json and --serial - both want standard output; give the serial text a file"
            )
        for file in (self.serial_file, self.junit):
            if file is not None:
                must_be_writable(Path(file))


def must_be_writable(path: Path) -> None:
    """Raise OSError now rather than after the run."""
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "No such directory for the file", str(path))


def make_machine(image: Image, options: Options, **settings: Any) -> Machine:
    """A machine with the image loaded; `settings` are Machine's own."""
    from ringzero.machine.machine import Machine

    return Machine(
        image,
        engine=options.engine,
        cpu=options.cpu,
        timer_period=options.timer_period,
        timer_phase=options.phase,
        rng_seed=options.rng_seed,
        **settings,
    )


def run_guest(
    machine: Machine,
    options: Options,
    *,
    stages: StageList | None,
    configuration: str | None,
    success_exit: int,
    max_steps: int,
) -> int:
    """Run to the verdict, tell it in the form that was asked for, and return the exit status."""
    from ringzero.cli.report import reporter
    from ringzero.machine.harness import Harness

    report = reporter(options.as_json, sys.stderr if options.serial_on_stdout else sys.stdout)
    with interruption() as interrupted:
        harness = Harness(
            machine,
            stages,
            configuration,
            success_exit,
            options.max_steps or max_steps,
            hashed=options.as_json,  # nothing else shows it
            on_stage=report.stage,
            on_steps=report.steps,
            interrupted=interrupted,
        )
        if options.serial_on_stdout:
            machine.platform.uarts[0].listeners.append(echo)
        if options.trace:
            from ringzero.debug.trace import attach  # structlog is needed for nothing else

            attach(harness, options.trace, options.trace_format)
        report.begin(len(harness.tracker.stages) if harness.tracker else 0)
        try:
            outcome = harness.run()
        finally:
            report.end()
    write_files(outcome, options)
    report.verdict(outcome)
    return STATUS[outcome.verdict]


def echo(byte: int) -> None:
    """A byte of the guest's to standard output, a line at a time."""
    sys.stdout.buffer.write(bytes((byte,)))
    if byte == 0x0A:
        sys.stdout.buffer.flush()


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Ctrl-C ends the run at its next slice, with what was learned; a second one ends it at once."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not the main thread: there is no Ctrl-C to catch
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def write_files(outcome: Outcome, options: Options) -> None:
    from ringzero.cli.report import as_junit

    if options.serial_file is not None:
        write_atomic(options.serial_file, outcome.serial)
    if options.junit is not None:
        write_atomic(options.junit, as_junit(outcome, outcome.configuration or "guest"))
