"""`ringzero info`: which engines are here, which versions, and what the instruction table covers."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ringzero.isa.coverage import Entry

DISTRIBUTIONS = ("ringzero-cpu", "ringzero-kernel", "cffi", "click", "rich", "structlog", "pyelftools")


@click.command()
@click.option("--coverage", is_flag=True, help="List what the instruction table covers, by mnemonic.")
@click.option("--markdown", is_flag=True, help="Print docs/instructions.md, the table row by row.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def info(coverage: bool, markdown: bool, as_json: bool) -> None:
    """Say which engines, versions and instructions there are."""
    if markdown and (coverage or as_json):
        raise click.UsageError("--markdown prints a file of its own; leave --coverage and --json out")
    if markdown:
        from ringzero.isa.coverage import markdown as page

        print(page(), end="")
    elif as_json:
        print(json.dumps(dict(facts()) | (covered() if coverage else {}), indent=1))
    else:
        for name, value in facts():
            print(f"{name:16} {value}")
        if coverage:
            tell_coverage()


def facts() -> Iterator[tuple[str, str]]:
    host = f"{sys.platform} {platform.machine()}"
    yield "python", f"{platform.python_implementation()} {platform.python_version()} on {host}"
    for name in DISTRIBUTIONS:
        yield name, installed(name)
    yield "engine python", "available"
    yield "engine native", native()
    yield "table", table()


def installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def native() -> str:
    """Where the extension is, or why it is not there."""
    try:
        import ringzero._native as extension
    except ImportError as error:
        return f"not available: {error}"
    return f"available, {extension.__file__}"


def table() -> str:
    from ringzero.isa.table import FORMS, LOWERINGS

    lowered = [form for form in FORMS if form.mnemonic in LOWERINGS]
    mnemonics = {form.mnemonic for form in FORMS}
    return f"{len(FORMS)} forms of {len(mnemonics)} mnemonics, {len(lowered)} with a lowering"


def covered() -> dict[str, object]:
    """The coverage as plain values."""
    from ringzero.isa.coverage import entries, totals

    return {"mnemonics": [dataclasses.asdict(entry) for entry in entries()], "totals": totals()}


COLUMNS = ("mnemonic", "family", "rows", "modes", "feature", "privilege", "lowered")


def cells(entry: Entry) -> tuple[str, ...]:
    privilege = "cpl 0" if entry.cpl == 0 else ""
    lowered = "yes" if entry.lowered else "no"
    modes, features = " ".join(entry.modes), " ".join(entry.features)
    return entry.mnemonic, entry.family, str(entry.rows), modes, features, privilege, lowered


def tell_coverage() -> None:
    """A table on a terminal; columns of plain text, one line a mnemonic, anywhere else."""
    from ringzero.isa.coverage import entries, totals

    rows = [cells(entry) for entry in entries()]
    sums = {f"rows by {name}": counts for name, counts in totals().items()}
    if sys.stdout.isatty():
        _on_terminal(rows, sums)
        return
    widths = [max(len(row[n]) for row in (*rows, COLUMNS)) for n in range(len(COLUMNS))]
    for row in ((), COLUMNS, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())
    for heading, counts in sums.items():
        print(f"\n{heading}")
        for name, count in counts.items():
            print(f"  {name:14} {count:4}")


def _on_terminal(rows: list[tuple[str, ...]], sums: dict[str, dict[str, int]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = Table(*COLUMNS, title="The instruction table")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for heading, counts in sums.items():
        total = Table("name", "rows", title=heading)
        for name, count in counts.items():
            total.add_row(name, str(count))
        console.print(total)
