"""The listing: line number, offset, bytes and source of every line that made bytes; `+` marks a macro's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringzero.asm.assembler import Assembler
    from ringzero.asm.items import Row

_PER_LINE = 8
_MANY = 64


def write_listing(assembler: Assembler) -> str:
    """The listing of a finished assembly, one section and file heading where they change."""
    lines: list[str] = []
    place: tuple[str, str] | None = None
    for row in assembler.state.rows:
        section = row.section.name if row.section is not None else "(absolute)"
        if (row.where.file, section) != place:
            place = (row.where.file, section)
            lines.append(f"; {row.where.file}  {section}")
        lines += _lines(row)
    return "\n".join(lines) + "\n" if lines else ""


def _lines(row: Row) -> list[str]:
    mark = "+" if row.where.inner else " "
    text = row.where.inner.partition(": ")[2] if row.where.inner else row.where.text.rstrip()
    section = row.section
    base = section.linked if section is not None else 0
    size = row.end - row.start
    if section is None or section.nobits:
        return [f"{row.where.line:6}{mark} {base + row.start:016x} {f'<res {size:#x}>':<17} {text}"]
    shown = section.code[row.start : min(row.end, row.start + _MANY)]
    lines = []
    for at in range(0, max(len(shown), 1), _PER_LINE):
        piece = shown[at : at + _PER_LINE].hex()
        lines.append(
            f"{row.where.line:6}{mark} {base + row.start + at:016x} {piece:<17} {text if at == 0 else ''}".rstrip()
        )
    if size > _MANY:
        lines.append(f"{'':6}  {'':16} ... {size:#x} bytes")
    return lines
