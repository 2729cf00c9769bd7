"""What silicon once answered, replayed on both engines on every host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero.isa.table import FORMS
from ringzero_tests.compare import describe
from ringzero_tests.engines import ENGINES, EngineRunner
from ringzero_tests.judge import wrong_among
from ringzero_tests.record import judged_rows
from ringzero_tests.vectors import cases_of_row, digest_of, load, rebuild, row_name

RECORDED = load()
BY_NAME = {row_name(form): form for form in FORMS}
SHARES = 32  # tests that take about as long as each other
FIRST = {"native": None, "python": 30}  # the slow engine replays the first of each row
WAY_OUT = "run `python -m ringzero_tests.record` on x86-64 Linux and commit what it writes"


def test_every_judged_row_is_recorded() -> None:
    missing = {(row_name(form), bits) for form, bits in judged_rows()} ^ set(RECORDED)
    assert not missing, f"rows without vectors, or vectors without rows; {WAY_OUT}: {sorted(missing)[:10]}"


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("engine", [pytest.param(name, marks=pytest.mark.slow) for name in ENGINES])
def test_recorded_rows_replay(
    engine: str, share: int, runner_of: Callable[[str], EngineRunner]
) -> None:  # fmt: skip
    runner = runner_of(engine)
    wrong: list[str] = []
    for (row, bits), vectors in sorted(RECORDED.items())[share::SHARES]:
        if row not in BY_NAME:
            continue
        cases = cases_of_row(BY_NAME[row], bits, len(vectors.outcomes))
        assert digest_of(cases) == vectors.digest, f"{row}: its cases have changed; {WAY_OUT}"
        judged = list(rebuild(vectors, cases))[: FIRST[engine]]
        found = wrong_among(BY_NAME[row], judged, runner)
        wrong += [f"{bits} {row}: {text}\n    {describe(case)}" for case, text in found]
    assert not wrong, "\n".join(wrong[:5])
