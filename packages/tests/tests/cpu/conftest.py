"""The engines that are built here."""

from __future__ import annotations

import pytest

from ringzero.cpu.engine.engines import native_available

NATIVE = pytest.param(
    "native",
    marks=pytest.mark.skipif(not native_available(), reason="the C core is not in this installation"),
)


@pytest.fixture(params=["python", NATIVE], scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine in turn."""
    return str(request.param)
