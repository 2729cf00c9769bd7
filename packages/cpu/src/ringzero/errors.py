"""The errors that are the caller's: bad input, bad usage.

`str()` of one is a single clear line that names the input and the way out; the command line prints it and exits
with 2. A guest's fault is a value, never one of these; any other exception is our bug.
"""

from __future__ import annotations


class RingzeroError(Exception):
    """Bad input or usage. Subclasses say of what kind; `str()` is the line to show."""
