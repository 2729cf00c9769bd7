"""Who spins for what: a thread that goes round with interrupts off, and the lock that somebody has not given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.explore.locks import LockWatch, Taken
from ringzero.explore.result import Trial
from ringzero.explore.sites import called, code

if TYPE_CHECKING:
    from ringzero.explore.player import Player

ROUND = 4096  # steps within which a spin has shown all that it does
LONGEST = 20_000  # steps that are looked at for a lock
TRIES = 32  # of one lock, which show that the run has come to its spin


def spinner(player: Player, trial: Trial) -> list[str]:
    """A sentence for the thread that spins at the end of a run with interrupts off; none where they are on."""
    player.play(trial.schedule)
    if player.machine.interruptible:
        return []
    name = player.threads.name()
    who = f"thread {name}" if name else "the processor"
    told = f"{who} spins with interrupts off at {code(player, min(_round(player)))}"
    return [told + _lock(player, trial, player.threads.current)]


def _round(player: Player) -> list[int]:
    """The instructions of one round."""
    places: list[int] = []
    while (address := player.machine.registers["rip"]) not in places and len(places) < ROUND:
        places.append(address)
        player.machine.run(steps=1)
    return places


def _lock(player: Player, trial: Trial, spins: int) -> str:
    """`for` which lock it spins, and who holds that since when; nothing if it is none."""
    watch, taken_at = LockWatch(player.machine), dict[int, int]()
    waiting = list(trial.schedule)
    player.rewind()
    while not player.progress.ended and player.at <= LONGEST:
        if waiting and waiting[0].at == player.at:
            player.place(waiting.pop(0))
        at, owner, rip = player.at, player.threads.current, player.machine.registers["rip"]
        watch.before()
        player.advance(at + 1)
        if any(kind == "lock" for kind, _ in watch.after(at, owner, False)):
            taken_at[at] = rip
        stuck = next((taken for taken in watch.held.values() if taken.tries >= TRIES), None)
        if stuck is not None:
            return _held(player, stuck, spins, taken_at[stuck.first])
    return ""


def _held(player: Player, taken: Taken, spins: int, rip: int) -> str:
    holder = player.threads.read(taken.owner, 0)
    who = "it holds itself" if taken.owner == spins or holder is None else f"thread {holder} holds"
    since = f"since step {taken.first:,}, at {code(player, rip)}"
    return f" for `{called(player, taken.address)}`, which {who} {since}"
