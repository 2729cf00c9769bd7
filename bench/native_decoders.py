"""Decoders that are C libraries, called through a loop in C: what our C core is measured against on its own ground."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Library:
    """`package` is Debian's; `operands` whether the peer also works out every operand."""

    name: str
    define: str
    link: str
    package: str
    operands: bool


LIBRARIES = (
    Library("zydis, operands", "PEER_ZYDIS", "-lZydis", "libzydis-dev", True),
    Library("zydis", "PEER_ZYDIS", "-lZydis", "libzydis-dev", False),
    Library("capstone, operands", "PEER_CAPSTONE", "-lcapstone", "libcapstone-dev", True),
)


@cache
def _build(define: str, link: str) -> Path | str:
    """The peer's loop as a library, or why there is none."""
    if shutil.which("cc") is None:
        return "no C compiler"
    path = Path(tempfile.mkdtemp(prefix="ringzero-bench-")) / f"{define}.so"
    source = Path(__file__).with_name("decoders.c")
    command = ["cc", "-O3", "-shared", "-fPIC", f"-D{define}", str(source), "-o", str(path), link]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    return path if made.returncode == 0 else "it is not installed"


def why_not(library: Library) -> str | None:
    """Why this peer cannot be measured, or None."""
    built = _build(library.define, library.link)
    return f"{built} (Debian's package {library.package})" if isinstance(built, str) else None


def decoder(library: Library, code: bytes) -> Callable[[], int]:
    """Decode all of `code` once a call."""
    built = _build(library.define, library.link)
    assert isinstance(built, Path), built
    function = ctypes.CDLL(str(built)).decode
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    return lambda: int(function(code, len(code), library.operands))
