"""String instructions, and port input and output, plain and as strings.

Addresses are implicit: source record.OVERRIDE (or ds):[rsi], destination es:[rdi], both of the address size, and rcx
of the address size counts repeats.
"""

from __future__ import annotations

from ringzero.isa.form import form

_COMPARE = {"flags": "oszapc", "reads": "d", "rep": "repz"}
_MOVE = {"reads": "d", "rep": "rep"}

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
