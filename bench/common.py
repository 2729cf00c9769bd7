"""Names that the benchmarks share; `PYTHONPATH=bench` finds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

Measure = Callable[..., Any]


def native_missing() -> str | None:
    """Why the native engine cannot be measured, or None."""
    try:
        import ringzero._native  # noqa: F401 - only whether it is there
    except ImportError as error:
        return str(error)
    return None


needs_native = pytest.mark.skipif(
    native_missing() is not None, reason=f"no native engine: {native_missing()}"
)
needs_nasm = pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")
