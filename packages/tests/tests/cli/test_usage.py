"""Bad usage and bad files: status 2, one clear line on standard error, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringzero.cli.main import main
from ringzero.cpu.system.model import MODELS
from ringzero.isa.features import FEATURES

# (arguments, what the line must name); {dir} is an empty directory, {empty} an empty file, {text} one that is no ELF
USAGE = [
    (["nosuch"], "nosuch"),
    (["--nosuch"], "--nosuch"),
    (["info", "--nosuch"], "--nosuch"),
    (["info", "extra"], "extra"),
    (["asm"], "FILE"),
    (["asm", "{dir}/missing.asm"], "missing.asm"),
    (["asm", "{text}", "-f", "coff"], "coff"),
    (["asm", "-", "-f", "bin"], "-o"),
    (["asm", "{dir}", "-o", "-"], "{dir}"),
    (["asm", "{empty}", "-o", "{dir}/no/such/place"], "place"),
    (["asm", "{empty}", "-o", "{dir}/out", "-D", "=1"], "-D NAME=VALUE"),
    (["disasm", "{dir}/missing"], "missing"),
    (["disasm", "{text}", "-o", "12q"], "12q"),
    (["disasm", "{text}", "-b", "17"], "17"),
    (["run"], "IMAGE"),
    (["run", "{dir}/missing.elf"], "missing.elf"),
    (["run", "{empty}"], "{empty}"),
    (["run", "{text}"], "{text}"),
    (["run", "{text}", "-m", "lots"], "lots"),
    (["run", "{text}", "--max-steps", "-1"], "--max-steps"),
    (["run", "{text}", "--stages", "{dir}/missing.toml"], "missing.toml"),
    (["run", "{text}", "--cpu", "i486"], "no model 'i486'"),
    (["boot", "--cpu", "max,+bmi"], "no feature 'bmi'; near it: bmi"),
    (["boot", "--cpu", ""], "see --cpu help"),
    (["boot", "--config", "nosuch"], "nosuch"),
    (["boot", "--engine", "steam"], "steam"),
    (["boot", "--bug", "B99"], "no bug 'B99'; there are B"),
    (["kernel", "build", "-o", "{dir}/kernel.elf", "--bug", "b8"], "no bug 'b8'; there are B"),
    (["boot", "--layout", "1000"], "1000"),
    (["boot", "--timer-period", "0"], "--timer-period"),
    (["boot", "--trace", "everything"], "everything"),
    (["boot", "--junit", "{dir}/no/such/place.xml"], "place.xml"),
    (["boot", "--serial", "{dir}/no/such/place.txt"], "place.txt"),
    (["kernel", "build"], "-o"),
    (["kernel", "build", "-o", "{dir}/no/such/kernel.elf"], "kernel.elf"),
]


def id_of(case: object) -> str:
    return " ".join(case) if isinstance(case, list) else ""


@pytest.mark.parametrize(("arguments", "named"), USAGE, ids=id_of)
def test_bad_usage_is_one_line(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"dir": str(tmp_path), "empty": str(tmp_path / "empty"), "text": str(tmp_path / "text")}
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, this is no image\n")
    status = main([argument.format(**places) for argument in arguments])
    written = capsys.readouterr()
    assert (status, written.out) == (2, "")
    assert written.err.count("\n") == 1
    assert (
        written.err.startswith("ringzero: ") or arguments[0] == "asm"
    )  # an assembler's mistakes are file:line: …
    assert named.format(**places) in written.err


def shell(line: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RINGZERO": f"{sys.executable} -m ringzero"}
    return subprocess.run(["bash", "-c", line], text=True, capture_output=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("$RINGZERO disasm - </dev/zero", "standard input: More than 256 MiB"),
        ("$RINGZERO asm - -f bin -o - </dev/zero", "standard input: More than 16 MiB"),
        ("$RINGZERO disasm - <&-", "Standard input is closed"),
        ("printf '\\xff' | $RINGZERO asm - -f bin -o -", "standard input: byte 0 is not UTF-8"),
    ],
)
def test_standard_input_has_the_bounds_of_a_file(line: str, said: str) -> None:
    done = shell(line)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    done = shell("head -c 100000 /dev/zero | $RINGZERO disasm - | head -1; exit ${PIPESTATUS[1]}")
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert done.stderr == "ringzero: standard output was closed before everything was written\n"


def test_a_full_disk_is_no_traceback() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    done = shell("$RINGZERO info > /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "line", ["$RINGZERO info >&-", "$RINGZERO info 2>&-", "PYTHONIOENCODING=ascii $RINGZERO --help"]
)
def test_output_may_be_closed_or_of_another_alphabet(line: str) -> None:
    done = shell(line)
    assert (done.returncode, done.stderr) == (0, "")


def test_cpu_help_lists_models_and_features(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--cpu", "help"]) == 0
    written = capsys.readouterr().out
    for name in (*MODELS, *FEATURES):
        assert f" {name} " in written


def test_help_names_the_commands_and_imports_little() -> None:
    code = (
        "import sys; from ringzero.cli.main import main; main(['--help'])\n"
        "sys.exit(', '.join({'rich', 'structlog', 'elftools', 'cffi', 'ringzero.machine'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert done.stderr.strip() == ""
    for command in ("asm", "boot", "disasm", "info", "kernel", "run"):
        assert f"\n  {command} " in done.stdout
