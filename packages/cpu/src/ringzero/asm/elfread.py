"""Reading ELF files that may lie.

Header, program headers and notes are few and decide what is loaded: they are read here, every number checked against
the file before it is used. Symbol tables and DWARF are many and only describe: pyelftools reads them, and whatever
it raises over a damaged file becomes `Damaged`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

PT_LOAD, PT_NOTE = 1, 4
_MACHINES = {3: 32, 62: 64}
_TYPES = (2, 3)  # ET_EXEC, ET_DYN
MAX_PROGRAMS = 1024
MAX_NOTES = 4096
MAX_SYMBOLS = 1 << 20
MAX_LINES = 1 << 22


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
    return _guarded("the symbols", _symbols, data)


def _symbols(elf: Any) -> list[tuple[str, int, int]]:
    rows: list[tuple[str, int, int]] = []
    for section in elf.iter_sections():
        if section["sh_type"] != "SHT_SYMTAB":
            continue
        if section["sh_offset"] + section["sh_size"] > elf.stream.getbuffer().nbytes:
            raise Damaged("truncated: the symbol table reaches beyond the end of the file")
        if section["sh_entsize"] == 0 or section["sh_size"] // section["sh_entsize"] > MAX_SYMBOLS:
            raise Damaged(f"the symbol table has no plausible size; at most {MAX_SYMBOLS} symbols are read")
        for symbol in section.iter_symbols():
            kind, home = symbol["st_info"]["type"], symbol["st_shndx"]
            if symbol.name and kind in ("STT_NOTYPE", "STT_OBJECT", "STT_FUNC") and isinstance(home, int):
                rows.append((symbol.name, symbol["st_value"], symbol["st_size"]))
    return rows


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
