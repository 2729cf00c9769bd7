"""To the start of a window. Windows that lie one behind the other in the same run share the way.

Rule of this room: a run is a function of its inputs, so that going on from where an earlier window began, or from
power-on, leads to the same state. Kept is the way's end for the latest run only, and only where its start is a text:
the serial bytes so far tell whether that is still to come.
"""

from __future__ import annotations

from typing import Any

from ringzero.errors import UsageError
from ringzero.explore.experiment import MAX_BOOT, Experiment
from ringzero.machine.goal import SerialWatch
from ringzero.machine.machine import Machine
from ringzero.machine.snapshot import Snapshot
from ringzero.machine.stop import StopReason

_latest: dict[str, tuple[Snapshot, bytes]] = {}  # of one run: where it stood, and what it had sent


def enter(machine: Machine, asked: Experiment) -> None:
    """Run a machine at power-on to the start of its window. Raises UsageError for one that is never entered."""
    if asked.start is not None:
        _run(machine, asked.start, until_symbol=asked.start)
    elif asked.start_serial is not None:
        text, run = asked.start_serial.encode(), run_of(asked)
        snapshot, sent = _latest.get(run, (None, b""))
        if snapshot is not None and text not in sent:
            machine.restore(snapshot)
        _run(
            machine,
            repr(asked.start_serial),
            until_serial=SerialWatch(text, machine.serial) if text else text,
        )
        _latest.clear()
        _latest[run] = machine.snapshot(), machine.serial


def run_of(asked: Experiment) -> str:
    """Which run an experiment's window lies in."""
    return f"{asked.image_digest} {sorted((key, repr(value)) for key, value in asked.machine.items())}"


def _run(machine: Machine, wanted: str, **until: Any) -> None:
    stop = machine.run(**until, max_steps=MAX_BOOT)
    if stop.reason not in (StopReason.SYMBOL, StopReason.SERIAL):
        raise UsageError(f"the window is never entered: {wanted} was not reached; {stop.message}")
