"""Multiplication and division."""

from __future__ import annotations

from ringzero.isa.form import form

_MULTIPLY = {"flags": "oc", "undefined": "szap"}
_DIVIDE = {"undefined": "oszapc"}

form("mul", "F6 /4", "rm8", **_MULTIPLY)
form("mul", "F7 /4", "rm", **_MULTIPLY)
form("imul", "F6 /5", "rm8", **_MULTIPLY)
form("imul", "F7 /5", "rm", **_MULTIPLY)
form("imul", "0F AF /r", "r, rm", **_MULTIPLY)
form("imul", "6B /r ib", "r, rm, simm8", **_MULTIPLY)
form("imul", "69 /r iz", "r, rm, imm", **_MULTIPLY)
form("div", "F6 /6", "rm8", **_DIVIDE)
form("div", "F7 /6", "rm", **_DIVIDE)
form("idiv", "F6 /7", "rm8", **_DIVIDE)
form("idiv", "F7 /7", "rm", **_DIVIDE)
