"""`--trace`: what the machine itself can say while it runs, on standard error, without the guest noticing.

switches      each context switch: step, thread, and the RIP, RSP and RFLAGS that it gets back
interrupts    each interrupt and exception that is delivered: step, vector, error code, where it struck
instructions  each instruction: step, address, symbol, text
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ringzero.errors import RingzeroError, UsageError
from ringzero.machine.position import flags_text, thread_text, word

if TYPE_CHECKING:
    from ringzero.machine.harness import Harness
    from ringzero.machine.machine import Machine

LONGEST_INSTRUCTION = 15

VECTORS = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP",
    12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM",
}  # fmt: skip


def tell(line: str) -> None:
    print(line, file=sys.stderr)


def attach(harness: Harness, kind: str) -> None:
    """Let the harness's machine tell its story. Raises UsageError when it cannot."""
    {"switches": trace_switches, "interrupts": trace_interrupts, "instructions": trace_instructions}[kind](
        harness
    )


def trace_switches(harness: Harness) -> None:
    threads = harness.stages.threads if harness.stages else {}
    if not isinstance(threads.get("switch"), str):
        raise UsageError("--trace switches needs a stage list whose [threads] names the symbol `switch`")

    def switched(machine: Machine) -> None:
        stack = machine.registers["rsp"]
        rip, rflags = (
            saved(machine, stack, threads.get(name)) for name in ("saved_rip_offset", "saved_rflags_offset")
        )
        tell(
            f"{machine.step:>10}  switch to {thread_text(machine, harness.stages)}"
            f"  rip {place_text(machine, rip)}  rsp {stack:#x}  rflags {'?' if rflags is None else flags_text(rflags)}"
        )

    harness.machine.add_probe(threads["switch"], switched)


def saved(machine: Machine, stack: int, offset: Any) -> int | None:
    """A word of the frame that the switch takes up; None where the list does not say, or nothing is mapped."""
    if not isinstance(offset, int):
        return None
    try:
        return word(machine, stack + offset)
    except RingzeroError:
        return None


def place_text(machine: Machine, address: int | None) -> str:
    return "?" if address is None else str(machine.where(address))


def trace_interrupts(harness: Harness) -> None:
    machine = harness.machine

    def delivered(vector: int, error: int | None, rip: int) -> None:
        name = f" {VECTORS[vector]}" if vector in VECTORS else ""
        code = "" if error is None else f" error {error:#x}"
        tell(f"{machine.step:>10}  vector {vector}{name}{code}  at {machine.where(rip)}")

    machine.cpu.on_delivery.append(delivered)


def trace_instructions(harness: Harness) -> None:
    """A step at a time: slow, and exact."""
    harness.before_step = lambda machine: tell(instruction_line(machine))


def instruction_line(machine: Machine) -> str:
    """The instruction that is next."""
    from ringzero.asm import disassemble

    rip = machine.registers["rip"]
    try:
        code = machine.read_virtual(rip, min(LONGEST_INSTRUCTION, 0x1000 - rip % 0x1000))
        text = disassemble(code, mode=mode(machine), address=rip)[0][2]
    except RingzeroError:
        text = "(not readable)"
    return f"{machine.step:>10}  {machine.where()}  {text}"


def mode(machine: Machine) -> int:
    """64 or 32, by CS.L and EFER.LMA."""
    long = machine.registers["efer"] >> 10 & 1 and machine.registers["cs_attr"] >> 9 & 1
    return 64 if long else 32
