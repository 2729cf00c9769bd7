"""What runs between an interrupt and the moment at which the interrupted code goes on: a slice.

An interrupt may be moved past an instruction with which its slice does not conflict, exact byte for exact byte: either
order leads to the same state. A slice is the handler alone, or, when the handler switches threads, everything up to the
switch back; with further interrupts placed inside, it is what it is with them.

It may not be moved at all (`None`) when it never comes back, when it gives other registers back than it took, when
something came free inside it, when a device counts on time, or when it writes where code is: what is fetched is in
no footprint.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.explore.player import Player
from ringzero.explore.schedule import Schedule
from ringzero.machine.accesses import Accesses
from ringzero.machine.footprint import Footprint, Ranges, footprint
from ringzero.machine.memory import CODE


@dataclass(frozen=True)
class Slice:
    """`end`: the step of the window at which the interrupted code goes on. `dead`: bytes below its stack pointer.

    `quiet`: every device is as it was.
    """

    accesses: Accesses
    footprint: Footprint
    end: int
    dead: tuple[int, int]
    quiet: bool


def play_slice(player: Player, schedule: Schedule, index: int) -> Slice | None:
    """Play a schedule up to where the slice of one of its placements ends. The player stands there, or at the end."""
    player.rewind()
    if not player.follow(schedule[:index]) or not player.advance(schedule[index].at):
        return None
    machine, registers = player.machine, player.machine.registers
    before = machine.cpu.hashed_state()
    rip, rsp = registers["rip"], registers["rsp"]
    free, devices = len(player.progress.breaks), machine.platform.state.hashed()
    machine.record_accesses()
    try:
        player.place(schedule[index])
        back = player.follow(schedule[index + 1 :]) and player.come_back(rip, rsp)
        accesses = machine.take_accesses()
    finally:
        machine.record_accesses(False)
    moves = back and len(player.progress.breaks) == free and not machine.clock.events()
    if not moves or machine.cpu.hashed_state() != before:
        return None
    touched = footprint(accesses)
    if any(machine.memory.page_flags[first >> 12] & CODE for first, _ in touched.writes):
        return None
    quiet = machine.platform.state.hashed() == devices
    return Slice(accesses, touched, player.at, dead_bytes(player, rsp, touched.writes), quiet)


def dead_bytes(player: Player, rsp: int, written: Ranges) -> tuple[int, int]:
    """The physical bytes that a slice has left below the stack pointer at which the interrupted code goes on.

    They lie without a gap below it: whoever goes on there writes them before he reads them.
    """
    aligned = rsp & ~15  # SDM 3A 6.14.2: 64-bit mode aligns the stack before it pushes the frame
    top = player.machine.cpu.translate(aligned - 1)
    if top is None:
        return (0, 0)
    first = next((start for start, end in written if start <= top < end), top + 1)
    return max(first, top & ~0xFFF), top + 1 + rsp - aligned
