"""The lowering builder: the vocabulary in which instructions say what they do.

A *value* is a slot's number, or a `K` for a constant; a value from memory or from an operation stands in a
temporary. Operations on operands (`add`, `sub`, `shl`, …) work at the instruction's operand size and set flags;
the words for addresses and microcode (`plus`, `bits`, `equal`, …) work on 64 bits and touch no flag.

    b.write(dst, b.add(b.update(dst), b.read(src)))

Nothing architectural may be written before the last thing in the instruction that can fault: read a memory
destination with `update`, which asks for the permission to write it, and move a stack pointer last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from ringzero.cpu import mode as M
from ringzero.cpu.state import FIRST_TEMP, SEGMENTS, SLOT, TEMPS
from ringzero.cpu.uops import NUMBER, STACK, UOPS
from ringzero.isa import record as R
from ringzero.isa.form import Form
from ringzero.isa.names import CS, DS, FS, GP, GS, RSP, SS
from ringzero.isa.operands import NO_REGISTER, NO_SEGMENT, RIP, Imm, Mem, Operand, Reg, Rel, SReg

M64 = (1 << 64) - 1
ZERO = SLOT["zero"]

PackedUop = tuple[int, int, int, int, int, int, int]
System = tuple[Callable[..., None], tuple[Hashable, ...]]


class K(int):
    """A constant value, as opposed to a slot's number."""

    __slots__ = ()


Value = int | K
NO_ERROR = K(0)


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


class Builder:
    """Makes the raw µops of one block (or microprogram) for one mode word.

    `begin` starts an instruction; its lowering is then called with the builder and the operands' views. After it,
    `ended` says whether the block must end here, and `target` where its taken branch goes.
    """

    def __init__(self, mode: int, systems: Systems) -> None:
        self.mode = mode
        self.long = bool(mode & M.LONG)
        self.cpl = mode & M.CPL
        self.systems = systems
        self.uops: list[PackedUop] = []
        self.index = 0
        self.ended = False
        self.target = 0
        self.record: R.RecordTuple = ()
        self._form: Form | None = None
        self.rip = self.next_rip = 0
        self.size = 8
        self._next_temp = FIRST_TEMP
        self._moved: set[int] = set()

    def begin(self, record: R.RecordTuple, form: Form | None, rip: int, index: int) -> None:
        """Start instruction number `index` of the block, at linear address `rip`."""
        self.record, self._form, self.rip, self.index = record, form, rip, index
        self.next_rip = rip + record[R.LENGTH] & (M64 if self.long else 0xFFFF_FFFF)
        self.size = record[R.OPSIZE]
        self._next_temp = FIRST_TEMP
        self._moved.clear()

    @property
    def form(self) -> Form:
        """The row of the instruction that is being lowered."""
        assert self._form is not None, "bytes without a row, and microprograms, have no form"
        return self._form

    # --- emitting ----------------------------------------------------------------------------------------------------

    const = K

    def emit(self, name: str, d: int = 0, a: int = ZERO, b: int = ZERO, scale: int = 0, imm: int = 0) -> None:
        """Append one µop. Temporaries that were turned into a register by `write` must not be named again."""
        assert not (self._moved and ({a, b} & self._moved)), (
            f"{self._form}: a value is used after it was written"
        )
        imm &= M64
        self.uops.append((NUMBER[name], d, a, b, scale, self.index, imm - (imm >> 63 << 64)))

    def temp(self) -> int:
        """A fresh temporary. They live no longer than their instruction."""
        slot = self._next_temp
        self._next_temp += 1
        assert slot < FIRST_TEMP + len(TEMPS), f"{self._form}: more temporaries than there are"
        return slot

    def slot(self, value: Value) -> int:
        """`value` as a slot: a constant goes to a temporary."""
        if type(value) is not K:
            return value
        if value == 0:
            return ZERO
        t = self.temp()
        self.emit("movi64", t, imm=value)
        return t

    def _binary(self, name: str, width: str, x: Value, y: Value) -> int:
        t = self.temp()
        if type(y) is K:
            self.emit(f"{name}i{width}", t, self.slot(x), imm=y)
        else:
            self.emit(f"{name}{width}", t, self.slot(x), y)
        return t

    # --- operands ----------------------------------------------------------------------------------------------------

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
                return K(value)
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
        elif type(value) is K:
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
        if write and seg == CS and not self.long:  # no code segment is writable (SDM 3A 3.4.5.1)
            self.emit("fault", imm=GP)
        if not self.long and (self.mode & M.SEGMENTED or seg in (FS, GS)):
            linear = self.temp()
            self.emit("segment", linear, effective, self.slot(K(seg)), imm=(size & 15) | write << 4)
        elif self.long and seg in (FS, GS):
            linear = self.plus(effective, SLOT[f"{SEGMENTS[seg]}_base"])
        if self.mode & M.ALIGN and size in (2, 4, 8):
            self.emit("aligned", a=linear, imm=size - 1)
        return linear

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
            if type(value) is K:
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

    def cut(self, value: int, size: int) -> int:
        """The low `size` bytes of a value."""
        if size == 8:
            return value
        t = self.temp()
        self.emit(f"zx{size * 8}", t, value)
        return t

    def sign(self, operand: Reg) -> int:
        """All ones if the register is negative, else 0."""
        t = self.temp()
        self.emit("sariq64", t, self.sign_extended(operand), imm=63)
        return t

    # --- operations with flags, at the operand size ------------------------------------------------------------------

    @property
    def width(self) -> int:
        """The operand size in bits."""
        return self.size * 8

    def operate(self, name: str, x: Value, y: Value) -> int:
        """A two-operand µop by name at the operand size (`add`, `shl`, …); sets what flags it sets."""
        return self._binary(name, str(self.width), x, y)

    def unary(self, name: str, x: Value) -> int:
        t = self.temp()
        self.emit(f"{name}{self.width}", t, self.slot(x))
        return t

    def compare(self, name: str, x: Value, y: Value) -> None:
        """`cmp` or `test`: flags alone."""
        if type(y) is K:
            self.emit(f"{name}i{self.width}", a=self.slot(x), imm=y)
        else:
            self.emit(f"{name}{self.width}", a=self.slot(x), b=y)

    def scan(self, name: str, x: int) -> int:
        """`ctz`, `clz` or `popcnt` of 64 bits."""
        t = self.temp()
        self.emit(name, t, x)
        return t

    def choose(self, condition: str, x: Value, y: Value) -> int:
        """x if the condition holds, else y."""
        t = self.temp()
        self.emit(f"cmov{condition}", t, self.slot(y), self.slot(x))
        return t

    def condition(self, name: str) -> int:
        """1 or 0 as the condition (`e`, `ne`, `b`, …) holds."""
        t = self.temp()
        self.emit(f"set{name}", t)
        return t

    # --- 64-bit words without flags: addresses and microcode ---------------------------------------------------------

    def plus(self, x: Value, y: Value) -> int:
        return self._binary_quiet("add", x, y)

    def minus(self, x: Value, y: Value) -> int:
        return self._binary_quiet("sub", x, y)

    def bits(self, x: Value, mask: Value) -> int:
        return self._binary_quiet("and", x, mask)

    def either(self, x: Value, y: Value) -> int:
        return self._binary_quiet("or", x, y)

    def differ(self, x: Value, y: Value) -> int:
        return self._binary_quiet("xor", x, y)

    def left(self, x: Value, count: Value) -> int:
        return self._binary_quiet("shl", x, count)

    def right(self, x: Value, count: Value) -> int:
        return self._binary_quiet("shr", x, count)

    def _binary_quiet(self, name: str, x: Value, y: Value) -> int:
        t = self.temp()
        if type(y) is K:
            self.emit(f"{name}iq64", t, self.slot(x), imm=y)
        else:
            self.emit(f"{name}q64", t, self.slot(x), y)
        return t

    def field(self, x: Value, low: int, width: int) -> int:
        """Bits low … low + width - 1 of x."""
        return self.bits(self.right(x, K(low)) if low else x, K((1 << width) - 1))

    def equal(self, x: Value, y: Value) -> int:
        return self._binary("eq", "", x, y)

    def unequal(self, x: Value, y: Value) -> int:
        return self._binary("ne", "", x, y)

    def below(self, x: Value, y: Value) -> int:
        """1 if x < y, unsigned."""
        return self._binary("ltu", "", x, y)

    def negate(self, condition: Value) -> int:
        """1 if `condition` is 0, else 0."""
        return self.equal(condition, K(0))

    def select(self, condition: int, x: Value, y: Value) -> int:
        """x if `condition` is not 0, else y."""
        t = self.temp()
        self.emit("select", t, condition, self.slot(x), self.slot(y))
        return t

    def noncanonical(self, x: int) -> int:
        t = self.temp()
        self.emit("noncanonical", t, x)
        return t

    def copy(self, x: Value) -> int:
        """A copy in a fresh temporary, safe from later writes of x."""
        t = self.temp()
        if type(x) is K:
            self.emit("movi64", t, imm=x)
        else:
            self.emit("mov64", t, x)
        return t

    def get(self, name: str) -> int:
        """The slot of that name, as a value."""
        return SLOT[name]

    def set(self, name: str, value: Value) -> None:
        """Write the slot of that name."""
        if type(value) is K:
            self.emit("movi64", SLOT[name], imm=value)
        else:
            self.emit("mov64", SLOT[name], value)

    def load_system(self, linear: int, size: int, offset: int = 0, write: bool = False) -> int:
        """A supervisor access of the processor itself to descriptor tables, the TSS or a new stack."""
        t = self.temp()
        self.emit(f"{'ldw' if write else 'lds'}_system{size * 8}", t, linear, imm=offset)
        return t

    def store_system(self, linear: int, size: int, value: Value, offset: int = 0) -> None:
        self.emit(f"st_system{size * 8}", self.slot(value), linear, imm=offset)

    # --- flags as a word ---------------------------------------------------------------------------------------------

    def flags(self) -> int:
        """RFLAGS, the lazy flags put in."""
        t = self.temp()
        self.emit("getflags", t)
        return t

    def set_flags(self, value: Value, mask: Value) -> None:
        """RFLAGS under `mask` := value."""
        if type(mask) is K:
            self.emit("setflags", a=self.slot(value), imm=mask)
        else:
            self.emit("setflagsr", a=self.slot(value), b=mask)

    # --- privilege ---------------------------------------------------------------------------------------------------

    def io_forbidden(self) -> int:
        """1 if CPL > IOPL: CLI, STI and port instructions without a permission map fault (SDM 1, 20.5.1)."""
        return self.below(self.field(self.get("rflags"), 12, 2), K(self.cpl))

    def require_io_privilege(self) -> None:
        if self.cpl:
            self.fault_if(self.io_forbidden(), GP)

    # --- faults, branches, endings -----------------------------------------------------------------------------------

    def fault_if(self, condition: int, vector: int, error: Value = NO_ERROR) -> None:
        self.emit("faultif", a=condition, b=self.slot(error), imm=vector)

    def fault(self, vector: int, error: Value = NO_ERROR) -> None:
        """Raise `vector` whatever happens; the block ends."""
        self.emit("fault", b=self.slot(error), imm=vector)
        self.ended = True

    @contextmanager
    def when(self, condition: int) -> Iterator[None]:
        """µops emitted within run only if `condition` is not 0."""
        with self._skipping("skipz", condition):
            yield

    @contextmanager
    def unless(self, condition: int) -> Iterator[None]:
        """µops emitted within run only if `condition` is 0."""
        with self._skipping("skipnz", condition):
            yield

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Temporaries made within may be made again after it."""
        mark = self._next_temp
        yield
        self._next_temp = mark

    @contextmanager
    def _skipping(self, name: str, condition: int) -> Iterator[None]:
        at = len(self.uops)
        self.emit(name, a=condition)
        yield
        op, d, a, b, scale, index, _ = self.uops[at]
        self.uops[at] = (op, d, a, b, scale, index, len(self.uops) - at - 1)

    def displaced(self, rel: Rel) -> int:
        """Linear address of a relative target, cut as the operand size says (SDM 2A, Jcc)."""
        target = self.next_rip + rel.displacement
        return target & {8: M64, 4: 0xFFFF_FFFF, 2: 0xFFFF}[rel.size]

    def jump(self, target: int) -> None:
        """End the block with a jump to a linear address known now."""
        self.target = target
        self.emit("jump")
        self.ended = True

    def branch(self, condition: str, target: int) -> None:
        """End the block: to `target` if the condition holds, else to the next instruction."""
        self.target = target
        self.emit(f"j{condition}", imm=target)
        self.ended = True

    def branch_if(self, value: int, target: int) -> None:
        """End the block: to `target` if `value` is not 0, else to the next instruction."""
        self.target = target
        self.emit("jumpnz", a=value, imm=target)
        self.ended = True

    def goto(self, value: int) -> None:
        """End the block with a jump to a computed address; #GP(0) if it is not canonical."""
        self.emit("goto", a=value)
        self.ended = True

    def call(self, target: int) -> None:
        """End the block: push the next instruction's address and jump to a linear address known now."""
        self.target = target
        if self.long and not self.mode & M.ALIGN:
            self.emit("call64", scale=STACK, imm=self.next_rip)
        else:
            self.push(K(self.next_rip))
            self.emit("jump")
        self.ended = True

    def call_value(self, value: int) -> None:
        """`call` of a computed address."""
        if self.long and not self.mode & M.ALIGN:
            self.emit("callr64", a=value, scale=STACK, imm=self.next_rip)
            self.ended = True
            return
        if self.long:
            self.fault_if(self.noncanonical(value), GP)
        value = self.copy(value)
        self.push(K(self.next_rip))
        self.goto(value)

    def ret(self, extra: int) -> None:
        """End the block: pop the instruction pointer, release `extra` bytes more."""
        if self.long and self.size == 8 and not self.mode & M.ALIGN:
            self.emit("ret64", scale=STACK, imm=extra)
            self.ended = True
            return
        target = self.load(self.stack_pointer(0), SS, self.size)
        if self.long:
            self.fault_if(self.noncanonical(target), GP)
        self.set_stack_pointer(self.stack_pointer(self.size + extra))
        self.goto(target)

    def next(self) -> None:
        """End the block: on to the next instruction."""
        self.emit("next")
        self.ended = True

    def next_window(self) -> None:
        """`next`, when interrupts may have been enabled or TF set."""
        self.emit("next_window")
        self.ended = True

    def next_shadow(self, enabled_before: int) -> None:
        """STI's ending: interrupts stay out for one instruction more, unless they were enabled before."""
        self.emit("next_shadow", a=enabled_before)
        self.ended = True

    def goto_window(self, value: int) -> None:
        """Jump to a computed, canonical address, when interrupts may have been enabled or TF set."""
        self.emit("goto_window", a=value)
        self.ended = True

    def system(self, name: str, *args: Hashable) -> None:
        """End the block: the driver does the instruction by calling `system.HANDLERS[name](cpu, *args)`."""
        self.emit("system", imm=self.systems.number(name, args))
        self.ended = True


class Systems:
    """Calls out of the loop, interned: a `system` µop's immediate is an index into `calls`."""

    def __init__(self, handlers: dict[str, Callable[..., None]]) -> None:
        self.handlers = handlers
        self.calls: list[System] = []
        self._numbers: dict[tuple[str, tuple[Hashable, ...]], int] = {}

    def number(self, name: str, args: tuple[Any, ...]) -> int:
        key = (name, args)
        if key not in self._numbers:
            self._numbers[key] = len(self.calls)
            self.calls.append((self.handlers[name], args))
        return self._numbers[key]
