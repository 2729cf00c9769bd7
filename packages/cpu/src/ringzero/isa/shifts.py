"""Shifts and rotates, and the double shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.operands import Imm, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

# A count of 0 changes no flag. OF is defined for a count of 1 only; rotates keep SF, ZF, AF, PF (SDM 2B, SAL; RCL).
_SHIFT: Columns = {"flags": "oszpc", "undefined": "oa"}
_ROTATE: Columns = {"flags": "oc", "undefined": "o"}

#: Name, digit, flags, reads, aliases, decode only: /6 does what /4 does, without being in the manual.
_OPERATIONS = (
    ("rol", 0, _ROTATE, "", "", False), ("ror", 1, _ROTATE, "", "", False),
    ("rcl", 2, _ROTATE, "c", "", False), ("rcr", 3, _ROTATE, "c", "", False),
    ("shl", 4, _SHIFT, "", "sal", False), ("shr", 5, _SHIFT, "", "", False),
    ("shl", 6, _SHIFT, "", "sal", True), ("sar", 7, _SHIFT, "", "", False),
)  # fmt: skip

for _name, _digit, _flags, _reads, _aliases, _decode_only in _OPERATIONS:
    for _opcode, _operands in (
        ("D0 /{}", "rm8, 1"), ("D1 /{}", "rm, 1"), ("D2 /{}", "rm8, cl"), ("D3 /{}", "rm, cl"),
        ("C0 /{} ib", "rm8, imm8"), ("C1 /{} ib", "rm, imm8"),
    ):  # fmt: skip
        form(
            _name, _opcode.format(_digit), _operands, size="8" if "rm8" in _operands else "v",
            reads=_reads, aliases=_aliases, decode_only=_decode_only, **_flags,
        )  # fmt: skip

# Counts above the operand size (16 bits only) leave the result undefined, all flags too (SDM 2B, SHLD).
_DOUBLE: Columns = {"flags": "oszpc", "undefined": "oszapc", "undefined_results": "rm"}
form("shld", "0F A4 /r ib", "rm, r, imm8", **_DOUBLE)
form("shld", "0F A5 /r", "rm, r, cl", **_DOUBLE)
form("shrd", "0F AC /r ib", "rm, r, imm8", **_DOUBLE)
form("shrd", "0F AD /r", "rm, r, cl", **_DOUBLE)


@lowers("rol", "ror", "rcl", "rcr", "shl", "shr", "sar")
def shift(b: Builder, dst: Operand, count: Operand) -> None:
    value = b.update(dst)
    if isinstance(count, Imm) and b.form.mnemonic not in ("rcl", "rcr"):
        masked = count.value & (63 if b.size == 8 else 31)
        if masked == 0:  # no flag changes, but a 32-bit register is cut
            b.write(dst, b.copy(value))
            return
        b.write(dst, b.operate(b.form.mnemonic, value, b.const(masked)))
    else:
        b.write(dst, b.operate(b.form.mnemonic, value, b.read(count)))


@lowers("shld", "shrd")
def double_shift(b: Builder, dst: Operand, src: Reg, count: Operand) -> None:
    value, result = b.update(dst), b.temp()
    b.emit(f"{b.form.mnemonic}{b.width}", result, value, src.number, scale=b.slot(b.read(count)))
    b.write(dst, result)
