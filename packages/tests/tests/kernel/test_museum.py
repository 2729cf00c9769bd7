"""The museum's rows: found as the list says, and told when not."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from ringzero.explore.outcomes import all_outcomes
from ringzero.explore.result import Counterexample, Failure, Kind, Result, Verdict
from ringzero.explore.search import search
from ringzero_kernel.bugs import BUGS, Bug
from ringzero_kernel.commands import museum
from ringzero_kernel.explore import sources, stage_experiment
from ringzero_kernel.museum import MOST, wrong

pytestmark = pytest.mark.many_runs

FOUND = Result(
    "one", Verdict.BROKEN, 1, 1, counterexample=Counterexample((), Failure(Kind.DEADLOCK, "stuck", 9))
)
SOUND = Result("one", Verdict.HOLDS, 1, 1)
BUG = dataclasses.replace(BUGS["B8"], preemptions=0)


def test_rows_in_every_form(tmp_path: Path) -> None:
    junit = tmp_path / "museum.xml"
    done = CliRunner().invoke(museum, ["B8", "B1", "--json", "--junit", str(junit)], standalone_mode=False)
    assert done.return_value == 0
    found = json.loads(done.stdout)
    assert [(row["id"], row["verdict"], row["preemptions"]) for row in found["bugs"]] == [
        ("B8", "found", 1),
        ("B1", "found", 0),
    ]
    assert all(row["sound"]["verdict"] == "holds" for row in found["bugs"])
    assert ElementTree.parse(junit).getroot()[0].get("failures") == "0"


def test_the_table() -> None:
    done = CliRunner().invoke(museum, ["B8"], standalone_mode=False)
    assert "deadlock" in done.stdout
    assert "1 of 1 as the list says" in done.stdout


@pytest.mark.parametrize(
    ("bug", "result", "sound", "said"),
    [
        (BUG, FOUND, SOUND, ""),
        (BUG, SOUND, SOUND, "nothing found up to bound 1"),
        (dataclasses.replace(BUG, preemptions=1), FOUND, SOUND, "0 preemptions, not 1"),
        (dataclasses.replace(BUG, oracle=("panic",)), FOUND, SOUND, "told by deadlock, not by panic"),
        (BUG, FOUND, FOUND, "does not hold"),
    ],
)
def test_what_is_not_as_the_list_says(bug: object, result: Result, sound: Result, said: str) -> None:
    assert wrong(bug, result, sound).startswith(said) or said in wrong(bug, result, sound)  # type: ignore[arg-type]
    assert bool(wrong(bug, result, sound)) == bool(said)  # type: ignore[arg-type]


def test_time_that_is_out(tmp_path: Path) -> None:
    """Nothing is said to be missing that was not looked for."""
    junit = tmp_path / "museum.xml"
    asked = ["B8", "B5", "B15", "--time-budget", "0s", "--json", "--junit", str(junit)]
    done = CliRunner().invoke(museum, asked, standalone_mode=False)
    found = json.loads(done.stdout)
    assert done.return_value == 3
    assert [row["verdict"] for row in found["bugs"]] == ["not finished"] * 3
    assert found["totals"] == {"bugs": 3, "found": 0, "not_finished": 3, "schedules": 0}
    assert ElementTree.parse(junit).getroot()[0].get("errors") == "3"


# The list, bug by bug. Those of frequency are swept in explore/test_rates.py.


OF_PLACE = [bug for bug in BUGS.values() if bug.preemptions is not None]


@pytest.mark.parametrize("bug", OF_PLACE, ids=lambda bug: bug.id)
def test_a_bug_is_found(bug: Bug) -> None:
    """Breadth first: what is found has the fewest preemptions."""
    assert bug.preemptions is not None
    result = search(stage_experiment(bug.scenario, bug.id), bug.preemptions)
    assert result.counterexample is not None
    assert result.counterexample.failure.kind.value in bug.oracle
    assert len(result.counterexample.schedule) == bug.preemptions


@pytest.mark.parametrize("bug", OF_PLACE, ids=lambda bug: bug.id)
def test_the_kernel_without_it_holds(bug: Bug) -> None:
    result = without(bug.scenario, bug.id if bug.lines != (0,) else None, max(bug.preemptions or 0, 1))
    assert result.counterexample is None
    assert result.verdict is Verdict.HOLDS
    assert result.counts.covered > 1


@cache
def without(scenario: str, lines_of: str | None, bound: int) -> Result:
    """The sound kernel, under the search that found a bug."""
    return search(dataclasses.replace(stage_experiment(scenario), sources=sources(lines_of)), bound)


def test_what_is_no_bug_changes_no_outcome() -> None:
    bug = BUGS["B15"]
    with_it = all_outcomes(stage_experiment(bug.scenario, bug.id), MOST)
    sound = all_outcomes(stage_experiment(bug.scenario), MOST)
    assert with_it.finished
    assert with_it.ends == sound.ends
    assert with_it.counts.run > MOST


def test_outcomes_of_a_search_that_was_stopped() -> None:
    found = all_outcomes(stage_experiment(BUGS["B15"].scenario), MOST, stop=lambda: True)
    assert not found.finished
    assert found.counts.run == len(found.ends) == 1


@pytest.mark.slow
def test_the_whole_museum() -> None:
    done = CliRunner().invoke(museum, ["--json"], standalone_mode=False)
    found = json.loads(done.stdout)
    assert done.return_value == 0
    assert found["totals"]["found"] == found["totals"]["bugs"] == len(BUGS)
    assert found["totals"]["schedules"] == sum(row["schedules"] for row in found["bugs"])
    assert all(row["schedules"] for row in found["bugs"])
    swept = {row["id"]: row["rates"] for row in found["bugs"] if row["rates"]}
    assert set(swept) == {name for name, bug in BUGS.items() if bug.periods}
    assert all(both["bug"]["longest"] > both["sound"]["longest"] for both in swept.values())
