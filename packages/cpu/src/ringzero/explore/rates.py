"""Bugs of frequency: not where an interrupt comes matters, but how often. The timer's period is swept.

Rule of this room: a livelock is proved. Two proofs count, and what neither shows nor comes to the window's end within
`TICKS` ticks is told as not decided.

- The compared state at one tick is that at an earlier one. What follows is a function of the state and of when the next
  tick comes; at a tick that is always one period ahead, so the phase of the timer belongs to the state. Nothing between
  the two may have read what the state leaves out.
- *Swamped*: interrupts stay off from a tick's delivery to its return for at least a period, so that the next tick waits
  there already, whatever the phase; and these returns come to a compared state that they had before.

While the processor halts, time goes on and no step is counted: the next tick comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from ringzero.explore.oracles import place
from ringzero.explore.player import Player
from ringzero.explore.schedule import TIMER
from ringzero.machine.accesses import Accesses
from ringzero.machine.stop import StopReason

TICKS = 2_000  # of one run
ROUNDS = 16  # ticks within which a swamped guest must come back to a state
EACH = 256  # periods that are tried one by one
PHASES = 4  # of each of these, evenly spread
LONGEST_HANDLER = 100_000  # steps
NOWHERE = ((-1, -1), b"", 0)  # no place, no state: what is compared with it differs


class Pace(Enum):
    """What a periodic timer makes of a guest."""

    ARRIVES = "arrives"  # at the window's end
    LIVELOCK = "livelock"
    ENDS = "ends otherwise"
    UNDECIDED = "not decided"


@dataclass(frozen=True)
class Sweep:
    """What a sweep found. `longest`: the largest period that livelocks, at some phase that was tried; 0 if none does.
    `shortest`: the smallest longer one that arrives, at each; 0 if none does. `others`: the periods that were tried
    and do neither. `first` and `last`: the range. `each`: all periods of it were tried, else it was halved."""

    first: int
    last: int
    longest: int = 0
    shortest: int = 0
    others: tuple[int, ...] = ()
    runs: int = 0
    each: bool = True

    def __str__(self) -> str:
        if not self.longest:
            return f"none of {self.first} to {self.last} steps livelocks"
        longer = f"{self.shortest} do not" if self.shortest else "no longer period arrives"
        return f"{self.longest} steps livelock, {longer}"


@dataclass
class Metronome:
    """Plays an experiment's window with a tick every so many steps. `stop`: asked before each period."""

    player: Player
    stop: Callable[[], bool] = lambda: False
    runs: int = 0
    _paces: dict[int, Pace] = field(default_factory=dict)

    def sweep(self, first: int, last: int) -> Sweep:
        """Try the periods from `first` to `last`: each, or by halves where they are many."""
        each = last - first < EACH
        if each:
            for period in range(first, last + 1):
                self.of(period)
        else:
            self._halve(first, last, lambda pace: pace is Pace.LIVELOCK)
            self._halve(first, last, lambda pace: pace is not Pace.ARRIVES)
        paces = sorted(self._paces.items())
        longest = max((period for period, pace in paces if pace is Pace.LIVELOCK), default=0)
        shortest = (period for period, pace in paces if pace is Pace.ARRIVES and period > longest)
        others = tuple(period for period, pace in paces if pace not in (Pace.ARRIVES, Pace.LIVELOCK))
        return Sweep(first, last, longest, min(shortest, default=0), others, self.runs, each)

    def _halve(self, first: int, last: int, short: Callable[[Pace], bool]) -> None:
        """Try periods up to two neighbours of which only one is too short, if the range's ends are not alike."""
        if not short(self.of(first, 1)) or short(self.of(last, 1)):
            return
        while last - first > 1:
            middle = (first + last) // 2
            if short(self.of(middle, 1)):
                first = middle
            else:
                last = middle

    def of(self, period: int, phases: int = PHASES) -> Pace:
        """What becomes of the guest at a period: the worst of so many phases. The first tick comes early in the window,
        at the latest a period after its start."""
        if period not in self._paces:
            found = Pace.UNDECIDED if self.stop() else Pace.ARRIVES
            for number in range(phases):
                if found is Pace.LIVELOCK or self.stop():
                    break
                pace = self.pace(period, 1 + number * period // phases)
                found = pace if pace is Pace.LIVELOCK or found is Pace.ARRIVES else found
            self._paces[period] = found
        return self._paces[period]

    def pace(self, period: int, phase: int) -> Pace:
        """Play one period and phase."""
        self.runs += 1
        if self.swamped(period, phase):
            return Pace.LIVELOCK
        player, before = self.player, NOWHERE
        for tick, stop in self._ticks(period, phase):
            if stop not in (StopReason.STEP, StopReason.HALTED):
                return Pace.ARRIVES if stop is StopReason.CALLBACK else Pace.ENDS
            if place(player.machine) == before[0] and player.state_key() == before[1]:
                if self._nothing_else_read(period, phase, before[2], tick):
                    return Pace.LIVELOCK
                before = NOWHERE  # one such proof for each state: they are played from the start
            if not tick & (tick - 1):  # Brent: each is compared with that at the last power of two
                before = place(player.machine), player.state_key(), tick
        return Pace.UNDECIDED

    def _ticks(self, period: int, phase: int) -> Iterator[tuple[int, StopReason]]:
        """Play; stand at each tick just before it comes, and wherever else the machine stops."""
        self.player.rewind()
        machine, wait = self.player.machine, phase
        for tick in range(TICKS):
            yield tick, machine.run(steps=wait).reason
            machine.raise_irq(TIMER)
            wait = period

    def _nothing_else_read(self, period: int, phase: int, first: int, last: int) -> bool:
        """Whether nothing between two ticks, alike, reads what their compared state leaves out. Stands at the last."""
        machine = self.player.machine
        for tick, _ in self._ticks(period, phase):
            if tick == first:
                machine.record_accesses()
            if tick == last:
                return self._clean(self._recorded())
        return False

    def _recorded(self) -> Accesses:
        """The record, which ends."""
        accesses = self.player.machine.take_accesses()
        self.player.machine.record_accesses(False)
        return accesses

    def _clean(self, accesses: Accesses) -> bool:
        """Whether nothing in it reads what is left out of the compared state in which it began, and now ends."""
        comparer = self.player.comparer
        return not comparer.clock_read(accesses) and not comparer.reads_omitted(accesses, accesses.start)

    def swamped(self, period: int, phase: int) -> bool:
        """Whether every tick that returns finds the next one waiting."""
        player, machine = self.player, self.player.machine
        player.rewind()
        machine.run(steps=phase)
        if machine.cpu.halted or not (player.interruptible and machine.would_interrupt(TIMER)):
            return False
        seen: set[bytes] = set()
        for _ in range(ROUNDS):
            key = player.state_key()
            if key in seen:
                return True
            seen.add(key)
            if not self._returns_late(period):
                return False
        return False

    def _returns_late(self, period: int) -> bool:
        """A tick here: whether it comes back after a period or more, all that with interrupts off."""
        machine = self.player.machine
        here, start = place(machine), machine.step
        machine.record_accesses()
        machine.raise_irq(TIMER)
        stop = machine.run(steps=LONGEST_HANDLER, until_return=here)
        accesses = self._recorded()
        late = stop.reason is StopReason.RETURNED and machine.step - start >= period
        open_again = any(window.stop > start + 1 for window in accesses.windows)
        return late and not open_again and self._clean(accesses)
