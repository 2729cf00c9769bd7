"""What the benchmarks share. Each names its group, who ran it and how much work a round is; `compare.py` reads that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from common import Measure


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """`measure(group, who, work, unit, function, setup=None, rounds=5, **facts)`: run it, keep what it was."""

    def run(
        group: str,
        who: str,
        work: float,
        unit: str,
        function: Callable[..., Any],
        setup: Callable[[], Any] | None = None,
        rounds: int = 5,
        **facts: float,
    ) -> Any:
        benchmark.group = group
        benchmark.extra_info.update(who=who, work=work, unit=unit, **facts)
        return benchmark.pedantic(function, setup=setup, rounds=rounds, warmup_rounds=0 if setup else 1)

    return run
