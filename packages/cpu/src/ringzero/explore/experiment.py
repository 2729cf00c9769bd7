"""What is asked of a kernel: an image, a window of its run, what may interrupt it there, and what counts as well.

Rule of this room: an experiment is plain values. It can be pickled and sent to another process or host, which then
gives the same answers; whatever needs a machine is made from it there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringzero.explore.schedule import TIMER, Source

SUCCESS_EXIT = 33
MAX_BOOT = 1_000_000_000


@dataclass(frozen=True)
class Experiment:
    """One question. The window begins at `start`, or when `start_serial` has been sent, and ends before the instruction
    at `until`, when `until_serial` has been sent, or with the guest's exit; the first that is named counts.

    image: an ELF file's content. machine: `Machine`'s own keywords (memory, append, cpu, devices, engine).
    threads, clocks: the stage list's tables; see docs/explore.md. invariants: "module:function", each called with a
    `Look` once per new state; what it returns, if not empty, is what is wrong. success: likewise, at the window's end.
    patience: steps without an interrupt after which a run is looked at for a spin; 0 chooses.
    strict_locks: a lock that is taken in a handler and elsewhere with interrupts on is a failure, and no mere remark.
    """

    name: str
    image: bytes = field(repr=False)
    machine: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    start_serial: str | None = None
    until: str | None = None
    until_serial: str | None = None
    sources: tuple[Source, ...] = (Source(TIMER),)
    burst: int = 1
    threads: Mapping[str, Any] = field(default_factory=dict)
    clocks: Mapping[str, int] = field(default_factory=dict)
    invariants: tuple[str, ...] = ()
    success: str | None = None
    success_exit: int = SUCCESS_EXIT
    max_steps: int = 0
    patience: int = 0
    strict_locks: bool = False

    @property
    def image_digest(self) -> str:
        """Of the image alone."""
        return hashlib.sha256(self.image).hexdigest()

    @property
    def digest(self) -> str:
        """Of all of it."""
        return hashlib.sha256(repr(self).encode() + self.image).hexdigest()

    @property
    def configuration_digest(self) -> str:
        """Of everything else that the runs are a function of; not of how they are judged."""
        asked = (
            sorted((key, repr(value)) for key, value in self.machine.items() if key != "engine"),
            (self.start, self.start_serial, self.until, self.until_serial),
            [(source.line, source.content) for source in self.sources],
            self.burst,
        )
        return hashlib.sha256(repr(asked).encode()).hexdigest()
