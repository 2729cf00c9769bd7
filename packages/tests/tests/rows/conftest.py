"""The judges and the judged, made once for all tests of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ringzero_tests import engines, silicon


@pytest.fixture(scope="session")
def judge() -> Iterator[silicon.Silicon]:
    """The host's processor."""
    reason = silicon.why_not()
    if reason:
        pytest.skip(reason)
    with silicon.Silicon() as worker:
        yield worker


@pytest.fixture(scope="session")
def runner_of() -> Callable[[str], engines.EngineRunner]:
    """An engine's runner by the engine's name; the test skips where there is no such engine."""
    made: dict[str, engines.EngineRunner] = {}

    def find(engine: str) -> engines.EngineRunner:
        reason = engines.missing(engine)
        if reason:
            pytest.skip(reason)
        if engine not in made:
            made[engine] = engines.EngineRunner(engine)
        return made[engine]

    return find
