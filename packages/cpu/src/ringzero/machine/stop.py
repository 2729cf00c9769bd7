"""Why a run ended: a value that says it in words, in numbers and by name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class StopReason(Enum):
    """What ended a run."""

    STEP = "step"  # the step or cycle that was asked for
    SYMBOL = "symbol"  # the symbol or address that was asked for, before its instruction
    SERIAL = "serial"  # the serial text that was asked for has been sent
    EXIT = "exit"  # the guest wrote to the debug exit
    RESET = "reset"  # the guest reset the machine (port 92, port 64)
    SHUTDOWN = "shutdown"  # triple fault
    UNSUPPORTED = "unsupported"  # the guest wants something of the architecture that is not here
    HALTED = "halted"  # HLT, and nothing can ever wake it
    LIMIT = "limit"  # max_steps
    RETURNED = "returned"  # a return from an interrupt came back to the place that was asked for
    CALLBACK = "callback"  # a probe's or a listener's callback asked for it


@dataclass(frozen=True)
class Stop:
    """Where a run stands. `value` is what was written to the debug exit; `message` says it in words."""

    reason: StopReason
    step: int
    cycle: int
    message: str
    value: int | None = None
    address: int | None = None

    @property
    def ended(self) -> bool:
        """The machine cannot go on."""
        return self.reason in (
            StopReason.EXIT,
            StopReason.RESET,
            StopReason.SHUTDOWN,
            StopReason.HALTED,
            StopReason.UNSUPPORTED,
        )

    @property
    def exit_status(self) -> int | None:
        """The exit status QEMU would have: `value << 1 | 1`; None when the guest did not exit."""
        return None if self.value is None else (self.value << 1 | 1) & 0xFF

    def to_values(self) -> tuple[Any, ...]:
        """Plain values, for a snapshot."""
        return self.reason.value, self.step, self.cycle, self.message, self.value, self.address

    @classmethod
    def from_values(cls, values: tuple[Any, ...]) -> Stop:
        """From `to_values`."""
        reason, *rest = values
        return cls(StopReason(reason), *rest)

    def __str__(self) -> str:
        return f"{self.message} (step {self.step})"
