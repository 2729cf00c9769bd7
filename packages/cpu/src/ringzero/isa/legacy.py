"""What 64-bit mode has left behind: decimal adjustments, BOUND, ARPL, SALC and the far pointer loads LDS and LES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.form import form, lowers
from ringzero.isa.names import BR, DS, ES, FS, GS, RAX, SS
from ringzero.isa.operands import Imm, Mem, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("daa", "27", size="8", modes="32", flags="szapc", reads="ac", undefined="o")
form("das", "2F", size="8", modes="32", flags="szapc", reads="ac", undefined="o")
form("aaa", "37", size="8", modes="32", flags="ac", reads="a", undefined="oszp")
form("aas", "3F", size="8", modes="32", flags="ac", reads="a", undefined="oszp")
form("aam", "D4 ib", "imm8", size="8", modes="32", flags="szp", undefined="oac")
form("aad", "D5 ib", "imm8", size="8", modes="32", flags="szp", undefined="oac")
form("salc", "D6", size="8", modes="32", reads="c", note="in no manual of Intel's")
form("bound", "62 /r", "r, m", modes="32")
form("arpl", "63 /r", "rm16, r16", size="w", modes="32", flags="z", protected=True)

form("les", "C4 /r", "r, m", modes="32")
form("lds", "C5 /r", "r, m", modes="32")
form("lss", "0F B2 /r", "r, m", note="AMD ignores REX.W: 16:32 only")
form("lfs", "0F B4 /r", "r, m", note="AMD ignores REX.W: 16:32 only")
form("lgs", "0F B5 /r", "r, m", note="AMD ignores REX.W: 16:32 only")

_SEGMENT = {"les": ES, "lds": DS, "lss": SS, "lfs": FS, "lgs": GS}


def _low_digit_over(b: Builder) -> int:
    """1 if al's low digit is above 9 or AF is set."""
    half = b.field(b.flags(), 4, 1)
    return b.either(half, b.below(b.slot(b.const(9)), b.bits(RAX, b.const(15))))


@lowers("daa", "das")
def adjust_packed(b: Builder) -> None:
    """SDM 2A, DAA and DAS: 6 for the low digit, 60h for the high one."""
    value, low, carry = b.cut(RAX, 1), _low_digit_over(b), b.field(b.flags(), 0, 1)
    high = b.either(carry, b.below(b.slot(b.const(0x99)), value))
    change = b.either(b.select(low, b.const(6), b.const(0)), b.select(high, b.const(0x60), b.const(0)))
    subtracts = b.form.mnemonic == "das"
    result = b.minus(value, change) if subtracts else b.plus(value, change)
    if subtracts:  # a borrow of the low digit is one of the whole byte too
        borrow = b.bits(low, b.below(value, b.slot(b.const(6))))
        high = b.either(high, borrow)
    result = b.cut(result, 1)
    b.compare("test", result, result)
    b.set_flags(b.either(high, b.left(low, b.const(4))), b.const(F.CF | F.AF))
    b.write(Reg(RAX, 1), result)


@lowers("aaa", "aas")
def adjust_unpacked(b: Builder) -> None:
    low = _low_digit_over(b)
    change = b.select(low, b.const(0x106), b.const(0))
    result = b.plus(RAX, change) if b.form.mnemonic == "aaa" else b.minus(RAX, change)
    b.set_flags(b.either(low, b.left(low, b.const(4))), b.const(F.CF | F.AF))
    b.write(Reg(RAX, 2), b.bits(result, b.const(0xFF0F)))


@lowers("aam")
def aam(b: Builder, base: Imm) -> None:
    """A base of 0 is a division by zero (SDM 2A, AAM)."""
    remainder, quotient = b.copy(b.const(0)), b.cut(RAX, 1)
    b.emit("divu8", remainder, b.slot(b.const(base.value)), scale=quotient)
    b.compare("test", remainder, remainder)
    b.write(Reg(RAX, 2), b.either(b.left(quotient, b.const(8)), remainder))


@lowers("aad")
def aad(b: Builder, base: Imm) -> None:
    product = b.temp()
    b.emit("mul64", product, b.read(Reg(RAX, 1, high=True)), b.slot(b.const(base.value)))
    result = b.cut(b.plus(product, RAX), 1)
    b.compare("test", result, result)
    b.write(Reg(RAX, 2), result)


@lowers("salc")
def salc(b: Builder) -> None:
    b.write(Reg(RAX, 1), b.minus(b.const(0), b.condition("b")))


@lowers("bound")
def bound(b: Builder, index: Reg, limits: Mem) -> None:
    """#BR unless the index is between two signed numbers in memory (SDM 2A, BOUND)."""
    address, sign = b.effective(limits), b.const(1 << (b.width - 1))
    lower = b.load(address, limits.seg, b.size)
    upper = b.load(b.cut(b.plus(address, b.const(b.size)), limits.addrsize), limits.seg, b.size)
    value, lower, upper = (b.differ(x, sign) for x in (b.zero_extended(index), lower, upper))
    b.fault_if(b.either(b.below(value, lower), b.below(upper, value)), BR)


@lowers("arpl")
def arpl(b: Builder, dst: Operand, src: Reg) -> None:
    """The destination's RPL is raised to the source's; ZF says that it was lower (SDM 2A, ARPL).

    Memory is written, and the permission for it asked, only then, as on silicon.
    """
    old = b.read(dst)
    wanted = b.bits(src.number, b.const(3))
    lower = b.below(b.bits(old, b.const(3)), wanted)
    new = b.either(b.bits(old, b.const(~3)), wanted)
    with b.when(lower):
        b.write(dst, b.copy(new))
    b.set_flags(b.left(lower, b.const(6)), b.const(F.ZF))


@lowers("les", "lds", "lss", "lfs", "lgs")
def load_far_pointer(b: Builder, dst: Reg, src: Mem) -> None:
    selector, offset = b.far_pointer(src)
    b.system(
        "load_far_pointer", _SEGMENT[b.form.mnemonic], b.slot(selector), b.slot(offset), dst.number, b.size
    )
