"""The %if family: `%if`, `%ifdef`, `%ifidn` …, each with its `n` twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.asm.diagnostics import Mistake
from ringzero.asm.frames import split_arguments
from ringzero.asm.lexer import QUOTES, is_ident, is_number, lex, strip

if TYPE_CHECKING:
    from ringzero.asm.frames import Macro
    from ringzero.asm.macros import Defines

_KNOWN = ("", "def", "macro", "ctx", "idn", "idni", "id", "num", "str", "token", "empty")


class Conditions:
    """What decides a branch; the preprocessor inherits it."""

    defines: Defines
    macros: dict[str, list[Macro]]
    contexts: list[tuple[str, int]]

    if TYPE_CHECKING:

        def constant(self, words: list[str], what: str) -> int: ...
        def _contexts(self, tokens: tuple[str, ...]) -> tuple[str, ...]: ...

    def condition(self, kind: str, rest: str) -> bool:
        """Whether `%if<kind> <rest>` holds."""
        positive = kind
        if kind not in _KNOWN and kind[:1] == "n" and kind[1:] in _KNOWN:
            positive = kind[1:]
        if positive not in _KNOWN:
            raise Mistake(
                f"unknown condition %if{kind}; write %if, %ifdef, %ifndef, %ifmacro, %ifidn, %ifid, %ifnum …"
            )
        test = getattr(self, "_if_" + (positive or "expression"))
        tokens = self._contexts(lex(rest))
        return bool(test(strip(tokens))) == (positive == kind)

    def _if_expression(self, words: list[str]) -> bool:
        return self.constant(words, "%if") != 0

    def _if_def(self, words: list[str]) -> bool:
        if not words:
            raise Mistake("%ifdef needs a name")
        return any(self.defines.find(word) is not None for word in words if word != " ")

    def _if_macro(self, words: list[str]) -> bool:
        if not words:
            raise Mistake("%ifmacro needs a name")
        known = self.macros.get(words[0]) or [m for m in self.macros.get(words[0].lower(), []) if m.fold]
        counts = "".join(words[1:]).strip()
        if not counts:
            return bool(known)
        least, _, most = counts.rstrip("+").partition("-")
        if not least.isdigit():
            raise Mistake(f"%ifmacro {words[0]}: {counts} is no number of parameters")
        top = None if most == "*" else int(most) if most.isdigit() else int(least)
        return any(_overlap(macro, int(least), top) for macro in known)

    def _if_ctx(self, words: list[str]) -> bool:
        return bool(self.contexts) and (not words or self.contexts[-1][0] in words)

    def _pair(self, words: list[str]) -> list[list[str]]:
        sides = split_arguments(self.defines.expand(tuple(words)))
        if len(sides) != 2:
            raise Mistake("%ifidn compares two texts; write %ifidn a, b")
        return [[t for t in lex(side) if t != " "] for side in sides]

    def _if_idn(self, words: list[str]) -> bool:
        left, right = self._pair(words)
        return _unquoted(left) == _unquoted(right)

    def _if_idni(self, words: list[str]) -> bool:
        left, right = self._pair(words)
        return [t.lower() for t in _unquoted(left)] == [t.lower() for t in _unquoted(right)]

    def _expanded(self, words: list[str]) -> list[str]:
        return strip(self.defines.expand(tuple(words)))

    def _if_id(self, words: list[str]) -> bool:
        words = self._expanded(words)
        return bool(words) and is_ident(words[0])

    def _if_num(self, words: list[str]) -> bool:
        words = [w for w in self._expanded(words) if w not in (" ", "+", "-")]
        return bool(words) and is_number(words[0])

    def _if_str(self, words: list[str]) -> bool:
        words = self._expanded(words)
        return bool(words) and words[0][0] in QUOTES

    def _if_token(self, words: list[str]) -> bool:
        words = self._expanded(words)
        return len(words) == 1 or (len(words) == 2 and words[0] in "+-" and is_number(words[1]))

    def _if_empty(self, words: list[str]) -> bool:
        return not self._expanded(words)


def _overlap(macro: Macro, least: int, most: int | None) -> bool:
    top = None if macro.greedy else macro.most
    return (most is None or macro.least <= most) and (top is None or least <= top)


def _unquoted(tokens: list[str]) -> list[str]:
    """Strings compare by what they hold: "a" and 'a' are identical."""
    return ["'" + t[1:-1] if t[0] in QUOTES else t for t in tokens]
