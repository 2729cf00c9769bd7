"""`ringzero disasm`: the disassembler, with ndisasm's options and lines; an ELF file by its symbols."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from ringzero.files import read_bounded, read_standard_input

if TYPE_CHECKING:
    from ringzero.asm.image import Image

EXECUTABLE = 1  # PF_X
ELF_MAGIC = b"\x7fELF"
COLUMN = 8  # bytes of an instruction on a line
LINES = 1000  # printed at once


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "-b", "bits", type=click.Choice(["64", "32", "16"]), default="64", show_default=True, help="The mode."
)
@click.option("-o", "origin", metavar="ADDRESS", help="The address of the first byte (a flat binary's). [0]")
def disasm(file: str, bits: str, origin: str | None) -> None:
    """Disassemble FILE (- is standard input): a flat binary, or the code of an ELF file by its symbols."""
    code = read_standard_input() if file == "-" else read_bounded(file)
    if code.startswith(ELF_MAGIC):
        if origin is not None:
            raise click.UsageError(f"{file} is an ELF file and says its own addresses; leave out -o")
        from ringzero.asm.image import Image

        lines = elf_lines(Image.from_bytes(code, file), int(bits))
    else:
        lines = flat_lines(code, int(bits), number(origin or "0"))
    while batch := list(islice(lines, LINES)):
        print("\n".join(batch))


def number(text: str) -> int:
    """An address as C or nasm writes it: 4096, 0x1000, 1000h."""
    try:
        value = int(text[:-1], 16) if text[-1:] in ("h", "H") else int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise click.UsageError(f"{text!r} is not an address; write it like 4096, 0x1000 or 1000h")
    return value


def flat_lines(code: bytes, mode: int, address: int) -> Iterator[str]:
    """ndisasm's lines: address, bytes (continued on lines of their own), text."""
    from ringzero.asm.disassembler import instructions

    for at, encoded, text in instructions(code, mode=mode, address=address):
        yield f"{at:08X}  {encoded[:COLUMN].hex().upper():<{2 * COLUMN}}  {text}"
        for offset in range(COLUMN, len(encoded), COLUMN):
            yield f"{'':8} -{encoded[offset : offset + COLUMN].hex().upper()}"


def elf_lines(image: Image, mode: int) -> Iterator[str]:
    """The executable segments, cut at symbols so that each begins a line of its own."""
    for segment in image.segments:
        if not segment.flags & EXECUTABLE:
            continue
        start, end = segment.vaddr, segment.vaddr + len(segment.data)
        names: dict[int, list[str]] = {}
        for name, address in image.symbols.items():
            if start <= address < end:
                names.setdefault(address, []).append(name)
        cuts = sorted({start, *names})
        for at, following in zip(cuts, [*cuts[1:], end], strict=True):
            yield from (f"\n{at:016x} <{name}>:" for name in sorted(names.get(at, [])))
            yield from flat_lines(segment.data[at - start : following - start], mode, at)
