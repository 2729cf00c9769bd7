"""Entry point of the `ringzero` command: finds the command, and turns every failure into a line and a status.

Rule of this room: what costs time to import (rich, the machine, the assembler) is imported by the command that needs
it, when it runs; and no error leaves here as a traceback. Statuses: 0 done; 1 the guest did not do what it should;
2 bad usage or input; 3 an exploration was not finished; 130 interrupted; 70 a bug of ours (RINGZERO_TRACEBACK=1 then
shows where).
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ringzero import __version__
from ringzero.cli import extensions
from ringzero.errors import RingzeroError

FAILED = 1
USAGE = 2
INTERNAL = 70
INTERRUPTED = 130

#: Our own commands and where they live; other packages add theirs through an entry-point group (`extensions`).
COMMANDS = {
    "run": "ringzero.cli.run:run",
    "explore": "ringzero.cli.explore:explore",
    "hunt": "ringzero.cli.hunt:hunt",
    "replay": "ringzero.cli.replay:replay",
    "sweep": "ringzero.cli.sweep:sweep",
    "asm": "ringzero.cli.asm:asm",
    "disasm": "ringzero.cli.disasm:disasm",
    "info": "ringzero.cli.info:info",
}


class Commands(click.Group):
    """The commands of this package and of others, each imported when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({**extensions.every(extensions.COMMANDS), **COMMANDS})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        place = COMMANDS.get(name) or extensions.find(extensions.COMMANDS, name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), f"{place} is not a click command"
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="ringzero %(version)s")
def ringzero() -> None:
    """A deterministic x86-64 machine: boot a kernel, stage by stage, the same way every time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; never raises, whatever the input."""
    settle_output()
    try:
        arguments = sys.argv[1:] if argv is None else list(argv)
        # Not `ringzero.main()`: click would give a closed pipe a status of its own.
        with ringzero.make_context("ringzero", arguments) as context:
            status = ringzero.invoke(context)
        sys.stdout.flush()
    except BaseException as error:  # every way out of the process passes here, to be given its status
        return ending(error)
    return status if isinstance(status, int) else 0


def settle_output() -> None:
    """Give every print somewhere to go, whatever the process was started with."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the life of the process
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another alphabet is no reason to fail.
            stream.reconfigure(errors="backslashreplace")


def ending(error: BaseException) -> int:
    """The status for a failure, after its one line on standard error."""
    drop_unwritable_output()
    if isinstance(error, BrokenPipeError):
        return say("standard output was closed before everything was written", USAGE)
    if isinstance(error, (click.exceptions.Abort, KeyboardInterrupt)):
        return say("interrupted", INTERRUPTED)
    if isinstance(error, click.exceptions.Exit):  # --help and --version end here
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else USAGE
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if isinstance(error, RingzeroError) and hasattr(error, "errors"):
        # An assembler's mistakes, all of them: `file:line: …` as compilers print them, so that editors find the place.
        print(*error.errors, sep="\n", file=sys.stderr)
        return USAGE
    if isinstance(error, (click.ClickException, RingzeroError, OSError)):
        return say(one_line(error), USAGE)
    if isinstance(error, MemoryError):
        return say("the host has not enough memory; give the machine less with -m", USAGE)
    if os.environ.get("RINGZERO_TRACEBACK"):
        raise error
    detail = " ".join(f"{type(error).__name__}: {error}".split())
    return say(f"internal error, a bug of ours: {detail} (RINGZERO_TRACEBACK=1 shows where)", INTERNAL)


def drop_unwritable_output() -> None:
    """Throw away what standard output will not take: a second failure at exit would be a traceback of Python's."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(line: str, status: int) -> int:
    print(f"ringzero: {line}", file=sys.stderr)
    return status


def one_line(error: Any) -> str:
    """What went wrong and the way out."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "ringzero"
        return f"{error.format_message()} (see `{command} --help`)"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError):
        return ": ".join(os_error_parts(error))
    return str(error)


def os_error_parts(error: OSError) -> Iterator[str]:
    if error.filename is not None:
        yield os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
    yield error.strerror or str(error) or type(error).__name__
