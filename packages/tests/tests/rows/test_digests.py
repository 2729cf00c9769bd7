"""Thousands of cases a row, of which only a digest of silicon's answers is kept, replayed on every host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero_tests import digests, replay
from ringzero_tests.engines import EngineRunner
from ringzero_tests.record import judged_rows
from ringzero_tests.vectors import row_name

ROWS = replay.recorded([])
SHARES = 64  # tests that take about as long as each other, for as many processes as there are
IN_PYTHON = (
    64  # one row in so many on the slow engine; `python -m ringzero_tests.replay --engine python` does all
)


def test_every_judged_row_has_digests() -> None:
    missing = {(row_name(form), bits) for form, bits in judged_rows()} ^ set(digests.load())
    assert not missing, f"run `python -m ringzero_tests.record --missing`: {sorted(missing)[:10]}"


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_the_first_thousand_of_each_row(share: int, runner_of: Callable[[str], EngineRunner]) -> None:
    runner = runner_of("native")
    wrong = [line for form, kept in ROWS[share::SHARES] for line in replay.differences(form, kept, runner, 1)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS[::IN_PYTHON], ids=lambda row: f"{row[1].bits}-{row[0].mnemonic}")
def test_some_rows_on_the_python_engine(row: tuple, runner_of: Callable[[str], EngineRunner]) -> None:  # type: ignore[type-arg]
    wrong = list(replay.differences(*row, runner_of("python"), 1))
    assert not wrong, wrong[0]
