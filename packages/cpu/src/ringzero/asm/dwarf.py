"""DWARF 4 line numbers: from an address back to the line of source that made it.

One compile unit, named after the main source; file names stay as relative as the assembler tells them, and there is
no compilation directory, so that the same source gives the same bytes wherever it lies. A macro's instructions
belong to the line of its call.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringzero.asm.assembler import Assembler
    from ringzero.asm.sections import Section

_PRODUCER = "ringzero assembler"
_LINE_BASE, _LINE_RANGE, _OPCODE_BASE = -5, 14, 13
_OPERANDS = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE = 1, 2, 3, 4
_END_SEQUENCE, _SET_ADDRESS = 1, 2

Rows = list[tuple[int, str, int]]
"""(offset in the section, file, line), ascending."""


def debug_sections(assembler: Assembler, name: str) -> list[tuple[str, bytes]]:
    """(section name, bytes) of the debugging sections; none when there are no instructions."""
    rows: dict[int, Rows] = {}
    for row in assembler.state.rows:
        if row.code and row.section is not None:
            rows.setdefault(row.section.index, []).append((row.start, row.where.file, row.where.line))
    sections = [s for s in assembler.layout.sections if s.index in rows and s.offset]
    if not sections:
        return []
    files = list(dict.fromkeys(file for section in sections for _, file, _ in rows[section.index]))
    return [
        (".debug_abbrev", _abbreviations()),
        (".debug_info", _info(name)),
        (".debug_line", _line_program(sections, rows, files)),
        (".debug_ranges", _ranges(sections)),
    ]


def _uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        done = (value == 0 and not byte & 0x40) or (value == -1 and bool(byte & 0x40))
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _abbreviations() -> bytes:
    """One kind of entry: DW_TAG_compile_unit without children."""
    attributes = (
        (0x25, 0x08), (0x13, 0x05), (0x03, 0x08), (0x10, 0x17), (0x11, 0x01), (0x55, 0x17),
    )  # fmt: skip  # producer string, language data2, name string, stmt_list, low_pc addr, ranges
    body = b"".join(_uleb(at) + _uleb(form) for at, form in attributes)
    return _uleb(1) + _uleb(0x11) + b"\0" + body + b"\0\0" + b"\0"


def _info(name: str) -> bytes:
    mips_assembler = 0x8001  # DW_LANG_Mips_Assembler: what every assembler says
    unit = _uleb(1) + _text(_PRODUCER) + struct.pack("<H", mips_assembler) + _text(name)
    unit += struct.pack("<IQI", 0, 0, 0)
    header = struct.pack("<HIB", 4, 0, 8)
    return struct.pack("<I", len(header) + len(unit)) + header + unit


def _ranges(sections: list[Section]) -> bytes:
    """Absolute pairs: the unit's low_pc is 0."""
    pairs = [struct.pack("<QQ", s.linked, (s.linked + s.offset) & (1 << 64) - 1) for s in sections]
    return b"".join(pairs) + bytes(16)


def _line_program(sections: list[Section], rows: dict[int, Rows], files: list[str]) -> bytes:
    program = bytearray()
    for section in sections:
        program += _sequence(section, rows[section.index], {file: n + 1 for n, file in enumerate(files)})
    table = b"\0" + b"".join(_text(file) + b"\0\0\0" for file in files) + b"\0"
    head = struct.pack("<BBBbBB", 1, 1, 1, _LINE_BASE, _LINE_RANGE, _OPCODE_BASE) + _OPERANDS + table
    unit = struct.pack("<HI", 4, len(head)) + head + program
    return struct.pack("<I", len(unit)) + unit


def _sequence(section: Section, rows: Rows, files: dict[str, int]) -> bytes:
    """The rows of one section, from DW_LNE_set_address to DW_LNE_end_sequence."""
    out = bytearray(b"\0" + _uleb(9) + bytes([_SET_ADDRESS]) + struct.pack("<Q", section.linked))
    offset, line, file = 0, 1, 1
    for at, name, number in rows:
        if at == offset and at and number == line and files[name] == file:
            continue
        if files[name] != file:
            file = files[name]
            out += bytes([_SET_FILE]) + _uleb(file)
        out += _advance(at - offset, number - line)
        offset, line = at, number
    return bytes(
        out + bytes([_ADVANCE_PC]) + _uleb(section.offset - offset) + b"\0\x01" + bytes([_END_SEQUENCE])
    )


def _advance(step: int, lines: int) -> bytes:
    """Move address and line and append a row: one special opcode where both are small."""
    if 0 <= lines - _LINE_BASE < _LINE_RANGE:
        opcode = lines - _LINE_BASE + _LINE_RANGE * step + _OPCODE_BASE
        if opcode < 256:
            return bytes([opcode])
    out = b""
    if step:
        out += bytes([_ADVANCE_PC]) + _uleb(step)
    if lines:
        out += bytes([_ADVANCE_LINE]) + _sleb(lines)
    return out + bytes([_COPY])
