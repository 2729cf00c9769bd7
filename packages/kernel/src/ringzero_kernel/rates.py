"""Bugs of frequency: the timer's period is swept, on the kernel with the bug and on the one without it.

Rule of this room: the image is the kernel as it boots, with its own quantum. With a quantum of one tick every tick
switches, and both kernels livelock where a tick's way through the kernel is longer than the period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from ringzero.explore.experiment import Experiment
from ringzero.explore.player import Player
from ringzero.explore.rates import Metronome, Sweep
from ringzero_kernel.bugs import Bug
from ringzero_kernel.build import build
from ringzero_kernel.explore import stage_experiment


@dataclass(frozen=True)
class Rates:
    """Both sweeps."""

    bug: Sweep
    sound: Sweep

    @property
    def why(self) -> str:
        """Why they do not show the bug, or "": it does when it livelocks at a period longer than any of the sound's."""
        first, last = self.bug.first, self.bug.last
        if not self.bug.longest:
            return f"it livelocks at no period from {first} to {last} steps"
        if not self.bug.shortest:
            return f"no period up to {last} steps is long enough for it"
        if self.sound.longest >= self.bug.longest:
            return f"the kernel without it livelocks at periods up to {self.sound.longest} steps too"
        if max(self.sound.others, default=0) >= self.bug.longest:
            return f"the kernel without it does not arrive at a period of {max(self.sound.others)} steps"
        return ""

    def __str__(self) -> str:
        return f"{self.bug}; without it {self.sound}"

    def to_json(self) -> dict[str, Any]:
        """docs/explore.md promises these names."""
        return {"bug": asdict(self.bug), "sound": asdict(self.sound)}


def rates(bug: Bug, stop: Callable[[], bool]) -> Rates:
    """Sweep the bug's range of periods."""
    assert bug.periods is not None
    return Rates(*(Metronome(Player(booted(bug, name)), stop).sweep(*bug.periods) for name in (bug.id, None)))


def booted(bug: Bug, name: str | None) -> Experiment:
    """The bug's scenario on the kernel as it boots, with a bug or without."""
    return replace(stage_experiment(bug.scenario, name), image=build(bug=name).data)
