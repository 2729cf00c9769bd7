"""Where the preprocessor's lines come from: a stack of files, macro calls and repetitions.

A frame hands out lines one by one and knows nothing of what they mean. Every frame opened counts, and so does every
line: that is what bounds a source that includes or repeats itself for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.asm.diagnostics import Location, Mistake
from ringzero.asm.lexer import lex, strip

Body = list[tuple[int, str]]
"""Lines with their numbers."""


@dataclass(slots=True)
class Condition:
    """One open `%if`: whether a branch was taken, whether the present one is, and whether `%else` has been."""

    where: Location
    active: bool
    taken: bool
    had_else: bool = False


@dataclass(slots=True)
class Macro:
    """A multi-line macro: `%macro name least-most defaults`, its body, and where it stands."""

    name: str
    least: int
    most: int | None
    greedy: bool
    defaults: list[str]
    file: str
    body: Body = field(default_factory=list)
    fold: bool = False
    running: int = 0

    def takes(self, count: int) -> bool:
        """Whether a call with this many parameters is one of this macro."""
        return count >= self.least and (self.greedy or self.most is None or count <= self.most)


@dataclass(slots=True)
class Frame:
    """A run of lines. `call` is the place that errors and line numbers are told of, or None in a file."""

    file: str
    lines: Body
    call: Location | None = None
    at: int = 0
    macro: Macro | None = None
    arguments: list[str] = field(default_factory=list)
    label: str = ""
    unique: int = 0
    rotation: int = 0
    repeats: int = 0
    count: int = 0
    conditions: list[Condition] = field(default_factory=list)

    def locate(self, number: int, text: str) -> Location:
        """The location of one of this frame's lines."""
        if self.call is None:
            return Location(self.file, number, text)
        inner = f"in {self.file}:{number}: {' '.join(text.split())}"
        return Location(self.call.file, self.call.line, self.call.text, inner)

    def parameter(self, number: int) -> str:
        """The text of %1, %2 … after rotation; empty beyond the last."""
        if not 1 <= number <= len(self.arguments):
            return ""
        return self.arguments[(number - 1 + self.rotation) % len(self.arguments)]


_INVERSE = {
    "o": "no", "b": "nb", "c": "nc", "nae": "ae", "z": "nz", "e": "ne", "be": "nbe", "na": "a", "s": "ns", "p": "np",
    "pe": "po", "l": "nl", "nge": "ge", "le": "nle", "ng": "g", "cxz": "ncxz", "ecxz": "necxz", "rcxz": "nrcxz",
}  # fmt: skip
INVERSE = {**_INVERSE, **{v: k for k, v in _INVERSE.items()}}


def substitute(text: str, frame: Frame) -> str:
    """A body's line with the parameters of the call put in: %1 %0 %00 %{1} %{1:3} %+1 %-1 and %%local."""
    return "".join([_parameter(t, frame) if t[0] == "%" and len(t) > 1 else t for t in lex(text)])


def _parameter(token: str, frame: Frame) -> str:
    if token == "%+":
        return " %+ "  # else `%+` before a number would read as a condition code
    inner = token[2:-1] if token[1] == "{" else token[1:]
    if inner == "0":
        return str(len(frame.arguments))
    if inner == "00":
        return frame.label
    if inner.isdigit():
        return frame.parameter(int(inner))
    if inner[:1] == "%" and len(inner) > 1:
        return f"..@{frame.unique}.{inner[1:]}"
    if inner[:1] in ("+", "-") and inner[1:].isdigit():
        return _condition_code(frame.parameter(int(inner[1:])), inner[0])
    first, colon, last = inner.partition(":")
    if token[1] == "{" and colon:
        return _range(frame, first, last)
    return token


def _condition_code(text: str, sign: str) -> str:
    code = text.strip().lower()
    if code not in INVERSE:
        raise Mistake(
            f"{text or 'an empty parameter'} is not a condition code; %+1 and %-1 take one, as in ne"
        )
    return code if sign == "+" else INVERSE[code]


def _range(frame: Frame, first: str, last: str) -> str:
    try:
        ends = [int(first), int(last)]
    except ValueError:
        raise Mistake(f"%{{{first}:{last}}} needs two numbers; write %{{1:-1}}") from None
    total = len(frame.arguments)
    low, high = (total + 1 + end if end < 0 else end for end in ends)
    step = 1 if low <= high else -1
    wanted = range(low, high + step, step)
    if not 1 <= low <= total or not 1 <= high <= total:
        raise Mistake(f"%{{{first}:{last}}} reaches beyond the {total} parameters given")
    return ",".join(frame.parameter(n) for n in wanted)


def split_arguments(tokens: tuple[str, ...] | list[str], most: int | None = None) -> list[str]:
    """The texts between commas; braces hold an argument together and vanish. `most`: the last one keeps its commas."""
    pieces: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token == "{") - (token == "}")
        if token == "," and depth == 0 and (most is None or len(pieces) < most):
            pieces.append([])
        else:
            pieces[-1].append(token)
    if depth > 0:
        raise Mistake("{ without its closing brace in a macro's argument; write {a, b}")
    texts = [_unbrace(strip(piece)) for piece in pieces]
    return texts if strip(tokens) else []


def _unbrace(tokens: list[str]) -> str:
    if len(tokens) >= 2 and tokens[0] == "{" and tokens[-1] == "}":
        tokens = tokens[1:-1]
    return "".join(tokens)
