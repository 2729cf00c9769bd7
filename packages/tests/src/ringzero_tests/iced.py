"""iced-x86 as judge of the decoders: length, validity, mnemonic and operands of single instructions.

`Judge(mode).difference(code)` compares our record for the first instruction of `code` with iced's reading and gives
one line, or None where they agree. iced knows far more than the table: what it reads as an instruction that the table
does not claim (by mnemonic) must be invalid for us. Where we differ on purpose, DELIBERATE says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import iced_x86 as iced

from ringzero.isa import FORMS
from ringzero.isa import operands as ops
from ringzero.isa import record as R
from ringzero.isa.decode import decode

#: Our names where iced has another one.
NAMES = {
    "pushfw": "pushf", "popfw": "popf", "pushaw": "pusha", "popaw": "popa", "iretw": "iret", "fwait": "wait",
}  # fmt: skip

_MNEMONICS = {value: name.lower() for name, value in vars(iced.Mnemonic).items() if isinstance(value, int)}
_REGISTERS = {value: name.lower() for name, value in vars(iced.Register).items() if isinstance(value, int)}
_MEMORY_BYTES = {
    value: iced.MemorySizeInfo(value).size
    for name, value in vars(iced.MemorySize).items()
    if isinstance(value, int)
}
CLAIMED = frozenset(NAMES.get(form.mnemonic, form.mnemonic) for form in FORMS)

_LEGACY = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_LOW = ("al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil")
_HIGH = ("ah", "ch", "dh", "bh")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")


def register_name(number: int, size: int, high: bool = False) -> str:
    """iced's name of a general register."""
    if number == ops.RIP:
        return "rip" if size == 8 else "eip"
    if number >= 8:
        return f"r{number}" + {1: "l", 2: "w", 4: "d", 8: ""}[size]
    if size == 1:
        return _HIGH[number] if high else _LOW[number]
    return {2: "", 4: "e", 8: "r"}[size] + _LEGACY[number]


def _ours(view: ops.Operand, next_ip: int) -> tuple[object, ...]:
    match view:
        case ops.Reg():
            return ("register", register_name(view.number, view.size, view.high))
        case ops.SReg():
            return ("register", SEGMENTS[view.number])
        case ops.CReg():
            return ("register", f"cr{view.number}")
        case ops.DReg():
            return ("register", f"dr{view.number}")
        case ops.Imm():
            return ("immediate", view.value & (1 << 8 * view.size) - 1)
        case ops.Rel():
            return ("target", (next_ip + view.displacement) & (1 << 8 * view.size) - 1)
        case ops.Far():
            return ("far", view.selector, view.offset)
        case ops.Mem():
            return _our_memory(view, next_ip)
    raise AssertionError(view)


def _our_memory(view: ops.Mem, next_ip: int) -> tuple[object, ...]:
    base = "none" if view.base == ops.NO_REGISTER else register_name(view.base, view.addrsize)
    index = "none" if view.index == ops.NO_REGISTER else register_name(view.index, view.addrsize)
    displacement = view.disp + (next_ip if view.base == ops.RIP else 0)
    displacement &= (1 << 8 * view.addrsize) - 1
    return ("memory", SEGMENTS[view.seg], base, index, 1 << view.scale, displacement, view.size)


def _theirs(insn: iced.Instruction, number: int, view: ops.Operand) -> tuple[object, ...]:
    kind = insn.op_kind(number)
    if kind == iced.OpKind.REGISTER:
        return ("register", _REGISTERS[insn.op_register(number)])
    if kind == iced.OpKind.MEMORY:
        return _their_memory(insn, view)
    if kind in (iced.OpKind.NEAR_BRANCH16, iced.OpKind.NEAR_BRANCH32, iced.OpKind.NEAR_BRANCH64):
        return ("target", insn.near_branch_target)
    if kind in (iced.OpKind.FAR_BRANCH16, iced.OpKind.FAR_BRANCH32):
        offset = insn.far_branch16 if kind == iced.OpKind.FAR_BRANCH16 else insn.far_branch32
        return ("far", insn.far_branch_selector, offset)
    size = view.size if isinstance(view, ops.Imm) else 8
    return ("immediate", insn.immediate(number) & (1 << 8 * size) - 1)


def _their_memory(insn: iced.Instruction, view: ops.Operand) -> tuple[object, ...]:
    if not isinstance(view, ops.Mem):
        return ("memory",)
    segment, index = _REGISTERS[insn.memory_segment], _REGISTERS[insn.memory_index]
    if insn.code_size == iced.CodeSize.CODE64 and _REGISTERS[insn.segment_prefix] in SEGMENTS[:4]:
        segment = SEGMENTS[view.seg]  # iced keeps an ignored override, for listings
    scale = insn.memory_index_scale if index != "none" else 1  # and the scale of no index
    size = _MEMORY_BYTES[insn.memory_size] if view.size else 0
    displacement = insn.memory_displacement & (1 << 8 * view.addrsize) - 1
    return ("memory", segment, _REGISTERS[insn.memory_base], index, scale, displacement, size)


@dataclass(frozen=True)
class Deliberate:
    """A difference that is ours on purpose: which, and why."""

    reason: str
    applies: Callable[[int, str, str], bool]  # mode, our mnemonic or "", iced's mnemonic or "invalid"


def _pairs(*pairs: str) -> Callable[[int, str, str], bool]:
    wanted = {tuple(pair.split("/")) for pair in pairs}
    return lambda mode, ours, theirs: (ours, theirs) in wanted


DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate("F3 REX.B 90 exchanges r8 with rax; silicon was asked", _pairs("xchg/pause")),
    Deliberate("/6 of the shifts is called shl like /4", _pairs("shl/sal")),
    Deliberate(
        "hints of later processors are NOPs, or the hints that they replaced (SDM 2D table A-3)",
        _pairs("nop/reservednop", "nop/prefetchit0", "nop/prefetchit1",
               "prefetchw/prefetchwt1"),
    ),
    Deliberate(
        "Intel has SYSCALL and SYSRET in 64-bit mode only (SDM 2B, SYSCALL); iced reads AMD's too",
        lambda mode, ours, theirs: mode != 64 and not ours and theirs in ("syscall", "sysret"),
    ),
)  # fmt: skip

#: These read 16 bits of a register whatever the operand size says, and so are named; iced names the wider register.
WORD_SOURCES = {
    (mnemonic, "rm16", "register") for mnemonic in ("lldt", "ltr", "lmsw", "mov", "arpl", "verr", "verw")
}
WORD_SOURCES.add(("arpl", "r16", "register"))


#: What the two readings of some bytes come to; see `Judge.verdict`.
AGREE, NO_INSTRUCTION, UNCLAIMED, DIFFERENT = (
    "agree", "no instruction to either", "not in the table, and so refused", "DIFFERENT",
)  # fmt: skip

#: How many operands of the operand size an instruction moves rsp by; that size is often seen nowhere else.
_STACK_MOVES = {
    "push": -1, "pop": 1, "pushfw": -1, "pushfd": -1, "pushfq": -1, "popfw": 1, "popfd": 1, "popfq": 1,
    "pushaw": -8, "pushad": -8, "popaw": 8, "popad": 8, "call": -1, "ret": 1, "retf": 2,
}  # fmt: skip
_FRAME_SIZES = {
    iced.Code.LEAVEW: 2, iced.Code.LEAVED: 4, iced.Code.LEAVEQ: 8, iced.Code.ENTERW_IMM16_IMM8: 2,
    iced.Code.ENTERD_IMM16_IMM8: 4, iced.Code.ENTERQ_IMM16_IMM8: 8,
}  # fmt: skip


def _size_on_stack(theirs: iced.Instruction, record: R.RecordTuple) -> int | None:
    """The operand size that iced sees in the movement of rsp, or None where there is none to see."""
    form = FORMS[record[R.FORM]]
    if theirs.code in _FRAME_SIZES:
        return _FRAME_SIZES[theirs.code]
    if form.mnemonic not in _STACK_MOVES:
        return None
    moves = _STACK_MOVES[form.mnemonic] * (2 if form.operands in (("far",), ("m_far",)) else 1)
    freed = record[R.IMM] if form.operands == ("imm16",) else 0
    return (theirs.stack_pointer_increment - freed) // moves


class Judge:
    """iced for one mode, at a fixed address."""

    def __init__(self, mode: int) -> None:
        self.mode = mode
        self.ip = 0x1000_0000

    def read(self, code: bytes) -> iced.Instruction:
        """iced's reading of the first instruction."""
        return iced.Decoder(self.mode, code, ip=self.ip).decode()

    def reader(self, code: bytes) -> Callable[[int], iced.Instruction]:
        """A function that reads the instruction at an offset of `code`, as if it lay at the fixed address."""
        decoder, insn = iced.Decoder(self.mode, code), iced.Instruction()

        def read(offset: int) -> iced.Instruction:
            decoder.position, decoder.ip = offset, self.ip
            decoder.decode_out(insn)
            return insn

        return read

    def difference(self, code: bytes) -> str | None:
        """One line that says how the readings of `code` differ, or None."""
        record, theirs = decode(code, self.mode, limit=1)[0], self.read(code)
        verdict, found = self.verdict(record, theirs)
        return self.describe(code, record, theirs, found) if verdict == DIFFERENT else None

    def verdict(self, record: R.RecordTuple, theirs: iced.Instruction) -> tuple[str, str]:
        """One of AGREE, NO_INSTRUCTION, UNCLAIMED, DIFFERENT, or a reason of DELIBERATE; and what differs."""
        valid = record[R.FORM] != R.INVALID_FORM
        if not valid and theirs.code == iced.Code.INVALID:
            return NO_INSTRUCTION, ""
        name = "invalid" if theirs.code == iced.Code.INVALID else _MNEMONICS[theirs.mnemonic]
        ours = FORMS[record[R.FORM]].mnemonic if valid else ""
        if not valid and not self._claimed(theirs, name):
            return UNCLAIMED, ""
        for item in DELIBERATE:
            if item.applies(self.mode, ours, name):
                return item.reason, ""
        found = self._compare(record, theirs, ours, name)
        return (DIFFERENT, found) if found else (AGREE, "")

    def describe(self, code: bytes, record: R.RecordTuple, theirs: iced.Instruction, found: str) -> str:
        """One line about a difference."""
        row = FORMS[record[R.FORM]] if record[R.FORM] != R.INVALID_FORM else "invalid"
        return f"{self.mode}-bit {code.hex(' ')}: {found} (iced: {theirs}; we: {row})"

    @staticmethod
    def _claimed(theirs: iced.Instruction, name: str) -> bool:
        """Whether the table has the instruction; movsd and cmpsd are also names of vector instructions."""
        return name in CLAIMED and (name not in ("movsd", "cmpsd") or theirs.is_string_instruction)

    def _compare(self, record: R.RecordTuple, theirs: iced.Instruction, ours: str, name: str) -> str | None:
        if not ours or name == "invalid":
            return f"valid: {ours or 'no'} against {name}"
        if NAMES.get(ours, ours) != name:
            return f"mnemonic {ours} against {name}"
        if record[R.LENGTH] != theirs.len:
            return f"length {record[R.LENGTH]} against {theirs.len}"
        if (size := _size_on_stack(theirs, record)) not in (None, record[R.OPSIZE]):
            return f"operand size {record[R.OPSIZE]} against {size}"
        return next(self._operand_differences(record, theirs), None)

    def _operand_differences(self, record: R.RecordTuple, theirs: iced.Instruction) -> Iterator[str]:
        next_ip, form = self.ip + record[R.LENGTH], FORMS[record[R.FORM]]
        for place, view in enumerate(ops.operands_of(record)):
            ours, expected = _ours(view, next_ip), _theirs(theirs, place, view)
            if (form.mnemonic, kind := form.operands[place], expected[0]) in WORD_SOURCES:
                expected = ("register", register_name(record[R.RM if kind == "rm16" else R.REG], 2))
            if ours != expected:
                yield f"operand {place} {ours} against {expected}"
