"""One line of tokens to items: labels, prefixes, instructions, data. Directives have a room of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.asm.candidates import rows_by_name
from ringzero.asm.diagnostics import Location, Mistake, UnknownName, nearest
from ringzero.asm.directives import Directives
from ringzero.asm.expressions import Node, Parser, qualified
from ringzero.asm.instruction import Instruction
from ringzero.asm.items import REPEATABLE, Code, Equ, Item, Label, Reserve, Times, data, float_bytes
from ringzero.asm.lexer import QUOTES, is_ident, is_number, string_bytes
from ringzero.asm.operands import OperandParser

if TYPE_CHECKING:
    from ringzero.asm.assembler import Assembler

_PREFIXES = {
    "rep": 0xF3, "repe": 0xF3, "repz": 0xF3, "repne": 0xF2, "repnz": 0xF2, "lock": 0xF0, "es": 0x26, "cs": 0x2E,
    "ss": 0x36, "ds": 0x3E, "fs": 0x64, "gs": 0x65,
}  # fmt: skip
_SIZE_PREFIXES = {"o16": 2, "o32": 4, "o64": 8}
_ORDER = (0xF3, 0xF2, 0xF0)
_DATA = {"db": 1, "dw": 2, "dd": 4, "dq": 8}
_RESERVE = {"resb": 1, "resw": 2, "resd": 4, "resq": 8}
_IGNORED = ("cpu", "warning", "list", "map", "static", "float", "debug")


class StatementParser(Directives):
    """Parses lines in order; knows the mode, the addressing default, and the last label for local ones."""

    def __init__(self, assembler: Assembler) -> None:
        super().__init__()
        self.assembler = assembler
        self.state = assembler.state
        self.where = Location("", 0, "")
        self._names: frozenset[str] | None = None
        self._constant: dict[tuple[object, ...], Code] = {}

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
            if tokens[-1] != "]" or len(tokens) < 3:
                raise Mistake("[ and ] hold a directive here; write [section .text] or section .text")
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
            way = "write one of the table, a directive, or a label with a colon"
            raise UnknownName(f"unknown instruction {first}", first.lower(), known, way)
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
        """An instruction; one whose bytes are always the same is made once for all lines with its text."""
        key = (self.mode, self.relative, *tokens[at:])
        known = self._constant.get(key)
        if known is None:
            known = self._parse_instruction(tokens, at)
            if known.instruction.static:
                self._constant[key] = known
        return known

    def _parse_instruction(self, tokens: list[str], at: int) -> Code:
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
        if opsize == 8 and self.mode != 64:
            raise Mistake(f"o64 does not exist in {self.mode}-bit mode; use `bits 64`")
        operands = OperandParser(tokens, at + 1, self.local).operands()
        ordered = sorted(set(prefixes), key=lambda p: _ORDER.index(p) if p in _ORDER else len(_ORDER))
        instruction = Instruction(word, operands, self.mode, self.relative, bytes(ordered), opsize)
        return Code(instruction)

    def _address_prefix(self, word: str) -> list[int]:
        if word == ("a16" if self.mode == 64 else "a64"):
            raise Mistake(f"{word} addressing does not exist in {self.mode}-bit mode; use the mode's own")
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


def _floating(tokens: list[str], at: int) -> str | None:
    sign = ""
    if at + 1 < len(tokens) and tokens[at] in "+-":
        sign, at = tokens[at], at + 1
    if at >= len(tokens) or not is_number(tokens[at]) or "." not in tokens[at]:
        return None
    return sign + tokens[at]
