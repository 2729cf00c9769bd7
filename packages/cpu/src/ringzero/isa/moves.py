"""Data movement: mov, widening moves, exchange, address computation, conversions of the accumulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import record as R
from ringzero.isa.form import CONDITION_READS, CONDITIONS, form, lowers
from ringzero.isa.names import RAX, RBX, RDX, UD
from ringzero.isa.operands import CReg, DReg, Mem, Operand, Reg, SReg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("mov", "88 /r", "rm8, r8")
form("mov", "89 /r", "rm, r")
form("mov", "8A /r", "r8, rm8")
form("mov", "8B /r", "r, rm")
form("mov", "A0 moffs", "al, moffs8")
form("mov", "A1 moffs", "acc, moffs")
form("mov", "A2 moffs", "moffs8, al")
form("mov", "A3 moffs", "moffs, acc")
form("mov", "B0+r ib", "o8, imm8")
form("mov", "B8+r iv", "o, imm")
form("mov", "C6 /0 ib", "rm8, imm8")
form("mov", "C7 /0 iz", "rm, imm")

form("movzx", "0F B6 /r", "r, rm8", size="v")
form("movzx", "0F B7 /r", "r, rm16")
form("movsx", "0F BE /r", "r, rm8", size="v")
form("movsx", "0F BF /r", "r, rm16")
form("movsxd", "63 /r", "r, rm32", modes="64")
form("movsxd", "o16 63 /r", "r, rm16", modes="64", note="AMD reads 32 bits")

form("movbe", "NFx 0F 38 F0 /r", "r, mem", feature="movbe")
form("movbe", "NFx 0F 38 F1 /r", "mem, r", feature="movbe")
form("movnti", "NP 0F C3 /r", "mem, r", size="y", note="SSE2's, and always there")

form("xchg", "86 /r", "rm8, r8", lock=True)
form("xchg", "87 /r", "rm, r", lock=True)
form("xchg", "90+r", "o, acc")
form("lea", "8D /r", "r, m")
form("bswap", "0F C8+r", "o", undefined_results="o", note="16 bits: the result is undefined")
form("xlatb", "D7", size="8", aliases="xlat", note="seg is record.OVERRIDE, or ds")

for _number, _names in enumerate(CONDITIONS):
    form(
        f"cmov{_names[0]}", f"0F {0x40 + _number:02X} /r", "r, rm",
        reads=CONDITION_READS[_number], aliases=" ".join(f"cmov{name}" for name in _names[1:]), feature="cmov",
    )  # fmt: skip
for _number, _names in enumerate(CONDITIONS):
    form(
        f"set{_names[0]}", f"0F {0x90 + _number:02X} /r", "rm8",
        reads=CONDITION_READS[_number], aliases=" ".join(f"set{name}" for name in _names[1:]),
        note="reg is not looked at; assemblers write 0",
    )  # fmt: skip

form("cbw", "o16 98")
form("cwde", "o32 98")
form("cdqe", "o64 98", modes="64")
form("cwd", "o16 99")
form("cdq", "o32 99")
form("cqo", "o64 99", modes="64")


@lowers("mov")
def mov(b: Builder, dst: Operand, src: Operand) -> None:
    """Also to and from segment, control and debug registers, whose rows are with the system's."""
    match dst, src:
        case SReg(1), _:
            b.fault(UD)
        case SReg(number), _:
            b.system("load_segment", number, b.slot(b.read(src)))
        case CReg(number), Reg(source):
            b.system("write_control", number, source)
        case Reg(), CReg(0 | 2 | 3 | 4 | 8 as number):
            b.write(dst, b.get(f"cr{number}"))
        case Reg(), CReg():
            b.fault(UD)
        case DReg(number), Reg(source):
            b.system("write_debug", number, source)
        case Reg(target), DReg(number):
            b.system("read_debug", target, number)
        case _:
            b.write(dst, b.read(src))


@lowers("movzx")
def movzx(b: Builder, dst: Reg, src: Reg | Mem) -> None:
    b.write(dst, b.zero_extended(src))


@lowers("movsx", "movsxd")
def movsx(b: Builder, dst: Reg, src: Reg | Mem) -> None:
    b.write(dst, b.sign_extended(src))


@lowers("xchg")
def xchg(b: Builder, left: Reg | Mem, right: Reg) -> None:
    old = b.copy(b.update(left))
    b.write(left, b.read(right))
    b.write(right, old)


@lowers("lea")
def lea(b: Builder, dst: Reg, src: Mem) -> None:
    b.write(dst, b.effective(src))


@lowers("bswap")
def bswap(b: Builder, dst: Reg) -> None:
    # 16 bits: undefined by the manual; 0 is what processors give.
    b.write(dst, b.unary("bswap", dst.number) if dst.size > 2 else b.const(0))


@lowers("movbe")
def movbe(b: Builder, dst: Reg | Mem, src: Reg | Mem) -> None:
    value = b.read(src)
    if b.size == 2:
        low, high = b.cut(value, 1), b.field(value, 8, 8)
        b.write(dst, b.either(b.left(low, b.const(8)), high))
    else:
        b.write(dst, b.unary("bswap", value))


@lowers("movnti")
def movnti(b: Builder, dst: Mem, src: Reg) -> None:
    """A hint to caches that nobody can see."""
    b.write(dst, b.read(src))


@lowers("xlatb")
def xlatb(b: Builder) -> None:
    size = b.record[R.ADDRSIZE]
    address = b.cut(b.plus(RBX, b.cut(RAX, 1)), size)
    b.write(Reg(RAX, 1), b.load(address, b.source_segment(), 1))


@lowers(*(f"cmov{names[0]}" for names in CONDITIONS))
def cmov(b: Builder, dst: Reg, src: Operand) -> None:
    """The source is read whatever the condition, and a 32-bit destination is always cut (SDM 2A, CMOVcc)."""
    b.write(dst, b.choose(CONDITIONS[b.form.condition][0], b.read(src), dst.number))


@lowers(*(f"set{names[0]}" for names in CONDITIONS))
def setcc(b: Builder, dst: Operand) -> None:
    b.write(dst, b.condition(CONDITIONS[b.form.condition][0]))


@lowers("cbw", "cwde", "cdqe")
def widen_accumulator(b: Builder) -> None:
    b.write(Reg(RAX, b.size), b.sign_extended(Reg(RAX, b.size // 2)))


@lowers("cwd", "cdq", "cqo")
def widen_to_rdx(b: Builder) -> None:
    b.write(Reg(RDX, b.size), b.sign(Reg(RAX, b.size)))
