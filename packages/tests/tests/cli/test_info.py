"""`ringzero info` and the page that is made from the instruction table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringzero.cli.main import main
from ringzero.isa.coverage import entries, markdown, totals
from ringzero.isa.table import FORMS

PAGE = Path(__file__).resolve().parents[4] / "docs" / "instructions.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "docs/instructions.md is stale: run `ringzero info --markdown > docs/instructions.md`"
    )


def test_totals_count_every_row() -> None:
    assert sum(entry.rows for entry in entries()) == len(FORMS)
    assert [sum(counts.values()) for counts in totals().values()] == [len(FORMS)] * 2


def test_coverage_is_columns_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("cmpxchg16b ")]
    assert line.split() == ["cmpxchg16b", "atomic", "1", "64", "cx16", "yes"]
    (line,) = [line for line in lines if line.startswith("wrmsr ")]
    assert line.split() == ["wrmsr", "system", "1", "64", "32", "real", "msr", "cpl", "0", "yes"]


def test_coverage_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--coverage", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["mnemonics"]) == len({form.mnemonic for form in FORMS})
    assert found["totals"] == totals()


def test_markdown_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--markdown", "--json"]) == 2
    assert "--markdown" in capsys.readouterr().err
