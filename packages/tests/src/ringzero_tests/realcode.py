"""Code that a compiler made, from this host: the .text of gcc's cc1, of the C library, of bash."""

from __future__ import annotations

from functools import cache
from glob import glob

from elftools.elf.elffile import ELFFile

_PLACES = ("/usr/lib/gcc/x86_64-linux-gnu/*/cc1", "/lib/x86_64-linux-gnu/libc.so.6", "/bin/bash")


@cache
def text() -> bytes:
    """The machine code of the first that is here; empty where none is."""
    for path in (path for place in _PLACES for path in sorted(glob(place))):
        with open(path, "rb") as file:
            elf = ELFFile(file)
            if elf.get_machine_arch() == "x64" and (section := elf.get_section_by_name(".text")):
                return bytes(section.data())
    return b""
