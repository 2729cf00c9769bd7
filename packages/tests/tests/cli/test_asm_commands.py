"""`ringzero asm`, `disasm` and `kernel build`: what they write, in nasm's, ndisasm's and ELF's forms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RINGZERO = (sys.executable, "-m", "ringzero")
SOURCE = """
%ifndef COUNT
%warning COUNT is not given
%define COUNT 1
%endif
        bits 64
        org 0x1000
again:  mov ecx, COUNT
        loop again
        times 2 nop
"""
BYTES = bytes.fromhex("b903000000e2f99090")


def ringzero(*args: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*RINGZERO, *args], input=given, capture_output=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "loop.asm"
    path.write_text(SOURCE)
    return path


def test_a_flat_binary_and_its_listing(source: Path) -> None:
    listing = source.with_suffix(".lst")
    done = ringzero("asm", str(source), "-f", "bin", "-o", "-", "-l", str(listing), "-D", "COUNT=3")
    assert (done.returncode, done.stdout, done.stderr) == (0, BYTES, b"")
    assert "B903000000" in listing.read_text().upper()


def test_a_warning_is_said_and_stops_nothing(source: Path) -> None:
    done = ringzero("asm", str(source), "-f", "bin", "-o", "-")
    assert done.returncode == 0
    assert b"COUNT is not given" in done.stderr
    assert b"loop.asm:3" in done.stderr


def test_all_errors_at_once_and_nothing_written(source: Path) -> None:
    source.write_text(SOURCE + "        mov [rax], 5\n        jmp nowhere\n")
    target = source.with_suffix(".bin")
    done = ringzero("asm", str(source), "-f", "bin", "-o", str(target))
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert any("mov [rax], 5" in line and "byte, word, dword or qword" in line for line in lines)
    assert any("nowhere" in line for line in lines)
    assert not target.exists()


def test_bytes_from_a_pipe_are_disassembled() -> None:
    done = ringzero("disasm", "-b", "64", "-o", "0x1000", "-", given=BYTES)
    assert done.returncode == 0
    lines = [line.split(None, 2) for line in done.stdout.decode().splitlines()]
    assert [line[2] for line in lines] == ["mov ecx, 0x3", "loop 0x1000", "nop", "nop"]
    assert [int(line[0], 16) for line in lines] == [0x1000, 0x1005, 0x1007, 0x1008]


def test_addresses_go_on_at_zero_behind_the_last() -> None:
    done = ringzero("disasm", "-o", "0xfffffffffffffffc", "-", given=BYTES)
    addresses = [line.split()[0] for line in done.stdout.decode().splitlines()]
    assert addresses == ["FFFFFFFFFFFFFFFC", "00000001", "00000003", "00000004"]


def test_an_elf_file_is_disassembled_by_its_symbols(source: Path) -> None:
    elf = source.with_suffix(".elf")
    assert ringzero("asm", str(source), "-f", "elf64", "-o", str(elf), "-D", "COUNT=3").returncode == 0
    done = ringzero("disasm", str(elf))
    assert done.returncode == 0
    assert "again" in done.stdout.decode()
    assert "mov ecx, 0x3" in done.stdout.decode()


def test_the_kernel_is_the_same_file_each_time(tmp_path: Path) -> None:
    files = [tmp_path / "one.elf", tmp_path / "two.elf"]
    for file in files:
        assert ringzero("kernel", "build", "-o", str(file)).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().startswith(b"\x7fELF")
