"""A few seconds of each fuzzer, so that its targets keep building; for longer: `python -m ringzero_tests.fuzz`."""

from __future__ import annotations

import pytest

from ringzero_tests import fuzz


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    reason = fuzz.why_not()
    if reason:
        pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_a_short_run_finds_nothing(target: str) -> None:
    done = fuzz.run(target, seconds=10)
    assert done.status == 0, done.output[-4000:]
    assert done.executions > 100
    assert done.covered > 100


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_random_blocks_run_clean() -> None:
    done = fuzz.run_blocks(50_000, seed=2)
    assert done.status == 0, done.output[-4000:]
