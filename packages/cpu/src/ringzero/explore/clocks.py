"""Does a clock decide? Then a state that has come again, clocks apart, proves nothing.

Rule of this room: nothing is played on the player's own machine. A second one is given its state, and the bytes that a
tick reads there are looked at: what it reads of a declared clock, other than to count it, it may act upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.explore.schedule import TIMER
from ringzero.machine.footprint import first_read
from ringzero.machine.machine import Machine

if TYPE_CHECKING:
    from ringzero.explore.player import Player

TICK = 100_000  # steps that a tick from idle to idle may take here


class ClockReader:
    """Plays ticks for a player. Made when it is first needed."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.machine = Machine(player.experiment.image, **player.experiment.machine)

    def tick_reads(self) -> bool:
        """Whether a tick, from where the player stands to where nothing happens any more, reads a clock."""
        clocks = list(self.player.comparer.clocks())
        if not clocks:
            return False
        machine = self.machine
        machine.restore(self.player.machine.snapshot())
        machine.record_accesses()
        try:
            machine.raise_irq(TIMER)
            machine.run(steps=TICK)
            accesses = machine.take_accesses()
            return any(first_read(accesses, clock) is not None for clock in clocks)
        finally:
            machine.record_accesses(False)
