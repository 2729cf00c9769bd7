"""Schedules by chance: a seed is a search, what is found is small, and what is promised is kept."""

from __future__ import annotations

import pytest

from ringzero.errors import UsageError
from ringzero.explore.chance import Chance, RandomSearch
from ringzero.explore.player import Player
from ringzero.explore.result import Kind, Verdict
from ringzero_tests.outcomes import plainly
from ringzero_tests.small_kernel_text import kernel_text
from ringzero_tests.small_kernels import DATA, experiment

pytestmark = pytest.mark.many_runs

LOSSY = "        mov eax, [c0]\n        inc eax\n        mov [c0], eax\n"
CHECK = "        cmp dword [c0], 2\n        jne wrong\n"
LOSES = experiment("loses", kernel_text([LOSSY, LOSSY], DATA, check=CHECK))
KEEPS = experiment("keeps", kernel_text(["        inc dword [c0]\n"] * 2, DATA, check=CHECK))


def test_the_numbers_are_splitmix64() -> None:
    chance = Chance(1234567)
    assert [chance.bits() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_what_is_found_is_made_small() -> None:
    result = RandomSearch(LOSES, depth=3, seed=1).run()
    assert result.verdict is Verdict.BROKEN
    assert result.counterexample is not None
    assert result.counterexample.failure.kind is Kind.PANIC
    assert len(result.counterexample.schedule) == 1
    assert Player(LOSES).play(result.counterexample.schedule).failure == result.counterexample.failure


def test_the_same_seed_is_the_same_search() -> None:
    assert RandomSearch(LOSES, depth=2, seed=5).run() == RandomSearch(LOSES, depth=2, seed=5).run()


def test_chance_never_says_that_a_kernel_holds() -> None:
    search = RandomSearch(KEEPS, depth=2, runs=20)
    result = search.run()
    assert result.verdict is Verdict.UNFINISHED
    assert result.counts.run == 21
    assert 0 < search.promise < 1
    assert "20 schedules by chance, seed 0" in result.remarks[0]


def test_the_promise_is_kept() -> None:
    """Of one-interrupt schedules each seed's first is the breaking one as often as it should be, or more often."""
    broken: list[bool] = []
    plainly(LOSES, 1, lambda player, failure: broken.append(failure is not None))
    share = sum(broken) / (len(broken) - 1)
    hits = sum(
        RandomSearch(LOSES, depth=1, seed=seed, runs=1).run().verdict is Verdict.BROKEN for seed in range(60)
    )
    assert hits / 60 > share / 2 > 0


def test_no_depth_is_no_search() -> None:
    with pytest.raises(UsageError, match="at least one interrupt"):
        RandomSearch(LOSES, depth=0).run()
