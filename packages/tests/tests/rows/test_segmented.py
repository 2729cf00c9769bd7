"""What Bochs said about 16-bit rows at segments' ends, in real and protected mode, replayed on both engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero_tests.compare import describe
from ringzero_tests.engines import ENGINES, EngineRunner, run_segmented
from ringzero_tests.segmented import rows
from ringzero_tests.segmented_vectors import load, rebuild, segmented_difference
from ringzero_tests.vectors import row_name

RECORDED = load()
ROWS = list(rows())
SHARE = {"native": None, "python": 2}  # the slow engine replays one of each mode


def test_every_row_is_recorded() -> None:
    assert {row_name(form) for form in ROWS} == set(RECORDED), (
        "run `python -m ringzero_tests.segmented_vectors`"
    )


@pytest.mark.parametrize("initial", sorted({form.mnemonic[0] for form in ROWS}))
@pytest.mark.parametrize("engine", [ENGINES[1], pytest.param(ENGINES[0], marks=pytest.mark.slow)])
def test_rows_do_what_bochs_does(engine: str, initial: str, runner_of: Callable[[str], EngineRunner]) -> None:
    wrong = []
    for form in (form for form in ROWS if form.mnemonic[0] == initial):
        for wanted, answer in list(rebuild(form, RECORDED[row_name(form)]))[: SHARE[engine]]:
            ours = run_segmented(runner_of(engine), wanted)
            if found := segmented_difference(form, wanted, answer, ours):
                wrong.append(f"{form}: {found}\n    {describe(wanted.case)} {wanted}")
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:5])
