"""What a line of source becomes: items that every pass runs again.

`run(state)` puts the item at the present offset: it moves the offset by its size, and in the last pass also emits
bytes and fixups. An item may be run many times with other symbol values each time; only the last one's mistakes
about values are true, so earlier passes must not raise for a value that is only not known yet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ringzero.asm.diagnostics import Location, Mistake
from ringzero.asm.encoder import Fixup, fits
from ringzero.asm.expressions import Node, Scope, Unknown, scalar
from ringzero.asm.instruction import Instruction
from ringzero.asm.sections import Section

if TYPE_CHECKING:
    from ringzero.asm.assembler import State

MAX_TIMES = 1 << 18
"""Repetitions, all together, of what depends on its place: each is run by itself in every pass."""


class Item(Protocol):
    """Anything that stands on a line."""

    def run(self, state: State) -> None:
        """Place the item; in the last pass, emit it."""


@dataclass(slots=True)
class Label:
    """name: the address of this place."""

    name: str

    def run(self, state: State) -> None:
        state.define(self.name, state.here())


@dataclass(slots=True)
class Equ:
    """name equ expression."""

    name: str
    node: Node

    def run(self, state: State) -> None:
        state.define(self.name, state.value(self.node))


@dataclass(slots=True)
class Code:
    """An instruction."""

    instruction: Instruction

    def run(self, state: State) -> None:
        instruction = self.instruction
        if not instruction.static:
            state.scope.here = state.here()
        if state.last:
            encoding = state.known(instruction.encode)
            state.put(encoding.code, encoding.fixups, True)
        else:
            state.advance(instruction.size(state.scope))


@dataclass(slots=True)
class Data:
    """db, dw, dd, dq: `values` are bytes, or expressions of `size` bytes each."""

    size: int
    values: list[bytes | Node]
    length: int
    constant: bytes | None = None

    def run(self, state: State) -> None:
        if not state.last:
            state.advance(self.length)
            return
        if self.constant is None:
            code, fixups = self._emit(state)
            state.put(code, fixups, False)
        else:
            state.put(self.constant, (), False)

    def _emit(self, state: State) -> tuple[bytes, list[Fixup]]:
        state.scope.here = state.here()
        code, fixups = bytearray(), list[Fixup]()
        for node in self.values:
            if isinstance(node, bytes):
                code += node
                continue
            value = state.value(node)
            if not isinstance(value, int):
                fixups.append(Fixup(len(code), self.size, value, False, "data"))
                value = 0
            code += number_bytes(value, self.size)
        return bytes(code), fixups


def number_bytes(value: int, size: int) -> bytes:
    """The number in `size` bytes; Mistake when it needs more."""
    if not fits(value, size):
        word = {1: "db", 2: "dw", 4: "dd", 8: "dq"}[size]
        wider = {1: "dw", 2: "dd", 4: "dq", 8: "a smaller value"}[size]
        raise Mistake(f"{value:#x} does not fit in {size * 8} bits of {word}; mask it or use {wider}")
    return (value & ((1 << size * 8) - 1)).to_bytes(size, "little")


def data(size: int, values: list[bytes | Node]) -> Data:
    """A Data item; its bytes are made at once when no symbol is in it."""
    length = sum(len(v) if isinstance(v, bytes) else size for v in values)
    if all(isinstance(v, bytes | int) for v in values):
        code = b"".join(v if isinstance(v, bytes) else number_bytes(v, size) for v in values)
        return Data(size, values, length, code)
    return Data(size, values, length)


def float_bytes(text: str, size: int) -> bytes:
    """IEEE single or double of a decimal token."""
    if size not in (4, 8):
        raise Mistake(f"{text}: a floating-point number is written with dd or dq")
    try:
        return struct.pack("<f" if size == 4 else "<d", float(text.replace("_", "")))
    except (ValueError, OverflowError):
        raise Mistake(f"{text} is not a floating-point number of {size * 8} bits") from None


@dataclass(slots=True)
class Reserve:
    """resb, resw, resd, resq: `node` units of `size` bytes."""

    size: int
    node: Node

    def run(self, state: State) -> None:
        count = state.count(self.node, "the number of units reserved")
        state.reserve(count * self.size)


@dataclass(slots=True)
class Align:
    """align and alignb: fill up to a multiple of `node`, counted from the section's start, with `fill` or zeroes."""

    node: Node
    fill: Item | None

    def run(self, state: State) -> None:
        step = state.count(self.node, "an alignment")
        if step == 0 or step & (step - 1):
            raise Mistake(f"align {step} is not a power of two; write 2, 4, 8, 16 …")
        if step > 1 << 30:
            raise Mistake(f"align {step} is too much; at most 1 GiB")
        state.align_section(step)
        padding = -state.offset() % step
        if self.fill is None or state.holds_nothing():
            state.reserve(padding)
        else:
            state.repeat(self.fill, padding)


@dataclass(slots=True)
class SectAlign:
    """sectalign: raise the section's alignment, fill nothing."""

    node: Node

    def run(self, state: State) -> None:
        state.align_section(state.count(self.node, "an alignment"))


@dataclass(slots=True)
class Times:
    """times expression item."""

    node: Node
    item: Item

    def run(self, state: State) -> None:
        state.scope.here = state.here()
        value = scalar(state.value(self.node), "times")
        if value < 0:
            raise Mistake(f"times {value} is negative; what stands before is longer than planned")
        state.repeat(self.item, value)


@dataclass(slots=True)
class Switch:
    """section: what follows goes there."""

    section: Section

    def run(self, state: State) -> None:
        state.enter(self.section)


@dataclass(slots=True)
class Absolute:
    """absolute and struc: what follows is counted from `node` and goes nowhere."""

    node: Node

    def run(self, state: State) -> None:
        value = state.value(self.node)
        if isinstance(value, Unknown):
            scalar(value, "absolute")
        state.enter_absolute(value)


@dataclass(slots=True)
class Row:
    """One line of the listing: where its bytes stand. `section` None: nowhere."""

    where: Location
    section: Section | None
    start: int
    end: int
    code: bool


REPEATABLE = (Code, Data, Reserve, Align, Times)
"""What `times` may stand before."""


def constant_bytes(item: Item) -> bytes | None:
    """The bytes of an item that are the same at every place, if they are."""
    if isinstance(item, Data):
        return item.constant
    if isinstance(item, Code) and item.instruction.static:
        return item.instruction.encode(Scope()).code
    return None


def constant_size(item: Item) -> int | None:
    """The number of bytes that an item always has."""
    if isinstance(item, Data):
        return item.length
    code = constant_bytes(item)
    return None if code is None else len(code)
