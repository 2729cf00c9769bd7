"""The preprocessor's directives that make text: %define, %assign, %strlen and their kin, contexts, and messages."""

from __future__ import annotations

from typing import NoReturn

from ringzero.asm.diagnostics import Fatal, Location, Mistake, Report, UnknownName
from ringzero.asm.expressions import constant_value
from ringzero.asm.lexer import MAX_LINE, QUOTES, is_ident, lex, quote, string_bytes, strip
from ringzero.asm.macros import Define, Defines


class TextDirectives:
    """Directives about single-line macros; the preprocessor inherits them."""

    report: Report
    where: Location
    unique: int

    def __init__(self) -> None:
        self.defines = Defines()
        self.contexts: list[tuple[str, int]] = []

    def constant(self, words: list[str], what: str) -> int:
        """The value of a preprocessor expression: numbers only, as in nasm."""
        tokens = self.defines.expand(tuple(words))
        return constant_value([t for t in tokens if t != " "], what)

    def _unknown_directive(self, name: str) -> NoReturn:
        known = ["%" + m[4:] for m in dir(self) if m.startswith("_do_")] + ["%if", "%else", "%elif", "%endif"]
        if name in ("%endmacro", "%endm", "%endrep"):
            raise Mistake(f"{name} without its {'%rep' if name == '%endrep' else '%macro'}; remove it")
        raise UnknownName(f"unknown preprocessor directive {name}", name, known, "use one of nasm's")

    # --- %define and kin ---

    def _do_define(self, words: list[str], fold: bool = False, eager: bool = False) -> None:
        """%define name[(a, b)] body"""
        if not words or not is_ident(words[0]):
            raise Mistake("%define needs a name; write %define name body")
        name, rest = words[0], words[1:]
        parameters = None
        if rest and rest[0] == "(":
            if ")" not in rest:
                raise Mistake(
                    "%define's parameters lack the closing parenthesis; write %define name(a, b) body"
                )
            close = rest.index(")")
            parameters = _parameters(rest[1:close])
            rest = rest[close + 1 :]
        body = tuple(strip(rest))
        if eager:
            body = self.defines.expand(body)
        elif "%[" in body:
            body = self._indirect(body)
        self.defines.define(name, Define(body, parameters), fold=fold)

    def _indirect(self, body: tuple[str, ...]) -> tuple[str, ...]:
        """%[…] in a %define's body is resolved when the macro is defined; the rest of the body is not."""
        out: list[str] = []
        at = 0
        while at < len(body):
            if body[at] == "%[" and "]" in body[at:]:
                end = body.index("]", at)
                out += self.defines.expand(body[at : end + 1])
                at = end + 1
            else:
                out.append(body[at])
                at += 1
        return lex("".join(out))

    def _do_xdefine(self, words: list[str]) -> None:
        """%xdefine name body, the body expanded now"""
        self._do_define(words, eager=True)

    def _do_idefine(self, words: list[str]) -> None:
        """%idefine name body, the name matched without case"""
        self._do_define(words, fold=True)

    def _do_ixdefine(self, words: list[str]) -> None:
        """%ixdefine name body"""
        self._do_define(words, fold=True, eager=True)

    def _do_undef(self, words: list[str]) -> None:
        """%undef name"""
        self.defines.undefine(self._name(words, "%undef"))

    def _do_assign(self, words: list[str], fold: bool = False) -> None:
        """%assign name expression"""
        name = self._name(words, "%assign")
        value = self.constant(words[1:], "%assign")
        body = ("-", str(-value)) if value < 0 else (str(value),)
        self.defines.define(name, Define(body), fold=fold)

    def _do_iassign(self, words: list[str]) -> None:
        """%iassign name expression"""
        self._do_assign(words, fold=True)

    def _name(self, words: list[str], what: str) -> str:
        if not words or not is_ident(words[0]):
            raise Mistake(f"{what} needs a name")
        return words[0]

    # --- strings ---

    def _strings(self, words: list[str], what: str) -> list[bytes]:
        tokens = [t for t in self.defines.expand(tuple(words)) if t not in (" ", ",")]
        if not tokens or any(t[0] not in QUOTES for t in tokens):
            raise Mistake(f"{what} takes strings; put them in quotes")
        return [string_bytes(t) for t in tokens]

    def _define_text(self, name: str, value: bytes) -> None:
        if len(value) > MAX_LINE // 4:
            raise Mistake(f"string of {len(value)} bytes; at most {MAX_LINE // 4}")
        self.defines.define(name, Define((quote(value),)))

    def _do_strlen(self, words: list[str]) -> None:
        """%strlen name "string" """
        name = self._name(words, "%strlen")
        length = sum(len(s) for s in self._strings(words[1:], "%strlen"))
        self.defines.define(name, Define((str(length),)))

    def _do_strcat(self, words: list[str]) -> None:
        """%strcat name "a", "b" """
        self._define_text(self._name(words, "%strcat"), b"".join(self._strings(words[1:], "%strcat")))

    def _do_substr(self, words: list[str]) -> None:
        """%substr name "string" start[, count]: start from 1; a negative count leaves that many but one off the end"""
        name = self._name(words, "%substr")
        tokens = strip(self.defines.expand(tuple(words[1:])))
        if not tokens or tokens[0][0] not in QUOTES:
            raise Mistake('%substr takes a string and a place; write %substr name "string" 1, 2')
        value = string_bytes(tokens[0])
        where = [t for t in tokens[1:] if t != " "]
        comma = where.index(",") if "," in where else len(where)
        start = constant_value(where[:comma], "%substr")
        count = constant_value(where[comma + 1 :], "%substr") if comma < len(where) else 1
        last = len(value) + count + 1 if count < 0 else start - 1 + count
        self._define_text(name, value[max(start - 1, 0) : max(last, 0)])

    def _do_defstr(self, words: list[str]) -> None:
        """%defstr name text"""
        text = "".join(strip(self.defines.expand(tuple(strip(words[1:])))))
        self._define_text(self._name(words, "%defstr"), text.encode())

    def _do_deftok(self, words: list[str]) -> None:
        """%deftok name "text" """
        value = b"".join(self._strings(words[1:], "%deftok"))
        self.defines.define(self._name(words, "%deftok"), Define(lex(value.decode(errors="replace"))))

    # --- contexts ---

    def _contexts(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """Replace %$name by a name of the context's own."""
        if not any(t[:2] == "%$" for t in tokens):
            return tokens
        return tuple(self._context_name(t) if t[:2] == "%$" else t for t in tokens)

    def _context_name(self, token: str) -> str:
        depth = len(token) - len(token.lstrip("%$")) - 1
        if depth > len(self.contexts):
            raise Mistake(f"{token}: only {len(self.contexts)} contexts are open; %push one first")
        return f"..@{self.contexts[-depth][1]}.{token.lstrip('%$')}"

    def _do_push(self, words: list[str]) -> None:
        """%push name"""
        self.unique += 1
        self.contexts.append((words[0] if words else "", self.unique))

    def _do_pop(self, words: list[str]) -> None:
        """%pop [name]"""
        if not self.contexts or (words and self.contexts[-1][0] != words[0]):
            raise Mistake("%pop of a context that is not open; %push it first")
        self.contexts.pop()

    def _do_repl(self, words: list[str]) -> None:
        """%repl name"""
        if not self.contexts:
            raise Mistake("%repl without a context; %push one first")
        self.contexts[-1] = (words[0] if words else "", self.contexts[-1][1])

    # --- messages, and what is tolerated ---

    def _message(self, words: list[str]) -> str:
        tokens = strip(self.defines.expand(tuple(words)))
        return "".join(string_bytes(t).decode(errors="replace") if t[0] in QUOTES else t for t in tokens)

    def _do_error(self, words: list[str]) -> None:
        """%error text"""
        raise Mistake(self._message(words) or "%error")

    def _do_fatal(self, words: list[str]) -> None:
        """%fatal text"""
        raise Fatal(self._message(words) or "%fatal")

    def _do_warning(self, words: list[str]) -> None:
        """%warning text"""
        self.report.warn(self.where, self._message(words))

    def _do_line(self, words: list[str]) -> None:
        """%line is another tool's remark about numbering; ours stay true to this file"""

    def _do_pragma(self, words: list[str]) -> None:
        """%pragma speaks to output formats; none applies here"""


def _parameters(words: list[str]) -> tuple[str, ...]:
    names = tuple(w for w in words if w not in (" ", ",", "=", "&"))
    if any(not is_ident(name) for name in names):
        raise Mistake("%define's parameters are names; write %define name(a, b) body")
    if len(set(names)) != len(names):
        raise Mistake("%define's parameters have one name twice; rename one")
    return names
