"""Text to tokens: the one place that knows how NASM text is cut.

A token is a plain `str` of the source (blanks shrunk to one space, comments gone), so that the preprocessor can
look tokens up, substitute and join them without wrapping; the first character tells its kind. `lex` is a pure
function of the line and remembers its answers: bodies of macros are cut once, not once an expansion.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ringzero.asm.diagnostics import Mistake

_IDENT = r"[A-Za-z_?.@][\w$#@~.?]*"
_TOKEN = re.compile(
    rf"""
    [ \t\f\v\r]+
  | ;.*
  | "[^"]*" | '[^']*' | `(?:\\.|[^`\\])*`
  | %\{{[^}}]*\}} | %%{_IDENT} | %\$+{_IDENT} | %[+-]?\d+ | %\*\*?\d+ | %\+ | %\[ | %[A-Za-z_?]+
  | \d+\.\d+[eE][+-]\d+ | \d[\w.]*
  | \$[0-9][0-9A-Fa-f_]* | \$\$ | \${_IDENT} | {_IDENT}
  | <<< | >>> | <=> | << | >> | <= | >= | == | != | <> | && | \|\| | \^\^ | // | %%
  | .
    """,
    re.VERBOSE | re.ASCII,
)
IDENT = re.compile(rf"\$?{_IDENT}\Z", re.ASCII)
QUOTES = "\"'`"
MAX_LINE = 1 << 16
"""Characters a line may have, after expansion too."""


@lru_cache(maxsize=1 << 14)
def lex(text: str) -> tuple[str, ...]:
    """Cut one line into tokens; blanks between tokens are kept as one `" "`, comments are dropped."""
    if len(text) > MAX_LINE:
        raise Mistake(f"line of {len(text)} characters; at most {MAX_LINE} are read")
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        first = token[0]
        if first in " \t\f\v\r":
            tokens.append(" ")
        elif first == ";":
            break
        elif first in QUOTES and len(token) == 1:
            raise Mistake(f"unterminated string; close it with {first} on the same line")
        else:
            tokens.append(token)
    return tuple(tokens)


def is_ident(token: str) -> bool:
    """Whether the token is a name: a label, mnemonic, register or keyword."""
    return IDENT.match(token) is not None


def is_number(token: str) -> bool:
    """Whether the token starts like a number (`parse_number` says whether it is one)."""
    return token[0].isdigit() or (token[0] == "$" and token[1:2].isdigit())


_SUFFIX = {"h": 16, "x": 16, "d": 10, "t": 10, "o": 8, "q": 8, "b": 2, "y": 2}


def parse_number(token: str) -> int:
    """The value of an integer token in any of NASM's notations: 0x1f 0h1f 1fh $1f 0d9 9d 0o7 7o 7q 0b1 1b 1y, `_`."""
    text = token.replace("_", "").lower()
    digits, base = text, 10
    if text[0] == "$":
        digits, base = text[1:], 16
    elif (
        len(text) > 2 and text[0] == "0" and text[1] in _SUFFIX and not (text[1] in "bd" and text[-1] == "h")
    ):
        digits, base = text[2:], _SUFFIX[text[1]]
    elif text[-1] in _SUFFIX:
        digits, base = text[:-1], _SUFFIX[text[-1]]
    try:
        value = int(digits, base)
    except ValueError:
        raise Mistake(f"{token} is not a number; write 31, 0x1f, 1fh, 0o37 or 0b11111") from None
    if value >= 1 << 64:
        raise Mistake(f"{token} does not fit in 64 bits")
    return value


_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{1,3}|.)", re.DOTALL)


def string_bytes(token: str) -> bytes:
    """The bytes of a string token; escapes count in back-quotes only, other text is UTF-8."""
    body = token[1:-1].encode()
    return _ESCAPE.sub(_unescape, body) if token[0] == "`" else body


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1].decode("latin-1")
    if code[0] == "x":
        return bytes([int(code[1:], 16)])
    if code[0] in "uU" and len(code) > 1:
        return chr(min(int(code[1:], 16), 0x10FFFF)).encode(errors="replace")
    if code[0] in "01234567":
        return bytes([int(code, 8) & 255])
    return bytes([_ESCAPES[code]]) if code in _ESCAPES else match[1]


def quote(value: bytes) -> str:
    """A string token with these bytes."""
    text = value.decode("latin-1")
    if text.isascii() and text.isprintable():
        for mark in "\"'":
            if mark not in text:
                return mark + text + mark
    return "`" + "".join(c if c.isalnum() and c.isascii() else f"\\x{ord(c):02x}" for c in text) + "`"


def strip(tokens: tuple[str, ...] | list[str]) -> list[str]:
    """The tokens without blanks at either end."""
    first, last = 0, len(tokens)
    while first < last and tokens[first] == " ":
        first += 1
    while last > first and tokens[last - 1] == " ":
        last -= 1
    return list(tokens[first:last])
