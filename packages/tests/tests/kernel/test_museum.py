"""The museum's rows: found as the list says, and told when not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from ringzero.explore.result import Counterexample, Failure, Kind, Result, Verdict
from ringzero_kernel.bugs import BUGS
from ringzero_kernel.museum import museum, wrong

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
