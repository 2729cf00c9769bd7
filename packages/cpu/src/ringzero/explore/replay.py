"""Replay strings: a schedule as one short line of text, which finds its places again.

    rz1: base64url( image 4 | configuration 4 | places ... | CRC-32 of all before 4 )

    place   what: bits 0-4 the line (16 is the NMI), 5 a burst follows, 6 steps beyond follow, 7 no symbol
            symbol: 3 bytes of its digest, a byte with the length of its beginning, the beginning
              (no symbol: the address, 8 bytes)
            offset, visit [, burst] [, steps beyond]: 7 bits a byte, the lowest first, bit 7 says that more follow

Rule of this room: nothing in a string is a count of steps that a rebuild would change, and of all the texts that could
mean a schedule only one is taken: a text with any byte changed is refused. Of each symbol's name as many letters are
kept as 64 characters have room for, so that people can be told what is gone.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ringzero.errors import RingzeroError, UsageError
from ringzero.explore.experiment import Experiment
from ringzero.explore.schedule import LINES, NMI, Placement, Schedule
from ringzero.explore.sites import FAR, Visit, find_visit, visit_of

if TYPE_CHECKING:
    from ringzero.explore.player import Player

PREFIX = "rz1:"
LONGEST = 64  # characters; beyond, a string belongs in a file
LARGEST = 1 << 20  # characters that are looked at
DIGEST, SYMBOL, CHECK = 4, 3, 4  # bytes
NMI_CODE, BURST, BEYOND, ADDRESS = 16, 1 << 5, 1 << 6, 1 << 7
MOST_BITS = 64


class ReplayError(RingzeroError):
    """A replay string that is damaged, or whose places this build does not have."""


@dataclass(frozen=True)
class Spot:
    """One place. `digest`: of the symbol's name, empty where `offset` is an address; `name`: how the name begins."""

    digest: bytes
    name: str
    offset: int
    visit: int
    beyond: int
    line: int
    burst: int

    def __str__(self) -> str:
        if not self.digest:
            return f"{self.offset:#x}"
        return f"{self.name}…" if self.name else f"a symbol of digest {self.digest.hex()}"


@dataclass(frozen=True)
class Replay:
    """What a replay string says."""

    image: bytes
    configuration: bytes
    spots: tuple[Spot, ...]


# Coding


def digest(name: str) -> bytes:
    """What a string keeps of a symbol's name."""
    return hashlib.sha256(name.encode()).digest()[:SYMBOL]


def to_text(replay: Replay) -> str:
    """The string, with as much of the symbols' names as there is room for, evenly."""
    most = max((len(spot.name.encode()) for spot in replay.spots), default=0)
    lengths = range(most, -1, -1)
    return next(
        (text for n in lengths if len(text := _text(_cut(replay, n))) <= LONGEST), _text(_cut(replay, 0))
    )


def _cut(replay: Replay, letters: int) -> Replay:
    spots = (replace(spot, name=_begin(spot.name, letters)) for spot in replay.spots)
    return Replay(replay.image, replay.configuration, tuple(spots))


def _begin(name: str, size: int) -> str:
    return name.encode()[: min(size, 255)].decode("utf-8", "ignore")


def _text(replay: Replay) -> str:
    content = replay.image + replay.configuration + b"".join(map(_spot, replay.spots))
    content += binascii.crc32(content).to_bytes(CHECK, "little")
    return PREFIX + urlsafe_b64encode(content).decode().rstrip("=")


def _spot(spot: Spot) -> bytes:
    what = NMI_CODE if spot.line == NMI else spot.line
    what |= (BURST if spot.burst > 1 else 0) | (BEYOND if spot.beyond else 0)
    name = spot.name.encode()
    where = spot.digest + bytes([len(name)]) + name + _number(spot.offset)
    if not spot.digest:
        what, where = what | ADDRESS, spot.offset.to_bytes(8, "little")
    more = [spot.visit] + [spot.burst] * (spot.burst > 1) + [spot.beyond] * (spot.beyond > 0)
    return bytes([what]) + where + b"".join(map(_number, more))


def _number(value: int) -> bytes:
    """7 bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def decode(text: str) -> Replay:
    """What a string says. Raises ReplayError, one line, for one that is damaged."""
    text = text.strip(" \r\n")
    if not text.startswith(PREFIX):
        raise ReplayError(f"{text[:LONGEST]!r} is no replay string: they begin with {PREFIX}")
    try:
        found = _parse(text)
    except (ValueError, IndexError):
        raise ReplayError("the replay string is damaged: copy it again, all of it") from None
    return found


def _parse(text: str) -> Replay:
    body = text[len(PREFIX) :]
    if len(text) > LARGEST or not body.isascii():
        raise ValueError
    content = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    content, check = content[:-CHECK], content[-CHECK:]
    if binascii.crc32(content).to_bytes(CHECK, "little") != check or len(content) < 2 * DIGEST:
        raise ValueError
    spots = tuple(_Reader(content, 2 * DIGEST).spots())
    found = Replay(content[:DIGEST], content[DIGEST : 2 * DIGEST], spots)
    if _text(found) != text:  # another text for the same: unused bits, characters that are skipped
        raise ValueError
    return found


class _Reader:
    """Reads places. Raises ValueError and IndexError for what is none."""

    def __init__(self, content: bytes, at: int) -> None:
        self.content = content
        self.at = at

    def spots(self) -> Iterator[Spot]:
        """All that are left."""
        while self.at < len(self.content):
            what = self.take(1)[0]
            line = NMI if what & 0x1F == NMI_CODE else what & 0x1F
            if line not in LINES:
                raise ValueError
            where, name, offset = b"", "", 0
            if what & ADDRESS:
                offset = int.from_bytes(self.take(8), "little")
            else:
                where = self.take(SYMBOL)
                name, offset = self.take(self.take(1)[0]).decode(), self.number()
            visit = self.number()
            burst = self.number() if what & BURST else 1
            beyond = self.number() if what & BEYOND else 0
            yield Spot(where, name, offset, visit, beyond, line, burst)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        found = self.content[self.at : self.at + count]
        if len(found) < count:
            raise IndexError
        self.at += count
        return found

    def number(self) -> int:
        """A number."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > MOST_BITS:
                raise ValueError


# Schedules


def encode(experiment: Experiment, player: Player, schedule: Schedule) -> str:
    """A schedule as a string; more than LONGEST characters belong in a file. Raises UsageError for one that the run
    does not come to. Takes two plays for each placement."""
    spots = tuple(_find_spot(player, schedule[:n], placement) for n, placement in enumerate(schedule))
    return to_text(Replay(*_digests(experiment), spots))


def _digests(experiment: Experiment) -> tuple[bytes, bytes]:
    both = (experiment.image_digest, experiment.configuration_digest)
    image, configuration = (bytes.fromhex(each)[:DIGEST] for each in both)
    return image, configuration


def _find_spot(player: Player, before: Schedule, placement: Placement) -> Spot:
    visit = visit_of(player, before, placement.at)
    place = player.machine.where(visit.address)
    where, name, offset = b"", "", visit.address
    if place.symbol is not None and place.offset < FAR:
        where, name = digest(place.symbol), place.symbol
        if _symbols(player, where, name) == [name] and player.machine.symbol(name) + place.offset == offset:
            offset = place.offset
        else:  # a name that two symbols share, or a digest
            where, name = b"", ""
    return Spot(where, name, offset, visit.number, visit.beyond, placement.line, placement.burst)


def _symbols(player: Player, wanted: bytes, begin: str) -> list[str]:
    """The image's symbols of a digest."""
    image = player.machine.image
    names = (name for name, _ in image.symbols.items()) if image is not None else iter(())
    return [name for name in names if name.startswith(_begin(begin, 255)) and digest(name) == wanted]


def remarks(experiment: Experiment, replay: Replay) -> tuple[str, ...]:
    """What is to be said before a string is played: whether it is of this build and this configuration."""
    image, configuration = _digests(experiment)
    found = []
    if replay.image != image:
        found.append(
            f"the rebuild has made this replay string void: it is of image {replay.image.hex()}…, this is "
            f"{image.hex()}…; its places are looked up by symbol, offset and visit"
        )
    if replay.configuration != configuration:
        found.append(
            "this replay string is of another configuration (machine, command line, window or sources of interrupts)"
        )
    return tuple(found)


def resolve(player: Player, replay: Replay) -> Schedule:
    """The schedule that a string means in this build; see `remarks`. Raises ReplayError for a place that is gone."""
    schedule: Schedule = ()
    for number, spot in enumerate(replay.spots, 1):
        which = f"place {number} of {len(replay.spots)}"
        visit = Visit(_address(player, replay, spot, which), spot.visit, spot.beyond)
        at, visits = find_visit(player, schedule, visit)
        if visits < spot.visit or (schedule and at < schedule[-1].at):
            raise ReplayError(
                f"{which}: the run comes to {player.machine.where(visit.address)} {visits} times, not {spot.visit}"
            )
        schedule = (*schedule, Placement(at, spot.line, spot.burst))
    return schedule


def _address(player: Player, replay: Replay, spot: Spot, which: str) -> int:
    """Where a place is in this build."""
    same = replay.image == _digests(player.experiment)[0]
    if not spot.digest:
        if same:
            return spot.offset
        raise ReplayError(
            f"{which}: {spot} had no symbol in the other build, so it cannot be found in this one"
        )
    names = _symbols(player, spot.digest, spot.name)
    if len(names) != 1:
        raise ReplayError(f"{which}: {spot} is {'ambiguous' if names else 'gone'} in this build")
    try:
        return player.machine.symbol(names[0]) + spot.offset
    except UsageError:
        raise ReplayError(f"{which}: {names[0]} is gone in this build") from None
