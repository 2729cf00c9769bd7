"""One candidate to bytes: prefixes, REX, opcode, ModRM, displacement, immediates.

Values that the layout decides leave a `Fixup` behind. A value that a field cannot hold raises NoFit; another candidate
may have a wider field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringzero.asm.candidates import Candidate, field_size
from ringzero.asm.expressions import Address, Scope, Unknown, Value, add, evaluate
from ringzero.asm.operands import FarOperand, ImmOperand, MemOperand, Operand, RegOperand
from ringzero.isa.dectab import ADDRESS16
from ringzero.isa.kinds import Kind
from ringzero.isa.record import NO_REGISTER

if TYPE_CHECKING:
    from ringzero.asm.instruction import Instruction

SEGMENT_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
_MAPS = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
_VEX_PP = {None: 0, 0x66: 1, 0xF3: 2, 0xF2: 3}
_NOT_BEFORE_VEX = b"\x66\xf0\xf2\xf3"


@dataclass(slots=True)
class Fixup:
    """A field that the layout fills: `size` bytes at `offset`; `signed`: the processor sign-extends it.

    `modulo`: bits of the address that the field is added to, which wraps around.
    """

    offset: int
    size: int
    value: Address
    signed: bool
    what: str
    modulo: int = 64


class Encoding:
    """Bytes with the fixups they need."""

    __slots__ = ("code", "fixups")

    def __init__(self, code: bytes, fixups: list[Fixup]) -> None:
        self.code = code
        self.fixups = fixups


class NoFit(Exception):
    """The candidate's field does not hold the value; another one may. `str()` says why."""


def fits(value: int, size: int) -> bool:
    """Whether the number fits the field as signed or as unsigned."""
    return -(1 << (size * 8 - 1)) <= value < (1 << (size * 8))


def fits_signed(value: int, size: int) -> bool:
    """Whether the field, sign-extended, gives the number back."""
    return -(1 << (size * 8 - 1)) <= value < (1 << (size * 8 - 1))


def signed_as(value: int, size: int) -> int:
    """The number as `size` bytes hold it, read as signed."""
    value &= (1 << size * 8) - 1
    return value - (1 << size * 8) if value >> (size * 8 - 1) else value


class Encoder:
    """Encodes one candidate. Fields are filled operand by operand and put together at the end."""

    def __init__(
        self, instruction: Instruction, candidate: Candidate, scope: Scope, values: list[Value]
    ) -> None:
        self.instruction = instruction
        self.candidate = candidate
        self.scope = scope
        self.values = values
        self.mode = instruction.mode
        self.rex = 8 if candidate.wide else 0
        self.need_rex = False
        self.high: str | None = None
        self.reg = candidate.form.digit or 0
        self.rm: int | None = None
        self.memory: tuple[bytes, Value | None, int] | None = None  # ModRM and SIB, displacement and its size
        self.segment: int | None = None
        self.address_prefix, self.address_size = False, 0
        self.opcode = candidate.form.opcode
        self.vvvv = 0
        self.fields: list[tuple[int, Value, bool, str]] = []  # size, value, signed, what
        self.relative_field: tuple[int, Value] | None = None
        self.rip = False

    def encode(self) -> Encoding:
        form = self.candidate.form
        immediates = 0
        for kind, n in zip(self.candidate.kinds, self.candidate.order, strict=True):
            immediates += self._operand(kind, self.instruction.operands[n], self.values[n], immediates)
        code = bytearray(self._head())
        if form.fixed_modrm is not None:
            code.append(form.fixed_modrm)
        elif form.modrm:
            self._modrm(code)
        return self._tail(code)

    # --- operands ---

    def _operand(self, kind: Kind, operand: Operand, value: Value, immediates: int) -> int:
        """Take one operand; returns how many immediate fields it has used."""
        if isinstance(operand, RegOperand):
            if kind.place != "fixed":
                self._register(kind.place, operand)
            return 0
        if isinstance(operand, MemOperand):
            self._take_memory(kind, operand, value)
            return 0
        if isinstance(operand, FarOperand):
            selector = evaluate(operand.selector, self.scope)
            self._field(2 if self.candidate.opsize == 2 else 4, value, False, "offset")
            self._field(2, selector, False, "selector")
            return 1
        if kind.place == "fixed":
            if value != kind.fixed and not isinstance(value, Unknown):
                raise NoFit(f"{value} is not {kind.fixed}")
            return 0
        if kind.holds == "rel":
            self._branch(kind, operand, value)
            return 0
        self._immediate(
            kind, operand, value, field_size(self.candidate.form, immediates, self.candidate.opsize)
        )
        return 1

    def _register(self, place: str, operand: RegOperand) -> None:
        register = operand.register
        number = register.number
        if register.kind == "high":
            self.high = register.name
            number += 4
        elif register.kind == "gpr" and register.size == 1 and 4 <= number <= 7:
            self.need_rex = True
        if self.mode != 64 and register.needs_64:
            raise NoFit(
                f"{register.name} does not exist in {self.mode}-bit mode; use `bits 64` or another register"
            )
        bit = {"reg": 4, "rm": 1, "opcode": 1, "vvvv": 0}[place]
        self.rex |= bit if number > 7 else 0
        if place == "reg":
            self.reg = number & 7
        elif place == "rm":
            self.rm = number & 7
        elif place == "vvvv":
            self.vvvv = number
        else:
            self.opcode |= number & 7

    def _immediate(self, kind: Kind, operand: ImmOperand, value: Value, size: int) -> None:
        opsize = self.candidate.opsize
        signed = kind.name == "simm8" or (size == 4 and opsize == 8)
        if isinstance(value, Unknown):
            value = 0
        elif isinstance(value, Address):
            if kind.name == "simm8" and not operand.size == 1:
                raise NoFit("an address does not fit in a byte")
            low_half = self._loads_register() and size == 4 and opsize == 8 and not operand.size
            if self.candidate.zero_extends or low_half:
                raise NoFit("an address needs all 64 bits")
        elif self.candidate.zero_extends:
            if not 0 <= value < 1 << 32:
                raise NoFit("not a number below 2^32")
        elif not self._number_fits(kind, value, size, opsize):
            raise NoFit(_too_wide(value, size, signed))
        elif kind.name == "simm8":
            value = signed_as(value, opsize)
        self._field(size, value, signed, "immediate")

    def _loads_register(self) -> bool:
        return self.candidate.form.mnemonic == "mov" and isinstance(self.instruction.operands[0], RegOperand)

    @staticmethod
    def _number_fits(kind: Kind, value: int, size: int, opsize: int) -> bool:
        if kind.name == "simm8":
            return fits(value, opsize) and fits_signed(signed_as(value, opsize), 1)
        if size == 4 and opsize == 8 and kind.signed:
            return fits_signed(value, 4)
        return fits(value, size)

    def _branch(self, kind: Kind, operand: ImmOperand, value: Value) -> None:
        size = 1 if kind.size == 1 else (2 if self.candidate.opsize == 2 else 4)
        self.relative_field = (size, value)
        if size != 1 or isinstance(value, Unknown):
            return
        delta = add(value, self.scope.here, -1)
        if isinstance(delta, int):
            delta -= 2 + self._prefix_count()
            if fits_signed(delta, 1):
                return
            raise NoFit(
                f"target is {delta:+} bytes away, a short branch reaches -128..127; write near or move it"
            )
        if operand.distance != "short" and self._has_near():
            raise NoFit("the target is in another section")

    def _has_near(self) -> bool:
        return self.instruction.has_near()

    def _prefix_count(self) -> int:
        form = self.candidate.form
        address = form.need_addrsize is not None and form.need_addrsize * 8 != self.mode
        return (
            len(self.instruction.prefixes) + self.candidate.opsize_prefix + address + (form.opcode_map != 0)
        )

    # --- memory ---

    def _take_memory(self, kind: Kind, operand: MemOperand, value: Value) -> None:
        self.segment = operand.segment
        base, index, shift, size = operand.registers(self.scope, self.mode)
        self.address_prefix, self.address_size = size * 8 != self.mode, size
        if kind.place == "moffs":
            self._field(size, value, False, "address")
            return
        for number, bit in ((base, 1), (index, 2)):
            if number is not None and number > 7:
                self.rex |= bit
                if self.mode != 64:
                    raise NoFit(
                        f"r8 to r15 do not exist in {self.mode}-bit mode; use `bits 64` or another register"
                    )
        if base is None and index is None:
            self._absolute(operand, value, size)
        else:
            self._based(operand, base, index, shift, value, size)

    def _absolute(self, operand: MemOperand, value: Value, size: int) -> None:
        relative = self.instruction.relative if operand.relative is None else operand.relative
        if operand.relative is None and operand.segment in (4, 5):
            relative = False
        # Unlike nasm, `rel` with a plain number is obeyed: the number is the address. As in nasm, a symbol that is not
        # known yet is taken for a number, a byte longer: sizes must grow along the same path to the same end.
        number = isinstance(value, int) and operand.relative is not True
        self.rip = self.mode == 64 and relative and not number and not isinstance(value, Unknown)
        if size == 2:
            self._check_displacement(value, size)
            self.memory = (bytes([6]), value, 2)
        elif self.rip or self.mode != 64:
            self.memory = (bytes([5]), value, 4)
        else:
            self._check_displacement(value, size)
            self.memory = (bytes([4, 0x25]), value, 4)

    def _based(
        self, operand: MemOperand, base: int | None, index: int | None, shift: int, value: Value, size: int
    ) -> None:
        self._check_displacement(value, size)
        if size == 2:
            self._based16(operand, base, index, shift, value)
            return
        if base is None:
            assert index is not None
            self.memory = (bytes([4, shift << 6 | (index & 7) << 3 | 5]), value, 4)
            return
        width = self._displacement_size(operand, base, value)
        mod = {0: 0, 1: 0x40, 4: 0x80}[width]
        if index is None and base & 7 != 4:
            head = bytes([mod | base & 7])
        else:
            head = bytes([mod | 4, shift << 6 | (4 if index is None else index & 7) << 3 | base & 7])
        self.memory = (head, value if width else None, width)

    def _based16(
        self, operand: MemOperand, base: int | None, index: int | None, shift: int, value: Value
    ) -> None:
        """bx or bp, si or di, or one of each (SDM 2A table 2-1)."""
        named = sorted(number for number in (base, index) if number is not None)
        pair = (named[0], named[1] if len(named) == 2 else NO_REGISTER)
        if pair not in ADDRESS16 or shift:
            raise NoFit(
                "no such 16-bit address; write bx or bp, si or di, or one of each, or use 32-bit registers"
            )
        width = self._displacement_size(operand, 5 if pair == (5, NO_REGISTER) else 0, value, 2)
        mod = {0: 0, 1: 0x40, 2: 0x80}[width]
        self.memory = (bytes([mod | ADDRESS16.index(pair)]), value if width else None, width)

    @staticmethod
    def _displacement_size(operand: MemOperand, base: int, value: Value, full: int = 4) -> int:
        if operand.disp_size:
            return 1 if operand.disp_size == 1 else full
        if full == 2 and isinstance(value, int):
            value = signed_as(value, 2)
        if not isinstance(value, int) or not fits_signed(value, 1):
            return full
        return 0 if value == 0 and base & 7 != 5 else 1

    @staticmethod
    def _check_displacement(value: Value, size: int) -> None:
        if isinstance(value, int) and not (fits_signed(value, 4) if size == 8 else fits(value, size)):
            how = {8: "sign-extended 32-bit", 4: "32-bit", 2: "16-bit"}[size]
            raise NoFit(f"{value:#x} does not fit in a {how} displacement; load the address into a register")

    # --- putting together ---

    def _field(self, size: int, value: Value, signed: bool, what: str) -> None:
        self.fields.append((size, value, signed, what))

    def _head(self) -> bytes:
        """Prefixes, REX, opcode map and opcode: in nasm's order."""
        form, candidate = self.candidate.form, self.candidate
        head = bytearray(self.instruction.prefixes)
        if self.segment is not None:
            head.append(SEGMENT_PREFIXES[self.segment])
        if candidate.opsize_prefix:
            head.append(0x66)
        forced = 0x67 in self.instruction.prefixes
        needed = form.need_addrsize is not None and form.need_addrsize * 8 != self.mode
        if (self.address_prefix or needed) and not forced:
            head.append(0x67)
        if form.vex:
            return bytes(head) + self._vex()
        if (form.no_prefix or form.no_repeat) and (0xF2 in head or 0xF3 in head):
            raise NoFit(f"rep and repne would make another instruction of {form.mnemonic}; remove the prefix")
        if form.mandatory is not None:
            head.append(form.mandatory)
        if self.rex or self.need_rex:
            if self.high:
                raise NoFit(
                    f"{self.high} cannot stand beside a register that needs REX; use another byte register"
                )
            if self.mode != 64:
                raise NoFit(f"64-bit operands do not exist in {self.mode}-bit mode; use `bits 64`")
            head.append(0x40 | self.rex)
        head += _MAPS[form.opcode_map]
        head.append(self.opcode)
        return bytes(head)

    def _vex(self) -> bytes:
        """The VEX prefix and the opcode (SDM 2A 2.3.5): R, X, B and vvvv are inverted, L is 0."""
        form, rex = self.candidate.form, self.rex
        narrow = self.instruction.opsize == 2
        if narrow or any(prefix in _NOT_BEFORE_VEX for prefix in self.instruction.prefixes):
            raise NoFit(f"{form.mnemonic} takes no prefix but an address size and a segment; remove it")
        last = (rex & 8) << 4 | (~self.vvvv & 15) << 3 | _VEX_PP[form.mandatory]
        return bytes([0xC4, (~rex & 7) << 5 | form.opcode_map, last, self.opcode])

    def _modrm(self, code: bytearray) -> None:
        if self.memory is None:
            code.append(0xC0 | self.reg << 3 | (self.rm or 0))
            return
        head, _, _ = self.memory
        code.append(head[0] | self.reg << 3)
        code += head[1:]

    def _tail(self, code: bytearray) -> Encoding:
        """Displacement, immediates and branch target, with what the layout has to fill in."""
        fixups: list[Fixup] = []
        immediates = sum(size for size, *_ in self.fields)
        if self.memory is not None and self.memory[2]:
            _, value, size = self.memory
            assert value is not None
            end = len(code) + size + immediates
            if self.rip:
                value = self._from_end(value, end)
            signed = self.address_size == 8
            _put(code, fixups, size, value, signed or size == 1, "displacement", 8 * self.address_size)
        for size, value, signed, what in self.fields:
            _put(code, fixups, size, value, signed, what)
        if self.relative_field is not None:
            size, target = self.relative_field
            value = self._from_end(target, len(code) + size)
            _put(code, fixups, size, value, True, "branch", self.candidate.opsize * 8)
        return Encoding(bytes(code), fixups)

    def _from_end(self, target: Value, length: int) -> Value:
        """Distance of the target from the end of the instruction."""
        return add(target, add(self.scope.here, length), -1)


def _put(
    code: bytearray, fixups: list[Fixup], size: int, value: Value, signed: bool, what: str, modulo: int = 64
) -> None:
    if isinstance(value, Unknown):
        code += bytes(size)
    elif isinstance(value, Address):
        fixups.append(Fixup(len(code), size, value, signed, what, modulo))
        code += bytes(size)
    else:
        if modulo < 64:
            value = signed_as(value, modulo // 8)
        if not (fits_signed(value, size) if signed else fits(value, size)):
            raise NoFit(_too_wide(value, size, signed))
        code += (value & ((1 << size * 8) - 1)).to_bytes(size, "little")


def _too_wide(value: int, size: int, signed: bool) -> str:
    how = "sign-extended " if signed else ""
    return f"{value:#x} does not fit in {size * 8} {how}bits; use a smaller value or a wider operand"
