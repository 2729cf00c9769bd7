"""The preprocessor: files in, plain statements' lines out.

It knows macros, conditions, repetitions and inclusion, and nothing of instructions or of symbols: like nasm's, its
conditions cannot see labels. Directives are methods named `_do_<directive>`; a method's docstring is its syntax.
Every line that leaves is fully expanded and carries the Location that messages and line numbers are made from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ringzero.asm.diagnostics import Fatal, Location, Mistake, Report
from ringzero.asm.frames import Condition, Frame, substitute
from ringzero.asm.lexer import QUOTES, lex, quote, string_bytes, strip
from ringzero.asm.multimacros import MAX_DEPTH, MultiMacros, directive_name
from ringzero.asm.source import decode_source, read_file


class Preprocessor(MultiMacros):
    """Iterate over it for (tokens, location) of each line that is left for the assembler.

    `bits` and `section` are what the assembler last said of them; `ended`: a mistake ended the source before its end.
    """

    def __init__(self, report: Report, include: list[Path]) -> None:
        super().__init__(report)
        self.include = include
        self.folders: dict[str, Path | None] = {}
        self.ended = False
        self.bits = 64
        self.section = ".text"

    def open_text(self, name: str, text: str, folder: Path | None = None) -> None:
        """Read this text next, as the file `name`; what it includes is looked for in `folder` first."""
        self.folders[name] = folder
        self.report.opened(name)
        lines, number = [], 1
        raw = text.split("\n")
        while number <= len(raw):
            line, first = raw[number - 1].rstrip("\r"), number
            while line.endswith("\\") and number < len(raw):
                number += 1
                line = line[:-1] + raw[number - 1].rstrip("\r")
            lines.append((first, line))
            number += 1
        self._push(Frame(name, lines))

    # --- the lines ---

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        while (line := self._next()) is not None:
            frame, number, text = line
            try:
                self._count_line()
                expanded = self._line(frame, number, text)
            except Fatal as mistake:
                self.report.error(frame.locate(number, text), mistake)
                self.ended = True
                return
            except Mistake as mistake:
                self.report.error(frame.locate(number, text), mistake)
                continue
            if expanded:
                yield expanded, self.where

    def _line(self, frame: Frame, number: int, text: str) -> tuple[str, ...] | None:
        start = text.lstrip()
        if self._collecting:
            return self._collect(start, number, text)
        if not start or start[0] == ";":
            return None
        name = directive_name(start) if start[0] == "%" else ""
        active = not frame.conditions or frame.conditions[-1].active
        if not active and not name.startswith(("%if", "%el", "%endif")):
            return None
        if frame.call is not None and "%" in text and (owner := self._macro_frame()) is not None:
            text = substitute(text, owner)
            start = text.lstrip()
            name = directive_name(start)
        self.where = frame.locate(number, text)
        if name:
            self._directive(frame, name, start[len(name) :], active)
            return None
        return self._statement(self._magic(lex(text)))

    def _magic(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """Put in what only the preprocessor knows: the place, and the mode and section in force."""
        if not any(t.startswith(("__", "%$")) for t in tokens):
            return tokens
        known = {
            "__LINE__": [str(self.where.line)], "__FILE__": [quote(self.where.file.encode())],
            "__BITS__": [str(self.bits)], "__SECT__": ["[", "section", " ", self.section, "]"],
        }  # fmt: skip
        return self._contexts(tuple(part for t in tokens for part in known.get(t.replace("?", ""), [t])))

    def _statement(self, tokens: tuple[str, ...]) -> tuple[str, ...] | None:
        tokens = self.defines.expand(tokens)
        if self.macros and self._call(tokens):
            return None
        return tokens

    # --- directives ---

    def _directive(self, frame: Frame, name: str, rest: str, active: bool) -> None:
        if name.startswith(("%if", "%elif")) or name in ("%else", "%endif"):
            self._conditional(frame, name, rest, active)
            return
        method = getattr(self, "_do_" + name[1:], None)
        if method is None:
            self._unknown_directive(name)
        method(strip(self._magic(lex(rest))))

    def _conditional(self, frame: Frame, name: str, rest: str, active: bool) -> None:
        conditions = frame.conditions
        if name.startswith("%if"):
            if len(conditions) >= MAX_DEPTH:
                raise Fatal(f"more than {MAX_DEPTH} %if inside each other; use %elif, or close some")
            try:
                value = active and self.condition(name[3:], rest)
            except Mistake:
                conditions.append(Condition(self.where, False, True))
                raise
            conditions.append(Condition(self.where, value, value or not active))
            return
        if not conditions:
            raise Mistake(f"{name} without %if; remove it or open one in the same file, macro or %rep")
        last = conditions[-1]
        if name == "%endif":
            conditions.pop()
        elif last.had_else:
            raise Mistake(f"{name} after %else; an %if has one %else, its last branch")
        elif name == "%else":
            last.active, last.taken, last.had_else = not last.taken, True, True
        elif last.taken:
            last.active = False
        else:
            last.active = last.taken = self.condition(name[5:], rest)

    def _do_include(self, words: list[str]) -> None:
        """%include "file": beside the file that includes it, then along the include path"""
        name, path = self.find_file(words, "%include")
        self.open_text(name, decode_source(read_file(name, path), name), path.parent)

    def find_file(self, words: list[str], what: str) -> tuple[str, Path]:
        """The name to tell and the path of the file that a directive names."""
        words = strip(self.defines.expand(tuple(words)))
        if len(words) != 1 or words[0][0] not in QUOTES:
            raise Mistake(f'{what} needs a file name in quotes; write {what} "file"')
        wanted = string_bytes(words[0]).decode(errors="replace")
        if "\0" in wanted or not wanted:
            raise Mistake(f"{what}: a file name is not empty and holds no NUL")
        beside = self.folders.get(self.frames[-1].file if self.frames else "")
        for folder in ([beside] if beside else []) + self.include:
            if (path := folder / wanted).is_file():
                return self._told(path, wanted), path
        raise Mistake(
            f"file {wanted} not found; it is looked for beside the source and along the include path"
        )

    def _told(self, path: Path, wanted: str) -> str:
        """The name of a file in messages and line numbers: as the main source's, where it lies below that."""
        main, root = next(iter(self.folders.items()))
        if root is None:
            return wanted
        try:
            return str(PurePosixPath(main).parent / path.resolve().relative_to(root.resolve()).as_posix())
        except ValueError:
            return wanted
