"""Reading ELF files that may lie.

Headers, notes and symbols are read here, every number checked against the file before it is used. DWARF is read by
pyelftools, which takes its time to import, and whatever it raises over a damaged file becomes `Damaged`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

PT_LOAD, PT_NOTE = 1, 4
_MACHINES = {3: 32, 62: 64}
_TYPES = (2, 3)  # ET_EXEC, ET_DYN
MAX_PROGRAMS = 1024
MAX_NOTES = 4096
MAX_SYMBOLS = 1 << 20
MAX_LINES = 1 << 22


SHT_SYMTAB, SHN_LORESERVE = 2, 0xFF00
PLACES = (0, 1, 2)  # STT_NOTYPE, STT_OBJECT, STT_FUNC


class Damaged(Exception):
    """What is wrong with a file, without its name."""


class Header(NamedTuple):
    """What the ELF header says."""

    bits: int
    entry: int
    phoff: int
    phentsize: int
    phnum: int


class Program(NamedTuple):
    """One program header."""

    kind: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


class _Section(NamedTuple):
    """What is read of a section header."""

    kind: int
    offset: int
    size: int
    link: int
    each: int


def read_header(data: bytes) -> Header:
    """The header of an x86 executable."""
    if not data:
        raise Damaged("the file is empty; give an ELF executable")
    if data[:4] != b"\x7fELF":
        raise Damaged("not an ELF file; give an ELF executable")
    if len(data) < 52 or (data[4] == 2 and len(data) < 64):
        raise Damaged(f"truncated: {len(data)} bytes hold no ELF header")
    if data[4] not in (1, 2) or data[5] != 1:
        raise Damaged("not a little-endian ELF file of 32 or 64 bits")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine not in _MACHINES:
        raise Damaged(f"made for machine {machine}; x86 (3) and x86-64 (62) are run here")
    if kind not in _TYPES:
        raise Damaged(f"ELF type {kind} is no executable; link it")
    if data[4] == 2:
        entry, phoff = struct.unpack_from("<QQ", data, 24)
        phentsize, phnum = struct.unpack_from("<HH", data, 54)
    else:
        entry, phoff = struct.unpack_from("<II", data, 24)
        phentsize, phnum = struct.unpack_from("<HH", data, 42)
    return Header(32 * data[4], entry, phoff, phentsize, phnum)


def read_programs(data: bytes, header: Header) -> list[Program]:
    """The program headers, with every segment inside the file."""
    wanted = 56 if header.bits == 64 else 32
    if header.phnum and header.phentsize != wanted:
        raise Damaged(f"program headers of {header.phentsize} bytes; {header.bits}-bit files have {wanted}")
    if header.phnum > MAX_PROGRAMS:
        raise Damaged(f"{header.phnum} program headers; at most {MAX_PROGRAMS} are read")
    if header.phoff + header.phnum * wanted > len(data):
        raise Damaged("truncated: the program headers reach beyond the end of the file")
    programs = []
    for number in range(header.phnum):
        at = header.phoff + number * wanted
        if header.bits == 64:
            program = Program(*struct.unpack_from("<IIQQQQQQ", data, at))
        else:
            kind, offset, vaddr, paddr, filesz, memsz, flags, align = struct.unpack_from(
                "<IIIIIIII", data, at
            )
            program = Program(kind, flags, offset, vaddr, paddr, filesz, memsz, align)
        if program.kind in (PT_LOAD, PT_NOTE):
            _check(program, number, len(data), 1 << header.bits)
            programs.append(program)
    return programs


def _check(program: Program, number: int, length: int, top: int) -> None:
    what = f"segment {number}"
    if program.offset + program.filesz > length:
        raise Damaged(f"truncated: {what} reaches beyond the end of the file")
    if program.kind == PT_LOAD:
        if program.memsz < program.filesz:
            raise Damaged(
                f"{what} has {program.filesz:#x} bytes in the file but {program.memsz:#x} in memory"
            )
        if program.paddr + program.memsz > top or program.vaddr + program.memsz > top:
            raise Damaged(f"{what} wraps around the end of the address space")


def read_notes(data: bytes, programs: list[Program]) -> list[tuple[str, int, bytes]]:
    """(name, type, desc) of all notes."""
    notes: list[tuple[str, int, bytes]] = []
    for program in programs:
        if program.kind != PT_NOTE:
            continue
        step = 8 if program.align == 8 else 4
        at, end = program.offset, program.offset + program.filesz
        while at + 12 <= end:
            namesz, descsz, kind = struct.unpack_from("<III", data, at)
            desc = at + 12 + (namesz + step - 1 & -step if step == 4 else (12 + namesz + 7 & -8) - 12)
            if at + 12 + namesz > end or desc + descsz > end:
                raise Damaged("a note reaches beyond its segment")
            name = data[at + 12 : at + 12 + namesz].rstrip(b"\0").decode("latin-1")
            notes.append((name, kind, data[desc : desc + descsz]))
            if len(notes) > MAX_NOTES:
                raise Damaged(f"more than {MAX_NOTES} notes")
            at = desc + (descsz + step - 1 & -step)
    return notes


def _open(data: bytes) -> Any:
    from elftools.elf.elffile import ELFFile

    return ELFFile(io.BytesIO(data))


def _guarded(what: str, read: Callable[[Any], T], data: bytes) -> T:
    try:
        return read(_open(data))
    except Damaged:
        raise
    except (MemoryError, RecursionError):
        raise Damaged(f"{what} claim more than the file can hold") from None
    except Exception as error:  # pyelftools raises whatever its parsers run into
        raise Damaged(f"{what} are damaged ({type(error).__name__})") from None


def read_symbols(data: bytes) -> list[tuple[str, int, int]]:
    """(name, address, size) of the symbols that stand for places, in the order of the file."""
    sections = _sections(data)
    rows: list[tuple[str, int, int]] = []
    for section in sections:
        if section.kind == SHT_SYMTAB:
            rows += _symbols(data, section, sections)
    return rows


def _sections(data: bytes) -> list[_Section]:
    wide = data[4] == 2
    shape = struct.Struct("<IIQQQQIIQQ" if wide else "<IIIIIIIIII")
    (start,) = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)
    size, count = struct.unpack_from("<HH", data, 58 if wide else 46)
    if not start or not count:
        return []
    if size != shape.size or start + count * size > len(data):
        raise Damaged("the section headers are damaged, or reach beyond the end of the file")
    fields = shape.iter_unpack(data[start : start + count * size])
    return [_Section(kind, at, length, link, each) for _, kind, _, _, at, length, link, _, _, each in fields]


def _symbols(data: bytes, table: _Section, sections: list[_Section]) -> Iterator[tuple[str, int, int]]:
    wide = data[4] == 2
    shape = struct.Struct("<IBBHQQ" if wide else "<IIIBBH")
    if table.offset + table.size > len(data):
        raise Damaged("truncated: the symbol table reaches beyond the end of the file")
    if table.each != shape.size or table.size // shape.size > MAX_SYMBOLS:
        raise Damaged(f"the symbol table has no plausible size; at most {MAX_SYMBOLS} symbols are read")
    if table.link >= len(sections):
        raise Damaged("the symbols are damaged: their names are in no section")
    names = sections[table.link]
    strings = data[names.offset : names.offset + names.size] + b"\0"
    for symbol in shape.iter_unpack(
        data[table.offset : table.offset + table.size // shape.size * shape.size]
    ):
        if wide:
            name, info, _, home, value, size = symbol
        else:
            name, value, size, info, _, home = symbol
        text = strings[name : strings.find(b"\0", name)]
        if text and info & 15 in PLACES and 0 < home < SHN_LORESERVE:
            yield text.decode("utf-8", "replace"), value, size


def read_lines(data: bytes) -> list[tuple[int, str | None, int]]:
    """(address, file, line) of all rows of all units; file None where code ends."""
    return _guarded("the line numbers", _lines, data)


def _lines(elf: Any) -> list[tuple[int, str | None, int]]:
    rows: list[tuple[int, str | None, int]] = []
    size = elf.stream.getbuffer().nbytes
    for section in elf.iter_sections():
        if section.name.startswith((".debug", ".zdebug")) and section["sh_size"] > size:
            raise Damaged(f"truncated: {section.name} reaches beyond the end of the file")
    if not elf.has_dwarf_info():
        return rows
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        names = _file_names(program)
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if len(rows) > MAX_LINES:
                raise Damaged(f"more than {MAX_LINES} line numbers")
            known = not state.end_sequence and state.file < len(names)
            rows.append((state.address, names[state.file] if known else None, state.line))
    return rows


def _file_names(program: Any) -> list[str]:
    """Names by file number, as in the line table: with their directory where it is not the unit's own."""
    header = program.header
    folders = [folder.decode(errors="replace") for folder in header["include_directory"]]
    first = 0 if header["version"] >= 5 else 1
    names = [] if first == 0 else ["?"]
    for entry in header["file_entry"]:
        name, folder = entry.name.decode(errors="replace"), entry.dir_index
        if folder >= 1 and folder - first < len(folders):
            name = f"{folders[folder - first]}/{name}"
        names.append(name)
    return names
