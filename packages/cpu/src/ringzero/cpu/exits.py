"""Why an engine leaves its loop, and the constants of memory that both engines share."""

from __future__ import annotations

from enum import IntEnum


class Leave(IntEnum):
    """The reason that an engine's `run` returns. `rip` and `left` are exact at each."""

    BUDGET = 0  # `left` steps are retired
    MISS = 1  # no block at `rip` in this mode: the driver lowers one
    FAULT = 2  # the instruction at `rip` faulted: fault_vector, fault_error, fault_address (#PF)
    SYSTEM = 3  # the instruction at `rip` is for the driver: exit_imm its handler, exit_d … its operands
    WINDOW = 4  # an instruction retired after which an interrupt or a single-step trap may be due
    MMIO = 5  # the instruction at `rip` touches memory that is not RAM; nothing of it has been done
    CODE = (
        6  # … would store into translated code: fault_address is the physical address, fault_error the length
    )
    PROBE = 7  # the probe at `rip` was reached, before its instruction
    STOP = 8  # a microprogram came to its end


#: Bits of a page's byte in `Memory.page_flags`. A page without any may be written without a thought.
CLEAN, CODE, TABLE = 1, 2, 4

#: Kinds of access to `translate`, as bits: a write, a fetch, the privilege of CPL 3, and an access of the processor's
#: own (SDM 3A 4.6: implicit, to descriptor tables, the TSS or a new stack), of all 64 address bits whatever the mode.
READ, WRITE, FETCH, USER, IMPLICIT = 0, 1, 2, 4, 16

PHYSICAL_BITS = 40

#: Control register, EFER and page table bits (SDM 3A 2.5, 4.5).
CR0_PE, CR0_MP, CR0_EM, CR0_TS, CR0_ET, CR0_NE, CR0_WP, CR0_AM = (1 << b for b in (0, 1, 2, 3, 4, 5, 16, 18))
CR0_NW, CR0_CD, CR0_PG = 1 << 29, 1 << 30, 1 << 31
CR4_PSE, CR4_PAE, CR4_PGE, CR4_UMIP, CR4_FSGSBASE, CR4_PCIDE = (
    1 << 4,
    1 << 5,
    1 << 7,
    1 << 11,
    1 << 16,
    1 << 17,
)
CR4_SMEP, CR4_SMAP = 1 << 20, 1 << 21
EFER_SCE, EFER_LME, EFER_LMA, EFER_NXE = 1, 1 << 8, 1 << 10, 1 << 11
PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_PS, PTE_NX = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 63
