"""The pages of docs/: what they link to is there, and every option of the explorer's commands is told."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ringzero.cli.explore import explore
from ringzero.cli.replay import replay

ROOT = Path(__file__).resolve().parents[4]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^```.*?^```$|^ {4}.*?$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a link may have behind its `#`, as GitHub makes it of a heading."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


@pytest.mark.parametrize("command", [explore, replay], ids=lambda command: command.name)
def test_every_option_is_told(command: click.Command) -> None:
    told = set(
        re.findall(r"`(-{1,2}[a-z][a-z-]*)", (ROOT / "docs" / "explore.md").read_text(encoding="utf-8"))
    )
    for option in command.params:
        if isinstance(option, click.Option):
            assert told & set(option.opts), option.opts
