"""Hot blocks of the Python engine: all µops of a block as the source of one function.

It is the same effects, printed with the operands' slots and numbers put in, flags that nothing can see left out as the
C core leaves them out, and the cached translation looked up in line. The function runs a whole block or leaves by an
exception; at which instruction, the traceback's line says. Only blocks without skips and without µops that change what
blocks are keyed by are made so.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from ringzero.cpu.lower.emitter import ZERO
from ringzero.cpu.state import SLOT
from ringzero.cpu.uops.block import Block
from ringzero.cpu.uops.effects import PythonPrinter
from ringzero.cpu.uops.table import BY_NAME, UOPS, Uop

M64 = (1 << 64) - 1
_REFUSED = ("SKIP(", "SET_", "PROBE(", "R[", "STEP(", "AHEAD(")


class Hot(NamedTuple):
    """A compiled block. function: runs it all on the slots, returns how it ends. indices: instruction by line."""

    function: Callable[[list[int]], int]
    code: CodeType
    indices: list[int]

    def instruction(self, trace: TracebackType | None) -> int:
        """The instruction at which an exception with this traceback left the function."""
        while trace and trace.tb_frame.f_code is not self.code:
            trace = trace.tb_next
        assert trace is not None, "an exception that did not come from this block"
        return self.indices[trace.tb_lineno]


class _Printer(PythonPrinter):
    """Prints with numbers in place of names, and leaves out what adds nothing."""

    def binary(self, left: ast.expr, op: ast.operator, right: ast.expr) -> str:
        x, y = self.names.get(getattr(left, "id", "")), self.expression(right)
        if isinstance(op, ast.Add) and y == "0":
            return self.expression(left)
        if isinstance(op, ast.LShift) and x == "0":
            return "0"
        if isinstance(op, ast.BitAnd) and x is not None and x.isdigit() and y.isdigit():
            return str(int(x) & int(y))
        return super().binary(left, op, right)

    def statement(self, node: ast.stmt, uop: Uop, indent: str) -> list[str]:
        match node:
            case ast.Assign([target], ast.Call(ast.Name(id="LOAD"), [ea])):
                return self._inline(f"{self.expression(target)} = ", "LOAD", ea, "", uop, indent)
            case ast.Expr(ast.Call(ast.Name(id="STORE"), [ea, value])):
                return self._inline("", "STORE", ea, f", {self.expression(value)}", uop, indent)
        return super().statement(node, uop, indent)

    def _inline(self, target: str, name: str, ea: ast.expr, value: str, uop: Uop, indent: str) -> list[str]:
        """An access through the cached translation, or by the function where there is none or a page is crossed."""
        width, last = uop.width, 4096 - (uop.width >> 3)
        cut = f"{value} & {(1 << width) - 1}" if value else ""
        fast = f"{name}_RAM{width}(RAM, page + (at & 4095){cut})" + ("[0]" if name == "LOAD" else "")
        return [
            f"{indent}at = {self.expression(ea)}",
            f"{indent}page = {name}ABLE(at >> 12)",
            f"{indent}if page is None or at & 4095 > {last}:",
            f"{indent}    {target}{name}{width}(at{value}, {self.names['scale']})",
            f"{indent}else:",
            f"{indent}    {target}{fast}",
        ]


def compilable(block: Block) -> bool:
    """Whether the block's µops follow one another and keep the mode."""
    return not any(word in UOPS[u[0]].effect for u in block.uops for word in _REFUSED)


def _live(block: Block) -> list[Uop | None]:
    """The block's µops with those in place of them that write no flags, where the flags are dead; None: nothing."""
    live, kept = True, list[Uop | None]()
    for number, *_ in reversed(block.uops):
        u = UOPS[number]
        if "w" in u.flags and not live and u.quiet is not None:
            kept.append(BY_NAME[u.quiet] if u.quiet else None)
            continue
        live = "r" in u.flags or u.memory or u.leaves or (live and "w" not in u.flags)
        kept.append(u)
    return kept[::-1]


@cache
def _printed(u: Uop, no_a: bool, no_b: bool, scale: int, no_imm: bool) -> tuple[str, int]:
    """A µop's text and how many lines it has. Slots and immediate, where they are not zero, are left to be put in."""
    fields = {"A": "0" if no_a else "R[{a}]", "B": "0" if no_b else "R[{b}]", "D": "R[{d}]", "S": f"R[{scale}]",
              "I": "0" if no_imm else "{imm}", "scale": str(scale),
              "RES": f"R[{SLOT['res']}]", "AUX": f"R[{SLOT['aux']}]"}  # fmt: skip
    lines = _Printer(fields, lambda name: f"R[{SLOT[name]}]").lines(u)
    return "\n".join(lines), len(lines)


def source(block: Block) -> tuple[str, Sequence[int]]:
    """The function's text, and the instruction of each of its lines, counted from 1."""
    texts, indices = ["def hot(R):"], [0, 0]
    for u, (_, d, a, b, scale, index, imm) in zip(_live(block), block.uops, strict=True):
        if u is None:
            continue
        text, lines = _printed(u, a == ZERO, b == ZERO, scale, not imm)
        if lines:
            texts.append(text.format(d=d, a=a, b=b, imm=imm & M64))
            indices += [index] * lines
    return "\n".join(texts), indices


def compile_hot(block: Block, names: dict[str, Any]) -> Hot:
    """The block as one function; `names` are those that effects call, and the translation caches'."""
    text, indices = source(block)
    scope = dict(names)
    exec(compile(text, "<hot block>", "exec"), scope)  # our own text, made from the list of µops
    return Hot(scope["hot"], scope["hot"].__code__, list(indices))
