"""Commands of other packages: where the entry-point group `ringzero.commands` says they are.

importlib.metadata knows, but takes longer to import than a kernel takes to boot. So what lies beside us is read here,
each installed distribution's own `entry_points.txt`; whoever is not found so is asked for properly.
"""

from __future__ import annotations

import os
import sys

GROUP = "ringzero.commands"


def all_commands() -> dict[str, str]:
    """Every command that an installed distribution adds, and its place, `module:attribute`."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def command(name: str) -> str | None:
    """The place of the command of that name, or None."""
    for folder in sys.path:
        for text in _declared(folder):
            place = _commands(text).get(name)
            if place:
                return place
    return all_commands().get(name)


def _declared(folder: str) -> list[str]:
    """The entry points of the distributions installed in a folder, those that name our group."""
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
    return [text for text in texts if f"[{GROUP}]" in text]


def _commands(text: str) -> dict[str, str]:
    """The group's entries in one file: lines `name = module:attribute` under its heading."""
    found, inside = {}, False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and not line.startswith(("#", ";")):
            name, _, place = line.partition("=")
            found[name.strip()] = place.strip()
    return found
