"""Numbers of registers, segments and exception vectors."""

from __future__ import annotations

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
R11 = 11
ES, CS, SS, DS, FS, GS = range(6)

#: Exception vectors (SDM 3A, table 6-1).
DE, DB, NMI, BP, OF, BR, UD, NM, DF = range(9)
TS, NP, STACK_FAULT, GP, PF = 10, 11, 12, 13, 14
AC = 17
