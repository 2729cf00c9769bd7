"""Schedules by chance, where there are too many to play all: what is found is shrunk, what is not found is a number.

Rule of this room: chance is an input. The numbers are those of SplitMix64 from a seed; the same seed plays the same
schedules, everywhere.

As many interrupts as `depth` says are placed one behind the other: each at one of the places, drawn evenly, that can
follow in the run so far. With at most k places to draw from, one schedule of that depth is drawn with a probability of
at least 1/k^depth. (PCT's 1/(n k^(d-1)) is for a scheduler that draws the threads' priorities too; here the guest
chooses who comes next, and every one of the interrupts has to hit.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ringzero.errors import UsageError
from ringzero.explore.experiment import Experiment
from ringzero.explore.minimise import minimise
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Counterexample, Counts, Result, Trial, Verdict
from ringzero.explore.schedule import Schedule

M64 = (1 << 64) - 1
SHRINK = 50_000_000  # steps that making a schedule smaller may cost


@dataclass
class Chance:
    """SplitMix64."""

    state: int

    def bits(self) -> int:
        """The next 64 bits.

        >>> hex(Chance(0).bits())
        '0xe220a8397b1dcdaf'
        """
        self.state = self.state + 0x9E3779B97F4A7C15 & M64
        mixed = (self.state ^ self.state >> 30) * 0xBF58476D1CE4E5B9 & M64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & M64
        return mixed ^ mixed >> 31

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1; the bias is at most limit / 2^64."""
        return self.bits() % limit


@dataclass
class RandomSearch:
    """Plays schedules of `depth` interrupts until one breaks the kernel, `runs` are played, or `stop` says so."""

    experiment: Experiment
    depth: int
    seed: int = 0
    runs: int = 1000
    stop: Callable[[], bool] = lambda: False
    on_progress: Callable[[Counts], object] = lambda counts: None
    most: int = 0  # places that were drawn from at once

    def run(self) -> Result:
        """Broken, or not finished with the probability in its remarks: chance never says that a kernel holds."""
        if self.depth < 1:
            raise UsageError(f"depth={self.depth}: at least one interrupt is placed")
        player, chance = Player(self.experiment), Chance(self.seed)
        trial = player.play(())
        counts = Counts(run=1, covered=1, steps=trial.steps)
        done = 0
        while trial.failure is None and done < self.runs and not (done and self.stop()):
            trial = player.play(self._draw(player, chance))
            done += 1
            counts += Counts(run=1, covered=1, steps=trial.steps)
            self.on_progress(counts)
        found = minimise(player, trial, SHRINK) if trial.failure and trial.schedule else trial
        return self._result(player, found, counts, done)

    def _draw(self, player: Player, chance: Chance) -> Schedule:
        schedule: Schedule = ()
        while len(schedule) < self.depth:
            places = record_path(player, schedule).places
            if not places:
                break
            self.most = max(self.most, len(places))
            schedule = (*schedule, places[chance.below(len(places))])
        return schedule

    @property
    def promise(self) -> float:
        """The least probability with which one play is one certain schedule of this depth."""
        return 1 / self.most**self.depth if self.most else 0.0

    def _result(self, player: Player, trial: Trial, counts: Counts, done: int) -> Result:
        broken = trial.failure is not None
        return Result(
            name=self.experiment.name,
            verdict=Verdict.BROKEN if broken else Verdict.UNFINISHED,
            bound=0,
            asked=self.depth,
            counts=counts,
            counterexample=Counterexample(trial.schedule, trial.failure) if trial.failure else None,
            remarks=(self._told(done),),
            engine=player.machine.cpu.engine,
            image_digest=self.experiment.image_digest,
        )

    def _told(self, done: int) -> str:
        together = 1 - (1 - self.promise) ** done
        return (
            f"{done:,} schedules by chance, seed {self.seed}: each is a certain one of depth {self.depth} with a "
            f"probability of at least {self.promise:.3g}, and one of them is with {together:.3g}"
        )
