"""`python -m ringzero_tests.assemblers`: our assembler beside nasm, on every form of every row and on nonsense.

The room's rule: each line is judged alone. Where both take it the bytes are the same; where nasm takes it we take it,
unless DELIBERATE says why not; what we refuse we refuse in one clear line. No input makes a traceback.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ringzero.asm import AssemblyError, assemble
from ringzero.asm.candidates import rows_by_name
from ringzero.asm.registers import REGISTERS
from ringzero_tests.asmcorpus import _ADDRESSES, SLOT, full_corpus
from ringzero_tests.progress import Progress

CHUNK = 90  # lines at a time: one assembly reports a hundred mistakes
_SIZES = (
    "",
    "",
    "",
    "byte ",
    "word ",
    "dword ",
    "qword ",
    "tword ",
    "oword ",
    "far ",
    "dword far ",
    "short ",
    "near ",
)
_NUMBERS = ("0", "1", "3", "-1", "0x7f", "0x80", "-0x80", "-0x81", "0xff", "0x100", "0xffff", "0x10000", "-0x8001",
            "0x7fffffff", "0x80000000", "0xffffffff", "-0x80000001", "0x100000000", "-1 << 63", "0xffffffffffffffff",
            "$", "$+2", "$$", "8:0x10", "1:$", "1.5", "'ab'", "nosuch", "0x1_0000_0000_0000_0000")  # fmt: skip
_PREFIXES = (
    "lock ",
    "rep ",
    "repne ",
    "o16 ",
    "o32 ",
    "o64 ",
    "a16 ",
    "a32 ",
    "a64 ",
    "fs ",
    "xacquire ",
    "times 2 ",
)

#: (reason, pattern): what nasm takes and we do not, or take otherwise, on purpose.
DELIBERATE: tuple[tuple[str, str], ...] = (
    ("a prefix where it is not allowed is an error here, a warning there", r"^(lock|xacquire|repn?e?) "),
    ("a value that does not fit is an error here, a warning there",
     r"(0x[0-9a-f_]{5,}|-0x8|-1 <<|0xff|0x80|0x100|'ab'|\$)"),
    ("a place beyond a short branch is an error here, a warning there", r"^(loop\w*|j\w?cxz) "),
    ("SYSCALL and SYSRET are Intel's in 64-bit mode only; nasm has no SYSRETQ, and takes it for a label",
     r"^(syscall|sysretq?|sysexitq)( [c-g]s)?$"),
    ("SALC is not in the manual, and UD0 and UD1 have a ModRM byte (SDM 2B, UD)", r"^(times 2 )?(salc|ud[01])$"),
    ("nasm takes a segment behind WAIT for a prefix", r"^f?wait [c-g]s$"),
    ("a string or a float is no operand here", r"('|1\.5)"),
    ("a distance word says nothing about a register or a place in memory", r"\b(near|short|far) "),
    ("a size word that contradicts the operand is an error here, and is passed over there",
     r"\b(byte|word|dword|qword|tword|oword) "),
    ("a size prefix that contradicts the operands is an error here", r"^(o16|o32|o64|a16|a32|a64|fs) "),
)  # fmt: skip

#: The same for lines that both take, and make other bytes of.
OTHER_BYTES: tuple[tuple[str, str], ...] = (
    ("nasm has no SYSRETQ and SYSEXITQ, and takes them for labels", r"^sys(ret|exit)q$"),
    ("XACQUIRE is not known here, and so a label", r"^xacquire "),
    ("`$` in what TIMES repeats is each repetition's place, the line's there", r"^times 2 .*\$"),
    ("before a branch with 66, nasm writes a target of the mode's size, which the processor then misreads",
     r"^o(16|32) (j\w+|call) "),
    ("an operand size that changes nothing, or that the operands have anyway: 66 or REX.W is there or not",
     r"^(o16|o32|o64) "),
    ("67 and 66 stand in another order", r"^(a16|a32) (rep )?\w+[wd]$"),
    ("nasm puts prefixes of WAIT behind it", r"^\w+ f?wait$"),
)  # fmt: skip


@dataclass
class Verdicts:
    """What came of many lines."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, kind: str, line: str = "") -> None:
        """Count a line; one that says what is wrong is kept."""
        self.counts[kind] += 1
        if line:
            self.wrong.append(line)


def nonsense(mode: int, count: int, seed: int) -> Iterator[str]:
    """Random mnemonics with random operands: most fit no row."""
    rng = random.Random(f"nonsense {mode} {seed}")
    names, registers = sorted(rows_by_name()), sorted(REGISTERS)
    for _ in range(count):
        operands = [_operand(rng, registers, mode) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 2, 3, 3, 4)))]
        prefix = rng.choice(_PREFIXES) if rng.random() < 0.08 else ""
        yield f"{prefix}{rng.choice(names)} {', '.join(operands)}".strip()


def _operand(rng: random.Random, registers: list[str], mode: int) -> str:
    kind = rng.random()
    size = rng.choice(_SIZES) if rng.random() < 0.6 else ""
    if kind < 0.5:
        return (size if rng.random() < 0.1 else "") + rng.choice(registers)
    if kind < 0.8:
        return size + rng.choice(_ADDRESSES[64 if rng.random() < 0.1 else mode])
    return (size if rng.random() < 0.3 else "") + rng.choice(_NUMBERS)


def _without(lines: list[str], refused: set[int], mode: int) -> str:
    """The source of all lines, with nothing where one is refused: each keeps its place, its bytes begin at its second.

    (A line may be empty to nasm: a word that it does not know is a label.) Line n of `lines` is line 3n + 3.
    """
    kept = ["" if number in refused else line for number, line in enumerate(lines)]
    return f"bits {mode}\n" + "".join(f"db 0xcc\n{line}\nalign {SLOT}, db 0xcc\n" for line in kept)


def _answers(flat: bytes, count: int, refused: set[int]) -> list[bytes | None]:
    return [None if n in refused else flat[n * SLOT + 1 : (n + 1) * SLOT] for n in range(count)]


def ours(lines: list[str], mode: int, verdicts: Verdicts) -> list[bytes | None]:
    """Our bytes of each line, None where it is refused; at most CHUNK lines."""
    refused: set[int] = set()
    while True:
        try:
            flat = assemble(_without(lines, refused, mode), format="bin", name="t.asm").flat
        except AssemblyError as error:
            places = [re.match(r"t\.asm:(\d+): [^\n]*$", text) for text in error.errors]
            bad = {int(found[1]) // 3 - 1 for found in places if found}
            if not all(places) or not bad - refused:
                verdicts.note("unclear", f"{mode}-bit: unclear {error.errors!r:.200}")
                return [None] * len(lines)
            refused |= bad
            continue
        except Exception as error:
            if len(lines) == 1:
                verdicts.note("traceback", f"{mode}-bit {lines[0]}: {type(error).__name__}: {error}")
                return [None]
            return [answer for line in lines for answer in ours([line], mode, verdicts)]
        return _answers(flat, len(lines), refused)


def nasms(lines: list[str], mode: int, directory: Path) -> list[bytes | None]:
    """nasm's bytes of each line, None where it is refused; nasm tells its errors in stages."""
    source, binary, refused = directory / "t.asm", directory / "t.bin", set[int]()
    binary.unlink(missing_ok=True)
    while True:
        source.write_text(_without(lines, refused, mode))
        run = subprocess.run(["nasm", "-f", "bin", "-w-all", "-o", str(binary), str(source)],
                             capture_output=True, text=True, check=False)  # fmt: skip
        if binary.exists():
            return _answers(binary.read_bytes(), len(lines), refused)
        bad = {int(line) // 3 - 1 for line in re.findall(r":(\d+): (?:error|fatal|panic)", run.stderr)}
        if not bad - refused:
            raise ValueError(f"nasm said {run.stderr[:300]!r}")
        refused |= bad


def _hex(slot: bytes) -> str:
    return slot.rstrip(b"\xcc").hex(" ")


def _why(line: str, reasons: tuple[tuple[str, str], ...]) -> str | None:
    return next((reason for reason, pattern in reasons if re.search(pattern, line)), None)


def compare(lines: list[str], mode: int, directory: Path, verdicts: Verdicts) -> None:
    """Judge lines, each alone."""
    pairs = zip(lines, ours(lines, mode, verdicts), nasms(lines, mode, directory), strict=True)
    for line, mine, theirs in pairs:
        if mine == theirs:
            verdicts.note("the same bytes" if mine else "refused by both")
        elif mine is None and theirs is not None:
            why = _why(line, DELIBERATE)
            text = "" if why else f"{mode}-bit {line}: refused; nasm {_hex(theirs)}"
            verdicts.note(why or "refused here only", text)
        elif mine is not None and theirs is None:
            verdicts.note("taken here only")
        else:
            why = _why(line, OTHER_BYTES)
            assert mine
            assert theirs
            both = f"{_hex(mine)}, nasm {_hex(theirs)}"
            verdicts.note(
                f"other bytes: {why}" if why else "other bytes", "" if why else f"{mode}-bit {line}: {both}"
            )


def run(lines: list[str], mode: int, label: str) -> Verdicts:
    """Judge many lines, with a progress bar."""
    verdicts, progress = Verdicts(), Progress(label, len(lines))
    with tempfile.TemporaryDirectory() as directory:
        for at in range(0, len(lines), CHUNK):
            chunk = lines[at : at + CHUNK]
            compare(chunk, mode, Path(directory), verdicts)
            progress.add(len(chunk), f"{len(verdicts.wrong)} wrong")
    progress.close()
    return verdicts


def main(arguments: list[str] | None = None) -> int:
    """Compare; return 1 when something is wrong, 2 without nasm."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.assemblers", description=__doc__)
    parser.add_argument("--bits", type=int, nargs="+", default=(64, 32, 16), choices=(64, 32, 16))
    parser.add_argument(
        "--random", type=int, default=0, metavar="N", help="lines of nonsense a mode, besides the corpus"
    )
    parser.add_argument("--no-corpus", action="store_true", help="nonsense only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10, help="lines to show (default %(default)s)")
    options = parser.parse_args(arguments)
    if shutil.which("nasm") is None:
        print("assemblers: nasm is not installed", file=sys.stderr)
        return 2
    wrong = 0
    for mode in options.bits:
        work = [("corpus", [] if options.no_corpus else full_corpus(mode)),
                ("nonsense", list(nonsense(mode, options.random, options.seed)))]  # fmt: skip
        for name, lines in work:
            if not lines:
                continue
            started = time.monotonic()
            verdicts = run(lines, mode, f"{mode}-bit {name}")
            seconds, bad = time.monotonic() - started, len(verdicts.wrong)
            print(f"{mode}-bit {name}: {len(lines)} lines, {bad} wrong, {seconds:.0f} s")
            for kind, count in verdicts.counts.most_common():
                print(f"    {count:8} {kind}")
            for line in verdicts.wrong[: options.show]:
                print(f"    {line}")
            wrong += len(verdicts.wrong)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
