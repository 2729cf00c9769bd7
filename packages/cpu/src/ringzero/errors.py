"""The errors that are the caller's: bad input, bad usage.

`str()` of one is a single clear line that names the input and the way out; the command line prints it and exits
with 2. A guest's fault is a value, never one of these; any other exception is our bug.
"""

from __future__ import annotations


class RingzeroError(Exception):
    """Bad input or usage. Subclasses say of what kind; `str()` is the line to show."""


class UsageError(RingzeroError):
    """An option or an argument that cannot be used."""


class ImageError(RingzeroError):
    """An image that cannot be loaded: not an ELF file, damaged, or not fit for this machine."""


class StagesError(RingzeroError):
    """A list of stages that cannot be used."""


class SnapshotError(RingzeroError):
    """A snapshot file that cannot be read here: another format, cut short, damaged, or of another machine."""
