"""String instructions, and port input and output, plain and as strings.

Addresses are implicit: source record.OVERRIDE (or ds):[rsi], destination es:[rdi], both of the address size, and rcx
of the address size counts repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringzero.isa import record as R
from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.names import ES, RAX, RCX, RDI, RSI
from ringzero.isa.operands import Imm, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

_COMPARE: Columns = {"flags": "oszapc", "reads": "d", "rep": "repz"}
_MOVE: Columns = {"reads": "d", "rep": "rep"}

for _name, _opcode, _row in (
    ("movs", 0xA4, _MOVE), ("cmps", 0xA6, _COMPARE), ("stos", 0xAA, _MOVE), ("lods", 0xAC, _MOVE),
    ("scas", 0xAE, _COMPARE),
):  # fmt: skip
    form(f"{_name}b", f"{_opcode:02X}", size="8", **_row)
    form(f"{_name}w", f"o16 {_opcode + 1:02X}", **_row)
    form(f"{_name}d", f"o32 {_opcode + 1:02X}", **_row)
    form(f"{_name}q", f"o64 {_opcode + 1:02X}", modes="64", **_row)

# Port input and output have no 64-bit size: REX.W changes nothing.
for _name, _opcode in (("ins", 0x6C), ("outs", 0x6E)):
    form(f"{_name}b", f"{_opcode:02X}", size="8", **_MOVE)
    form(f"{_name}w", f"o16 {_opcode + 1:02X}", size="z", **_MOVE)
    form(f"{_name}d", f"o32 {_opcode + 1:02X}", size="z", **_MOVE)

form("in", "E4 ib", "al, imm8", size="8")
form("in", "E5 ib", "acc, imm8", size="z")
form("out", "E6 ib", "imm8, al", size="8")
form("out", "E7 ib", "imm8, acc", size="z")
form("in", "EC", "al, dx", size="8")
form("in", "ED", "acc, dx", size="z")
form("out", "EE", "dx, al", size="8")
form("out", "EF", "dx, acc", size="z")


def pointer(b: Builder, register: int) -> int:
    """rsi, rdi or rcx, cut to the address size."""
    return b.cut(register, b.record[R.ADDRSIZE])


def advance(b: Builder, *registers: int) -> None:
    """Move pointers by the operand size, down if DF is set."""
    delta = b.delta(b.size)
    for register in registers:
        b.write(Reg(register, b.record[R.ADDRSIZE]), b.plus(register, delta))


def repeated(b: Builder, name: str, body: Callable[[], None]) -> None:
    """Run `body` once, or under REP once per pass through the block, which comes back to itself.

    A block that holds one instruction costs one step a pass, so each iteration is a step, and an interrupt fits
    between two; it finds RF set there. A REP that finds a count of zero is one step as well.
    """
    if not b.record[R.PREFIXES] & (R.REP | R.REPNE):
        body()
        return
    b.ahead(name)
    with b.unless(pointer(b, RCX)):
        b.emit("next")
    body()
    size = b.record[R.ADDRSIZE]
    count = b.cut(b.minus(RCX, b.const(1)), size)
    again = b.unequal(count, b.const(0))
    b.write(Reg(RCX, size), count)
    if b.form.rep == "repz":
        again = b.bits(again, b.condition("e" if b.record[R.PREFIXES] & R.REP else "ne"))
    b.repeat_if(again)


@lowers("movsb", "movsw", "movsd", "movsq")
def movs(b: Builder) -> None:
    def once() -> None:
        value = b.load(pointer(b, RSI), b.source_segment(), b.size)
        b.store(pointer(b, RDI), ES, b.size, value)
        advance(b, RSI, RDI)

    repeated(b, "movs", once)


@lowers("stosb", "stosw", "stosd", "stosq")
def stos(b: Builder) -> None:
    def once() -> None:
        b.store(pointer(b, RDI), ES, b.size, RAX)
        advance(b, RDI)

    repeated(b, "stos", once)


@lowers("lodsb", "lodsw", "lodsd", "lodsq")
def lods(b: Builder) -> None:
    def once() -> None:
        b.write(Reg(RAX, b.size), b.load(pointer(b, RSI), b.source_segment(), b.size))
        advance(b, RSI)

    repeated(b, "lods", once)


@lowers("cmpsb", "cmpsw", "cmpsd", "cmpsq")
def cmps(b: Builder) -> None:
    def once() -> None:
        left = b.load(pointer(b, RSI), b.source_segment(), b.size)
        b.compare("cmp", left, b.load(pointer(b, RDI), ES, b.size))
        advance(b, RSI, RDI)

    repeated(b, "cmps", once)


@lowers("scasb", "scasw", "scasd", "scasq")
def scas(b: Builder) -> None:
    def once() -> None:
        b.compare("cmp", RAX, b.load(pointer(b, RDI), ES, b.size))
        advance(b, RDI)

    repeated(b, "scas", once)


@lowers("insb", "insw", "insd")
def ins(b: Builder) -> None:
    b.system("port_string_in", b.size, b.record[R.ADDRSIZE], bool(b.record[R.PREFIXES] & (R.REP | R.REPNE)))


@lowers("outsb", "outsw", "outsd")
def outs(b: Builder) -> None:
    repeats = bool(b.record[R.PREFIXES] & (R.REP | R.REPNE))
    b.system("port_string_out", b.size, b.record[R.ADDRSIZE], repeats, b.source_segment())


@lowers("in")
def in_(b: Builder, _: Operand, port: Operand) -> None:
    b.system("port_in", b.size, port.value & 0xFF if isinstance(port, Imm) else None)


@lowers("out")
def out(b: Builder, port: Operand, _: Operand) -> None:
    b.system("port_out", b.size, port.value & 0xFF if isinstance(port, Imm) else None)
