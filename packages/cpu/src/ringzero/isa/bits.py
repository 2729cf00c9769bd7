"""Single bits, bit scans and counts."""

from __future__ import annotations

from ringzero.isa.form import form

# ZF is kept (SDM 2A, BT). A register bit offset reaches beyond the memory operand: a bit string.
_TEST = {"flags": "c", "undefined": "osap"}
form("bt", "0F A3 /r", "rm, r", **_TEST)
form("bts", "0F AB /r", "rm, r", lock=True, **_TEST)
form("btr", "0F B3 /r", "rm, r", lock=True, **_TEST)
form("btc", "0F BB /r", "rm, r", lock=True, **_TEST)
form("bt", "0F BA /4 ib", "rm, imm8", **_TEST)
form("bts", "0F BA /5 ib", "rm, imm8", lock=True, **_TEST)
form("btr", "0F BA /6 ib", "rm, imm8", lock=True, **_TEST)
form("btc", "0F BA /7 ib", "rm, imm8", lock=True, **_TEST)

# A source of 0 leaves the destination undefined; processors keep it (SDM 2A, BSF).
form("bsf", "0F BC /r", "r, rm", flags="z", undefined="osapc", undefined_results="r")
form("bsr", "0F BD /r", "r, rm", flags="z", undefined="osapc", undefined_results="r")
form("tzcnt", "F3 0F BC /r", "r, rm", flags="zc", undefined="osap")
form("lzcnt", "F3 0F BD /r", "r, rm", flags="zc", undefined="osap")
form("popcnt", "F3 0F B8 /r", "r, rm", flags="oszapc")
