"""Commands of other packages are found in their own files, and by importlib.metadata where they lie elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringzero.cli import extensions
from ringzero.cli.extensions import COMMANDS, GUESTS

TEXT = """
[console_scripts]
boot = wrong:wrong

[ringzero.commands]
# a comment
boot = here.commands:boot
other=there:other

[ringzero.guests]
third = guests:third
"""


def install(folder: Path, name: str, text: str | bytes) -> None:
    (folder / name).mkdir(parents=True)
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name / "entry_points.txt").write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Alone on the path, behind one that is not there."""
    monkeypatch.setattr("sys.path", [str(tmp_path / "nowhere"), str(tmp_path)])
    monkeypatch.setattr(extensions, "every", lambda group: {})
    return tmp_path


@pytest.mark.parametrize("name", ["here-1.0.dist-info", "here.egg-info"])
def test_beside_us(folder: Path, name: str) -> None:
    install(folder, "aaa-1.0.dist-info", b"\xff\xfe[ringzero.commands]")
    install(folder, name, TEXT)
    assert extensions.find(COMMANDS, "boot") == "here.commands:boot"
    assert extensions.find(COMMANDS, "other") == "there:other"
    assert extensions.find(COMMANDS, "third") is None
    assert extensions.find(GUESTS, "third") == "guests:third"
    assert extensions.find(GUESTS, "boot") is None


def test_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "every", lambda group: {"boot": f"{group}:boot"})
    assert extensions.find(COMMANDS, "boot") == "ringzero.commands:boot"
    assert extensions.find(COMMANDS, "nosuch") is None
