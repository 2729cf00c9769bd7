"""Who waits for whom, in words: a thread, what it sleeps on, and when that was last woken.

Rule of this room: a run is played again with probes where the stage list says that threads are switched (`switch`) and
woken (`wakers`); what is told is what they saw. A guest that tells neither gets fewer sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringzero.explore.result import Kind, Trial
from ringzero.explore.sites import called, within
from ringzero.explore.spinning import spinner

if TYPE_CHECKING:
    from ringzero.explore.player import Player
    from ringzero.explore.threads import Thread
    from ringzero.machine.machine import Machine

Note = Callable[["Machine"], object]
NEST = 64  # steps within which a waker that calls another is the one to tell of
LONGEST = 20_000  # steps that are looked at for the moment at which a thread fell asleep
MOST = 8  # threads that are told
BLOCKED = "blocked"


@dataclass(frozen=True)
class Wake:
    """A wake routine was entered: the `order`-th of the list, for an object, by a thread."""

    at: int
    order: int
    name: str
    object: int
    queue: int  # where the wait queue lies that it wakes
    by: str
    asleep: frozenset[int]  # the threads that slept when it came


@dataclass
class Story:
    """What the probes saw of one run."""

    wakes: list[Wake] = field(default_factory=list)
    entered: dict[int, int] = field(default_factory=dict)  # thread: when it last got the processor


def waiting(player: Player, trial: Trial) -> tuple[str, ...]:
    """A sentence for each thread that sleeps when the run has come to its end, and for one that spins.

    Leaves the player somewhere.
    """
    story = watch(player, trial)
    sleepers = [thread for thread in player.threads.all() if thread.state == BLOCKED]
    found = [_sleeper(player, trial, story, thread) for thread in sleepers[:MOST]]
    if len(sleepers) > MOST:
        found.append(f"{len(sleepers) - MOST} more threads sleep")
    if trial.failure is not None and trial.failure.kind is Kind.LIVELOCK:
        found += spinner(player, trial)
    return tuple(found)


def watch(player: Player, trial: Trial) -> Story:
    """Play a run again, and note its switches and wakes. Leaves the player at the run's end."""
    story, machine = Story(), player.machine
    probes = list(_probes(player, story))
    for symbol, callback in probes:
        machine.add_probe(symbol, callback)
    try:
        player.rewind()
        story.entered[player.threads.current] = 0
        player.follow(trial.schedule)
        player.finish()
    finally:
        for symbol, callback in probes:
            machine.remove_probe(symbol, callback)
    return story


def _probes(player: Player, story: Story) -> Iterator[tuple[str, Note]]:
    spec, image = player.experiment.threads, player.machine.image
    if not player.threads.known or image is None:
        return
    if "switch" in spec:
        yield spec["switch"], _note_switch(player, story)
    for order, (symbol, *rest) in enumerate(spec.get("wakers", ())):
        if symbol in image.symbols:
            yield symbol, _note_wake(player, story, order, symbol, *rest)


def _note_switch(player: Player, story: Story) -> Note:
    def note(_: Machine) -> None:
        story.entered[player.threads.current] = player.at

    return note


def _note_wake(player: Player, story: Story, order: int, symbol: str, register: str, offset: int = 0) -> Note:
    def note(machine: Machine) -> None:
        found = machine.registers[register]
        asleep = frozenset(thread.address for thread in player.threads.all() if thread.state == BLOCKED)
        by = player.threads.name()
        story.wakes.append(Wake(player.at, order, symbol, found, found + offset, by, asleep))

    return note


def _fell_asleep(player: Player, trial: Trial, story: Story, thread: Thread) -> int | None:
    """The step at which a thread that sleeps at the end was blocked; None: before the window, or it is not found."""
    entered = story.entered.get(thread.address)
    if entered is None:
        return None
    player.rewind()
    earlier = tuple(place for place in trial.schedule if place.at < entered)
    later = [place for place in trial.schedule if place.at >= entered]
    player.follow(earlier)
    player.advance(entered)
    asleep, found = False, None
    while not player.progress.ended and player.at <= entered + LONGEST:
        if later and later[0].at == player.at:
            player.place(later.pop(0))
        before, asleep = asleep, player.threads.state(thread.address) == BLOCKED
        found = player.at if asleep and not before else found
        if not player.advance(player.at + 1) or (asleep and player.threads.current != thread.address):
            break
    return found


def _sleeper(player: Player, trial: Trial, story: Story, thread: Thread) -> str:
    """One thread that sleeps."""
    what = called(player, thread.waits_on) if thread.waits_on else ""
    told = f"thread {thread} sleeps on `{what}`" if what else f"thread {thread} is blocked, in no wait queue"
    slept = _fell_asleep(player, trial, story, thread)
    wake = _last_wake(story, thread, -1 if slept is None else slept)
    if thread.address not in story.entered:
        told += " since before the window"
    if wake is None:
        return f"{told}; nobody has woken it"
    by = f"`{wake.name}({called(player, wake.object)})` ran in thread {wake.by}"
    if slept is None or wake.at > slept:
        return f"{told}; {by} at step {wake.at:,}, after it slept, and it sleeps on"
    return f"{told}; {by} {_instructions(slept - wake.at)} before it slept"


def _instructions(count: int) -> str:
    return f"{count:,} instruction{'' if count == 1 else 's'}"


def _last_wake(story: Story, thread: Thread, slept: int) -> Wake | None:
    """The last wake for a thread, told by the outermost routine that was at it. One that found the thread in an
    earlier sleep has done its work."""
    found = [
        wake
        for wake in story.wakes
        if _meant(wake, thread) and (wake.at > slept or thread.address not in wake.asleep)
    ]
    last = found[-1] if found else None
    for wake in reversed(found):
        if last and last.at - wake.at <= NEST and wake.order < last.order and wake.by == last.by:
            last = wake
    return last


def _meant(wake: Wake, thread: Thread) -> bool:
    """Whether a wake is for a thread: for itself, for the queue in which it stands, for one that it owns."""
    if thread.address in (wake.object, wake.queue) or thread.waits_on == wake.queue:
        return True
    return not thread.waits_on and within(thread, wake.queue)
