"""RFLAGS's bits (SDM 1, 3.4.3)."""

from __future__ import annotations

CF, PF, AF, ZF, SF, TF, IF, DF, OF = (1 << bit for bit in (0, 2, 4, 6, 7, 8, 9, 10, 11))
FIXED = 1 << 1
IOPL = 3 << 12
NT, RF, VM, AC, VIF, VIP, ID = (1 << bit for bit in (14, 16, 17, 18, 19, 20, 21))
ARITHMETIC = CF | PF | AF | ZF | SF | OF
LOW = CF | PF | AF | ZF | SF  # what LAHF and SAHF move
USER = ARITHMETIC | TF | DF | NT | AC | ID  # what POPF may change at any CPL
