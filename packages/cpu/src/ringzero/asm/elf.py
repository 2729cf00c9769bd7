"""The ELF64 writer: the flat image's sections as a file that loaders, objdump and gdb read.

Each section with bytes is a PT_LOAD: p_paddr is its start, p_vaddr its vstart. Rights follow from the name, or from
whether the section holds instructions. Nothing here depends on anything but the assembly: equal sources, equal file.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringzero.asm.dwarf import debug_sections
from ringzero.asm.expressions import Address

if TYPE_CHECKING:
    from ringzero.asm.assembler import Assembler
    from ringzero.asm.sections import Section

PAGE = 4096
PF_X, PF_W, PF_R = 1, 2, 4
PT_LOAD, PT_NOTE = 1, 4
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOTE, SHT_NOBITS = 1, 2, 3, 7, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RIGHTS = (
    (".text", PF_R | PF_X), (".user.text", PF_R | PF_X), (".rodata", PF_R), (".note", PF_R), (".ksyms", PF_R),
    (".data", PF_R | PF_W), (".bss", PF_R | PF_W),
)  # fmt: skip


@dataclass(slots=True)
class _Entry:
    """One line of the section table, and the bytes it names. `home` is the section it was made from."""

    name: str
    kind: int
    flags: int = 0
    address: int = 0
    data: bytes = b""
    size: int = 0
    link: int = 0
    info: int = 0
    align: int = 1
    unit: int = 0
    offset: int = 0
    home: Section | None = None


def rights(section: Section, has_code: bool) -> int:
    """PF_ bits of a section: by the prefix of its name, else by what it holds."""
    for prefix, flags in _RIGHTS:
        if section.name == prefix or section.name.startswith(prefix + "."):
            return flags
    return PF_R | PF_X if has_code else PF_R | PF_W


def write_elf(assembler: Assembler, name: str) -> bytes:
    """The ELF file of an assembly whose layout is made; `name` is what its source is called."""
    entries = [_Entry("", 0), *_loaded(assembler)]
    shndx = {e.home.index: n for n, e in enumerate(entries) if e.home is not None}
    strings = _Strings()
    symbols, first_global = _symbols(assembler, shndx, strings)
    entries += [_Entry(title, SHT_PROGBITS, data=data) for title, data in debug_sections(assembler, name)]
    entries.append(
        _Entry(
            ".symtab", SHT_SYMTAB, data=symbols, link=len(entries) + 1, info=first_global, align=8, unit=24
        )
    )
    entries.append(_Entry(".strtab", SHT_STRTAB, data=strings.bytes()))
    names = _Strings()
    titles = [names.add(entry.name) for entry in entries] + [names.add(".shstrtab")]
    entries.append(_Entry(".shstrtab", SHT_STRTAB, data=names.bytes()))
    programs = sum(1 for e in entries if e.flags & SHF_ALLOC) + sum(1 for e in entries if e.kind == SHT_NOTE)
    body = _place(entries, _HEADER.size + programs * _PROGRAM.size)
    table = bytearray()
    for entry, title in zip(entries, titles, strict=True):
        size = entry.size or len(entry.data)
        table += _SECTION.pack(
            title,
            entry.kind,
            entry.flags,
            entry.address,
            entry.offset,
            size,
            entry.link,
            entry.info,
            entry.align,
            entry.unit,
        )
    header = _HEADER.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), 2, 62, 1, _entry_point(assembler, entries), _HEADER.size,
        _HEADER.size + programs * _PROGRAM.size + len(body), 0, _HEADER.size, _PROGRAM.size, programs, _SECTION.size,
        len(entries), len(entries) - 1,
    )  # fmt: skip
    return header + _programs(entries) + body + table


def _loaded(assembler: Assembler) -> list[_Entry]:
    """Entries of the sections that are loaded, by load address."""
    layout = assembler.layout
    with_code = {row.section.index for row in assembler.state.rows if row.code and row.section is not None}
    entries = []
    for section in sorted((s for s in layout.sections if s.offset), key=lambda s: (s.physical, s.index)):
        pf = rights(section, section.index in with_code)
        flags = SHF_ALLOC | (SHF_WRITE if pf & PF_W else 0) | (SHF_EXECINSTR if pf & PF_X else 0)
        kind = (
            SHT_NOBITS if section.nobits else SHT_NOTE if section.name.startswith(".note") else SHT_PROGBITS
        )
        align = max(section.align, section.valign, 4 if kind == SHT_NOTE else 1)
        while section.linked % align:
            align //= 2
        data = b"" if section.nobits else bytes(section.code)
        entries.append(
            _Entry(section.name, kind, flags, section.linked, data, section.offset, align=align, home=section)
        )
    return entries


def _place(entries: list[_Entry], start: int) -> bytes:
    """Give every entry its file offset, congruent to its address modulo the page where it is loaded."""
    body = bytearray()
    for entry in entries[1:]:
        at = start + len(body)
        if entry.flags & SHF_ALLOC:
            pad = (entry.address - at) % PAGE
        else:
            pad = -at % entry.align
        if entry.kind != SHT_NOBITS:
            body += bytes(pad)
        entry.offset = at + pad
        body += entry.data
    body += bytes(-(start + len(body)) % 8)
    return bytes(body)


def _programs(entries: list[_Entry]) -> bytes:
    table = bytearray()
    for entry in entries:
        if entry.home is None:
            continue
        flags = PF_R | (PF_W if entry.flags & SHF_WRITE else 0) | (PF_X if entry.flags & SHF_EXECINSTR else 0)
        place = (entry.offset, entry.address, entry.home.physical, len(entry.data), entry.size)
        table += _PROGRAM.pack(PT_LOAD, flags, *place, PAGE)
        if entry.kind == SHT_NOTE:
            table += _PROGRAM.pack(PT_NOTE, flags, *place, 4)
    return bytes(table)


def _entry_point(assembler: Assembler, entries: list[_Entry]) -> int:
    """_start, or a global entry, or the first byte that may be executed."""
    for name in ("_start", "entry"):
        value = assembler.state.scope.symbols.get(name)
        if isinstance(value, Address) and (name == "_start" or name in assembler.globals):
            return assembler.layout.resolve(value) & (1 << 64) - 1
    return next((e.address for e in entries if e.flags & SHF_EXECINSTR), 0)


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self.known = {"": 0}

    def add(self, text: str) -> int:
        """The offset of the text."""
        if text not in self.known:
            self.known[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self.known[text]

    def bytes(self) -> bytes:
        """The table."""
        return bytes(self.data)


STB_LOCAL, STB_GLOBAL = 0, 1
STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2


def _symbols(assembler: Assembler, shndx: dict[int, int], strings: _Strings) -> tuple[bytes, int]:
    """The symbol table of all labels, local ones first, and the number of the first global one.

    A symbol that is not local to another is as long as the way to the next such symbol of its section.
    """
    marks: dict[int, list[int]] = {}
    found = []
    for name, value in assembler.state.scope.symbols.items():
        if name not in assembler.labels or not isinstance(value, Address) or len(value.terms) != 1:
            continue
        base, count = value.terms[0]
        section = assembler.layout.sections[base // 2]
        if count != 1 or base % 2 or section.index not in shndx or name.startswith("..@"):
            continue
        found.append((name, section, value.offset))
        if not is_local(name):
            marks.setdefault(section.index, []).append(value.offset)
    for offsets in marks.values():
        offsets.sort()
    local: list[bytes] = [_SYMBOL.pack(0, 0, 0, 0, 0, 0)]
    public: list[bytes] = []
    for name, section, offset in found:
        flags = rights(section, True)
        kind, size = STT_NOTYPE, 0
        if not is_local(name):
            kind = STT_FUNC if flags & PF_X else STT_OBJECT
            after = marks[section.index]
            at = bisect_left(after, offset + 1)
            size = (after[at] if at < len(after) else section.offset) - offset
        binding = STB_GLOBAL if name in assembler.globals else STB_LOCAL
        packed = _SYMBOL.pack(
            strings.add(name), binding << 4 | kind, 0, shndx[section.index],
            (section.linked + offset) & (1 << 64) - 1, size,
        )  # fmt: skip
        (public if binding else local).append(packed)
    return b"".join(local + public), len(local)


def is_local(name: str) -> bool:
    """Whether a label belongs to another one: `name.local`."""
    return "." in name[1:]
