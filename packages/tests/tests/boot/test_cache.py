"""The cache of assembled kernels is a convenience: whatever happens to it, the image is the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringzero import assemble
from ringzero_kernel.build import build

BUILD = importlib.import_module("ringzero_kernel.build")  # the package's `build` is its function
SOURCE = "bits 64\norg 0x100000\nglobal _start\n_start: hlt\n"


@pytest.fixture
def assembled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Lets a tiny source stand for the kernel; each time it is assembled, its layout is noted here."""
    made: list[int] = []
    elf = assemble(SOURCE, format="elf64", name="tiny.asm").binary

    def assemble_kernel(layout: int = 0, defines: object = None) -> SimpleNamespace:
        made.append(layout)
        return SimpleNamespace(binary=elf)

    monkeypatch.setattr(BUILD, "assemble_kernel", assemble_kernel)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "ringzero").iterdir())


def test_a_second_build_comes_from_the_cache(assembled: list[int], tmp_path: Path) -> None:
    first, second = build(), build()
    assert first.digest == second.digest
    assert assembled == [0]
    assert len(cached(tmp_path)) == 1


def test_layouts_and_defines_are_other_images(assembled: list[int], tmp_path: Path) -> None:
    for layout, defines in ((0, None), (1, None), (0, {"NAME": "1"}), (0, {"NAME": "2"})):
        build(layout, defines)
    assert len(assembled) == len(cached(tmp_path)) == 4


@pytest.mark.parametrize("spoil", [lambda b: b[:-1] + bytes((b[-1] ^ 1,)), lambda b: b[:100], lambda b: b""])
def test_a_spoilt_file_is_not_used(spoil: object, assembled: list[int], tmp_path: Path) -> None:
    assert callable(spoil)
    digest = build().digest
    (file,) = cached(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(spoil(whole))
    assert build().digest == digest
    assert assembled == [0, 0]
    assert file.read_bytes() == whole


def test_where_nothing_can_be_kept_it_is_assembled(
    assembled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build().digest == build().digest
    assert assembled == [0, 0]


def test_the_oldest_go(assembled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BUILD, "KEPT", 3)
    for layout in range(6):
        build(layout)
    assert len(cached(tmp_path)) == 3


def test_without_the_cache_nothing_is_written(assembled: list[int], tmp_path: Path) -> None:
    build(cache=False)
    assert not (tmp_path / "cache").exists()
