"""The assembler and the disassembler: NASM text to images and back, on the rows of the instruction table.

>>> from ringzero.asm import assemble, disassemble
>>> code = assemble("bits 64\\nadd eax, 5", format="bin").binary
>>> code.hex()
'83c005'
>>> disassemble(code)
[(0, b'\\x83\\xc0\\x05', 'add eax, 5')]
"""

from __future__ import annotations

from ringzero.asm.assembly import Assembly, assemble
from ringzero.asm.diagnostics import AssemblyError
from ringzero.asm.disassembler import disassemble
from ringzero.asm.image import Image
from ringzero.errors import ImageError

__all__ = ["Assembly", "AssemblyError", "Image", "ImageError", "assemble", "disassemble"]
