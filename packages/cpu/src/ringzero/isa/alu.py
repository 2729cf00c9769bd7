"""Addition, subtraction, comparison and logic: the eight ALU operations, test, not, neg, inc, dec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.operands import Operand

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

_ARITHMETIC: Columns = {"flags": "oszapc", "undefined": ""}
# The logical operations clear OF and CF and leave AF undefined (SDM 2A, AND).
_LOGIC: Columns = {"flags": "oszpc", "undefined": "a"}

#: The eight operations in the order of their numbers (bits 5:3 of the opcode, or the digit): name, flags, reads.
_OPERATIONS = (
    ("add", _ARITHMETIC, ""), ("or", _LOGIC, ""), ("adc", _ARITHMETIC, "c"), ("sbb", _ARITHMETIC, "c"),
    ("and", _LOGIC, ""), ("sub", _ARITHMETIC, ""), ("xor", _LOGIC, ""), ("cmp", _ARITHMETIC, ""),
)  # fmt: skip

for _number, (_name, _flags, _reads) in enumerate(_OPERATIONS):
    _base, _lock = _number * 8, _name != "cmp"
    form(_name, f"{_base:02X} /r", "rm8, r8", reads=_reads, lock=_lock, **_flags)
    form(_name, f"{_base + 1:02X} /r", "rm, r", reads=_reads, lock=_lock, **_flags)
    form(_name, f"{_base + 2:02X} /r", "r8, rm8", reads=_reads, **_flags)
    form(_name, f"{_base + 3:02X} /r", "r, rm", reads=_reads, **_flags)
    form(_name, f"{_base + 4:02X} ib", "al, imm8", reads=_reads, **_flags)
    form(_name, f"{_base + 5:02X} iz", "acc, imm", reads=_reads, **_flags)
    form(_name, f"80 /{_number} ib", "rm8, imm8", reads=_reads, lock=_lock, **_flags)
    form(_name, f"81 /{_number} iz", "rm, imm", reads=_reads, lock=_lock, **_flags)
    form(
        _name, f"82 /{_number} ib", "rm8, imm8", modes="32", reads=_reads, lock=_lock, decode_only=True, **_flags
    )  # fmt: skip
    form(_name, f"83 /{_number} ib", "rm, simm8", reads=_reads, lock=_lock, **_flags)

form("test", "84 /r", "rm8, r8", **_LOGIC)
form("test", "85 /r", "rm, r", **_LOGIC)
form("test", "A8 ib", "al, imm8", **_LOGIC)
form("test", "A9 iz", "acc, imm", **_LOGIC)
form("test", "F6 /0 ib", "rm8, imm8", **_LOGIC)
form("test", "F6 /1 ib", "rm8, imm8", decode_only=True, **_LOGIC)
form("test", "F7 /0 iz", "rm, imm", **_LOGIC)
form("test", "F7 /1 iz", "rm, imm", decode_only=True, **_LOGIC)

form("not", "F6 /2", "rm8", lock=True)
form("not", "F7 /2", "rm", lock=True)
form("neg", "F6 /3", "rm8", lock=True, **_ARITHMETIC)
form("neg", "F7 /3", "rm", lock=True, **_ARITHMETIC)

# inc and dec keep CF (SDM 2A, INC).
form("inc", "40+r", "o", modes="32", flags="oszap")
form("dec", "48+r", "o", modes="32", flags="oszap")
form("inc", "FE /0", "rm8", flags="oszap", lock=True)
form("dec", "FE /1", "rm8", flags="oszap", lock=True)
form("inc", "FF /0", "rm", flags="oszap", lock=True)
form("dec", "FF /1", "rm", flags="oszap", lock=True)


@lowers("add", "or", "adc", "sbb", "and", "sub", "xor")
def arithmetic(b: Builder, dst: Operand, src: Operand) -> None:
    b.write(dst, b.operate(b.form.mnemonic, b.update(dst), b.read(src)))


@lowers("cmp", "test")
def compare(b: Builder, left: Operand, right: Operand) -> None:
    b.compare(b.form.mnemonic, b.read(left), b.read(right))


@lowers("not", "neg", "inc", "dec")
def unary(b: Builder, dst: Operand) -> None:
    b.write(dst, b.unary(b.form.mnemonic, b.update(dst)))
