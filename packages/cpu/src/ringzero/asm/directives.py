"""The assembler's directives: sections and layout, modes, symbols, alignment, structures.

Directives are methods named `_do_<name>`; a method's docstring is its syntax. What one does is done at once, while
the first pass runs along; what it returns is an item for all passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.asm.diagnostics import Location, Mistake, UnknownName
from ringzero.asm.expressions import Node, Parser, evaluate, qualified, scalar
from ringzero.asm.instruction import Instruction
from ringzero.asm.items import (
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
)
from ringzero.asm.lexer import QUOTES, is_ident, string_bytes
from ringzero.asm.source import read_file
from ringzero.isa.record import MODES

if TYPE_CHECKING:
    from ringzero.asm.assembler import Assembler, State
    from ringzero.asm.sections import Section

_ATTRIBUTES = ("align", "valign", "start", "vstart", "follows", "vfollows")


class Directives:
    """The directives; the parser of statements inherits them."""

    assembler: Assembler
    state: State
    where: Location

    def __init__(self) -> None:
        self.mode = 64
        self.relative = False
        self.local = ""
        self.struc: tuple[str, Section | None, Location] | None = None
        self.istruc: tuple[str, Node, Location] | None = None

    if TYPE_CHECKING:

        def _statement(self, tokens: list[str], at: int) -> Item | None: ...
        def _expression(self, tokens: list[str], at: int, what: str) -> Node: ...
        def _define(self, name: str) -> None: ...
        def _new_symbol(self, name: str) -> str: ...

    def _number(self, tokens: list[str], what: str) -> int:
        return scalar(evaluate(self._expression(tokens, 0, what), self.state.scope), what)

    def _do_bits(self, tokens: list[str]) -> None:
        """bits 16 | 32 | 64"""
        bits = self._number(tokens, "bits")
        if bits not in MODES:
            raise Mistake(f"bits {bits}: there is no such mode; write bits 16, 32 or 64")
        self.mode = self.assembler.preprocessor.bits = bits

    def _do_use32(self, tokens: list[str]) -> None:
        """use32"""
        self._do_bits(["32"])

    def _do_use64(self, tokens: list[str]) -> None:
        """use64"""
        self._do_bits(["64"])

    def _do_use16(self, tokens: list[str]) -> None:
        """use16"""
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
            way = "write start=, vstart=, align=, valign=, follows=, vfollows=, nobits or progbits"
            raise UnknownName(f"section attribute {tokens[at]} is not known", word, known, way)
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
