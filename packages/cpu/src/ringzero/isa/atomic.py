"""Compare-and-exchange and exchange-and-add: what LOCK was made for (xchg itself is with the moves)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa.form import form, lowers
from ringzero.isa.names import FLAG_ZF, GP, RAX, RBX, RCX, RDX
from ringzero.isa.operands import Mem, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.builder import Builder

form("cmpxchg", "0F B0 /r", "rm8, r8", flags="oszapc", lock=True)
form("cmpxchg", "0F B1 /r", "rm, r", flags="oszapc", lock=True)
form("cmpxchg8b", "0F C7 /1", "m64", size="y", flags="z", lock=True)
form("cmpxchg16b", "REX.W 0F C7 /1", "m128", size="y", modes="64", flags="z", lock=True)
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


@lowers("cmpxchg8b", "cmpxchg16b")
def cmpxchg_pair(b: Builder, dst: Mem) -> None:
    half = dst.size // 2
    address = b.effective(dst)
    if half == 8:  # SDM 2A, CMPXCHG16B: #GP(0) unless aligned on 16 bytes
        b.fault_if(b.bits(b.linear(address, dst.seg, 0, True), b.const(15)), GP)
    upper = b.plus(address, b.const(half))
    low = b.load(address, dst.seg, half, write=True)
    high = b.load(upper, dst.seg, half, write=True)
    equal = b.bits(b.equal(low, b.cut(RAX, half)), b.equal(high, b.cut(RDX, half)))
    b.store(address, dst.seg, half, b.select(equal, RBX, low))
    b.store(upper, dst.seg, half, b.select(equal, RCX, high))
    b.set_flags(b.left(equal, b.const(6)), b.const(FLAG_ZF))
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
