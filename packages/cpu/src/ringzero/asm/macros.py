"""Single-line macros: `%define` and its kin, and how a line's tokens are expanded by them.

Expansion is textual, as nasm does it: a macro's body replaces its name, the result is scanned again, and a macro
is not expanded inside its own expansion. `%[…]` expands its inside at once, `%+` joins its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.asm.diagnostics import Fatal, Mistake
from ringzero.asm.lexer import lex, strip

MAX_TOKENS = 100_000
"""Tokens that one line may come to while it is expanded: `%define a b b` chains double at each step."""


@dataclass(slots=True)
class Define:
    """One definition: `parameters` is None for a macro without parentheses."""

    body: tuple[str, ...]
    parameters: tuple[str, ...] | None = None


@dataclass(slots=True)
class _End:
    """Marks, in the stack of tokens still to scan, where the expansion of `name` ends."""

    name: str


@dataclass
class Defines:
    """All single-line macros in force.

    `exact` and `folded` (matched without case) map name → number of parameters → definition.
    """

    exact: dict[str, dict[int, Define]] = field(default_factory=dict)
    folded: dict[str, dict[int, Define]] = field(default_factory=dict)

    def define(self, name: str, macro: Define, *, fold: bool = False) -> None:
        """Add or replace the definition with this number of parameters; none-and-some do not live together."""
        home, key = (self.folded, name.lower()) if fold else (self.exact, name)
        arity = -1 if macro.parameters is None else len(macro.parameters)
        known = home.setdefault(key, {})
        if (arity == -1) != (-1 in known):
            known.clear()
        known[arity] = macro

    def undefine(self, name: str) -> None:
        """Forget every definition of the name."""
        self.exact.pop(name, None)
        self.folded.pop(name.lower(), None)

    def find(self, name: str) -> dict[int, Define] | None:
        """The definitions of a name, by number of parameters (-1: without parentheses)."""
        return self.exact.get(name) or (self.folded.get(name.lower()) if self.folded else None)

    def idle(self, tokens: tuple[str, ...]) -> bool:
        """Whether no token can be a macro's name: most lines, decided without a loop."""
        return self.exact.keys().isdisjoint(tokens) and (
            not self.folded or self.folded.keys().isdisjoint([t.lower() for t in tokens])
        )

    def expand(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """The tokens with every macro replaced, `%[…]` resolved and `%+` joined."""
        indirect = "%[" in tokens
        if not indirect and "%+" not in tokens and self.idle(tokens):
            return tokens
        expanded = self._scan(tokens)
        if indirect:  # what %[…] left touches its neighbours
            expanded = self._scan(lex("".join(expanded)))
        for _ in range(64):
            if "%+" not in expanded:
                return tuple(expanded)
            expanded = self._scan(lex("".join(_paste(expanded))))
        raise Mistake("%+ does not come to an end; a macro expands to another %+ each time")

    def _scan(self, tokens: tuple[str, ...]) -> list[str]:
        stack: list[str | _End] = list(reversed(tokens))
        active: list[str] = []
        out: list[str] = []
        while stack:
            token = stack.pop()
            if isinstance(token, _End):
                active.remove(token.name)
            elif token == "%[":
                stack.extend(reversed(self.expand(tuple(_bracketed(stack, active)))))
            else:
                known = self.find(token)
                if known is None or token in active or not self._call(token, known, stack, active):
                    out.append(token)
            if len(out) + len(stack) > MAX_TOKENS:
                raise Fatal(f"macro expansion exceeds {MAX_TOKENS} tokens; a %define doubles at each step")
        return out

    def _call(self, name: str, known: dict[int, Define], stack: list[str | _End], active: list[str]) -> bool:
        """Push the expansion of one use on the stack; False when the name stands without the parentheses it needs."""
        plain = known.get(-1)
        if plain is not None:
            body = plain.body
        else:
            arguments = _arguments(stack, active)
            if arguments is None:
                return False
            if arguments == [()] and 0 in known:
                arguments = []
            macro = known.get(len(arguments))
            if macro is None:
                wanted = " or ".join(str(n) for n in sorted(known))
                raise Mistake(f"macro {name} called with {len(arguments)} arguments; it takes {wanted}")
            body = tuple(_substitute(macro, arguments))
        active.append(name)
        stack.append(_End(name))
        stack.extend(reversed(body))
        return True


def _arguments(stack: list[str | _End], active: list[str]) -> list[tuple[str, ...]] | None:
    """Take `(a, b, …)` off the stack; None, and nothing taken, when no parenthesis follows."""
    at = len(stack) - 1
    while at >= 0 and (isinstance(stack[at], _End) or stack[at] == " "):
        at -= 1
    if at < 0 or stack[at] != "(":
        return None
    for passed in stack[at + 1 :]:
        if isinstance(passed, _End):
            active.remove(passed.name)
    del stack[at:]
    arguments: list[tuple[str, ...]] = []
    current: list[str] = []
    depth = 1
    while stack:
        token = stack.pop()
        if isinstance(token, _End):
            active.remove(token.name)
            continue
        depth += (token in "([{") - (token in ")]}") if len(token) == 1 else 0
        if depth == 0:
            arguments.append(_argument(current))
            return arguments
        if token == "," and depth == 1:
            arguments.append(_argument(current))
            current = []
        else:
            current.append(token)
    raise Mistake("macro call without its closing parenthesis; write name(a, b)")


def _argument(tokens: list[str]) -> tuple[str, ...]:
    inner = strip(tokens)
    if len(inner) >= 2 and inner[0] == "{" and inner[-1] == "}":
        inner = strip(inner[1:-1])
    return tuple(inner)


def _substitute(macro: Define, arguments: list[tuple[str, ...]]) -> list[str]:
    values = dict(zip(macro.parameters or (), arguments, strict=True))
    body: list[str] = []
    for token in macro.body:
        if token in values:
            body.extend(values[token])
        elif token[0] == "%" and token[1:2] == "{" and token[2:-1] in values:
            body.extend(values[token[2:-1]])
        else:
            body.append(token)
    return body


def _bracketed(stack: list[str | _End], active: list[str]) -> list[str]:
    """Take the inside of `%[ … ]` off the stack."""
    inside: list[str] = []
    depth = 1
    while stack:
        token = stack.pop()
        if isinstance(token, _End):
            active.remove(token.name)
            continue
        depth += (token in ("[", "%[")) - (token == "]")
        if depth == 0:
            return inside
        inside.append(token)
    raise Mistake("%[ without its closing bracket; write %[name]")


def _paste(tokens: list[str]) -> list[str]:
    """The tokens with each `%+` and the blanks beside it removed, so that what stood left and right touches."""
    out: list[str] = []
    joining = False
    for token in tokens:
        if token == "%+":
            while out and out[-1] == " ":
                out.pop()
            joining = True
        elif not (joining and token == " "):
            out.append(token)
            joining = False
    return out
