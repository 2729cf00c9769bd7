"""Names of the architecture that lowerings use: register numbers, segments, vectors, bits of RFLAGS and CR0."""

from __future__ import annotations

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
R11 = 11
ES, CS, SS, DS, FS, GS = range(6)

#: Exception vectors (SDM 3A, table 6-1).
DE, DB, NMI, BP, OF, BR, UD, NM, DF = range(9)
TS, NP, STACK_FAULT, GP, PF = 10, 11, 12, 13, 14
AC = 17

FLAG_FIXED, FLAG_ZF, FLAG_TF, FLAG_IF, FLAG_DF = 1 << 1, 1 << 6, 1 << 8, 1 << 9, 1 << 10
FLAG_NT, FLAG_RF, FLAG_VM, FLAG_AC, FLAG_ID = 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 21
FLAGS_IOPL = 3 << 12
FLAGS_VIRTUAL = 3 << 19  # VIF and VIP
FLAGS_LOW = 0xD5  # SF ZF AF PF CF: what LAHF and SAHF move
FLAGS_ARITHMETIC = 0x8D5
FLAGS_USER = (
    FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID
)  # what POPF may change at any CPL

CR0_MP, CR0_TS = 1 << 1, 1 << 3
