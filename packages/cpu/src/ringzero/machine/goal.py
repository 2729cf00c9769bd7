"""What a call of `Machine.run` waits for."""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.errors import UsageError
from ringzero.machine.clock import NEVER


@dataclass
class SerialWatch:
    """Looks for a text in the bytes that are sent from now on."""

    text: bytes
    window: bytes = b""
    seen: bool = False

    def byte(self, byte: int) -> bool:
        """One more byte; whether the text ends with it."""
        self.window = (self.window + bytes((byte,)))[-len(self.text) :]
        self.seen = self.seen or self.window == self.text
        return self.seen


@dataclass
class Goal:
    """The ends that were asked for; the first to come counts."""

    step: int = NEVER
    cycle: int = NEVER
    limit: int = NEVER
    address: int | None = None
    symbol: str = ""
    serial: SerialWatch | None = None
    returning: tuple[int, int] | None = None  # rip and rsp


def _count(name: str, value: int | None, now: int = 0) -> int:
    if value is None:
        return NEVER
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"{name}={value!r} is not a count of 0 or more")
    return min(now + value, NEVER)


def make_goal(
    now: int,
    *,
    steps: int | None = None,
    until_step: int | None = None,
    until_cycle: int | None = None,
    until_serial: str | bytes | SerialWatch | None = None,
    until_return: tuple[int, int] | None = None,
    max_steps: int | None = None,
) -> Goal:
    """A goal from `run`'s arguments, at step `now`. Raises UsageError."""
    if until_step is not None and 0 <= until_step < now:
        raise UsageError(
            f"until_step={until_step} has passed: the machine is at step {now}; restore a snapshot first"
        )
    goal = Goal(
        step=min(_count("steps", steps, now), _count("until_step", until_step)),
        cycle=_count("until_cycle", until_cycle),
        limit=_count("max_steps", max_steps),
        returning=until_return,
    )
    if until_serial is not None:
        goal.serial = _watch(until_serial)
    return goal


def _watch(wanted: str | bytes | SerialWatch) -> SerialWatch:
    if isinstance(wanted, SerialWatch):
        return wanted
    text = wanted.encode() if isinstance(wanted, str) else bytes(wanted)
    if not text:
        raise UsageError("until_serial is empty; name the text to wait for")
    return SerialWatch(text)
