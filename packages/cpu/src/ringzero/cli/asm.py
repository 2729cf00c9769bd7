"""`ringzero asm`: the assembler, with nasm's option letters."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ringzero.files import read_standard_input, write_atomic

SUFFIX = {"bin": "", "elf64": ".elf"}


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "-o", "out", metavar="OUT", help="The file to write; - is standard output. [FILE without .asm, or .elf]"
)
@click.option(
    "-f", "form", type=click.Choice(["bin", "elf64"]), default="bin", show_default=True, help="Output format."
)
@click.option("-l", "listing", metavar="FILE", help="Write a listing too; - is standard output.")
@click.option(
    "-D", "-d", "defines", metavar="NAME[=VALUE]", multiple=True, help="Define a macro, as %define does."
)
@click.option(
    "-I", "-i", "include", metavar="DIR", multiple=True, help="Look for %include and incbin here too."
)
def asm(
    file: str,
    out: str | None,
    form: str,
    listing: str | None,
    defines: tuple[str, ...],
    include: tuple[str, ...],
) -> None:
    """Assemble FILE (NASM syntax; - is standard input) into a flat binary or an ELF64 image."""
    from ringzero.asm import assemble

    out = out or default_output(file, form)
    source: str | Path = source_text() if file == "-" else Path(file)
    made = assemble(
        source,
        format="elf64" if form == "elf64" else "bin",
        defines=dict(definition(text) for text in defines),
        include=[Path(directory) for directory in include],
    )
    for warning in made.warnings:
        click.echo(warning, err=True)
    put(out, made.binary)
    if listing is not None:
        put(listing, made.listing.encode())


def source_text() -> str:
    """Standard input as a source; it has the bound and the encoding of a source file."""
    from ringzero.asm.diagnostics import Mistake
    from ringzero.asm.source import MAX_FILE, decode_source

    try:
        return decode_source(read_standard_input(MAX_FILE), "standard input")
    except Mistake as mistake:
        raise click.UsageError(str(mistake)) from None


def default_output(file: str, form: str) -> str:
    """As nasm: the source's name with the format's suffix; never the source itself."""
    if file == "-":
        raise click.UsageError("standard input has no name to make one from; say where to write with -o")
    target = str(Path(file).with_suffix(SUFFIX[form]))
    if target == file:
        raise click.UsageError(f"the output would overwrite {file}; name another with -o")
    return target


def definition(text: str) -> tuple[str, str]:
    """`NAME=VALUE` or `NAME`."""
    name, _, value = text.partition("=")
    if not name:
        raise click.UsageError(f"-D {text}: a name is missing; write -D NAME=VALUE")
    return name, value


def put(where: str, content: bytes) -> None:
    """Write a file, or standard output for "-"."""
    if where == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        write_atomic(where, content)
