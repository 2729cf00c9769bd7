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
    WATCH = 9  # the instruction at `rip` touches memory that a hardware breakpoint watches; nothing of it has been done
    RETURN = 10  # an instruction retired that came back to return_rip and return_rsp


#: Bits of a page's byte in `Memory.page_flags`. A page without any may be written without a thought.
CLEAN, CODE, TABLE = 1, 2, 4

#: Kinds of access to `translate`, as bits: a write, a fetch, the privilege of CPL 3, and an access of the processor's
#: own (SDM 3A 4.6: implicit, to descriptor tables, the TSS or a new stack), of all 64 address bits whatever the mode.
READ, WRITE, FETCH, USER, IMPLICIT = 0, 1, 2, 4, 16

#: String instructions, in the immediate of an `ahead` µop: bits 0-3 the operand size in bytes, 4-7 the address size,
#: 8-11 one of these, 12 set for REPNE.
MOVS, STOS, LODS, CMPS, SCAS = 1, 2, 3, 4, 5

PHYSICAL_BITS = 40

#: Bits of `attention`: an interrupt is pending, so leave when one can be taken; somebody waits for a return.
WAITING, RETURNING = 1, 2

#: Kinds of records in the log of accesses; see `engine.log`.
ACCESS_READ, ACCESS_WRITE, ACCESS_WALK, ACCESS_MARK = 0, 1, 2, 3
ACCESS_DEVICE_READ, ACCESS_DEVICE_WRITE, ACCESS_SYSTEM = 4, 5, 6
#: The device of an access that nobody answers.
NO_DEVICE = 63
