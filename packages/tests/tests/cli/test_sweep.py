"""`ringzero sweep`: the border between periods that livelock and those that do not, and what cannot be swept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringzero.cli.main import main
from ringzero_tests.counter_kernel import build


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "counter.elf").write_bytes(build())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_border_of_our_kernel_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "kernel", "--stage", "try-completion", "--periods", "20:400", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["sweeps"].values()
    assert 20 < found["longest"] < found["shortest"] < 400
    assert found["shortest"] == found["longest"] + 1


def test_a_window_that_any_period_lets_end(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    window = ("--from", "test_start", "--until", "test_done")
    assert main(["sweep", "counter.elf", *window, "--periods", "20:40"]) == 0
    assert "none of 20 to 40 steps livelocks" in capsys.readouterr().out
    assert main(["sweep", "counter.elf", *window, "--time", "0s"]) == 3


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--until", "test_done", "--periods", "9:3"], "LOW:HIGH"),
        (["--until", "test_done", "--periods", "0:3"], "LOW:HIGH"),
        (["--until", "test_done", "--periods", "many"], "LOW:HIGH"),
        (["--from", "test_start"], "--until"),
        (["--until", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_swept_is_one_line(
    more: list[str], named: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "counter.elf", *more]) == 2
    written = capsys.readouterr().err
    assert named in written
    assert len(written.splitlines()) == 1
