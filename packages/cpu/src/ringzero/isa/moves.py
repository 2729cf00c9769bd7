"""Data movement: mov, widening moves, exchange, address computation, conversions of the accumulator."""

from __future__ import annotations

from ringzero.isa.form import CONDITION_READS, CONDITIONS, form

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

form("xchg", "86 /r", "rm8, r8", lock=True)
form("xchg", "87 /r", "rm, r", lock=True)
form("xchg", "90+r", "o, acc")
form("lea", "8D /r", "r, m")
form("bswap", "0F C8+r", "o", undefined_results="o", note="16 bits: the result is undefined")
form("xlatb", "D7", size="8", aliases="xlat", note="seg is record.OVERRIDE, or ds")

for _number, _names in enumerate(CONDITIONS):
    form(
        f"cmov{_names[0]}", f"0F {0x40 + _number:02X} /r", "r, rm",
        reads=CONDITION_READS[_number], aliases=" ".join(f"cmov{name}" for name in _names[1:]),
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
