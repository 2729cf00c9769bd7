"""The code that decoders are measured on: this host's C library, of which those instructions that the table has."""

from __future__ import annotations

import re
from functools import cache

from ringzero_tests.realcode import library, section


@cache
def instructions() -> tuple[bytes, ...]:
    """Each instruction of the library that the table has, in order; none where there is no library."""
    from ringzero.isa.decode import decode
    from ringzero.isa.record import FORM, INVALID_FORM, LENGTH

    path, at, found = library(), 0, []
    code = section(path) if path else b""
    for record in decode(code, 64):
        if record[FORM] != INVALID_FORM:
            found.append(code[at : at + record[LENGTH]])
        at += record[LENGTH]
    return tuple(found)


def release() -> str:
    """What the code is, for the report: the file and the release that it tells of itself."""
    path = library()
    found = re.search(rb"GNU C Library[^\n]*", path.read_bytes()) if path else None
    return f"{path}: {found[0].decode().strip() if found else 'a C library'}"
