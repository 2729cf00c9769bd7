"""Each fault that a row can raise, on both engines: vector, error code, CR2 and RIP as on silicon, nothing written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero_tests import faulttable
from ringzero_tests.engines import ENGINES, EngineRunner
from ringzero_tests.vectors import row_name

RECORDED = faulttable.load()
ROWS = faulttable.rows()
WAY_OUT = "run `python -m ringzero_tests.faulttable` on x86-64 Linux"


def test_every_row_has_the_faults_that_its_columns_promise() -> None:
    missing = []
    for form, bits in ROWS:
        promised = set(faulttable.wanted(form, bits)) - {
            "mode"
        }  # there, its bytes may be another instruction
        lacking = promised - set(RECORDED.get((row_name(form), bits), ()))
        missing += [f"{bits} {form}: {name}" for name in sorted(lacking)]
    assert not missing, f"{WAY_OUT}: {missing[:10]}"


@pytest.mark.parametrize("initial", sorted({form.mnemonic[0] for form, _ in ROWS}))
@pytest.mark.parametrize("engine", [ENGINES[1], pytest.param(ENGINES[0], marks=pytest.mark.slow)])
def test_faults_come_as_on_silicon(
    engine: str, initial: str, runner_of: Callable[[str], EngineRunner]
) -> None:
    wrong = []
    for form, bits in ROWS:
        if form.mnemonic[0] == initial:
            faults = RECORDED.get((row_name(form), bits), {})
            wrong += list(faulttable.replay(form, bits, faults, runner_of(engine)))
    assert not wrong, "\n".join(wrong[:5])
