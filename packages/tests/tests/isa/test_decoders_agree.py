"""The decoders against each other, and both against iced-x86: random bytes of every row, random bytes, real code."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringzero.isa import FORMS
from ringzero.isa import decode as python
from ringzero.isa.form import Form
from ringzero.isa.record import MODES
from ringzero_tests.drawbytes import draw


def rows_of(mode: int) -> list[Form]:
    return [form for form in FORMS if (form.mode64 if mode == 64 else form.mode32)]


def strings(mode: int, rounds: int, seed: int) -> Iterator[bytes]:
    """One string per row and round, cut anywhere; then as many of plain random bytes."""
    rng = random.Random(f"{mode} {seed}")
    for _ in range(rounds):
        for form in rows_of(mode):
            yield draw(form, rng, mode)[: rng.randrange(1, 24)]
            yield rng.randbytes(rng.randrange(1, 24))


def hold_equal(mode: int, rounds: int, seed: int) -> None:
    native = pytest.importorskip("ringzero.isa.native", reason="built without the C extension")
    for code in strings(mode, rounds, seed):
        assert native.decode(code, mode) == python.decode(code, mode), f"{mode}-bit: {code.hex(' ')}"


@pytest.mark.parametrize("mode", MODES)
def test_python_and_native_agree(mode: int) -> None:
    hold_equal(mode, rounds=25, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_python_and_native_agree_on_a_million_strings(mode: int) -> None:
    hold_equal(mode, rounds=600, seed=2)


def hold_against_iced(mode: int, rounds: int, seed: int) -> None:
    judge = pytest.importorskip("ringzero_tests.iced", reason="iced-x86 not installed").Judge(mode)
    rng = random.Random(f"{mode} {seed}")
    for _ in range(rounds):
        for form in rows_of(mode):
            for code in (draw(form, rng, mode), rng.randbytes(16)):
                assert judge.difference(code) is None


@pytest.mark.parametrize("mode", MODES)
def test_rows_as_iced_reads_them(mode: int) -> None:
    hold_against_iced(mode, rounds=60, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_rows_as_iced_reads_them_at_length(mode: int) -> None:
    hold_against_iced(mode, rounds=900, seed=4)


def text_of(path: Path) -> bytes:
    elffile = pytest.importorskip("elftools.elf.elffile")
    with path.open("rb") as stream:
        section = elffile.ELFFile(stream).get_section_by_name(".text")
        return bytes(section.data()) if section else b""


@pytest.mark.parametrize(
    "path", [Path("/bin/bash"), Path(sys.executable).resolve()], ids=lambda path: path.name
)
def test_real_code_as_iced_reads_it(path: Path) -> None:
    """Every instruction of a program on this machine, where iced says that it begins."""
    iced = pytest.importorskip("iced_x86", reason="iced-x86 not installed")
    from ringzero_tests.iced import Judge

    if not path.exists() or path.read_bytes()[:5] != b"\x7fELF\x02":
        pytest.skip(f"{path} is no ELF file of 64 bits")
    code, judge = text_of(path)[: 1 << 18], Judge(64)
    starts = [instruction.ip for instruction in iced.Decoder(64, code)]
    assert [found for start in starts if (found := judge.difference(code[start : start + 16]))] == []


@pytest.mark.parametrize("mode", MODES)
def test_a_sample_of_the_long_comparison(mode: int) -> None:
    """What `python -m ringzero_tests.decoders --random N` does with millions."""
    iced = pytest.importorskip("ringzero_tests.iced", reason="iced-x86 not installed")
    from ringzero_tests.decoders import run_random

    found = run_random(iced.Judge(mode), 6000, seed=5)
    assert found.lines == []
    assert found.counts[iced.AGREE] > 1000
