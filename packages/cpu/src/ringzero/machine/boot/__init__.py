"""Boot protocols: how an image comes into memory and what the processor finds when it starts there.

Rule of this room: an image is somebody else's input. Everything it says is checked against the machine before a byte is
written, and a refusal is one ImageError line. What comes out is an `EntryState`: registers and segments as data.
"""

from __future__ import annotations

from collections.abc import Callable

from ringzero.errors import ImageError
from ringzero.machine.boot import pvh
from ringzero.machine.boot.entry import BootImage, EntryState
from ringzero.machine.memory import Memory

#: Name, whether an image speaks it, and how it is loaded. The first that fits is taken.
PROTOCOLS: tuple[
    tuple[str, Callable[[BootImage], bool], Callable[[Memory, BootImage, str], EntryState]], ...
] = (("pvh", pvh.speaks, pvh.load),)


def load(memory: Memory, image: BootImage, append: str = "") -> EntryState:
    """Load an image by the first protocol that it speaks. Raises ImageError when it speaks none or does not fit."""
    for _, speaks, loader in PROTOCOLS:
        if speaks(image):
            return loader(memory, image, append)
    names = ", ".join(name for name, _, _ in PROTOCOLS)
    raise ImageError(
        f'the image speaks no boot protocol that is known here ({names}); give it an ELF note "Xen" of type 18 '
        "with its 32-bit entry"
    )
