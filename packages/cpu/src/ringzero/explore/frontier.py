"""Where a search stands between two tasks, and how that is kept in a file.

Rule of this room: a frontier is good for one experiment, one bound and one set of rules; anything else is refused in
one line. It is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringzero.errors import RingzeroError
from ringzero.explore.nodes import Node, Task
from ringzero.explore.result import Counts
from ringzero.explore.schedule import Placement, Schedule
from ringzero.files import read_bounded, write_atomic

VERSION = 2
Keys = tuple[tuple[bytes, int], ...]


class FrontierError(RingzeroError):
    """A file that is no frontier of this search."""


@dataclass(frozen=True)
class Frontier:
    """`depth`: placements of the schedules that are expanded now.

    `judged`: the run without any placement has been. `tasks` are left of this level, `following` are the next level's
    nodes, `known` are states of the levels before, `learned` of this one. `clock`: the declared clock that decides
    something after all, so that nothing is merged.
    """

    depth: int = 0
    judged: bool = False
    tasks: tuple[Task, ...] = ()
    following: tuple[Node, ...] = ()
    counts: Counts = field(default_factory=Counts)
    known: Keys = ()
    learned: Keys = ()
    clock: str = ""

    def save(self, path: str | Path, search: str) -> None:
        """Write a file; `search` says whose it is. Raises FrontierError."""
        body = json.dumps(self._plain(), separators=(",", ":"))
        head = {"ringzero-frontier": VERSION, "search": search, "digest": _digest(body)}
        try:
            write_atomic(path, json.dumps(head) + "\n" + body + "\n")
        except OSError as error:
            raise FrontierError(f"{path}: cannot be written: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | Path, search: str) -> Frontier:
        """Read a file. Raises FrontierError: damaged, or of another search."""
        try:
            head_line, _, body = read_bounded(str(path)).decode().partition("\n")
            head = json.loads(head_line)
            version, owner, digest = head["ringzero-frontier"], head["search"], head["digest"]
        except (ValueError, KeyError, TypeError):
            raise FrontierError(f"{path}: no frontier of a search") from None
        if version != VERSION:
            raise FrontierError(
                f"{path}: a frontier of version {version}; this Ringzero reads {VERSION}; search anew"
            )
        if _digest(body.rstrip("\n")) != digest:
            raise FrontierError(f"{path}: the frontier is cut short or damaged; remove it to search anew")
        if owner != search:
            raise FrontierError(
                f"{path}: the frontier is of another image, window or bound; remove it to search anew"
            )
        return cls._from(json.loads(body))

    def _plain(self) -> dict[str, Any]:
        return {
            "depth": self.depth,
            "judged": self.judged,
            "tasks": [[_plain(task.node), task.first, task.last] for task in self.tasks],
            "following": [_plain(node) for node in self.following],
            "counts": list(self.counts.values()),
            "known": _keys_out(self.known),
            "learned": _keys_out(self.learned),
            "clock": self.clock,
        }

    @classmethod
    def _from(cls, plain: dict[str, Any]) -> Frontier:
        return cls(
            plain["depth"],
            plain["judged"],
            tuple(Task(_node(node), first, last) for node, first, last in plain["tasks"]),
            tuple(_node(node) for node in plain["following"]),
            Counts(*plain["counts"]),
            _keys_in(plain["known"]),
            _keys_in(plain["learned"]),
            plain["clock"],
        )


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _plain(node: Node) -> list[list[Any]]:
    places = [[place.at, place.line, place.burst] for place in node.schedule]
    return [places, list(node.ends), list(node.closes)]


def _node(plain: list[list[Any]]) -> Node:
    places, ends, closes = plain
    schedule: Schedule = tuple(Placement(*place) for place in places)
    return Node(schedule, tuple(ends), tuple(closes))


def _keys_out(keys: Keys) -> list[list[Any]]:
    return [[key.hex(), left] for key, left in keys]


def _keys_in(plain: list[list[Any]]) -> Keys:
    return tuple((bytes.fromhex(key), left) for key, left in plain)
