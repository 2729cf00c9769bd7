"""A kernel that comes as a package: what it offers to be explored.

Rule of this room: nothing here knows a kernel. A package names an object of this protocol in the entry-point group
`ringzero.guests`; the entry's name is what users write in place of an image.

    [project.entry-points."ringzero.guests"]
    my-kernel = "my_kernel.explore:GUEST"
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from ringzero.explore.experiment import Experiment


class Guest(Protocol):
    """Makes experiments: threads, clocks and invariants of the kernel are in them."""

    @property
    def bugs(self) -> Sequence[str]:
        """The names of the bugs that a build can put back; empty where there is none."""

    @property
    def source_directories(self) -> Sequence[Path]:
        """Directories in which the image's source files lie, for reports; empty where there are none."""

    def experiments(
        self, *, stages: Sequence[str] = (), bug: str | None = None, everything: bool = False
    ) -> Iterable[Experiment]:
        """One for each stage that is named (a name may be a shell pattern, `wq-*`), or for all that are worth it.

        With a bug: the image that has it, and the stage where it shows unless stages are named. Raises UsageError
        for a stage or a bug that there is not.
        """
