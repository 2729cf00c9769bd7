"""Who spins for what: a thread that goes round and round, and the lock that somebody has not given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.explore.locks import LockWatch, Taken
from ringzero.explore.result import Trial
from ringzero.explore.sites import called, code

if TYPE_CHECKING:
    from ringzero.explore.player import Player

ROUND = 4096  # steps within which a spin has shown all that it does
SHORT = 64  # instructions of a round that is a spin, and not work, where interrupts are on
LONGEST = 20_000  # steps that are looked at for a lock
TRIES = 32  # of one lock, which show that the run has come to its spin


def spinner(player: Player, trial: Trial) -> list[str]:
    """A sentence for the thread that goes round when the run has come to its end; none if it goes far."""
    player.play(trial.schedule)
    name, current = player.threads.name(), player.threads.current
    off = "" if player.machine.interruptible else " with interrupts off"
    places = _round(player)
    if off == "" and len(places) > SHORT:
        return []
    outermost = max(places.values())
    first = min(place for place, rsp in places.items() if rsp == outermost)
    who = f"thread {name}" if name else "the processor"
    return [f"{who} spins{off} at {code(player, first)}{_lock(player, trial, current)}"]


def _round(player: Player) -> dict[int, int]:
    """The instructions of one round, and rsp before each."""
    registers, places = player.machine.registers, dict[int, int]()
    while registers["rip"] not in places and len(places) < ROUND:
        places[registers["rip"]] = registers["rsp"]
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
