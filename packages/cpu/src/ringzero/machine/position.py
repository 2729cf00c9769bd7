"""Where a machine stands, in lines for people: thread, place, registers, back-trace.

Rule of this room: it looks and changes nothing, and it never fails: a guest that has wrecked its stack or its page
tables gets "not readable", not an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.errors import RingzeroError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringzero.machine.machine import Machine
    from ringzero.machine.stages import StageList

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
CONTROL = ("cr0", "cr2", "cr3", "cr4", "efer", "cpl")
FLAGS = {0: "cf", 2: "pf", 4: "af", 6: "zf", 7: "sf", 8: "tf", 9: "if", 10: "df", 11: "of"}
NAME_LIMIT = 32


def position_lines(machine: Machine, thread: str | None = None) -> Iterator[str]:
    """A few lines that say where execution is."""
    registers = machine.registers
    yield f"at step {machine.step:,}, rip {machine.where()}"
    if thread:
        yield f"thread {thread}"
    for first in range(0, len(GENERAL), 4):
        yield "    " + "  ".join(f"{name:>3} {registers[name]:016x}" for name in GENERAL[first : first + 4])
    yield f"    rflags {flags_text(registers['rflags'])}  " + " ".join(
        f"{n} {registers[n]:x}" for n in CONTROL
    )
    yield "back-trace:"
    yield from (f"    {place}" for place in machine.backtrace(16))


def flags_text(rflags: int) -> str:
    """The flags that are set.

    >>> flags_text(0x246)
    '246 (pf zf if)'
    """
    return f"{rflags:x} ({' '.join(name for bit, name in FLAGS.items() if rflags >> bit & 1)})"


def thread_text(machine: Machine, stages: StageList | None) -> str | None:
    """Which thread runs, as the stage list's [threads] tells how to find it: `7 worker`; None when it does not say.

    `current` is the symbol of a pointer to the running thread's structure, `id` the offset there of its 64-bit number,
    `name` of its NUL-terminated name, `name_pointer` of a pointer to one.
    """
    threads = stages.threads if stages else {}
    if not isinstance(threads.get("current"), str):
        return None
    try:
        thread = word(machine, machine.symbol(threads["current"]))
        parts = [f"at {thread:#x}"]
        if isinstance(threads.get("id"), int):
            parts = [str(word(machine, thread + threads["id"]))]
        if isinstance(threads.get("name"), int):
            parts.append(text(machine, thread + threads["name"]))
        elif isinstance(threads.get("name_pointer"), int):
            parts.append(text(machine, word(machine, thread + threads["name_pointer"])))
    except RingzeroError:
        return "not readable"
    return " ".join(parts)


def word(machine: Machine, address: int) -> int:
    """Eight bytes of the guest's linear memory. Raises UsageError where nothing is mapped."""
    return int.from_bytes(machine.read_virtual(address, 8), "little")


def text(machine: Machine, address: int) -> str:
    """A NUL-terminated text of the guest, as far as it is printable."""
    content = machine.read_virtual(address, NAME_LIMIT).split(b"\0")[0]
    return "".join(character if character.isprintable() else "." for character in content.decode("latin-1"))
