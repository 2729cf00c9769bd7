"""Random programs: branches, memory, faults and self-modification, against silicon and engine against engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ringzero_tests.case import AF, Case, Outcome
from ringzero_tests.compare import describe, difference
from ringzero_tests.draws import Draws
from ringzero_tests.engines import ENGINES, EngineRunner
from ringzero_tests.programs import program
from ringzero_tests.silicon import Silicon

PROGRAMS = {"python": 150, "native": 600}
WILD_PROGRAMS, WILD_STEPS = 120, 400

State = tuple[str, int, bytes, bytes]


def _without_af(outcome: Outcome) -> Outcome:
    """AF is undefined after logic; nothing in a judged program reads it."""
    return replace(outcome, flags=outcome.flags & ~AF)


@pytest.mark.parametrize("engine", ENGINES)
def test_programs_do_what_silicon_does(
    engine: str, judge: Silicon, runner_of: Callable[[str], EngineRunner]
) -> None:  # fmt: skip
    runner = runner_of(engine)
    programs = [program(seed) for seed in range(PROGRAMS[engine])]
    for seed, (case, answer) in enumerate(zip(programs, judge.run_many(programs), strict=True)):
        found = difference(_without_af(answer), _without_af(runner.run(case)))
        assert found is None, f"program({seed}): {found}\n{describe(case)}"


def _states(runner: EngineRunner, case: Case, budgets: list[int]) -> list[State]:
    """The processor and memory after each budget: why it stopped, steps so far, state, RAM."""
    runner.load(case)
    begun = runner.clock.steps
    states = []
    for budget in budgets:
        reason = runner.cpu.run(budget).reason.value
        memory = runner.memory.read(0, runner.memory.size)
        states.append((reason, runner.clock.steps - begun, runner.cpu.hashed_state(), memory))
    return states


def _budgets(seed: int) -> list[int]:
    draws = Draws("budgets", seed)
    budgets: list[int] = []
    while sum(budgets) < WILD_STEPS:
        budgets.append(draws.pick((1, 1, 2, 3, 5, draws.between(1, 50), draws.between(1, 200))))
    return [*budgets[:-1], WILD_STEPS - sum(budgets[:-1])]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_cut_anywhere_ends_where_it_would(
    engine: str, runner_of: Callable[[str], EngineRunner]
) -> None:
    runner = runner_of(engine)
    for seed in range(WILD_PROGRAMS):
        case = program(seed, "wild")
        (whole,) = _states(runner, case, [WILD_STEPS])
        cut = _states(runner, case, _budgets(seed))
        assert cut[-1][:3] == whole[:3], f"program({seed}, 'wild') differs when cut by {_budgets(seed)}"
        assert cut[-1][3] == whole[3], (
            f"program({seed}, 'wild') leaves other memory when cut by {_budgets(seed)}"
        )


def test_both_engines_agree_at_every_stop(runner_of: Callable[[str], EngineRunner]) -> None:
    python, native = runner_of("python"), runner_of("native")
    for seed in range(WILD_PROGRAMS):
        case, budgets = program(seed, "wild"), _budgets(seed)
        pairs = zip(_states(python, case, budgets), _states(native, case, budgets), strict=True)
        for number, (ours, theirs) in enumerate(pairs):
            where = f"program({seed}, 'wild') after {budgets[: number + 1]}"
            assert ours[:2] == theirs[:2], f"{where}: python {ours[:2]}, native {theirs[:2]}"
            assert ours[2] == theirs[2], f"{where}: registers differ"
            assert ours[3] == theirs[3], f"{where}: memory differs"
