"""What may be wrong with a run, beside what the guest says itself.

Rule of this room: an oracle looks at one state through a `Look` and returns a Failure or None; it changes nothing. A
user's invariant gets the same `Look` and returns what is wrong as a text, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from ringzero.cpu.state import GPRS, SLOT
from ringzero.explore.result import Failure, Kind
from ringzero.explore.schedule import line_name
from ringzero.machine.stop import Stop, StopReason

if TYPE_CHECKING:
    from ringzero.explore.player import Player
    from ringzero.explore.threads import Thread, ThreadTable
    from ringzero.machine.machine import Machine

LAST_LINES = 3
FAILED = "[fail]"  # what a line begins with that tells of a check that failed
GIVEN_BACK = (*GPRS, "fs_base", "gs_base")
#: The same, and where code stands, all at once: every placement asks.
_given_back = itemgetter(*(SLOT[name] for name in GIVEN_BACK))
_place = itemgetter(SLOT["rip"], SLOT["rsp"])
RF = 1 << 16


class Look:
    """One state of the guest, as invariants and predicates see it.

    look.u64("jiffies"), look.u32("cpu0+0x48"), look.read("buffer", 16): memory at symbols or addresses.
    look.threads: every Thread of the stage list's table; look.current: the running one. look.at: steps of the window.
    """

    def __init__(self, machine: Machine, table: ThreadTable, player: Player) -> None:
        self.machine = machine
        self.table = table
        self._player = player

    @property
    def at(self) -> int:
        """Steps since the window's start."""
        return self._player.at

    @property
    def player(self) -> Player:
        """Who plays."""
        return self._player

    def read(self, where: str | int, length: int) -> bytes:
        """Bytes at a symbol, `symbol+offset` or an address. Raises UsageError where nothing is mapped."""
        return self.machine.read_virtual(self.machine.symbol(where), length)

    def u64(self, where: str | int) -> int:
        """Eight bytes, little-endian."""
        return int.from_bytes(self.read(where, 8), "little")

    def u32(self, where: str | int) -> int:
        """Four bytes, little-endian."""
        return int.from_bytes(self.read(where, 4), "little")

    @property
    def threads(self) -> tuple[Thread, ...]:
        """All threads, where the stage list tells how to find them."""
        return self.table.all()

    @property
    def current(self) -> Thread | None:
        """The thread that the guest takes for the running one."""
        return self.table.running()

    @property
    def idle(self) -> bool:
        """The processor is halted."""
        return self.machine.cpu.halted

    def blocked(self) -> tuple[str, ...]:
        """Who sleeps on what, a line each."""
        return tuple(
            f"thread {thread} sleeps on {place.symbol or hex(place.address)}"
            + (f"+{place.offset:#x}" if place.offset else "")
            for thread, place in self.table.waiting()
        )


@dataclass(frozen=True)
class Interrupted:
    """Code that a placed interrupt has interrupted, as it was: what must be so when it goes on."""

    place: tuple[int, int]  # rip and rsp
    owner: tuple[int, int]  # the address space and the thread: another one's code may lie at the same place
    line: int
    values: tuple[int, ...]

    @classmethod
    def now(cls, look: Look, line: int) -> Interrupted:
        """The code that is next."""
        return cls(place(look.machine), owner(look), line, given_back(look.machine))


def place(machine: Machine) -> tuple[int, int]:
    """Where the machine stands: rip and rsp."""
    rip, rsp = _place(machine.cpu.words)
    return rip, rsp


def owner(look: Look) -> tuple[int, int]:
    """Whose code runs: CR3, and the thread that the guest takes for the running one."""
    return look.machine.registers["cr3"], look.table.current


def given_back(machine: Machine) -> tuple[int, ...]:
    """The registers that an interrupt must give back; RF, which only the pushed flags may have, is not looked at."""
    words = machine.cpu.words
    return (*_given_back(words), words[SLOT["rflags"]] & ~RF)


def judge_return(look: Look, before: Interrupted) -> Failure | None:
    """An interrupt has returned: does the interrupted code have its registers?"""
    names, now = (*GIVEN_BACK, "rflags"), given_back(look.machine)
    changed = [
        f"{name}: {was:#x} became {value:#x}"
        for name, was, value in zip(names, before.values, now, strict=True)
        if was != value
    ]
    if not changed:
        return None
    where = look.machine.where()
    message = f"{line_name(before.line)} at {where.symbol}+{where.offset:#x} did not give back {changed[0]}"
    return Failure(Kind.REGISTERS, message, look.at, tuple(changed[1:]))


def judge_state(look: Look) -> Failure | None:
    """The user's invariants."""
    for invariant in look.player.invariants:
        wrong = invariant(look)
        if wrong:
            return Failure(Kind.INVARIANT, str(wrong), look.at)
    return None


def judge_idle(look: Look) -> Failure | None:
    """At HLT with nothing pending: is somebody ready, whom only a tick would help?"""
    current = look.table.current
    for thread in look.threads:
        if thread.state == "ready" and thread.address != current:
            message = f"the processor idles while thread {thread} is ready: only a tick helps it"
            return Failure(Kind.MASKED, message, look.at)
    return None


def judge_end(look: Look, stop: Stop) -> Failure | None:
    """The machine has ended before the window did."""
    experiment = look.player.experiment
    said = look.player.serial.decode("latin-1").splitlines()
    lines = tuple(said[-LAST_LINES:])
    if stop.reason is StopReason.EXIT and stop.exit_status == experiment.success_exit:
        wanted = experiment.until or experiment.until_serial
        if not wanted:
            return None
        return Failure(Kind.MARKER, f"the guest exited well, but {wanted} was not reached", look.at, lines)
    failed = next((line for line in said if line.startswith(FAILED)), None)
    if failed is not None:
        return Failure(Kind.ASSERTION, failed.removeprefix(FAILED).strip(), look.at, lines)
    panic = next((line for line in said if "panic" in line.lower()), "")
    return Failure(Kind.PANIC, panic or stop.message, look.at, lines)
