"""Operands: registers and memory as x86 reads and writes them, addresses, and the stack."""

from __future__ import annotations

from ringzero.cpu import mode as M
from ringzero.cpu.lower.emitter import CONSTANTS, ZERO, K, Value
from ringzero.cpu.lower.words import Words
from ringzero.cpu.state import FIRST_TEMP, SEGMENTS, SLOT
from ringzero.cpu.uops.table import NUMBER, STACK, UOPS
from ringzero.isa import record as R
from ringzero.isa.names import CS, DS, FS, GP, GS, RSP, SS, STACK_FAULT
from ringzero.isa.operands import NO_REGISTER, NO_SEGMENT, RIP, Imm, Mem, Operand, Reg, SReg


def _result_bits() -> dict[int, int]:
    """µops whose whole D is a value of at most so many bits: their result can go straight to a register."""
    bits = {
        "lea": 64,
        "lea32": 32,
        "lea16": 16,
        "exth": 8,
        "pop64": 64,
        "bswap64": 64,
        "bswap32": 32,
        "eq": 1,
        "ne": 1,
    }
    for width in (8, 16, 32, 64):
        bits |= {f"ld{width}": width, f"zx{width}": width, f"lds{width}": 64, f"sx{width}": 64}
    bits |= {u.name: 1 for u in UOPS if u.name.startswith("set") and u.flags == "r"}
    bits |= {u.name: 64 for u in UOPS if u.name.startswith("cmov")}
    return {NUMBER[name]: n for name, n in bits.items() if name in NUMBER}


_RESULT_BITS = _result_bits()
_MERGES = {u.number: u.width for u in UOPS if u.merges}
_LOAD_MERGING = {NUMBER["ld8"]: NUMBER["ldm8"], NUMBER["ld16"]: NUMBER["ldm16"]}


class Access(Words):
    """Reads and writes operands; memory goes through segment, alignment and stack rules of the mode."""

    def read(self, operand: Operand) -> Value:
        """The operand's value; above its size the bits are unspecified (for a register) or zero (from memory)."""
        match operand:
            case Reg(number, _, high):
                if high:
                    t = self.temp()
                    self.emit("exth", t, number)
                    return t
                return number
            case Imm(value, _):
                return self.const(value)
            case Mem():
                return self._load("ld", operand)
            case SReg(number):
                return SLOT[f"{SEGMENTS[number]}_selector"]
        raise TypeError(f"{self._form}: cannot read {operand}")

    def update(self, operand: Operand) -> Value:
        """`read` of an operand that this instruction will write: faults as the write would."""
        return self._load("ldw", operand) if isinstance(operand, Mem) else self.read(operand)

    def write(self, operand: Operand, value: Value) -> None:
        """Write a register as x86 does by size (32 bits clear the upper half), or memory."""
        if isinstance(operand, Mem):
            a, b, scale, imm = self.address(operand, write=True)
            self.emit(f"st{operand.size * 8}", self.slot(value), a, b, scale, imm)
            return
        assert isinstance(operand, Reg), f"{self._form}: cannot write {operand}"
        if operand.high:
            self.emit("movh", operand.number, self.slot(value))
        elif type(value) in CONSTANTS:
            self.emit(f"movi{operand.size * 8}", operand.number, imm=value)
        elif not self._retarget(value, operand):
            self.emit(f"mov{operand.size * 8}", operand.number, value)

    def _retarget(self, value: int, operand: Reg) -> bool:
        """Let the µop that has just made `value` write the register itself, where that means the same."""
        if value < FIRST_TEMP or not self.uops or self.uops[-1][1] != value or self.uops[-1][5] != self.index:
            return False
        op, _, *rest = self.uops[-1]
        width = operand.size * 8
        if operand.size <= 2 and _RESULT_BITS.get(op) == width and op in _LOAD_MERGING:
            op = _LOAD_MERGING[op]
        elif _MERGES.get(op) != width and not (operand.size >= 4 and _RESULT_BITS.get(op, 99) <= width):
            return False
        self.uops[-1] = (op, operand.number, *rest)  # type: ignore[assignment]
        self._moved.add(value)
        return True

    def _load(self, name: str, operand: Mem) -> int:
        a, b, scale, imm = self.address(operand, write=name == "ldw")
        t = self.temp()
        self.emit(f"{name}{operand.size * 8}", t, a, b, scale, imm)
        return t

    # --- addresses ---------------------------------------------------------------------------------------------------

    def address(
        self, mem: Mem, write: bool = False, size: int | None = None, offset: int = 0
    ) -> tuple[int, int, int, int]:
        """Linear address of a memory operand as a µop's (a, b, scale, imm); `offset` bytes further."""
        stack = STACK if mem.seg == SS else 0
        size = mem.size if size is None else size
        if self.long and mem.addrsize == 8 and mem.seg not in (FS, GS) and not self.mode & M.ALIGN:
            base, index, disp = self._parts(mem)
            return base, index, mem.scale | stack, disp + offset
        return self.linear(self.effective(mem, offset), mem.seg, size, write), ZERO, stack, 0

    def _parts(self, mem: Mem) -> tuple[int, int, int]:
        index = ZERO if mem.index == NO_REGISTER else mem.index
        if mem.base == RIP:
            return ZERO, index, mem.disp + self.next_rip
        return ZERO if mem.base == NO_REGISTER else mem.base, index, mem.disp

    def effective(self, mem: Mem, offset: int = 0) -> int:
        """The effective address (offset within the segment), cut to the address size."""
        base, index, disp = self._parts(mem)
        t = self.temp()
        self.emit({8: "lea", 4: "lea32", 2: "lea16"}[mem.addrsize], t, base, index, mem.scale, disp + offset)
        return t

    def linear(self, effective: int, seg: int, size: int, write: bool) -> int:
        """Linear address of an effective one: segment base, limit and type, and alignment where they are checked."""
        linear = effective
        if write and seg == CS and self.mode & M.PROTECTED and not self.long:
            # No code segment is writable (SDM 3A 3.4.5.1), but in real mode they are all data.
            self.emit("fault", imm=GP)
        if not self.long and (self.mode & M.SEGMENTED or seg in (FS, GS)):
            linear = self.temp()
            self.emit("segment", linear, effective, self.slot(K(seg)), imm=(size & 15) | write << 4)
        elif self.long and seg in (FS, GS):
            linear = self.plus(effective, SLOT[f"{SEGMENTS[seg]}_base"])
        if self.mode & M.ALIGN and size in (2, 4, 8):
            self._require_canonical(linear, size, STACK_FAULT if seg == SS else GP)
            self.emit("aligned", a=linear, imm=size - 1)
        return linear

    def is_plain(self, seg: int) -> bool:
        """Whether an effective address in this segment is the linear one as it stands, with nothing to check."""
        return seg not in (FS, GS) and not self.mode & M.ALIGN and (self.long or not self.mode & M.SEGMENTED)

    def _require_canonical(self, linear: int, size: int, vector: int) -> None:
        """What the access would find by itself, but only behind #AC, which comes last (SDM 3A, table 6-2)."""
        if not self.long:
            return
        with self.scratch():
            last = self.plus(linear, K(size - 1))
            outside = self.either(self.noncanonical(linear), self.noncanonical(last))
            self.emit("faultif", a=outside, imm=vector)

    def load(self, effective: int, seg: int, size: int, write: bool = False) -> int:
        """`size` bytes at seg:effective; with `write` as if they were also written."""
        t = self.temp()
        linear = self.linear(effective, seg, size, write)
        self.emit(f"{'ldw' if write else 'ld'}{size * 8}", t, linear, scale=STACK if seg == SS else 0)
        return t

    def store(self, effective: int, seg: int, size: int, value: Value) -> None:
        """Write `size` bytes at seg:effective."""
        linear = self.linear(effective, seg, size, True)
        self.emit(f"st{size * 8}", self.slot(value), linear, scale=STACK if seg == SS else 0)

    def source_segment(self) -> int:
        """The segment of a string instruction's source: DS or its override (in 64-bit mode only FS and GS count)."""
        override = self.record[R.OVERRIDE]
        return DS if override == NO_SEGMENT or (self.long and override not in (FS, GS)) else override

    def far_pointer(self, mem: Mem) -> tuple[int, int]:
        """Selector and offset of a far pointer in memory, as slots."""
        address = self.effective(mem)
        offset = self.load(address, mem.seg, self.size)
        selector = self.load(self.cut(self.plus(address, K(self.size)), mem.addrsize), mem.seg, 2)
        return selector, offset

    def delta(self, size: int) -> int:
        """size, or -size if DF is set."""
        t = self.temp()
        self.emit("delta", t, imm=size)
        return t

    # --- the stack ---------------------------------------------------------------------------------------------------

    @property
    def stack_size(self) -> int:
        """Bytes of the stack pointer: rsp, esp or sp."""
        return 8 if self.long else 4 if self.mode & M.STACK_BIG else 2

    def stack_pointer(self, delta: int) -> int:
        """rsp + delta, cut to the stack's address size, in a temporary."""
        t = self.temp()
        self.emit({8: "lea", 4: "lea32", 2: "lea16"}[self.stack_size], t, RSP, imm=delta)
        return t

    def set_stack_pointer(self, value: int) -> None:
        self.emit(f"mov{self.stack_size * 8}", RSP, value)

    def push(self, value: Value, size: int | None = None) -> None:
        """Push; rsp changes after the store has succeeded."""
        size = size or self.size
        if self.long and size == 8 and not self.mode & M.ALIGN:
            if type(value) in CONSTANTS:
                self.emit("pushi64", scale=STACK, imm=value)
            else:
                self.emit("push64", a=value, scale=STACK)
            return
        top = self.stack_pointer(-size)
        self.store(top, SS, size, value)
        self.set_stack_pointer(top)

    def pop(self, size: int | None = None) -> int:
        """Pop into a temporary; rsp changes after the load has succeeded."""
        size = size or self.size
        if self.long and size == 8 and not self.mode & M.ALIGN:
            t = self.temp()
            self.emit("pop64", t, scale=STACK)
            return t
        value = self.load(self.stack_pointer(0), SS, size)
        self.set_stack_pointer(self.stack_pointer(size))
        return value

    # --- widening ----------------------------------------------------------------------------------------------------

    def zero_extended(self, operand: Reg | Mem) -> int:
        """The operand's value with zeros above it."""
        value = self.read(operand)
        return value if isinstance(operand, Mem) or operand.high else self.cut(value, operand.size)

    def sign_extended(self, operand: Reg | Mem) -> int:
        """The operand's value sign-extended to 64 bits."""
        if isinstance(operand, Mem) and operand.size < 8:
            a, b, scale, imm = self.address(operand)
            t = self.temp()
            self.emit(f"lds{operand.size * 8}", t, a, b, scale, imm)
            return t
        value = self.read(operand)
        if operand.size == 8:
            return value
        t = self.temp()
        self.emit(f"sx{operand.size * 8}", t, value)
        return t

    def sign(self, operand: Reg) -> int:
        """All ones if the register is negative, else 0."""
        t = self.temp()
        self.emit("sariq64", t, self.sign_extended(operand), imm=63)
        return t
