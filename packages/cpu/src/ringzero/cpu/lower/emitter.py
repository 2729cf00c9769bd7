"""Emitting µops: slots, temporaries, constants, forward skips, faults, and calls out of the loop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from ringzero.cpu import mode as M
from ringzero.cpu.lower.symbols import Symbol
from ringzero.cpu.state import FIRST_TEMP, SLOT, TEMPS
from ringzero.cpu.uops.table import NUMBER, PackedUop
from ringzero.isa import record as R
from ringzero.isa.form import Form

M64 = (1 << 64) - 1
ZERO = SLOT["zero"]

System = tuple[Callable[..., None], tuple[Hashable, ...]]


class K(int):
    """A constant value, as opposed to a slot's number."""

    __slots__ = ()


Value = int | K
#: What stands for itself and not for a slot; a Symbol, where a template is learned.
CONSTANTS: tuple[type, ...] = (K, Symbol)
NO_ERROR = K(0)


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


class Emitter:
    """Collects the raw µops of one block for one mode word; see `builder.Builder`."""

    def __init__(self, mode: int, systems: Systems, code_limit: int = M.NO_LIMIT) -> None:
        self.mode = mode
        self.code_limit = M.NO_LIMIT if mode & M.LONG else code_limit
        self.long = bool(mode & M.LONG)
        self.long_active = bool(mode & M.LMA)
        self.protected = bool(mode & M.PROTECTED)
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
        """Start instruction number `index` of the block, at `rip`, an offset in its segment."""
        self.record, self._form, self.rip, self.index = record, form, rip, index
        self.next_rip = rip + record[R.LENGTH] & M.ip_mask(self.mode)
        self.size = record[R.OPSIZE]
        self._next_temp = FIRST_TEMP
        self._moved.clear()

    @property
    def form(self) -> Form:
        """The row of the instruction that is being lowered."""
        assert self._form is not None, "bytes without a row, and microprograms, have no form"
        return self._form

    @staticmethod
    def const(value: int) -> Value:
        """A number as a value."""
        return K(value)

    @staticmethod
    def _immediate(value: int) -> int:
        """A µop's immediate: 64 bits, as a signed number."""
        value &= M64
        return value - (value >> 63 << 64)

    def emit(self, name: str, d: int = 0, a: int = ZERO, b: int = ZERO, scale: int = 0, imm: int = 0) -> None:
        """Append one µop. Temporaries that were turned into a register by `write` must not be named again."""
        assert not (self._moved and ({a, b} & self._moved)), (
            f"{self._form}: a value is used after it was written"
        )
        self.uops.append((NUMBER[name], d, a, b, scale, self.index, self._immediate(imm)))

    def temp(self) -> int:
        """A fresh temporary. They live no longer than their instruction."""
        slot = self._next_temp
        self._next_temp += 1
        assert slot < FIRST_TEMP + len(TEMPS), f"{self._form}: more temporaries than there are"
        return slot

    def slot(self, value: Value) -> int:
        """`value` as a slot: a constant goes to a temporary."""
        if type(value) not in CONSTANTS:
            return value
        if value == 0:
            return ZERO
        t = self.temp()
        self.emit("movi64", t, imm=value)
        return t

    def _binary(self, name: str, width: str, x: Value, y: Value) -> int:
        t = self.temp()
        if type(y) in CONSTANTS:
            self.emit(f"{name}i{width}", t, self.slot(x), imm=y)
        else:
            self.emit(f"{name}{width}", t, self.slot(x), y)
        return t

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

    def system(self, name: str, *args: Hashable) -> None:
        """End the block: the driver does the instruction by calling `system.HANDLERS[name](cpu, *args)`."""
        self.emit("system", imm=self.systems.number(name, args))
        self.ended = True
