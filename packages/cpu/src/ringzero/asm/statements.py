"""One line of tokens to items: labels, prefixes, instructions, data, and the assembler's own directives.

Directives are methods named `_do_<name>`; what they do is done at once, while the first pass runs along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.asm.candidates import rows_by_name
from ringzero.asm.diagnostics import Location, Mistake, nearest
from ringzero.asm.encoder import Instruction
from ringzero.asm.expressions import Node, Parser, evaluate, qualified, scalar
from ringzero.asm.items import (
    REPEATABLE,
    Absolute,
    Align,
    Code,
    Equ,
    Item,
    Label,
    Reserve,
    SectAlign,
    Switch,
    Times,
    data,
    float_bytes,
)
from ringzero.asm.lexer import QUOTES, is_ident, is_number, string_bytes
from ringzero.asm.operands import OperandParser
from ringzero.asm.preprocessor import read_file

if TYPE_CHECKING:
    from ringzero.asm.assembler import Assembler
    from ringzero.asm.sections import Section

_PREFIXES = {
    "rep": 0xF3, "repe": 0xF3, "repz": 0xF3, "repne": 0xF2, "repnz": 0xF2, "lock": 0xF0, "es": 0x26, "cs": 0x2E,
    "ss": 0x36, "ds": 0x3E, "fs": 0x64, "gs": 0x65,
}  # fmt: skip
_SIZE_PREFIXES = {"o16": 2, "o32": 4, "o64": 8}
_ORDER = (0xF3, 0xF2, 0xF0)
_DATA = {"db": 1, "dw": 2, "dd": 4, "dq": 8}
_RESERVE = {"resb": 1, "resw": 2, "resd": 4, "resq": 8}
_IGNORED = ("cpu", "warning", "list", "map", "static", "float", "debug")
_ATTRIBUTES = ("align", "valign", "start", "vstart", "follows", "vfollows")


class StatementParser:
    """Parses lines in order; knows the mode, the addressing default, and the last label for local ones."""

    def __init__(self, assembler: Assembler) -> None:
        self.assembler = assembler
        self.state = assembler.state
        self.mode = 64
        self.relative = False
        self.local = ""
        self.where = Location("", 0, "")
        self.struc: tuple[str, Section | None, Location] | None = None
        self.istruc: tuple[str, Node, Location] | None = None
        self._names: frozenset[str] | None = None

    def _is_word(self, token: str) -> bool:
        """Whether the token starts a statement, and so is no label."""
        if self._names is None:
            directives = [name[4:] for name in dir(self) if name.startswith("_do_")]
            words = (rows_by_name(), _PREFIXES, _SIZE_PREFIXES, _DATA, _RESERVE, _IGNORED, directives)
            self._names = frozenset(
                ["times", "equ", "a16", "a32", "a64", *(word for group in words for word in group)]
            )
        return token in self._names

    def parse(self, raw: tuple[str, ...], where: Location) -> None:
        """Turn one line into items and run them."""
        tokens = [t for t in raw if t != " "]
        if not tokens:
            return
        self.where = where
        if tokens[0] == "[":
            if tokens[-1] != "]":
                raise Mistake("[ without its ]; write [directive arguments]")
            tokens = tokens[1:-1]
        at = self._label(tokens)
        if at < len(tokens):
            item = self._statement(tokens, at)
            if item is not None:
                self.assembler.add(item, where)

    # --- labels ---

    def _label(self, tokens: list[str]) -> int:
        """Take a label off the front; returns where the statement starts."""
        first = tokens[0]
        second = tokens[1] if len(tokens) > 1 else ""
        if second == ":" and is_ident(first):
            if len(tokens) > 2 and tokens[2].lower() == "equ":
                self._equ(first, tokens, 3)
                return len(tokens)
            self._define(first)
            return 2
        if second.lower() == "equ" and is_ident(first):
            self._equ(first, tokens, 2)
            return len(tokens)
        if not is_ident(first) or self._is_word(first.lower()):
            return 0
        if len(tokens) == 1:
            hint = nearest(first.lower(), rows_by_name())
            if hint:
                raise Mistake(f"unknown instruction {first}{hint}; if it is a label, write {first}:")
        elif not self._is_word(second.lower()):
            known = [*rows_by_name(), *(n[4:] for n in dir(self) if n.startswith("_do_"))]
            raise Mistake(
                f"unknown instruction {first}{nearest(first.lower(), known)}; "
                "write one of the table, a directive, or a label with a colon"
            )
        self._define(first)
        return 1

    def _define(self, name: str) -> None:
        full = self._new_symbol(name)
        if not full.startswith("..@") and name[0] != ".":
            self.local = full
        self.assembler.add(Label(full), self.where)

    def _new_symbol(self, name: str) -> str:
        if name[0] == "." and name[:2] != ".." and not self.local:
            raise Mistake(f"local label {name} before any label that it could belong to; define one first")
        full = qualified(name, self.local)
        labels = self.assembler.labels
        if full in labels:
            before = labels[full]
            raise Mistake(f"{full} is defined already at {before.file}:{before.line}; rename one")
        labels[full] = self.where
        return full

    def _equ(self, name: str, tokens: list[str], at: int) -> None:
        full = self._new_symbol(name)
        node = self._expression(tokens, at, "equ")
        self.assembler.add(Equ(full, node), self.where)

    # --- statements ---

    def _statement(self, tokens: list[str], at: int) -> Item | None:
        word = tokens[at].lower()
        if word == "times":
            parser = Parser(tokens, at + 1, local=self.local)
            count = parser.expression()
            if parser.at >= len(tokens):
                raise Mistake("times needs something to repeat; write times 4 db 0")
            item = self._statement(tokens, parser.at)
            if not isinstance(item, REPEATABLE):
                raise Mistake(f"times cannot repeat {tokens[parser.at]}; use %rep")
            return Times(count, item)
        if word in _DATA:
            return self._data(_DATA[word], tokens, at + 1)
        if word in _RESERVE:
            return Reserve(_RESERVE[word], self._expression(tokens, at + 1, word))
        if word not in rows_by_name() and word not in _PREFIXES:
            method = getattr(self, "_do_" + word, None)
            if method is not None:
                found: Item | None = method(tokens[at + 1 :])
                return found
            if word in _IGNORED:
                return None
        return self._instruction(tokens, at)

    def _instruction(self, tokens: list[str], at: int) -> Item:
        prefixes: list[int] = []
        opsize = 0
        while at < len(tokens):
            word = tokens[at].lower()
            if word in _PREFIXES:
                prefixes.append(_PREFIXES[word])
            elif word in _SIZE_PREFIXES:
                opsize = _SIZE_PREFIXES[word]
            elif word in ("a16", "a32", "a64"):
                prefixes += self._address_prefix(word)
            else:
                break
            at += 1
        if at >= len(tokens):
            raise Mistake("prefix without an instruction; write them on one line")
        word = tokens[at].lower()
        if not is_ident(word):
            raise Mistake(f"instruction expected before {tokens[at]}; a line is label: instruction operands")
        if opsize == 8 and self.mode == 32:
            raise Mistake("o64 does not exist in 32-bit mode; use `bits 64`")
        operands = OperandParser(tokens, at + 1, self.local).operands()
        ordered = sorted(set(prefixes), key=lambda p: _ORDER.index(p) if p in _ORDER else len(_ORDER))
        instruction = Instruction(word, operands, self.mode, self.relative, bytes(ordered), opsize)
        return Code(instruction)

    def _address_prefix(self, word: str) -> list[int]:
        if word == "a16" or (word == "a64" and self.mode == 32):
            raise Mistake(f"{word} addressing is not supported in {self.mode}-bit mode; use the mode's own")
        return [0x67] if int(word[1:]) != self.mode else []

    def _data(self, size: int, tokens: list[str], at: int) -> Item:
        values: list[bytes | Node] = []
        while True:
            token = tokens[at] if at < len(tokens) else ""
            ends = at + 1 >= len(tokens) or tokens[at + 1] == ","
            if token and token[0] in QUOTES and ends:
                text = string_bytes(token)
                values.append(text + bytes(-len(text) % size))
                at += 1
            elif (found := _floating(tokens, at)) is not None:
                values.append(float_bytes(found, size))
                at += 2 if tokens[at] in "+-" else 1
            else:
                parser = Parser(tokens, at, local=self.local)
                values.append(parser.expression())
                at = parser.at
            if at >= len(tokens):
                return data(size, values)
            if tokens[at] != ",":
                raise Mistake(f"comma expected before {tokens[at]}; separate values by commas")
            at += 1
            if at >= len(tokens):
                return data(size, values)  # nasm, too, lets a list end in a comma

    def _expression(self, tokens: list[str], at: int, what: str) -> Node:
        if at >= len(tokens):
            raise Mistake(f"{what} needs a value; write an expression")
        parser = Parser(tokens, at, local=self.local)
        node = parser.expression()
        if parser.at < len(tokens):
            raise Mistake(f"{what}: {tokens[parser.at]} is left over behind the expression; remove it")
        return node

    def _number(self, tokens: list[str], what: str) -> int:
        return scalar(evaluate(self._expression(tokens, 0, what), self.state.scope), what)

    # --- directives ---

    def _do_bits(self, tokens: list[str]) -> None:
        """bits 32 | 64"""
        bits = self._number(tokens, "bits")
        if bits not in (32, 64):
            way = "16-bit code is not supported" if bits == 16 else "there is no such mode"
            raise Mistake(f"bits {bits}: {way}; write bits 32 or bits 64")
        self.mode = self.assembler.preprocessor.bits = bits

    def _do_use32(self, tokens: list[str]) -> None:
        """use32"""
        self._do_bits(["32"])

    def _do_use64(self, tokens: list[str]) -> None:
        """use64"""
        self._do_bits(["64"])

    def _do_use16(self, tokens: list[str]) -> None:
        """use16: refused"""
        self._do_bits(["16"])

    def _do_default(self, tokens: list[str]) -> None:
        """default rel | abs"""
        for word in tokens:
            if word.lower() not in ("rel", "abs", "bnd", "nobnd", ","):
                raise Mistake(f"default {word} is not known; write default rel or default abs")
            if word.lower() in ("rel", "abs"):
                self.relative = word.lower() == "rel"

    def _do_org(self, tokens: list[str]) -> None:
        """org address"""
        value = self._number(tokens, "org") & (1 << 64) - 1
        layout = self.assembler.layout
        if layout.origin is not None and layout.origin != value:
            raise Mistake(f"org is {layout.origin:#x} already; say it once")
        layout.origin = value

    def _do_section(self, tokens: list[str]) -> Item:
        """section name [start= vstart= align= valign= follows= vfollows= progbits nobits]"""
        name, at = _joined(tokens, 0)
        if not name:
            raise Mistake("section needs a name; write section .text")
        self._leave_struc("section")
        section = self.assembler.layout.open(name, self.where)
        while at < len(tokens):
            at = self._attribute(section, tokens, at)
        if section.nobits is None:
            section.nobits = False
        self.assembler.preprocessor.section = name
        return Switch(section)

    _do_segment = _do_section

    def _attribute(self, section: Section, tokens: list[str], at: int) -> int:
        word = tokens[at].lower()
        if word in ("nobits", "progbits"):
            section.set_type(word == "nobits")
            return at + 1
        if tokens[at + 1 : at + 2] != ["="] or word not in _ATTRIBUTES:
            known = (*_ATTRIBUTES, "nobits", "progbits")
            raise Mistake(
                f"section attribute {tokens[at]} is not known{nearest(word, known)}; "
                "write start=, vstart=, align=, valign=, follows=, vfollows=, nobits or progbits"
            )
        if word in ("follows", "vfollows"):
            target, end = _joined(tokens, at + 2)
            if not target:
                raise Mistake(f"{word}= needs a section's name")
            section.set_follows(word, target)
            return end
        parser = Parser(tokens, at + 2, local=self.local)
        value = parser._unary()
        section.set_number(word, scalar(evaluate(value, self.state.scope), f"{word}="))
        return parser.at

    def _do_absolute(self, tokens: list[str]) -> Item:
        """absolute address"""
        self._leave_struc("absolute")
        return Absolute(self._expression(tokens, 0, "absolute"))

    def _do_global(self, tokens: list[str]) -> None:
        """global name, …"""
        names = _names(tokens, "global")
        for name in names:
            self.assembler.globals.setdefault(qualified(name, self.local), self.where)

    def _do_extern(self, tokens: list[str]) -> None:
        """extern: refused"""
        raise Mistake(
            "extern: an image has no other modules to link with; define the symbol, or %include its source"
        )

    _do_common = _do_extern
    _do_required = _do_extern

    def _do_align(self, tokens: list[str]) -> Item:
        """align n [, what to fill with]"""
        node, fill = self._alignment(tokens, "align")
        return Align(node, fill or Code(Instruction("nop", [], self.mode, False)))

    def _do_alignb(self, tokens: list[str]) -> Item:
        """alignb n [, what to fill with]: zeroes, or nothing where there are no bytes"""
        node, fill = self._alignment(tokens, "alignb")
        return Align(node, fill)

    def _alignment(self, tokens: list[str], what: str) -> tuple[Node, Item | None]:
        if not tokens:
            raise Mistake(f"{what} needs a number; write {what} 16")
        parser = Parser(tokens, 0, local=self.local)
        node = parser.expression()
        if parser.at == len(tokens):
            return node, None
        if tokens[parser.at] != "," or parser.at + 1 == len(tokens):
            raise Mistake(f"{what}: comma expected before {tokens[parser.at]}; write {what} 16, db 0")
        item = self._statement(tokens, parser.at + 1)
        return node, None if isinstance(item, Reserve) else item

    def _do_sectalign(self, tokens: list[str]) -> Item | None:
        """sectalign n | on | off"""
        if tokens and tokens[0].lower() in ("on", "off"):
            return None
        return SectAlign(self._expression(tokens, 0, "sectalign"))

    def _do_incbin(self, tokens: list[str]) -> Item:
        """incbin "file" [, skip [, length]]"""
        groups: list[list[str]] = [[]]
        for token in tokens:
            if token == ",":
                groups.append([])
            else:
                groups[-1].append(token)
        name, path = self.assembler.preprocessor.find_file(groups[0], "incbin")
        content = read_file(name, path)
        skip, length = 0, len(content)
        if len(groups) > 1:
            skip = self._number(groups[1], "incbin")
        if len(groups) > 2:
            length = self._number(groups[2], "incbin")
        if skip < 0 or length < 0 or len(groups) > 3:
            raise Mistake('incbin takes a file, and bytes to skip and to take; write incbin "file", 0, 512')
        return data(1, [content[skip : skip + length]])

    # --- structures ---

    def _do_struc(self, tokens: list[str]) -> None:
        """struc name [, offset]"""
        if not tokens or not is_ident(tokens[0]) or tokens[1:2] not in ([], [","]):
            raise Mistake("struc needs a name; write struc thread")
        self._leave_struc("struc")
        self.struc = (tokens[0], self.state.section, self.where)
        node = self._expression(tokens, 2, "struc") if len(tokens) > 2 else 0
        self.assembler.add(Absolute(node), self.where)
        self._define(tokens[0])

    def _do_endstruc(self, tokens: list[str]) -> Item | None:
        """endstruc"""
        if self.struc is None:
            raise Mistake("endstruc without struc; remove it")
        name, section, _ = self.struc
        self.struc = None
        full = self._new_symbol(f"{name}_size")
        self.assembler.add(Equ(full, ("-", ("$",), ("sym", name))), self.where)
        return Switch(section) if section is not None else None

    def _leave_struc(self, what: str) -> None:
        if self.struc is not None:
            name, section, _ = self.struc
            self.struc = None
            if section is not None:
                self.assembler.add(Switch(section), self.where)
            raise Mistake(f"{what} inside struc {name}; write endstruc first")

    def _do_istruc(self, tokens: list[str]) -> None:
        """istruc name"""
        if len(tokens) != 1 or not is_ident(tokens[0]):
            raise Mistake("istruc needs a structure's name; write istruc thread")
        anchor = f"..@istruc{len(self.assembler.items)}"
        self.assembler.add(Label(anchor), self.where)
        self.istruc = (tokens[0], ("sym", anchor), self.where)

    def _do_at(self, tokens: list[str]) -> Item | None:
        """at field [, data]: fill up to the field, then the data"""
        if self.istruc is None:
            raise Mistake("at outside istruc; write istruc name first")
        name, anchor, _ = self.istruc
        comma = tokens.index(",") if "," in tokens else len(tokens)
        field = list(tokens[:comma])
        if field and field[0][0] == ".":
            field[0] = name + field[0]
        node = self._expression(field, 0, "at")
        self.assembler.add(_fill(("-", node, ("sym", name)), anchor), self.where)
        return self._statement(tokens, comma + 1) if comma + 1 < len(tokens) else None

    def _do_iend(self, tokens: list[str]) -> Item:
        """iend"""
        if self.istruc is None:
            raise Mistake("iend without istruc; remove it")
        name, anchor, _ = self.istruc
        self.istruc = None
        return _fill(("sym", f"{name}_size"), anchor)

    def finish(self) -> None:
        """At the end of the source: nothing may be left open."""
        for opened, closer in ((self.struc, "endstruc"), (self.istruc, "iend")):
            if opened is not None:
                self.assembler.report.error(opened[2], f"{opened[0]} is not closed; write {closer}")


def _fill(end: Node, anchor: Node) -> Times:
    return Times(("-", end, ("-", ("$",), anchor)), data(1, [0]))


def _joined(tokens: list[str], at: int) -> tuple[str, int]:
    """A section's name may be several tokens, as in `.note.xen` or `text-2`; it ends before an attribute."""
    if at >= len(tokens):
        return "", at
    return (
        string_bytes(tokens[at]).decode(errors="replace") if tokens[at][0] in QUOTES else tokens[at]
    ), at + 1


def _names(tokens: list[str], what: str) -> list[str]:
    names, expect = [], True
    for token in tokens:
        if token == ":":
            break
        if (token == ",") == expect or (expect and not is_ident(token)):
            raise Mistake(f"{what} takes names separated by commas")
        if expect:
            names.append(token)
        expect = not expect
    if not names:
        raise Mistake(f"{what} needs a name")
    return names


def _floating(tokens: list[str], at: int) -> str | None:
    sign = ""
    if at + 1 < len(tokens) and tokens[at] in "+-":
        sign, at = tokens[at], at + 1
    if at >= len(tokens) or not is_number(tokens[at]) or "." not in tokens[at]:
        return None
    return sign + tokens[at]
