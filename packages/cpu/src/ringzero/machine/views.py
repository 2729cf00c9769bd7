"""Looking at a machine from outside: symbols, places, virtual memory, back-traces. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ringzero.errors import ImageError, UsageError
from ringzero.machine.memory import PAGE_SIZE, Memory

if TYPE_CHECKING:
    from ringzero.asm.image import Image

Translate = Callable[[int], int | None]
LAST_ADDRESS = (1 << 64) - 1


class Place(NamedTuple):
    """A code address with what the image's symbols and lines say of it."""

    address: int
    symbol: str | None
    offset: int
    line: tuple[str, int] | None

    def __str__(self) -> str:
        text = f"{self.address:#x}"
        if self.symbol is not None:
            text += f" {self.symbol}+{self.offset:#x}" if self.offset else f" {self.symbol}"
        if self.line is not None:
            text += f" ({self.line[0]}:{self.line[1]})"
        return text


def place(image: Image | None, address: int) -> Place:
    """What is known of an address."""
    if image is None:
        return Place(address, None, 0, None)
    try:
        symbol, offset = image.symbols.nearest(address) or (None, 0)
        return Place(address, symbol, offset, image.lines.lookup(address))
    except ImageError:  # damaged symbols do not keep anybody from being told the address
        return Place(address, None, 0, None)


def find_symbol(image: Image | None, where: str | int) -> int:
    """An address from a symbol, `symbol+offset`, a number as text, or an int. Raises UsageError."""
    if isinstance(where, int):
        return where & LAST_ADDRESS
    name, plus, offset = where.partition("+")
    try:
        if name[:1].isdigit():
            return int(where, 0) & LAST_ADDRESS
        extra = int(offset, 0) if plus else 0
    except ValueError:
        raise UsageError(f"{where!r} is no address; write a symbol, symbol+0x10 or 0x100000") from None
    address = image.symbols.address(name) if image is not None else None
    if address is None:
        raise UsageError(f"no symbol {name!r} in {'the image' if image else 'a machine without an image'}")
    return (address + extra) & LAST_ADDRESS


def read_virtual(memory: Memory, translate: Translate, address: int, length: int) -> bytes | None:
    """Bytes at a linear address through the present page tables, or None where something is not mapped to RAM."""
    pieces = []
    while length > 0:
        count = min(length, PAGE_SIZE - address % PAGE_SIZE)
        physical = translate(address & LAST_ADDRESS)
        if physical is None or physical + count > memory.size:
            return None
        pieces.append(memory.read(physical, count))
        address, length = address + count, length - count
    return b"".join(pieces)


def backtrace(memory: Memory, translate: Translate, rip: int, rbp: int, depth: int) -> list[int]:
    """Return addresses along the chain of frames at rbp, `rip` first. Ends where the chain leaves memory or turns."""
    found = [rip]
    while len(found) < depth:
        frame = read_virtual(memory, translate, rbp, 16)
        if frame is None:
            break
        caller, back = int.from_bytes(frame[:8], "little"), int.from_bytes(frame[8:], "little")
        if back == 0:
            break
        found.append(back)
        if caller <= rbp:  # a stack grows down, so a caller's frame lies above
            break
        rbp = caller
    return found
