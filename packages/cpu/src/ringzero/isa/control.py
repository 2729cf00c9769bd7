"""Bits of control registers, EFER, page-table entries and segments (SDM 3A 2.2.1, 2.5, 4.5, 3.4.5)."""

from __future__ import annotations

CR0_PE, CR0_MP, CR0_EM, CR0_TS, CR0_ET, CR0_NE, CR0_WP, CR0_AM = (1 << b for b in (0, 1, 2, 3, 4, 5, 16, 18))
CR0_NW, CR0_CD, CR0_PG = 1 << 29, 1 << 30, 1 << 31
CR4_TSD, CR4_DE, CR4_PSE, CR4_PAE, CR4_MCE, CR4_PGE, CR4_PCE = (1 << b for b in (2, 3, 4, 5, 6, 7, 8))
CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_UMIP, CR4_FSGSBASE, CR4_PCIDE = (1 << b for b in (9, 10, 11, 16, 17))
CR4_OSXSAVE, CR4_SMEP, CR4_SMAP = 1 << 18, 1 << 20, 1 << 21
EFER_SCE, EFER_LME, EFER_LMA, EFER_NXE = 1, 1 << 8, 1 << 10, 1 << 11
PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_PS, PTE_NX = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 63
#: A segment's access rights as its `attr` slot holds them: the descriptor's bits 40-47, then AVL, L, D/B, G.
ATTR_WRITABLE, ATTR_CONFORMING, ATTR_CODE, ATTR_CODE_OR_DATA, ATTR_PRESENT = 2, 4, 8, 0x10, 0x80
ATTR_LONG, ATTR_BIG, ATTR_PAGES = 0x200, 0x400, 0x800
