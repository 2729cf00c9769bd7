"""A hunt: no window is known. Interrupts by chance over a whole run, until one run breaks; then that is made small.

Rule of this room: as in chance.py, a seed is a search; `stop` ends it and never changes what is found on the way.

A run's interrupts come at boundaries of the undisturbed run, drawn evenly. Rounds go deeper: the first plays one run of
one interrupt, the n-th n runs of 1, 2, ... n. An edge that comes where it must wait is latched, as a PIC does. The
timer's own ticks are off from power-on: where the guest halts a tick comes at once, where it spins a fair one comes.

What is found is made small from a snapshot shortly before its first interrupt, as if the window began there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ringzero.errors import UsageError
from ringzero.explore.chance import Chance
from ringzero.explore.experiment import Experiment
from ringzero.explore.explain import explain
from ringzero.explore.minimise import Trials, fewer, minimise
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.result import Counterexample, Counts, Failure, Result, Trial, Verdict
from ringzero.explore.schedule import Placement, Schedule

DEEPEST = 16  # interrupts in one run, at most
BEFORE = 2000  # steps before the first interrupt at which the window is made to begin
BEHIND = 10_000  # and behind the failure, at which nobody waits for it any more
SHRINK = 60_000_000  # steps that making a schedule small may play
TELL = 20_000_000  # and each part of explaining it


def depths() -> Iterator[int]:
    """How many interrupts each run gets: 1; 1, 2; 1, 2, 3; ..."""
    deepest = 1
    while True:
        yield from range(1, deepest + 1)
        deepest = min(deepest + 1, DEEPEST)


@dataclass
class Hunt:
    """Plays runs until one breaks the kernel, `runs` are played (0: no limit), or `stop` says so.

    told: what is found is explained. on_progress: called after each run. Raises UsageError for a guest whose
    undisturbed run has no end within the experiment's `max_steps`, or no boundary.
    """

    experiment: Experiment
    seed: int = 0
    runs: int = 0
    told: bool = True
    stop: Callable[[], bool] = lambda: False
    on_progress: Callable[[Counts], object] = lambda counts: None
    counts: Counts = field(default_factory=Counts)
    places: tuple[Placement, ...] = ()
    done: dict[int, int] = field(default_factory=dict)  # how many runs of each depth were played

    def run(self) -> Result:
        """Broken, or not finished: chance never says that a kernel holds."""
        if self.runs < 0:
            raise UsageError(f"runs={self.runs} is not a count of 0 or more")
        player, chance = Player(self.experiment), Chance(self.seed)
        trial = self._play(player, ())
        if trial.failure is None:
            self.places = record_path(player, ()).places
            self.counts += Counts(
                boundaries=len({place.at for place in self.places}), choices=len(self.places)
            )
            if not self.places:
                raise UsageError(f"{self.experiment.name}: no interrupt can come anywhere in the run")
        for number, depth in enumerate(depths(), 1):
            if trial.failure or self.stop() or 0 < self.runs < number:
                break
            trial = self._play(player, self._draw(chance, depth))
            self.done[depth] = self.done.get(depth, 0) + 1
            self.on_progress(self.counts)
        return self._result(player, trial)

    def _play(self, player: Player, schedule: Schedule) -> Trial:
        trial = player.play(schedule)
        self.counts += Counts(covered=1, run=1, steps=trial.steps)
        return trial

    def _draw(self, chance: Chance, depth: int) -> Schedule:
        """So many different places, fewer where the same is drawn twice; of a line with content no more than it has."""
        left = {source.line: len(source.content) or DEEPEST for source in self.experiment.sources}
        drawn: set[Placement] = set()
        for _ in range(depth):
            place = self.places[chance.below(len(self.places))]
            if place not in drawn and left[place.line]:
                drawn.add(place)
                left[place.line] -= 1
        return tuple(sorted(drawn))

    def _result(self, player: Player, trial: Trial) -> Result:
        broken = trial.failure is not None
        return Result(
            name=self.experiment.name,
            verdict=Verdict.BROKEN if broken else Verdict.UNFINISHED,
            bound=0,
            asked=max(self.done, default=0),
            counts=self.counts,
            counterexample=self._counterexample(player, trial) if broken else None,
            remarks=(self._promise(),) if self.done else (),
            engine=player.machine.cpu.engine,
            image_digest=self.experiment.image_digest,
        )

    def _counterexample(self, player: Player, trial: Trial) -> Counterexample:
        trial = shrink(player, trial)
        if self.told:
            return explain(player, trial, 1, minimal=True, allowance=TELL)
        assert trial.failure is not None
        return Counterexample(trial.schedule, trial.failure)

    def chance_of(self, depth: int) -> float:
        """The least probability with which one certain schedule of so many boundaries was among the runs."""
        if depth not in self.done or not self.places:
            return 0.0
        return float(1 - (1 - 1 / len(self.places) ** depth) ** self.done[depth])

    def _promise(self) -> str:
        runs, deepest, width = sum(self.done.values()), max(self.done), len(self.places)
        told = ", ".join(f"of {depth}: {self.chance_of(depth):.2g}" for depth in sorted(self.done)[:2])
        return (
            f"{runs:,} runs by chance, seed {self.seed}, of up to {deepest} interrupts over {width:,} places; "
            f"the probability that one certain schedule is among them, {told}"
        )


def shrink(player: Player, trial: Trial) -> Trial:
    """The smallest schedule found that breaks the kernel in the same way; plays then begin shortly before it.

    What has not gone wrong a while behind the step at which it first did is taken for well here.
    """
    if trial.failure is None or not trial.schedule:
        return trial
    longest = player.max_steps
    player.max_steps = min(longest, trial.steps + BEHIND)
    try:
        cut = tuple(place for place in trial.schedule if place.at < trial.steps)
        schedule = fewer(player, replace(trial, schedule=cut), SHRINK)
        if len(schedule) > 1:
            schedule = _alone(player, schedule, trial.failure) or schedule
        if schedule:
            player.begin_at(max(0, schedule[0].at - BEFORE))
        return minimise(player, replace(trial, schedule=schedule), SHRINK)
    finally:
        player.max_steps = longest


def _alone(player: Player, schedule: Schedule, failure: Failure) -> Schedule:
    """The last interrupt alone, near where it came: those that are left out took steps too. Or nothing."""
    last = schedule[-1]
    player.begin_at(max(0, last.at - BEFORE))
    trials = Trials(player, SHRINK)
    near = [place for place in record_path(player, ()).places if abs(place.at - last.at) <= BEFORE]
    near = [place for place in near if (place.line, place.burst) == (last.line, last.burst)]
    near.sort(key=lambda place: (abs(place.at - last.at), place))
    found = next((place for place in near if trials.breaks((place,), failure)), None)
    player.begin_at(0)
    return () if found is None else (found,)
