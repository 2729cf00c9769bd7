"""What README.md shows is what runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringzero_tests.counter_kernel import SOURCE

ROOT = Path(__file__).resolve().parents[4]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_is_an_example() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    written = capsys.readouterr().out
    assert re.search(r"step \d+: at 0xffffffff8[0-9a-f]+ \w+", written)
    assert re.search(r"with one more tick: .* \(step \d+\)", written)
    assert re.search(r"without: guest exit with 0x10 \(step \d+\), state [0-9a-f]{32}", written)


def test_ci_runs_the_readme_commands() -> None:
    """`.ci/run` calls what the README says, letter for letter."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [
        line.strip() for line in README.splitlines() if line.startswith("    ") and ".venv/bin/pip" in line
    ]
    assert len(commands) == 2
    for command in commands:
        assert command in ci


def test_the_kernel_of_the_docs_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs" / "explore.md").read_text(encoding="utf-8")
    assert re.findall(r"```nasm\n(.*?)```", page, re.DOTALL) == [SOURCE]
