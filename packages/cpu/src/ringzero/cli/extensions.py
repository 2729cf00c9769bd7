"""What other packages add: where the entry-point groups say it is.

`ringzero.commands` names click commands; `ringzero.guests` names kernels that come as a package, each an
`explore.guest.Guest`: what users write in place of an image.

importlib.metadata knows, but takes longer to import than a kernel takes to boot. So what lies beside us is read here,
each installed distribution's own `entry_points.txt`; whoever is not found so is asked for properly.
"""

from __future__ import annotations

import os
import sys

COMMANDS = "ringzero.commands"
GUESTS = "ringzero.guests"


def every(group: str) -> dict[str, str]:
    """Everything that installed distributions add to a group, and its place, `module:attribute`."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=group)}


def find(group: str, name: str) -> str | None:
    """The place of what has that name in a group, or None."""
    for folder in sys.path:
        for text in _declared(folder, group):
            place = _entries(text, group).get(name)
            if place:
                return place
    return every(group).get(name)


def _declared(folder: str, group: str) -> list[str]:
    """The entry points of the distributions installed in a folder, those that name the group."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # no folder: an archive, or nothing
        return []
    texts = []
    for name in names:
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        try:
            with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:
                texts.append(file.read())
        except (OSError, UnicodeDecodeError):  # most have none
            continue
    return [text for text in texts if f"[{group}]" in text]


def _entries(text: str, group: str) -> dict[str, str]:
    """The group's entries in one file: lines `name = module:attribute` under its heading."""
    found, inside = {}, False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and not line.startswith(("#", ";")):
            name, _, place = line.partition("=")
            found[name.strip()] = place.strip()
    return found
