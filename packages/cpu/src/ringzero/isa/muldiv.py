"""Multiplication and division."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.names import RAX, RDX
from ringzero.isa.operands import Imm, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

_MULTIPLY: Columns = {"flags": "oc", "undefined": "szap"}
_DIVIDE: Columns = {"undefined": "oszapc"}

form("mul", "F6 /4", "rm8", **_MULTIPLY)
form("mul", "F7 /4", "rm", **_MULTIPLY)
form("imul", "F6 /5", "rm8", **_MULTIPLY)
form("imul", "F7 /5", "rm", **_MULTIPLY)
form("imul", "0F AF /r", "r, rm", **_MULTIPLY)
form("imul", "6B /r ib", "r, rm, simm8", **_MULTIPLY)
form("imul", "69 /r iz", "r, rm, imm", **_MULTIPLY)
form("div", "F6 /6", "rm8", **_DIVIDE)
form("div", "F7 /6", "rm", **_DIVIDE)
form("idiv", "F6 /7", "rm8", **_DIVIDE)
form("idiv", "F7 /7", "rm", **_DIVIDE)


@lowers("mul")
def mul(b: Builder, src: Operand) -> None:
    _widening(b, "mulhu", src, signed=False)


def _widening(b: Builder, high_part: str, src: Operand, signed: bool) -> None:
    """The product of the accumulator and src, twice as wide, to ax or rdx:rax."""
    factor = b.read(src)
    low, high = b.temp(), b.temp()
    b.emit(f"mul{b.width}", low, RAX, factor)
    b.emit(f"{high_part}{b.width}", high, RAX, factor)
    b.emit(f"flagmul{b.width}", a=low, b=high, scale=signed)
    if b.size == 1:
        b.write(Reg(RAX, 2), b.either(b.cut(low, 1), b.left(b.cut(high, 1), b.const(8))))
    else:
        b.write(Reg(RAX, b.size), low)
        b.write(Reg(RDX, b.size), high)


@lowers("imul")
def imul(b: Builder, dst: Operand, src: Operand | None = None, factor: Imm | None = None) -> None:
    if src is None:
        _widening(b, "mulhs", dst, signed=True)
        return
    assert isinstance(dst, Reg)
    left, right = (b.read(src), b.read(factor)) if factor else (b.read(dst), b.read(src))
    b.write(dst, b.operate("imul", left, right))


@lowers("div", "idiv")
def div(b: Builder, src: Operand) -> None:
    divisor = b.read(src)
    if b.size == 1:
        high, low = b.read(Reg(RAX, 1, high=True)), b.cut(RAX, 1)
    else:
        high, low = b.copy(RDX), b.copy(RAX)
    b.emit(f"div{'u' if b.form.mnemonic == 'div' else 's'}{b.width}", high, divisor, scale=low)
    b.write(Reg(RAX, b.size), low)
    b.write(Reg(RAX, 1, high=True) if b.size == 1 else Reg(RDX, b.size), high)
