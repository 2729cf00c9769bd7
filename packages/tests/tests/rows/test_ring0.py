"""What Bochs once answered about ring 0, replayed on both engines: system registers, descriptors, far transfers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero.isa.form import Form
from ringzero_tests import ring0
from ringzero_tests.compare import describe
from ringzero_tests.engines import ENGINES, EngineRunner, run_system
from ringzero_tests.ring0_vectors import load, rebuild
from ringzero_tests.vectors import row_name

RECORDED = load()
ROWS = [form for form, _ in ring0.rows()]


def test_every_row_is_recorded() -> None:
    assert {row_name(form) for form in ROWS} == set(RECORDED), "run `python -m ringzero_tests.ring0_vectors`"


@pytest.mark.parametrize("form", ROWS, ids=str)
@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_system_rows_replay(
    engine: str, form: Form, runner_of: Callable[[str], EngineRunner]
) -> None:  # fmt: skip
    runner = runner_of(engine)
    wrong: list[str] = []
    for wanted, answer in rebuild(form, RECORDED[row_name(form)]):
        found = ring0.system_difference(form, answer, run_system(runner, wanted))
        if found:
            wrong.append(f"{form}: {found}\n    {describe(wanted.case)} {wanted.registers}")
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:5])
