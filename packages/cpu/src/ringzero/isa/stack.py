"""The stack: push and pop of everything, frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.form import form, lowers
from ringzero.isa.names import RBP, RSP, SS
from ringzero.isa.operands import Imm, Mem, Operand, Reg, SReg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("push", "50+r", "o", size="d64")
form("pop", "58+r", "o", size="d64")
form("push", "68 iz", "imm", size="d64")
form("push", "6A ib", "simm8", size="d64")
form("push", "FF /6", "rm", size="d64")
form("pop", "8F /0", "rm", size="d64", note="a base of rsp is read after the increment (SDM 2B, POP)")

form("push", "06", "es", size="d64", modes="32")
form("pop", "07", "es", size="d64", modes="32")
form("push", "0E", "cs", size="d64", modes="32")
form("push", "16", "ss", size="d64", modes="32")
form("pop", "17", "ss", size="d64", modes="32")
form("push", "1E", "ds", size="d64", modes="32")
form("pop", "1F", "ds", size="d64", modes="32")
form("push", "0F A0", "fs", size="d64")
form("pop", "0F A1", "fs", size="d64")
form("push", "0F A8", "gs", size="d64")
form("pop", "0F A9", "gs", size="d64")

form("pushaw", "o16 60", modes="32", aliases="pusha")
form("pushad", "o32 60", modes="32", aliases="pusha")
form("popaw", "o16 61", modes="32", aliases="popa")
form("popad", "o32 61", modes="32", aliases="popa")

form("pushfw", "o16 9C", size="d64", aliases="pushf", reads="oszapcditnvr")
form("pushfd", "o32 9C", size="d64", modes="32", aliases="pushf", reads="oszapcditnvr")
form("pushfq", "o64 9C", size="d64", modes="64", aliases="pushf", reads="oszapcditnvr")
form("popfw", "o16 9D", size="d64", aliases="popf", flags="oszapcditnr")
form("popfd", "o32 9D", size="d64", modes="32", aliases="popf", flags="oszapcditnr")
form("popfq", "o64 9D", size="d64", modes="64", aliases="popf", flags="oszapcditnr")

form("enter", "C8 iw ib", "imm16, level8", size="d64")
form("leave", "C9", size="d64")


@lowers("push")
def push(b: Builder, src: Operand) -> None:
    b.push(b.read(src))


@lowers("pop")
def pop(b: Builder, dst: Operand) -> None:
    match dst:
        case Reg():
            b.write(dst, b.pop())
        case SReg(number):
            b.system("load_segment", number, b.load(b.stack_pointer(0), SS, b.size), b.size)
        case Mem():
            value = b.load(b.stack_pointer(0), SS, b.size)
            # SDM 2B, POP: a base of rsp is read after the increment.
            address = b.effective(dst, b.size if dst.base == RSP else 0)
            b.store(address, dst.seg, b.size, value)
            b.set_stack_pointer(b.stack_pointer(b.size))


@lowers("pushaw", "pushad")
def pusha(b: Builder) -> None:
    for slot in range(8):
        b.store(b.stack_pointer(-b.size * (slot + 1)), SS, b.size, slot)
    b.set_stack_pointer(b.stack_pointer(-8 * b.size))


@lowers("popaw", "popad")
def popa(b: Builder) -> None:
    values = [b.load(b.stack_pointer(b.size * n), SS, b.size) for n in range(8)]
    b.set_stack_pointer(b.stack_pointer(8 * b.size))
    for number, value in zip((7, 6, 5, 4, 3, 2, 1, 0), values, strict=True):
        if number != RSP:
            b.write(Reg(number, b.size), value)


@lowers("pushfw", "pushfd", "pushfq")
def pushf(b: Builder) -> None:
    b.push(b.bits(b.flags(), b.const(~(F.VM | F.RF))))


@lowers("popfw", "popfd", "popfq")
def popf(b: Builder) -> None:
    """IOPL changes at CPL 0 only, IF when CPL <= IOPL; RF is cleared (SDM 2B, POPF)."""
    value = b.bits(b.pop(), b.const(~F.RF))
    mask = F.USER | F.RF
    if b.size == 2:
        mask &= 0xFFFF
    if b.cpl == 0:
        b.set_flags(value, b.const(mask | F.IF | F.IOPL))
    else:
        allowed = b.select(b.io_forbidden(), b.const(mask), b.const(mask | F.IF))
        b.set_flags(value, allowed)
    b.next_window()


@lowers("enter")
def enter(b: Builder, size: Imm, level: Imm) -> None:
    """Nothing but the new frame's memory changes until all of it is written (SDM 2A, ENTER)."""
    nesting = level.value % 32
    b.store(b.stack_pointer(-b.size), SS, b.size, RBP)
    frame = b.stack_pointer(-b.size)
    if b.stack_size < b.size:  # on a stack of 16 bits FrameTemp is all of ESP
        frame = b.either(b.bits(RSP, b.const(~0xFFFF)), frame)
    for n in range(1, nesting):
        with b.scratch():
            outer = b.cut(b.minus(RBP, b.const(b.size * n)), b.stack_size)
            b.store(b.stack_pointer(-b.size * (n + 1)), SS, b.size, b.load(outer, SS, b.size))
    if nesting:
        b.store(b.stack_pointer(-b.size * (nesting + 1)), SS, b.size, frame)
    top = b.stack_pointer(-b.size * (nesting + 1) - size.value)
    b.load(top, SS, b.size, write=True)
    b.set_stack_pointer(top)
    b.write(Reg(RBP, b.size), frame)


@lowers("leave")
def leave(b: Builder) -> None:
    frame = b.cut(RBP, b.stack_size)
    value = b.load(frame, SS, b.size)
    b.set_stack_pointer(b.plus(frame, b.const(b.size)))
    b.write(Reg(RBP, b.size), value)
