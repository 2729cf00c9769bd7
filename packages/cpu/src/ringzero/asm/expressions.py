"""Expressions: parsed once, evaluated in every pass.

A parsed expression is an int (a constant), or a tuple `(operator, operands…)`. Its value is

    int        a number, signed, wrapped to 64 bits as nasm computes
    Address    a number plus the unknown bases of sections: what a label is until the layout is made
    Unknown    an Address with a part that a later line defines

Precedence and meaning are nasm's: `/` and `%` are unsigned, `//` and `%%` signed, only sums and differences may hold
an Address. Registers may stand in an effective address only; `parse(..., registers=True)` lets them through as
`("reg", name)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringzero.asm.diagnostics import Forward, Mistake
from ringzero.asm.lexer import QUOTES, is_ident, is_number, parse_number, string_bytes
from ringzero.asm.registers import REGISTERS

Node = Any
"""int, or (operator, …)."""

_MASK = (1 << 64) - 1
_TOP = 1 << 63
MAX_NESTING = 100
MAX_OPERATORS = 200


class Address:
    """`offset` plus, for each (base, count) of `terms`, count times the address at which section `base` will lie."""

    __slots__ = ("offset", "terms")

    def __init__(self, offset: int, terms: tuple[tuple[int, int], ...]) -> None:
        self.offset = offset
        self.terms = terms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self.offset, self.terms) == (other.offset, other.terms)

    def __hash__(self) -> int:
        return hash((self.offset, self.terms))

    def __repr__(self) -> str:
        return f"Address({self.offset:#x}, {self.terms})"


class Unknown(Address):
    """Something that a later line defines: a term of base -1, so that the difference of two is a number, as in nasm."""

    __slots__ = ()


UNKNOWN = Unknown(0, ((-1, 1),))

Value = int | Address


class Scope:
    """What names mean to an evaluation: `symbols`, and the place of `$` and `$$`."""

    def __init__(self) -> None:
        self.symbols: dict[str, Value] = {}
        self.undefined: set[str] = set()
        self.here: Value = 0
        self.start: Value = 0


def wrap(value: int) -> int:
    """The signed 64-bit number that `value` is modulo 2⁶⁴."""
    if -_TOP <= value < _TOP:
        return value
    return ((value + _TOP) & _MASK) - _TOP


# --- evaluation ---


def evaluate(node: Node, scope: Scope) -> Value:
    """The value of a parsed expression; Mistake on arithmetic that has none."""
    if type(node) is int:
        return node
    operator = node[0]
    if operator == "sym":
        value = scope.symbols.get(node[1], UNKNOWN)
        if isinstance(value, Unknown):
            scope.undefined.add(node[1])
        return value
    if operator == "$":
        return scope.here
    if operator == "$$":
        return scope.start
    if operator == "?":
        chosen = evaluate(node[1], scope)
        if isinstance(chosen, Unknown):
            return UNKNOWN
        return evaluate(node[2] if scalar(chosen, "?:") else node[3], scope)
    values = [evaluate(operand, scope) for operand in node[1:]]
    if operator not in ("+", "-", "neg") and any(isinstance(value, Unknown) for value in values):
        return UNKNOWN
    if len(values) == 1:
        return _unary(operator, values[0])
    return _binary(operator, values[0], values[1])


def scalar(value: Value, what: str) -> int:
    """The value as a number; Mistake when it depends on where a section lies."""
    if isinstance(value, int):
        return value
    if isinstance(value, Unknown):
        raise Forward(f"{what} needs a value that earlier lines define; move the definition up")
    raise Mistake(
        f"{what} needs a number, and this is an address that the layout decides; "
        "subtract a label of the same section, as in label - $$"
    )


def add(left: Value, right: Value, sign: int = 1) -> Value:
    """left + sign * right."""
    if isinstance(left, int):
        if isinstance(right, int):
            return wrap(left + sign * right)
    elif isinstance(right, int):
        return type(left)(wrap(left.offset + sign * right), left.terms)
    elif sign < 0 and left.terms == right.terms:
        return wrap(left.offset - right.offset)
    terms: dict[int, int] = {}
    offset = 0
    for value, count in ((left, 1), (right, sign)):
        if isinstance(value, int):
            offset += count * value
        else:
            offset += count * value.offset
            for base, times in value.terms:
                terms[base] = terms.get(base, 0) + count * times
    kept = tuple(sorted((base, times) for base, times in terms.items() if times))
    if not kept:
        return wrap(offset)
    return (Unknown if kept[0][0] < 0 else Address)(wrap(offset), kept)


def _unary(operator: str, value: Value) -> Value:
    if operator == "neg":
        return add(0, value, -1)
    number = scalar(value, operator)
    return ~number if operator == "~" else int(number == 0)


def _binary(operator: str, left: Value, right: Value) -> Value:
    if operator == "+":
        return add(left, right)
    if operator == "-":
        return add(left, right, -1)
    if operator == "*" and isinstance(left, Address) != isinstance(right, Address):
        address, factor = (left, right) if isinstance(left, Address) else (right, left)
        assert isinstance(address, Address)
        assert isinstance(factor, int)
        terms = tuple((base, times * factor) for base, times in address.terms if factor)
        return Address(wrap(address.offset * factor), terms) if terms else 0
    difference = add(left, right, -1)
    if operator in _COMPARE and isinstance(difference, int) and not isinstance(left, int):
        return _COMPARE[operator](difference, 0)
    return wrap(_ARITHMETIC[operator](scalar(left, operator), scalar(right, operator)))


def _divide(left: int, right: int, signed: bool, rest: bool) -> int:
    if right == 0:
        raise Mistake("division by zero; check the divisor")
    if not signed:
        left, right = left & _MASK, right & _MASK
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return left - quotient * right if rest else quotient


def _shift(left: int, count: int, operator: str) -> int:
    count &= 63  # as nasm, whose shifts are the processor's: 1 << 64 is 1
    if operator in ("<<", "<<<"):
        return left << count
    return left >> count if operator == ">>>" else (left & _MASK) >> count


_COMPARE: dict[str, Callable[[int, int], int]] = {
    "==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b), "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b), ">": lambda a, b: int(a > b), ">=": lambda a, b: int(a >= b),
    "<=>": lambda a, b: (a > b) - (a < b),
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    **_COMPARE,
    "||": lambda a, b: int(a != 0 or b != 0), "&&": lambda a, b: int(a != 0 and b != 0),
    "^^": lambda a, b: int((a != 0) != (b != 0)),
    "|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "&": lambda a, b: a & b, "*": lambda a, b: a * b,
    "<<": lambda a, b: _shift(a, b, "<<"), "<<<": lambda a, b: _shift(a, b, "<<"),
    ">>": lambda a, b: _shift(a, b, ">>"), ">>>": lambda a, b: _shift(a, b, ">>>"),
    "/": lambda a, b: _divide(a, b, False, False), "//": lambda a, b: _divide(a, b, True, False),
    "%": lambda a, b: _divide(a, b, False, True), "%%": lambda a, b: _divide(a, b, True, True),
}  # fmt: skip

# --- parsing ---

_LEVELS: list[dict[str, str]] = [
    {"||": "||"}, {"^^": "^^"}, {"&&": "&&"},
    {"=": "==", "==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "<=>": "<=>"},
    {"|": "|"}, {"^": "^"}, {"&": "&"}, {"<<": "<<", ">>": ">>", "<<<": "<<<", ">>>": ">>>"},
    {"+": "+", "-": "-"}, {"*": "*", "/": "/", "//": "//", "%": "%", "%%": "%%"},
]  # fmt: skip
_PRECEDENCE = {token: (level, name) for level, ops in enumerate(_LEVELS) for token, name in ops.items()}


class Parser:
    """Reads one expression from tokens (without blanks), starting at `at`; afterwards `at` is behind it."""

    def __init__(self, tokens: list[str], at: int = 0, *, local: str = "", registers: bool = False) -> None:
        self.tokens = tokens
        self.at = at
        self.local = local
        self.registers = registers
        self.depth = 0
        self.operators = 0

    def expression(self) -> Node:
        """The expression, constants folded."""
        node = self._climb(0)
        if self._peek() != "?":
            return node
        self.at += 1
        first = self.expression()
        if self._peek() != ":":
            raise Mistake("? without its :; write condition ? a : b")
        self.at += 1
        return _fold(("?", node, first, self.expression()))

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _climb(self, level: int) -> Node:
        left = self._unary()
        while (found := _PRECEDENCE.get(self._peek())) is not None and found[0] >= level:
            self.at += 1
            left = _fold((found[1], left, self._climb(found[0] + 1)))
            self.operators += type(left) is not int
            if self.operators > MAX_OPERATORS:
                raise Mistake(
                    f"more than {MAX_OPERATORS} operators in one expression; name parts of it with equ"
                )
        return left

    def _unary(self) -> Node:
        token = self._peek()
        if token not in ("-", "+", "~", "!", "("):
            return self._atom(token)
        self.at += 1
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Mistake(f"expression nested more than {MAX_NESTING} deep; name parts of it with equ")
        if token == "(":
            node = self.expression()
            if self._peek() != ")":
                raise Mistake(f"( without its ) before {self._peek() or 'the end of the line'}; close it")
            self.at += 1
        else:
            node = self._unary()
            node = node if token == "+" else _fold(("neg" if token == "-" else token, node))
        self.depth -= 1
        return node

    def _atom(self, token: str) -> Node:
        if not token:
            raise Mistake("expression expected at the end of the line; write a number, a symbol or $")
        self.at += 1
        if is_number(token):
            return wrap(parse_number(token))
        if token in ("$", "$$"):
            return (token,)
        if token[0] in QUOTES:
            return _characters(token)
        if not is_ident(token):
            raise Mistake(f"expression expected before {token}; write a number, a symbol or $")
        if token.lower() in REGISTERS:
            if not self.registers:
                raise Mistake(f"register {token} cannot stand in this expression; use a number or a symbol")
            return ("reg", token.lower())
        return ("sym", qualified(token, self.local))


def qualified(name: str, local: str) -> str:
    """The full name of a symbol: `.x` belongs to the last label without a dot; a leading `$` only quotes."""
    if name[0] == "$":
        name = name[1:]
    return local + name if name[0] == "." and name[:2] != ".." else name


def _characters(token: str) -> int:
    value = string_bytes(token)
    if len(value) > 8:
        raise Mistake(f"{token} has {len(value)} characters; a character constant has at most 8")
    return wrap(int.from_bytes(value, "little"))


def _fold(node: Node) -> Node:
    if all(type(operand) is int for operand in node[1:]):
        return evaluate(node, Scope())
    return node


def constant_value(tokens: list[str], what: str) -> int:
    """The value of an expression that may hold numbers only (the preprocessor's)."""
    parser = Parser([t for t in tokens if t != " "])
    node = parser.expression()
    if parser.at < len(parser.tokens):
        raise Mistake(f"{what}: {parser.tokens[parser.at]} is left over behind the expression; remove it")
    if type(node) is not int:
        name = symbol_in(node)
        raise Mistake(
            f"{what}: {name} is not a number here; %define or %assign it first, labels come too late"
        )
    return node


def symbol_in(node: Node) -> str:
    """The first symbol that an expression names."""
    if type(node) is int:
        return ""
    if node[0] in ("sym", "reg"):
        return str(node[1])
    return next((name for name in map(symbol_in, node[1:]) if name), str(node[0]))
