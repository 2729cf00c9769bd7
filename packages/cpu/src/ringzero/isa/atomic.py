"""Compare-and-exchange and exchange-and-add: what LOCK was made for (xchg itself is with the moves)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.form import form, lowers
from ringzero.isa.names import GP, RAX, RBX, RCX, RDX
from ringzero.isa.operands import Mem, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("cmpxchg", "0F B0 /r", "rm8, r8", flags="oszapc", lock=True)
form("cmpxchg", "0F B1 /r", "rm, r", flags="oszapc", lock=True)
form("cmpxchg8b", "0F C7 /1", "m64", size="y", flags="z", lock=True, feature="cx8")
form("cmpxchg16b", "REX.W 0F C7 /1", "m128", size="y", modes="64", flags="z", lock=True, feature="cx16")
form("xadd", "0F C0 /r", "rm8, r8", flags="oszapc", lock=True)
form("xadd", "0F C1 /r", "rm, r", flags="oszapc", lock=True)


@lowers("cmpxchg")
def cmpxchg(b: Builder, dst: Operand, src: Reg) -> None:
    """Memory is written in either case; the accumulator only when they differ (SDM 2A, CMPXCHG)."""
    old = b.copy(b.update(dst))
    new = b.read(src)
    b.compare("cmp", RAX, old)
    equal = b.condition("e")
    if isinstance(dst, Mem):
        b.write(dst, b.select(equal, new, old))
    else:  # a register that differs keeps its upper half too
        with b.when(equal):
            b.write(dst, new)
    with b.unless(equal):
        b.write(Reg(RAX, b.size), old)


@lowers("cmpxchg8b")
def cmpxchg8b(b: Builder, dst: Mem) -> None:
    """One access of eight bytes: where they cross into what faults, the fault is theirs, not a half's."""
    address = b.effective(dst)
    old = b.load(address, dst.seg, 8, write=True)
    equal = b.equal(old, _joined(b, RDX, RAX))
    b.store(address, dst.seg, 8, b.select(equal, _joined(b, RCX, RBX), old))
    _report_pair(b, equal, b.cut(old, 4), b.right(old, b.const(32)), 4)


@lowers("cmpxchg16b")
def cmpxchg16b(b: Builder, dst: Mem) -> None:
    address = b.effective(dst)
    # SDM 2A, CMPXCHG16B: #GP(0) unless aligned on 16 bytes
    b.fault_if(b.bits(b.linear(address, dst.seg, 0, True), b.const(15)), GP)
    upper = b.plus(address, b.const(8))
    low = b.load(address, dst.seg, 8, write=True)
    high = b.load(upper, dst.seg, 8, write=True)
    equal = b.bits(b.equal(low, RAX), b.equal(high, RDX))
    b.store(address, dst.seg, 8, b.select(equal, RBX, low))
    b.store(upper, dst.seg, 8, b.select(equal, RCX, high))
    _report_pair(b, equal, low, high, 8)


def _joined(b: Builder, high: int, low: int) -> int:
    """The low halves of two registers as one 64-bit value."""
    return b.either(b.left(high, b.const(32)), b.cut(low, 4))


def _report_pair(b: Builder, equal: int, low: int, high: int, half: int) -> None:
    """ZF, and what memory held where it differed."""
    b.set_flags(b.left(equal, b.const(6)), b.const(F.ZF))
    with b.unless(equal):
        b.write(Reg(RAX, half), low)
        b.write(Reg(RDX, half), high)


@lowers("xadd")
def xadd(b: Builder, dst: Operand, src: Reg) -> None:
    old = b.copy(b.update(dst))
    total = b.operate("add", old, b.read(src))
    if isinstance(dst, Mem):
        b.write(dst, total)
        b.write(src, old)
    else:  # xadd rax, rax keeps the sum
        b.write(src, old)
        b.write(dst, total)
