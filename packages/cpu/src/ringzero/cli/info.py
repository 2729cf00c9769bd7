"""`ringzero info`: which engines are here, which versions, and what the instruction table covers."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

DISTRIBUTIONS = ("ringzero-cpu", "ringzero-kernel", "cffi", "click", "rich", "structlog", "pyelftools")


@click.command()
@click.option("--coverage", is_flag=True, help="List the rows without a lowering, by mnemonic.")
def info(coverage: bool) -> None:
    """Say which engines, versions and instructions there are."""
    for name, value in facts():
        print(f"{name:16} {value}")
    if coverage:
        for line in missing_rows():
            print(line)


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
    from ringzero.isa.table import FORMS

    lowered = [form for form in FORMS if has_lowering(form.mnemonic)]
    mnemonics = {form.mnemonic for form in FORMS}
    return f"{len(FORMS)} forms of {len(mnemonics)} mnemonics, {len(lowered)} with a lowering"


def has_lowering(mnemonic: str) -> bool:
    from ringzero.isa.form import LOWERINGS

    return mnemonic in LOWERINGS


def missing_rows() -> Iterator[str]:
    """The mnemonics that the decoder knows and no engine runs."""
    from ringzero.isa.table import FORMS

    counts = Counter(form.mnemonic for form in FORMS if not has_lowering(form.mnemonic))
    if not counts:
        yield "every row has a lowering"
    for mnemonic, count in sorted(counts.items()):
        yield f"no lowering: {mnemonic} ({count} {'form' if count == 1 else 'forms'})"
