"""nasm is the judge of the assembler: the same bytes for the same text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ringzero.asm import assemble
from ringzero_tests import assemblers
from ringzero_tests.asmcorpus import SLOT, corpus, slots

SOURCES = sorted((Path(__file__).parent / "sources").glob("*.asm"))


def nasm(source: Path, *options: str) -> tuple[bytes | None, set[int]]:
    """nasm's flat binary of a file, and the lines that it refuses."""
    binary = source.with_suffix(".nasm.bin")
    binary.unlink(missing_ok=True)
    run = subprocess.run(
        ["nasm", "-f", "bin", "-o", str(binary), *options, str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    refused = {int(line) for line in re.findall(r":(\d+): (?:error|fatal|panic)", run.stderr)}
    return (binary.read_bytes() if binary.exists() else None), refused


@pytest.mark.judge("nasm")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_sources_give_nasms_bytes(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    theirs, refused = nasm(copy)
    assert not refused
    assert assemble(source, format="bin").flat == theirs


@pytest.mark.judge("nasm")
def test_shifts_are_nasms_for_every_count(tmp_path: Path) -> None:
    source = tmp_path / "shifts.asm"
    counts = (-1, 0, 1, 31, 63, 64, 65, 127, 128, 200)
    values = ("1", "3", "-1", "0x8000000000000000")
    lines = [f"dq {v} {by} {n}" for v in values for by in ("<<", "<<<", ">>", ">>>") for n in counts]
    source.write_text("\n".join(lines))
    theirs, refused = nasm(source)
    assert not refused
    assert assemble(source, format="bin").flat == theirs


@pytest.mark.judge("nasm")
@pytest.mark.parametrize("mode", [64, 32, 16])
def test_every_row_gives_nasms_bytes(mode: int, tmp_path: Path) -> None:
    lines = corpus(mode, most=10)
    source = tmp_path / "corpus.asm"
    theirs: bytes | None = None
    refused = 0
    while theirs is None:  # nasm tells its errors in stages: each run leaves out what the last refused
        source.write_text(slots(lines, mode))
        theirs, bad = nasm(source)
        assert theirs is not None or bad
        lines = [line for number, line in enumerate(lines) if 2 * number + 2 not in bad]
        refused += len(bad)
    assert len(lines) > 50 * refused  # only what nasm has no name or no size for
    ours = assemble(slots(lines, mode), format="bin").flat
    differing = [
        f"{line}: {ours[at : at + SLOT].hex()} nasm {theirs[at : at + SLOT].hex()}"
        for line, at in zip(lines, range(0, len(ours), SLOT), strict=True)
        if ours[at : at + SLOT] != theirs[at : at + SLOT]
    ]
    assert not differing, "\n".join(differing[:20])
    assert len(ours) == len(theirs)


@pytest.mark.judge("nasm")
@pytest.mark.parametrize("mode", [64, 32, 16])
def test_nonsense_is_taken_and_refused_as_by_nasm(mode: int) -> None:
    """A sample of `python -m ringzero_tests.assemblers`."""
    verdicts = assemblers.run(list(assemblers.nonsense(mode, 700, seed=9)), mode, "nonsense")
    assert verdicts.wrong == []
    assert verdicts.counts["the same bytes"] > 10
    assert verdicts.counts["refused by both"] > 300


@pytest.mark.judge("nasm")
@pytest.mark.parametrize("layout", [0, 1, 7])
def test_kernel_gives_nasms_bytes(layout: int, tmp_path: Path) -> None:
    config = pytest.importorskip("ringzero_kernel.config", reason="the kernel is not installed")
    binary = tmp_path / "kernel.bin"
    main = Path(str(config.MAIN_SOURCE))
    subprocess.run(
        ["nasm", "-f", "bin", "-o", str(binary), f"-DLAYOUT={layout}", f"-I{main.parent}/", str(main)],
        check=True,
    )
    assert assemble(main, format="bin", defines={"LAYOUT": str(layout)}).flat == binary.read_bytes()
