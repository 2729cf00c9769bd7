"""Real code to decode and to lower: the C library of this host, of which those instructions that the table has."""

from __future__ import annotations

import ctypes.util
import re
from functools import cache
from pathlib import Path

_PLACES = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib")


@cache
def library() -> Path | None:
    """The C library's file, or None where it is not found."""
    name = ctypes.util.find_library("c") or ""
    return next((path for place in _PLACES if (path := Path(place) / name).is_file()), None)


@cache
def text() -> bytes:
    """Its .text section."""
    from elftools.elf.elffile import ELFFile

    path = library()
    assert path is not None
    with path.open("rb") as file:
        return bytes(ELFFile(file).get_section_by_name(".text").data())


@cache
def instructions() -> tuple[bytes, ...]:
    """Each instruction of the library that the table has, in order. What is no instruction of ours is left out."""
    from ringzero.isa.decode import decode
    from ringzero.isa.record import FORM, INVALID_FORM, LENGTH

    code, at, found = text(), 0, []
    for record in decode(code, 64):
        if record[FORM] != INVALID_FORM:
            found.append(code[at : at + record[LENGTH]])
        at += record[LENGTH]
    return tuple(found)


def release() -> str:
    """What the code is, for the report: the file and the compiler's version that it tells."""
    found = re.search(rb"GNU C Library[^\n]*", library().read_bytes()) if library() else None  # type: ignore[union-attr]
    return f"{library()}: {found[0].decode().strip() if found else 'a C library'}"
