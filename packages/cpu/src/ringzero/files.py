"""Files for the user: written whole or not at all, and kept where such files are kept."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO

MAX_FILE = 256 << 20
"""Bytes of a file that is read whole."""


def write_atomic(path: Path | str, content: bytes | str) -> None:
    """Replace the file by `content` in one step: a reader sees the old file or the new one, never half of it.

    What is no regular file (a pipe, /dev/null) is written to directly. Raises OSError naming `path`.
    """
    path = Path(path)
    raw = content.encode("utf-8") if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(raw)
        return
    target = Path(os.path.realpath(path))  # a symbolic link keeps pointing where it did
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(raw)
        os.replace(beside, target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def cache_directory() -> Path:
    """The user's directory for what can be made again: `ringzero` under XDG_CACHE_HOME or the system's custom."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):  # the XDG specification: a relative path is to be ignored
        return Path(chosen) / "ringzero"
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA", os.path.expanduser("~/AppData/Local"))) / "ringzero" / "Cache"
        )
    if sys.platform == "darwin":
        return Path(os.path.expanduser("~/Library/Caches")) / "ringzero"
    return Path(os.path.expanduser("~/.cache")) / "ringzero"


def read_bounded(path: Path | str, limit: int = MAX_FILE) -> bytes:
    """A file's content; a device that never ends is no file. Raises OSError naming `path`."""
    with open(path, "rb") as file:
        return _bounded(file, str(path), limit)


def read_standard_input(limit: int = MAX_FILE) -> bytes:
    """All of standard input, which has the bound of a file. Raises OSError."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "Standard input is closed")
    return _bounded(sys.stdin.buffer, "standard input", limit)


def _bounded(file: BinaryIO, name: str, limit: int) -> bytes:
    content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"More than {limit >> 20} MiB", name)
    return content
