"""Control flow: near and far jumps, calls and returns, loops, software interrupts, undefined instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import privilege
from ringzero.isa import record as R
from ringzero.isa.form import CONDITION_READS, CONDITIONS, form, lowers
from ringzero.isa.names import RCX, UD
from ringzero.isa.operands import Far, Imm, Mem, Operand, Reg, Rel

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

# Near branches are 64-bit in 64-bit mode; Intel ignores 66 there, AMD honours it (SDM 2A 2.2.1.7; APM 3 1.2.4).
for _number, _names in enumerate(CONDITIONS):
    _aliases, _reads = " ".join(f"j{name}" for name in _names[1:]), CONDITION_READS[_number]
    form(f"j{_names[0]}", f"{0x70 + _number:02X} cb", "rel8", size="f64", reads=_reads, aliases=_aliases)
    form(f"j{_names[0]}", f"0F {0x80 + _number:02X} cz", "rel", size="f64", reads=_reads, aliases=_aliases)

form("jmp", "EB cb", "rel8", size="f64")
form("jmp", "E9 cz", "rel", size="f64")
form("jmp", "FF /4", "rm", size="f64")
form("call", "E8 cz", "rel", size="f64")
form("call", "FF /2", "rm", size="f64")
form("ret", "C3", size="f64", aliases="retn")
form("ret", "C2 iw", "imm16", size="f64", aliases="retn")

form("loopne", "E0 cb", "rel8", size="f64", reads="z", aliases="loopnz", note="counts in the address size")
form("loope", "E1 cb", "rel8", size="f64", reads="z", aliases="loopz", note="counts in the address size")
form("loop", "E2 cb", "rel8", size="f64", note="counts in the address size")
form("jcxz", "a16 E3 cb", "rel8", size="f64", modes="32")
form("jecxz", "a32 E3 cb", "rel8", size="f64")
form("jrcxz", "a64 E3 cb", "rel8", size="f64", modes="64")

form("jmp", "EA far", "far", modes="32")
form("call", "9A far", "far", modes="32")
form("jmp", "FF /5", "m_far", note="AMD ignores REX.W: 16:32 only")
form("call", "FF /3", "m_far", note="AMD ignores REX.W: 16:32 only")
form("retf", "CB")
form("retf", "CA iw", "imm16")

form("int3", "CC")
form("int", "CD ib", "imm8", size="v")
form("int1", "F1", aliases="icebp")
form("into", "CE", modes="32", reads="o")
form("iretw", "o16 CF", flags="oszapcditn", aliases="iret")
form("iretd", "o32 CF", flags="oszapcditnvr", aliases="iret")
form("iretq", "o64 CF", modes="64", flags="oszapcditnr")

form("ud2", "0F 0B", note="is #UD, and decodes so that listings show it")
form("ud0", "0F FF /r", "r, rm", note="is #UD")
form("ud1", "0F B9 /r", "r, rm", note="is #UD")
form("hlt", "F4", cpl=0)
form("endbr64", "F3 0F 1E FA")
form("endbr32", "F3 0F 1E FB")


@lowers(*(f"j{names[0]}" for names in CONDITIONS))
def jcc(b: Builder, target: Rel) -> None:
    b.branch(CONDITIONS[b.form.condition][0], b.displaced(target))


@lowers("jmp")
def jmp(b: Builder, target: Operand) -> None:
    match target:
        case Rel():
            b.jump(b.displaced(target))
        case Far(selector, offset, _):
            b.system("far_jump", b.slot(b.const(selector)), b.slot(b.const(offset)))
        case Mem() if b.form.operands[0] == "m_far":
            b.system("far_jump", *b.far_pointer(target))
        case _:
            b.goto(b.cut(b.read(target), b.size))


@lowers("call")
def call(b: Builder, target: Operand) -> None:
    match target:
        case Rel():
            b.call(b.displaced(target))
        case Far(selector, offset, _):
            b.system("far_call", b.slot(b.const(selector)), b.slot(b.const(offset)), b.size)
        case Mem() if b.form.operands[0] == "m_far":
            b.system("far_call", *b.far_pointer(target), b.size)
        case _:
            b.call_value(b.cut(b.read(target), b.size))


@lowers("ret")
def ret(b: Builder, extra: Imm | None = None) -> None:
    b.ret(extra.value if extra else 0)


@lowers("retf")
def retf(b: Builder, extra: Imm | None = None) -> None:
    b.system("far_return", b.size, extra.value if extra else 0)


@lowers("loop", "loope", "loopne")
def loop(b: Builder, target: Rel) -> None:
    size = b.record[R.ADDRSIZE]
    count = b.cut(b.minus(RCX, b.const(1)), size)
    again = b.unequal(count, b.const(0))
    if b.form.mnemonic != "loop":
        again = b.bits(again, b.condition("e" if b.form.mnemonic == "loope" else "ne"))
    b.require_target(again, b.displaced(target))
    b.write(Reg(RCX, size), count)
    b.branch_if(again, b.displaced(target))


@lowers("jcxz", "jecxz", "jrcxz")
def jrcxz(b: Builder, target: Rel) -> None:
    b.branch_if(b.equal(b.cut(RCX, b.record[R.ADDRSIZE]), b.const(0)), b.displaced(target))


@lowers("int3")
def int3(b: Builder) -> None:
    b.system("software_interrupt", 3)


@lowers("int")
def int_(b: Builder, vector: Imm) -> None:
    b.system("software_interrupt", vector.value & 0xFF)


@lowers("int1")
def int1(b: Builder) -> None:
    b.system("int1")


@lowers("into")
def into(b: Builder) -> None:
    with b.unless(b.condition("o")):
        b.emit("next")
    b.system("software_interrupt", 4)


@lowers("iretw", "iretd")
def iret(b: Builder) -> None:
    b.system("interrupt_return", b.size)


@lowers("iretq")
def iretq(b: Builder) -> None:
    privilege.iretq(b)


@lowers("ud0", "ud1")
def ud1(b: Builder, *_: Operand) -> None:
    b.fault(UD)


@lowers("ud2")
def ud2(b: Builder) -> None:
    b.fault(UD)


@lowers("hlt")
def hlt(b: Builder) -> None:
    b.system("halt")


@lowers("endbr64", "endbr32")
def endbr(b: Builder) -> None:
    """No control-flow enforcement here: a no-operation."""
