"""Instructions that set single flags, move flags through ah, or do nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.form import form, lowers
from ringzero.isa.names import RAX
from ringzero.isa.operands import Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("cmc", "F5", flags="c", reads="c")
form("clc", "F8", flags="c")
form("stc", "F9", flags="c")
form("cli", "FA", flags="i")
form("sti", "FB", flags="i")
form("cld", "FC", flags="d")
form("std", "FD", flags="d")
form("sahf", "9E", size="8", flags="szapc", feature="lahf-lm")
form("lahf", "9F", size="8", reads="szapc", feature="lahf-lm")

form("nop", "REX.B0 90", note="with REX.B it is xchg r8, rax")
form("pause", "F3 REX.B0 90")
form("nop", "0F 1F /0", "rm")

# Hints: they address memory and never touch it. Their register forms do nothing.
for _digit, _name in enumerate(("prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2")):
    form(_name, f"0F 18 /{_digit}", "m8")
    form("nop", f"0F 18 /{_digit}", "rr", decode_only=True)
    form("nop", f"0F 18 /{_digit + 4}", "rm", decode_only=True)
for _digit, _name in enumerate(("prefetch", "prefetchw", "prefetchw", "prefetchw") + ("prefetch",) * 4):
    form(_name, f"0F 0D /{_digit}", "m8", decode_only=_digit > 1)
    form("nop", f"0F 0D /{_digit}", "rr", decode_only=True)
# 0F 18 to 0F 1F are reserved for hints: a processor that does not know one does nothing (SDM 2D table A-3).
for _opcode in range(0x19, 0x1F):
    form("nop", f"0F {_opcode:02X} /r", "rm", decode_only=True)
for _digit in range(1, 8):
    form("nop", f"0F 1F /{_digit}", "rm", decode_only=True)

form("cldemote", "NP 0F 1C /0", "m8")
form("rdsspd", "F3 REX.W0 0F 1E /1", "rr32", note="without shadow stacks it does nothing")
form("rdsspq", "F3 REX.W 0F 1E /1", "rr64", modes="64", note="without shadow stacks it does nothing")

form("serialize", "NP 0F 01 E8", feature="serialize")
form("lfence", "NP 0F AE /5 mod=3")
form("mfence", "NP 0F AE /6 mod=3")
form("sfence", "NP 0F AE /7 mod=3")


@lowers("cmc")
def cmc(b: Builder) -> None:
    b.emit("setc", a=b.condition("ae"))


@lowers("clc")
def clc(b: Builder) -> None:
    b.emit("setc")


@lowers("stc")
def stc(b: Builder) -> None:
    b.emit("setc", a=b.slot(b.const(1)))


@lowers("cld", "std")
def direction(b: Builder) -> None:
    b.set_flags(b.const(F.DF if b.form.mnemonic == "std" else 0), b.const(F.DF))


@lowers("cli")
def cli(b: Builder) -> None:
    b.require_io_privilege()
    b.set_flags(b.const(0), b.const(F.IF))


@lowers("sti")
def sti(b: Builder) -> None:
    """Interrupts become deliverable after the *next* instruction, if they were not before (SDM 2B, STI)."""
    b.require_io_privilege()
    before = b.bits(b.get("rflags"), b.const(F.IF))
    b.set_flags(b.const(F.IF), b.const(F.IF))
    b.next_shadow(before)


@lowers("sahf")
def sahf(b: Builder) -> None:
    b.set_flags(b.read(Reg(RAX, 1, high=True)), b.const(F.LOW))


@lowers("lahf")
def lahf(b: Builder) -> None:
    b.write(Reg(RAX, 1, high=True), b.bits(b.flags(), b.const(F.LOW | F.FIXED)))


@lowers("nop", "pause", "prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2", "prefetch", "prefetchw",
        "cldemote", "rdsspd", "rdsspq")  # fmt: skip
def nop(b: Builder, *_: Operand) -> None:
    """Nothing: hints touch no memory and cannot fault."""


@lowers("lfence", "mfence", "sfence", "serialize")
def fence(b: Builder) -> None:
    """One processor whose steps are whole: order is always kept."""
