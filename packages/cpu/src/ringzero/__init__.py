"""Ringzero: a deterministic x86-64 machine.

    >>> import ringzero
    >>> ringzero.__version__
    '0.1.0'

The names below are imported when they are first used, so that `import ringzero` costs nothing and the tables can be
read at build time with nothing but the standard library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ringzero.errors import RingzeroError

if TYPE_CHECKING:
    from ringzero.asm import assemble as assemble
    from ringzero.asm import disassemble as disassemble
    from ringzero.asm.image import Image as Image
    from ringzero.machine.machine import Machine as Machine

__version__ = "0.1.0"

_HOMES = {
    "Image": "ringzero.asm.image",
    "Machine": "ringzero.machine.machine",
    "assemble": "ringzero.asm",
    "disassemble": "ringzero.asm",
}

__all__ = ["Image", "Machine", "RingzeroError", "__version__", "assemble", "disassemble"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ringzero' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
