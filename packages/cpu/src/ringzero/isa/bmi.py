"""Bit manipulation with three operands (BMI1, BMI2), whose rows have a VEX prefix, and additions with one carry (ADX).

Operands in a VEX row have four or eight bytes, whatever 66 says. BMI2 changes no flags but for BZHI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.names import RDX
from ringzero.isa.operands import Imm, Mem, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

_BMI1: Columns = {"size": "y", "flags": "oszc", "undefined": "ap", "feature": "bmi1"}
_BMI2: Columns = {"size": "y", "feature": "bmi2"}
_ADX: Columns = {"size": "y", "feature": "adx"}

form("andn", "VEX.LZ.0F38 F2 /r", "r, v, rm", **_BMI1)
form("bextr", "VEX.LZ.0F38 F7 /r", "r, rm, v", **_BMI1 | {"flags": "ozc", "undefined": "sap"})
form("blsr", "VEX.LZ.0F38 F3 /1", "v, rm", **_BMI1)
form("blsmsk", "VEX.LZ.0F38 F3 /2", "v, rm", **_BMI1)
form("blsi", "VEX.LZ.0F38 F3 /3", "v, rm", **_BMI1)

form("bzhi", "VEX.LZ.0F38 F5 /r", "r, rm, v", flags="oszc", undefined="ap", **_BMI2)
form("mulx", "VEX.LZ.F2.0F38 F6 /r", "r, v, rm", **_BMI2)
form("pdep", "VEX.LZ.F2.0F38 F5 /r", "r, v, rm", **_BMI2)
form("pext", "VEX.LZ.F3.0F38 F5 /r", "r, v, rm", **_BMI2)
form("rorx", "VEX.LZ.F2.0F3A F0 /r ib", "r, rm, imm8", **_BMI2)
form("shlx", "VEX.LZ.66.0F38 F7 /r", "r, rm, v", **_BMI2)
form("shrx", "VEX.LZ.F2.0F38 F7 /r", "r, rm, v", **_BMI2)
form("sarx", "VEX.LZ.F3.0F38 F7 /r", "r, rm, v", **_BMI2)

form("adcx", "66 0F 38 F6 /r", "r, rm", flags="c", reads="c", **_ADX)
form("adox", "F3 0F 38 F6 /r", "r, rm", flags="o", reads="o", **_ADX)


@lowers("andn")
def andn(b: Builder, dst: Reg, mask: Reg, src: Operand) -> None:
    kept = b.differ(mask.number, b.const(-1))
    b.write(dst, b.operate("and", kept, b.read(src)))


@lowers("bextr")
def bextr(b: Builder, dst: Reg, src: Reg, control: Reg) -> None:
    """Bits from control's byte 0 on, as many as its byte 1 says; beyond the operand there are zeros."""
    start, length = b.field(control.number, 0, 8), b.field(control.number, 8, 8)
    result = b.low_bits(b.combine("shrfar", b.zero_extended(src), start), length)
    b.emit("flagz", a=result)
    b.write(dst, result)


@lowers("blsr", "blsmsk", "blsi")
def lowest_set(b: Builder, dst: Reg, src: Reg) -> None:
    """The lowest bit that is set: without it, up to it, alone. CF: there is none; for BLSI, there is one."""
    name, value = b.form.mnemonic, b.zero_extended(src)
    if name == "blsi":
        result = b.operate("and", b.minus(b.const(0), value), value)
    else:
        result = b.operate("and" if name == "blsr" else "xor", b.minus(value, b.const(1)), value)
    b.emit("setc", a=b.unequal(value, b.const(0)) if name == "blsi" else b.equal(value, b.const(0)))
    b.write(dst, result)


@lowers("bzhi")
def bzhi(b: Builder, dst: Reg, src: Reg, index: Reg) -> None:
    """The low bits, as many as the index's byte 0 says; CF says that this is more than there are."""
    count = b.cut(index.number, 1)
    value = b.low_bits(b.zero_extended(src), count)
    b.compare("test", value, value)
    b.emit("setc", a=b.below(b.slot(b.const(b.width - 1)), count))
    b.write(dst, value)


@lowers("mulx")
def mulx(b: Builder, high: Reg, low: Reg, src: Operand) -> None:
    """The high half is written last: it wins where both are one register (SDM 2B, MULX)."""
    factor = b.read(src)
    product, upper = b.temp(), b.temp()
    b.emit(f"mul{b.width}", product, RDX, factor)
    b.emit(f"mulhu{b.width}", upper, RDX, factor)
    b.write(low, product)
    b.write(high, upper)


@lowers("pdep", "pext")
def scatter(b: Builder, dst: Reg, src: Reg, mask: Reg | Mem) -> None:
    value = b.zero_extended(src)
    b.write(dst, b.combine(b.form.mnemonic, value, b.zero_extended(mask)))


@lowers("rorx")
def rorx(b: Builder, dst: Reg, src: Reg, count: Imm) -> None:
    value, by = b.zero_extended(src), count.value & (b.width - 1)
    b.write(dst, b.either(b.right(value, b.const(by)), b.left(value, b.const(b.width - by))) if by else value)


@lowers("shlx", "shrx", "sarx")
def shift(b: Builder, dst: Reg, src: Reg, count: Reg) -> None:
    name = b.form.mnemonic[:-1]
    value = b.sign_extended(src) if name == "sar" else b.zero_extended(src)
    b.write(dst, b.combine(f"{name}q64", value, b.bits(count.number, b.const(b.width - 1))))


@lowers("adcx", "adox")
def add_with_one_flag(b: Builder, dst: Reg, src: Operand) -> None:
    b.write(dst, b.operate(b.form.mnemonic, b.read(dst), b.read(src)))
