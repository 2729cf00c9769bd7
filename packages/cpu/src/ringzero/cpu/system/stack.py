"""The stack, for handlers: pushed and read as the mode and the stack segment's width ask."""

from __future__ import annotations

from ringzero.cpu.address.limits import linear
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.processor import Processor
from ringzero.isa.control import ATTR_BIG
from ringzero.isa.names import RSP, SS

M32, M64 = (1 << 32) - 1, (1 << 64) - 1


def stack_mask(cpu: Processor) -> int:
    if cpu.long_code:
        return M64
    return M32 if cpu.words[SLOT["ss_attr"]] & ATTR_BIG else 0xFFFF


def stack_pointer(cpu: Processor) -> int:
    return cpu.words[RSP] & stack_mask(cpu)


def set_stack(cpu: Processor, value: int) -> None:
    mask = stack_mask(cpu)
    keep = cpu.words[RSP] & ~0xFFFF if mask == 0xFFFF else 0
    cpu.words[RSP] = keep | value & mask


def push_all(cpu: Processor, values: tuple[int, ...], size: int) -> None:
    """Push several words of `size` bytes, or fault with none pushed."""
    top, mask = stack_pointer(cpu), stack_mask(cpu)
    places = [linear(cpu.words, SS, top - size * (n + 1) & mask, size, True) for n in range(len(values))]
    for place in places:
        cpu.probe_store(place, size)
    for place, value in zip(places, values, strict=True):
        cpu.store(place, size, value & ((1 << 8 * size) - 1))
    set_stack(cpu, top - size * len(values))


def read_stack(cpu: Processor, count: int, size: int, skipped: int = 0) -> list[int]:
    """The topmost words of `size` bytes below so many bytes, without popping them."""
    top, mask = stack_pointer(cpu) + skipped, stack_mask(cpu)
    return [cpu.load(linear(cpu.words, SS, top + size * n & mask, size), size) for n in range(count)]
