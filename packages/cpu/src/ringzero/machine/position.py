"""Where a machine stands, in lines for people: thread, place, registers, back-trace.

Rule of this room: it looks and changes nothing, and it never fails: a guest that has wrecked its stack or its page
tables gets "not readable", not an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.errors import RingzeroError
from ringzero.isa.control import ATTR_BIG, ATTR_LONG, EFER_LMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringzero.machine.machine import Machine
    from ringzero.machine.stages import StageList

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
CONTROL = ("cr0", "cr2", "cr3", "cr4", "efer", "cpl")
FLAGS = {0: "cf", 2: "pf", 4: "af", 6: "zf", 7: "sf", 8: "tf", 9: "if", 10: "df", 11: "of"}
NAME_LIMIT = 32
LONGEST_INSTRUCTION = 15
VECTORS = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP",
    12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM",
}  # fmt: skip


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

    At the symbol `current`, plus `current_offset`, lies the pointer to the running thread's structure; `tid_offset` is
    the place there of its 64-bit number, `name_offset` that of its name, NUL-terminated, at most `name_size` bytes.
    """
    threads = stages.threads if stages else {}
    if not isinstance(threads.get("current"), str):
        return None
    offsets = {key: value for key, value in threads.items() if isinstance(value, int)}
    try:
        thread = word(machine, machine.symbol(threads["current"]) + offsets.get("current_offset", 0))
        if thread == 0:
            return "none yet"
        tid = word(machine, thread + offsets["tid_offset"]) if "tid_offset" in offsets else thread
        name = text(machine, thread + offsets["name_offset"], offsets.get("name_size", NAME_LIMIT))
    except KeyError:
        return f"{tid}"
    except RingzeroError:
        return "not readable"
    return f"{tid} {name}"


def word(machine: Machine, address: int) -> int:
    """Eight bytes of the guest's linear memory. Raises UsageError where nothing is mapped."""
    return int.from_bytes(machine.read_virtual(address, 8), "little")


def text(machine: Machine, address: int, size: int) -> str:
    """A NUL-terminated text of the guest, as far as it is printable."""
    content = machine.read_virtual(address, size).split(b"\0")[0]
    return "".join(character if character.isprintable() else "." for character in content.decode("latin-1"))


def instruction_text(machine: Machine) -> str:
    """The instruction that is next."""
    from ringzero.asm import disassemble

    rip, at = machine.registers["rip"], machine.cpu.where
    try:
        code = machine.read_virtual(at, min(LONGEST_INSTRUCTION, 0x1000 - at % 0x1000))
        return disassemble(code, mode=mode(machine), address=rip)[0][2]
    except RingzeroError:
        return "(not readable)"


def mode(machine: Machine) -> int:
    """64, 32 or 16, by CS.L and EFER.LMA, and CS.D."""
    attr = machine.registers["cs_attr"]
    if machine.registers["efer"] & EFER_LMA and attr & ATTR_LONG:
        return 64
    return 32 if attr & ATTR_BIG else 16
