"""The lowering builder: the vocabulary in which instructions say what they do.

A *value* is a slot's number, or a `K` for a constant; a value from memory or from an operation stands in a
temporary. Operations on operands (`add`, `sub`, `shl`, …) work at the instruction's operand size and set flags;
the words for addresses and microcode (`plus`, `bits`, `equal`, …) work on 64 bits and touch no flag.

    b.write(dst, b.add(b.update(dst), b.read(src)))

Nothing architectural may be written before the last thing in the instruction that can fault: read a memory
destination with `update`, which asks for the permission to write it, and move a stack pointer last.
"""

from __future__ import annotations

from ringzero.cpu import mode as M
from ringzero.cpu.exits import CMPS, LODS, MOVS, SCAS, STOS
from ringzero.cpu.lower.access import Access
from ringzero.cpu.lower.emitter import CONSTANTS, M64, K, Value
from ringzero.cpu.uops.table import STACK
from ringzero.isa import record as R
from ringzero.isa.names import ES, GP, SS
from ringzero.isa.operands import Rel

REPEATED = {"movs": MOVS, "stos": STOS, "lods": LODS, "cmps": CMPS, "scas": SCAS}


class Builder(Access):
    """Makes the raw µops of one block (or microprogram) for one mode word.

    `begin` starts an instruction; its lowering is then called with the builder and the operands' views. After it,
    `ended` says whether the block must end here, and `target` where its taken branch goes.
    """

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
        if type(y) in CONSTANTS:
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

    def ahead(self, name: str) -> None:
        """Tell the engine which string instruction repeats here, if addresses are all that it would have to mind.

        Nothing but a probe can stand before it in its block, and that wants to see every iteration.
        """
        if not self.uops and self.is_plain(self.source_segment()) and self.is_plain(ES):
            unequal = not self.record[R.PREFIXES] & R.REP
            sizes = self.size | self.record[R.ADDRSIZE] << 4
            self.emit("ahead", imm=sizes | REPEATED[name] << 8 | unequal << 12)

    # --- privilege ---------------------------------------------------------------------------------------------------

    def io_forbidden(self) -> int:
        """1 if CPL > IOPL: CLI, STI and port instructions without a permission map fault (SDM 1, 20.5.1)."""
        return self.below(self.field(self.get("rflags"), 12, 2), K(self.cpl))

    def require_io_privilege(self) -> None:
        if self.cpl:
            self.fault_if(self.io_forbidden(), GP)

    # --- branches and endings --------------------------------------------------------------------------------------

    def displaced(self, rel: Rel) -> int:
        """rip of a relative target, cut as the operand size says (SDM 2A, Jcc)."""
        target = self.next_rip + rel.displacement
        return target & {8: M64, 4: 0xFFFF_FFFF, 2: 0xFFFF}[rel.size]

    def _beyond(self, target: int) -> bool:
        """Whether a target known now lies outside the code segment: the branch itself faults (SDM 2A, Jcc, JMP)."""
        return self.code_limit != M.NO_LIMIT and target > self.code_limit

    def _require_inside(self, target: int) -> None:
        """The same for a computed target."""
        if self.code_limit != M.NO_LIMIT:
            self.fault_if(self.below(self.get("cs_limit"), target), GP)

    def jump(self, target: int) -> None:
        """End the block with a jump to a rip known now."""
        if self._beyond(target):
            self.fault(GP)
            return
        self.target = target
        self.emit("jump")
        self.ended = True

    def branch(self, condition: str, target: int) -> None:
        """End the block: to `target` if the condition holds, else to the next instruction."""
        if self._beyond(target):
            self.branch_if(self.condition(condition), target)
            return
        self.target = target
        self.emit(f"j{condition}", imm=target)
        self.ended = True

    def require_target(self, taken: int, target: int) -> None:
        """#GP(0) if a branch that is taken when `taken` is not 0 would leave the code segment."""
        if self._beyond(target):
            self.fault_if(taken, GP)

    def branch_if(self, value: int, target: int) -> None:
        """End the block: to `target` if `value` is not 0, else to the next instruction."""
        self.require_target(value, target)
        self.target = target
        self.emit("jumpnz", a=value, imm=target)
        self.ended = True

    def repeat_if(self, value: int) -> None:
        """End the block with an iteration of REP: once more from its first byte if `value` is not 0, else on."""
        self.target = self.rip
        self.emit("repeat", a=value, imm=self.rip)
        self.ended = True

    def goto(self, value: int) -> None:
        """End the block with a jump to a computed address; #GP(0) if it is not canonical, or outside the segment."""
        self._require_inside(value)
        self.emit("goto", a=value)
        self.ended = True

    def call(self, target: int) -> None:
        """End the block: push the next instruction's address and jump to a rip known now."""
        if self._beyond(target):
            self.fault(GP)
            return
        self.target = target
        if self.long and not self.mode & M.ALIGN:
            self.emit("call64", scale=STACK, imm=self.next_rip)
        else:
            self.push(self.const(self.next_rip))
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
        self._require_inside(value)
        self.push(self.const(self.next_rip))
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
        self._require_inside(target)
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
