"""Traces: what the machine itself can say while it runs, without the guest noticing.

switches      each context switch: step, thread, and the RIP, RSP and RFLAGS that it gets back
interrupts    each interrupt and exception that is delivered: step, vector, error code, where it struck
instructions  each instruction: step, address, symbol, text

They are structlog events, so that they can be told as lines for people or as JSON for programs. None has a time stamp
but the step: two traces of the same run are the same text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from ringzero.errors import RingzeroError, UsageError
from ringzero.machine.position import VECTORS, flags_text, instruction_text, thread_text, word

if TYPE_CHECKING:
    from ringzero.machine.harness import Harness
    from ringzero.machine.machine import Machine
    from ringzero.machine.stages import StageList

Tell = Callable[..., None]


def attach(harness: Harness, kind: str, form: str = "text") -> None:
    """Let the harness's machine tell its story on standard error. Raises UsageError when it cannot."""
    if kind == "instructions":
        trace_instructions(harness, logger(form))
    else:
        attach_to(harness.machine, harness.stages, kind, form)


def attach_to(machine: Machine, stages: StageList | None, kind: str, form: str = "text") -> None:
    """Let a machine tell of `switches` or `interrupts` on standard error. Raises UsageError when it cannot."""
    tell = logger(form)
    if kind == "switches":
        trace_switches(machine, stages, tell)
    else:
        trace_interrupts(machine, tell)


def logger(form: str) -> Tell:
    """Where events go: a function that takes an event's name and its values."""
    render = structlog.processors.JSONRenderer() if form == "json" else as_text
    log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[render],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    tell: Tell = log.info
    return tell


def as_text(_: Any, __: str, event: structlog.typing.EventDict) -> str:
    """One event as a line."""
    words = (event.get("name"), f"error {event['error']:#x}" if event.get("error") is not None else None)
    tail = "".join(f" {word}" for word in words if word)
    return f"{event['step']:>10}  " + _LINES[event["event"]].format(tail=tail, **event)


_LINES = {
    "switch": "switch to {thread}  rip {rip}  rsp {rsp}  rflags {rflags}",
    "interrupt": "vector {vector}{tail}  at {place}",
    "instruction": "{place}  {text}",
}


def trace_switches(machine: Machine, stages: StageList | None, tell: Tell) -> None:
    threads = stages.threads if stages else {}
    if not isinstance(threads.get("switch"), str):
        raise UsageError("--trace switches needs a stage list whose [threads] names the symbol `switch`")

    def switched(machine: Machine) -> None:
        stack = machine.registers["rsp"]
        rip, rflags = (
            saved(machine, stack, threads.get(name)) for name in ("saved_rip_offset", "saved_rflags_offset")
        )
        tell(
            "switch",
            step=machine.step,
            thread=thread_text(machine, stages),
            rip=place_text(machine, rip),
            rsp=f"{stack:#x}",
            rflags="?" if rflags is None else flags_text(rflags),
        )

    machine.add_probe(threads["switch"], switched)


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


def trace_interrupts(machine: Machine, tell: Tell) -> None:
    def delivered(vector: int, error: int | None, rip: int) -> None:
        tell(
            "interrupt",
            step=machine.step,
            vector=vector,
            name=VECTORS.get(vector),
            error=error,
            place=str(machine.where(rip)),
        )

    machine.cpu.on_delivery.append(delivered)


def trace_instructions(harness: Harness, tell: Tell) -> None:
    """A step at a time: slow, and exact."""

    def next_instruction(machine: Machine) -> None:
        tell("instruction", step=machine.step, place=str(machine.where()), text=instruction_text(machine))

    harness.before_step = next_instruction
