"""Operands of a decoded instruction as small views: what the disassembler prints and the lowering builder reads.

A view holds what the instruction says, not what the registers hold. Nothing here knows how to compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ringzero.isa import record as R
from ringzero.isa.form import ROWS, Form
from ringzero.isa.kinds import Kind
from ringzero.isa.record import NO_REGISTER, NO_SEGMENT, RIP, RecordTuple

__all__ = [
    "NO_REGISTER", "NO_SEGMENT", "RIP", "CReg", "DReg", "Far", "Imm", "Mem", "Operand", "Reg", "Rel", "SReg",
    "operands_of",
]  # fmt: skip


@dataclass(slots=True)
class Reg:
    """General register 0..15 of `size` bytes; `high` names ah ch dh bh, with number 0..3."""

    number: int
    size: int
    high: bool = False


@dataclass(slots=True)
class Mem:
    """Memory: seg:[base + (index << scale) + disp], computed in `addrsize` bytes.

    base: 0..15, NO_REGISTER, or RIP (disp counts from the next instruction). index: 0..15 or NO_REGISTER.
    seg: effective segment 0..5. size: bytes, or 0 when unsized (lea, lgdt); a far pointer has opsize + 2.
    """

    base: int
    index: int
    scale: int
    disp: int
    seg: int
    size: int
    addrsize: int


@dataclass(slots=True)
class Imm:
    """Immediate for an operand of `size` bytes; `value` is sign-extended for kinds imm and simm8."""

    value: int
    size: int


@dataclass(slots=True)
class Rel:
    """Branch target relative to the next instruction; `size` is the operand size that rip is cut to."""

    displacement: int
    size: int


@dataclass(slots=True)
class Far:
    """Far pointer selector:offset in the instruction; `size` bytes of offset."""

    selector: int
    offset: int
    size: int


@dataclass(slots=True)
class SReg:
    """Segment register 0..5 = es cs ss ds fs gs."""

    number: int


@dataclass(slots=True)
class CReg:
    """Control register 0..15."""

    number: int


@dataclass(slots=True)
class DReg:
    """Debug register 0..15."""

    number: int


Operand = Reg | Mem | Imm | Rel | Far | SReg | CReg | DReg
Reader = Callable[[RecordTuple], Operand]


def _register(field: int, size: int, t: RecordTuple) -> Reg:
    number, size = t[field], size or t[R.OPSIZE]
    # Without REX, byte registers 4..7 are ah ch dh bh (SDM 2A 2.2.1.2).
    if size == 1 and 4 <= number <= 7 and not t[R.PREFIXES] & R.REX_PREFIX:
        return Reg(number - 4, 1, True)
    return Reg(number, size)


def _memory(size: int, t: RecordTuple) -> Mem:
    return Mem(t[10], t[11], t[12], t[15], t[4], size or t[2], t[3])


def _addressed(extra: int, t: RecordTuple) -> Mem:
    """Memory with a size of its own: a far pointer (`extra` 2), or none at all."""
    return Mem(t[10], t[11], t[12], t[15], t[4], t[2] + extra if extra else 0, t[3])


def _register_or_memory(size: int, memory_size: int, t: RecordTuple) -> Operand:
    return _register(R.RM, size, t) if t[R.MOD] == 3 else _memory(memory_size, t)


def _in_rm(kind: Kind) -> Reader:
    if kind.holds == "gpr":
        return partial(_register, R.RM, kind.size)
    if kind.holds == "gpr/mem":
        return partial(_register_or_memory, kind.size, kind.memory_size)
    if kind.size < 0:
        return partial(_addressed, 2 if kind.name == "m_far" else 0)
    return partial(_memory, kind.size)


def _in_reg(kind: Kind) -> Reader:
    if kind.holds == "gpr":
        return partial(_register, R.REG, kind.size)
    if kind.holds == "sreg":
        return lambda t: SReg(t[R.REG] & 7)  # REX.R is not looked at
    view = CReg if kind.holds == "creg" else DReg
    return lambda t: view(t[R.REG])


def _fixed(kind: Kind) -> Reader:
    if kind.holds == "imm":
        return lambda t: Imm(kind.fixed, 1)
    if kind.holds == "sreg":
        return lambda t: SReg(kind.fixed)
    return lambda t: Reg(kind.fixed, kind.size or t[R.OPSIZE])


def _reader(kind: Kind) -> Reader:
    match kind.place:
        case "rm":
            return _in_rm(kind)
        case "reg":
            return _in_reg(kind)
        case "opcode" | "vvvv":
            return partial(_register, R.OPREG, kind.size)
        case "fixed":
            return _fixed(kind)
        case "imm":
            return lambda t: Imm(t[R.IMM], kind.size or t[R.OPSIZE])
        case "level":
            return lambda t: Imm(t[R.DISP], 1)
        case "rel":
            return lambda t: Rel(t[R.IMM], t[R.OPSIZE])
        case "far":
            return lambda t: Far(t[R.DISP], t[R.IMM], t[R.OPSIZE])
        case _:
            return partial(_memory, kind.size)


_readers: dict[int, tuple[Reader, ...]] = {}


def _readers_of(form: Form) -> tuple[Reader, ...]:
    readers = _readers[form.number] = tuple(_reader(kind) for kind in form.kinds)
    return readers


def operands_of(t: RecordTuple) -> tuple[Operand, ...]:
    """Views of the operands of a valid record, in Intel order (destination first); implicit ones are not listed."""
    readers = _readers.get(t[0])
    if readers is None:
        readers = _readers_of(ROWS[t[0]])
    return tuple([reader(t) for reader in readers])
