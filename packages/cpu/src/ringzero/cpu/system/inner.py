"""The stacks of inner levels, which a call gate or a delivery takes from the TSS (SDM 3A 5.8.5, 6.12.1)."""

from __future__ import annotations

from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.state import SLOT
from ringzero.cpu.system.descriptors import Descriptor, put
from ringzero.cpu.system.processor import Processor
from ringzero.cpu.system.segments import stack_segment
from ringzero.cpu.system.stack import push_all
from ringzero.isa.names import RSP, STACK_FAULT, TS

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
TSS_32 = 8  # in a TSS's type: it is not one of the 80286


def push_frame(cpu: Processor, frame: tuple[int, ...], size: int, error: int) -> None:
    """`push_all`, whose #SS tells what was being delivered."""
    try:
        push_all(cpu, frame, size)
    except GuestFault as fault:
        raise GuestFault(
            fault.vector, error if fault.vector == STACK_FAULT else fault.error, fault.address
        ) from None


def _task_stack(cpu: Processor, selector: int, cpl: int, external: int) -> Descriptor:
    """Check the SS that a TSS gives for an inner level (SDM 2A, INT n)."""
    error = selector & 0xFFFC | external
    try:
        found = stack_segment(cpu, selector, cpl, False)
    except GuestFault as fault:
        vector = fault.vector if fault.vector == STACK_FAULT else TS
        raise GuestFault(vector, error) from None
    assert found is not None, "outside 64-bit code no null SS passes"
    return found


def _stack_in_task(cpu: Processor, cpl: int, external: int) -> tuple[int, int]:
    """SP and SS for an inner level, from a 32-bit or a 16-bit TSS (SDM 3A, figures 8-2 and 8-10)."""
    words = cpu.words
    size = 4 if words[SLOT["tr_attr"]] & TSS_32 else 2
    at = size + 2 * size * cpl
    if at + size + 1 > words[SLOT["tr_limit"]]:
        raise GuestFault(TS, words[SLOT["tr_selector"]] & 0xFFFC | external)
    base = words[SLOT["tr_base"]] + at
    return cpu.load(base & M32, size, system=True), cpu.load(base + size & M32, 2, system=True)


def switch_stack(cpu: Processor, cpl: int, frame: tuple[int, ...], size: int, external: int) -> None:
    """Take the stack of an inner level from the TSS and push the frame there."""
    words = cpu.words
    top, selector = _stack_in_task(cpu, cpl, external)
    found = _task_stack(cpu, selector, cpl, external)
    saved = {f: words[SLOT[f"ss_{f}"]] for f in ("selector", "base", "limit", "attr")} | {"rsp": words[RSP]}
    old_cpl = words[SLOT["cpl"]]
    put(cpu, "ss", selector, found)
    words[RSP], words[SLOT["cpl"]] = top, cpl
    try:
        push_frame(cpu, frame, size, selector & 0xFFFC | external)
    except GuestFault:
        words[RSP], words[SLOT["cpl"]] = saved.pop("rsp"), old_cpl
        for field, value in saved.items():
            words[SLOT[f"ss_{field}"]] = value
        raise


def long_stack(cpu: Processor, cpl: int, frame: tuple[int, ...]) -> None:
    """In long mode: RSP from the TSS, a null SS, and the frame (SDM 2A, CALL; 3A 5.8.5.1)."""
    words, entry = cpu.words, 4 + 8 * cpl
    if entry + 7 > words[SLOT["tr_limit"]]:
        raise GuestFault(TS, words[SLOT["tr_selector"]] & 0xFFFC)
    top = cpu.load(words[SLOT["tr_base"]] + entry & M64, 8, system=True)
    places = [top - 8 * (n + 1) & M64 for n in range(len(frame))]
    if not all(is_canonical(place) and is_canonical(place + 7) for place in places):
        raise GuestFault(STACK_FAULT)
    for place in places:
        cpu.probe_store(place, 8, system=True)
    for place, value in zip(places, frame, strict=True):
        cpu.store(place, 8, value, system=True)
    words[RSP] = places[-1]
    for field, value in (("selector", cpl), ("base", 0), ("limit", M32), ("attr", 0)):
        words[SLOT[f"ss_{field}"]] = value
