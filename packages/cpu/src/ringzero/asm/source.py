"""Reading source files: bounded, and a Mistake with a way out for whatever can go wrong."""

from __future__ import annotations

from pathlib import Path

from ringzero.asm.diagnostics import Mistake

MAX_FILE = 1 << 24
"""Bytes of one source file."""


def read_file(name: str, path: Path) -> bytes:
    """The file's bytes, at most MAX_FILE of them."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Mistake(f"{name}: {error.strerror or error}; check the path") from None
    if len(data) > MAX_FILE:
        raise Mistake(f"{name}: more than {MAX_FILE} bytes; split the file")
    return data


def decode_source(data: bytes, name: str) -> str:
    """The text of a source file: UTF-8, with or without a mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Mistake(f"{name}: byte {error.start} is not UTF-8; save the source as UTF-8") from None
