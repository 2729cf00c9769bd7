"""Code that a compiler made, from this host: the .text of gcc's cc1, of the C library, of bash."""

from __future__ import annotations

import ctypes.util
from functools import cache
from glob import glob
from pathlib import Path

from elftools.elf.elffile import ELFFile

_LIBRARIES = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib")
_COMPILER, _SHELL = "/usr/lib/gcc/x86_64-linux-gnu/*/cc1", "/bin/bash"


@cache
def library() -> Path | None:
    """The C library's file, or None where it is not found."""
    name = ctypes.util.find_library("c") or ""
    return next((path for place in _LIBRARIES if (path := Path(place) / name).is_file()), None)


@cache
def section(path: Path) -> bytes:
    """The .text of an x86-64 ELF file; empty where it has none."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        found = elf.get_section_by_name(".text") if elf.get_machine_arch() == "x64" else None
        return bytes(found.data()) if found else b""


@cache
def text() -> bytes:
    """The machine code of the first that is here; empty where none is."""
    places = [*map(Path, sorted(glob(_COMPILER))), library(), Path(_SHELL)]
    return next((code for path in places if path and path.is_file() and (code := section(path))), b"")
