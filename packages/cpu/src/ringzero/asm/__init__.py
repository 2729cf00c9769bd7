"""The assembler and the disassembler: NASM text to images and back, on the rows of the instruction table.

    >>> from ringzero.asm import assemble, disassemble
    >>> code = assemble("bits 64\\nadd eax, 5", format="bin").binary
    >>> code.hex()
    '83c005'
    >>> disassemble(code)
    [(0, b'\\x83\\xc0\\x05', 'add eax, 0x5')]

The names below are imported when they are first used: a boot reads an image and needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ringzero.errors import ImageError

if TYPE_CHECKING:
    from ringzero.asm.assembly import Assembly as Assembly
    from ringzero.asm.assembly import assemble as assemble
    from ringzero.asm.diagnostics import AssemblyError as AssemblyError
    from ringzero.asm.disassembler import disassemble as disassemble
    from ringzero.asm.image import Image as Image

_HOMES = {
    "Assembly": "ringzero.asm.assembly",
    "AssemblyError": "ringzero.asm.diagnostics",
    "Image": "ringzero.asm.image",
    "assemble": "ringzero.asm.assembly",
    "disassemble": "ringzero.asm.disassembler",
}

__all__ = ["Assembly", "AssemblyError", "Image", "ImageError", "assemble", "disassemble"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ringzero.asm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
