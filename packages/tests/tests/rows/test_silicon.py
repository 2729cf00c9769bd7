"""Every row that user mode can run, held to the host's own processor on the spot.

More cases, and what differs in words: `python -m ringzero_tests.judge --cases 1000 add`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero_tests import silicon
from ringzero_tests.compare import describe
from ringzero_tests.engines import EngineRunner, native_available
from ringzero_tests.judge import wrong_cases
from ringzero_tests.record import judged_rows
from ringzero_tests.silicon import Silicon
from ringzero_tests.vectors import cases_of_row

# Other seeds than the recorded ones.
FIRST_SEED, CASES = 1000, 24
ENGINE = "native" if native_available() else "python"
MNEMONICS = sorted({form.mnemonic for form, _ in judged_rows()})


@pytest.mark.parametrize("mnemonic", MNEMONICS)
def test_rows_do_what_silicon_does(
    mnemonic: str, judge: Silicon, runner_of: Callable[[str], EngineRunner]
) -> None:
    runner = runner_of(ENGINE)
    wrong: list[str] = []
    rows = [(form, bits) for form, bits in judged_rows() if form.mnemonic == mnemonic]
    if lacking := {form.feature for form, _ in rows if not silicon.has(form.feature)}:
        pytest.skip(f"this processor lacks {', '.join(sorted(lacking))}")
    for form, bits in rows:
        if bits not in silicon.code_widths():
            continue
        cases = [case for case in cases_of_row(form, bits, CASES, FIRST_SEED) if case]
        found = wrong_cases(form, cases, judge.run_many(cases), runner)
        wrong += [f"{form}: {text}\n    {describe(case)}" for case, text in found]
    assert not wrong, "\n".join(wrong[:5])
