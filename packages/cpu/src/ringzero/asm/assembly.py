"""`assemble`: the front door. Source in, an Assembly out, or one AssemblyError with every mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ringzero.asm.assembler import Assembler
from ringzero.asm.diagnostics import AssemblyError, Location, Mistake, Report
from ringzero.asm.lexer import is_ident
from ringzero.asm.macros import Define
from ringzero.asm.preprocessor import Preprocessor
from ringzero.asm.source import decode_source, read_file

if TYPE_CHECKING:
    from ringzero.asm.image import Image


@dataclass
class Assembly:
    """What became of a source.

    `binary`: the flat image (nasm -f bin), or the ELF file. `flat`: the flat image in either format.
    `symbols`: name → address or number, for every symbol that has one. `warnings`: what %warning said.
    """

    format: str
    flat: bytes
    symbols: dict[str, int]
    warnings: list[str]
    _assembler: Assembler = field(repr=False)
    _name: str = field(repr=False)

    @cached_property
    def binary(self) -> bytes:
        """The file's bytes, in the format asked for."""
        if self.format == "bin":
            return self.flat
        from ringzero.asm.elf import write_elf

        return write_elf(self._assembler, self._name)

    @cached_property
    def image(self) -> Image:
        """The ELF file read back as an Image."""
        from ringzero.asm.elf import write_elf
        from ringzero.asm.image import Image

        return Image.from_bytes(
            self.binary if self.format == "elf64" else write_elf(self._assembler, self._name)
        )

    @cached_property
    def listing(self) -> str:
        """Offsets and bytes beside the source."""
        from ringzero.asm.listing import write_listing

        return write_listing(self._assembler)


def assemble(
    source: str | Path,
    *,
    format: str = "elf64",
    defines: Mapping[str, str] | None = None,
    include: Sequence[str | Path] = (),
    name: str | None = None,
) -> Assembly:
    """Assemble NASM text.

    `source`: the text itself, or the Path of a file. `format`: "elf64" or "bin". `defines`: as `-D name=value`.
    `include`: directories for %include and incbin, after that of the file. `name`: what the source is called in
    messages and line numbers; a file's own name by default.
    Raises AssemblyError with all mistakes of the source and its includes; ValueError for an unknown format.
    """
    if format not in ("elf64", "bin"):
        raise ValueError(f"format {format!r} is not known; write elf64 or bin")
    report = Report()
    preprocessor = Preprocessor(report, [Path(folder) for folder in include])
    text, name, folder = _read(source, name)
    _predefine(preprocessor, {**(defines or {}), "__OUTPUT_FORMAT__": format})
    preprocessor.open_text(name, text, folder)
    assembler = Assembler(report, preprocessor)
    assembler.run()
    report.check()
    symbols = assembler.numbers()
    return Assembly(format, assembler.layout.flat(), symbols, report.warnings, assembler, name)


def _read(source: str | Path, name: str | None) -> tuple[str, str, Path | None]:
    if isinstance(source, str):
        return source, name or "source.asm", None
    told = name or source.name
    try:
        return decode_source(read_file(str(source), source), str(source)), told, source.parent
    except Mistake as mistake:
        raise AssemblyError([str(mistake)]) from None


def _predefine(preprocessor: Preprocessor, defines: Mapping[str, str]) -> None:
    from ringzero.asm.lexer import lex

    where = Location("command line", 0, "")
    for key, value in defines.items():
        if not is_ident(key):
            preprocessor.report.error(where, f"-D {key}: not a name; write -D name=value")
            continue
        try:
            preprocessor.defines.define(key, Define(lex(str(value).strip())))
        except Mistake as mistake:
            preprocessor.report.error(where, mistake)
