"""The instruction record: what a decoder says about one instruction, 32 bytes, the same from C and from Python.

A record is a plain tuple in Python (no object per instruction) and `rz_insn` in C. The names below are positions in
that tuple; `Record` is a view of it for people and tests, never for hot code.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

#: Layout of one record, little endian, without padding.
RECORD = struct.Struct("<H6B8Bqq")
RECORD_SIZE = 32

# Positions in the tuple.
FORM = 0  # number of the row in FORMS; INVALID_FORM when the bytes are no instruction
LENGTH = 1  # bytes, 1..15
OPSIZE = 2  # operand size in bytes: 1, 2, 4, 8
ADDRSIZE = 3  # address size in bytes: 2, 4, 8
SEG = 4  # effective segment of the ModRM or moffs operand, 0..5 = es cs ss ds fs gs; or NO_SEGMENT
PREFIXES = 5  # bits below; an override is in OVERRIDE's bits
REX = 6  # the REX byte that counts, or the one whose bits a VEX prefix has, or 0
MOD = 7  # ModRM.mod
REG = 8  # ModRM.reg with REX.R
RM = 9  # ModRM.rm with REX.B (mod 3: the register)
BASE = 10  # base register 0..15, or NO_REGISTER, or RIP
INDEX = 11  # index register 0..15, or NO_REGISTER
SCALE = 12  # index is shifted left by 0..3
OPREG = 13  # register in the opcode's low three bits with REX.B (rows with +r), or in VEX.vvvv, else 0
OVERRIDE = 14  # segment override prefix that counts, 0..5, or NO_SEGMENT: string instructions read it
DISP = 15  # displacement, sign-extended; moffs; a far pointer's selector; enter's nesting level
IMM = 16  # immediate (kinds.Kind.signed says how extended); relative target; a far pointer's offset

# Bits of PREFIXES.
LOCK = 1
REP = 2  # F3 was the last of F2 and F3
REPNE = 4  # F2 was the last of F2 and F3
OPSIZE_PREFIX = 8
ADDRSIZE_PREFIX = 16
REX_PREFIX = 32
SEGMENT_PREFIX = 64
VEX_PREFIX = 128  # and then OPSIZE_PREFIX, REP or REPNE is what VEX.pp stands for

INVALID_FORM = 0xFFFF
NO_SEGMENT = 0xFF
NO_REGISTER = 0xFF
RIP = 0xFE

# Why a record is invalid; stands in IMM of a record whose form is INVALID_FORM.
INVALID = 1  # no row, or a prefix that the row refuses: #UD
TRUNCATED = 2  # the bytes given end inside the instruction
TOO_LONG = 3  # more than 15 bytes: #GP(0)

MAX_LENGTH = 15

#: Default operand or address widths of code, in bits: what decoders, assembler and disassembler call a mode.
MODES = (64, 32, 16)

RecordTuple = tuple[int, ...]


class Record(NamedTuple):
    """A record with names: `Record._make(t)` of a tuple from a decoder."""

    form: int
    length: int
    opsize: int
    addrsize: int
    seg: int
    prefixes: int
    rex: int
    mod: int
    reg: int
    rm: int
    base: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    scale: int
    opreg: int
    override: int
    disp: int
    imm: int
