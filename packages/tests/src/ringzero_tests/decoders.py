"""`python -m ringzero_tests.decoders [files…] --random N`: the decoders against iced-x86 and each other, at scale.

Files are read as 64-bit code from .text's start to its end (an ELF file, or a distribution's kernel image, whose
vmlinux is unpacked). Random strings go through every mode. Ends with status 1 when anything differs but what
`iced.DELIBERATE` names; its counts are printed with their reasons.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ringzero.cpu.engine.engines import native_available
from ringzero.isa import FORMS
from ringzero.isa import decode as python
from ringzero.isa import record as R
from ringzero_tests.drawbytes import draw, draw_any, heads
from ringzero_tests.elfcode import text_of
from ringzero_tests.progress import Progress

if TYPE_CHECKING:
    from ringzero_tests.iced import Judge

STRING = 16  # bytes: no instruction is longer than 15
BATCH = 4096
BY_ROW = 4  # one string in so many is drawn from a row of the table
IN_PYTHON = 16  # … is read by the Python decoder too
AHEAD = 64  # of our records at a time, in real code


@dataclass
class Findings:
    """Counts of verdicts, and the first lines about what differs."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    python: int = 0  # strings that both our decoders have read

    def differ(self, line: str) -> None:
        """Keep a difference."""
        self.counts["DIFFERENT"] += 1
        if len(self.lines) < 1000:
            self.lines.append(line)


def decode_fast(code: bytes, mode: int, limit: int) -> list[R.RecordTuple]:
    """The C decoder's records, or Python's where there is no C."""
    if native_available():
        from ringzero.isa import native

        return native.decode(code, mode, limit=limit)
    return python.decode(code, mode, limit=limit)


def strings(mode: int, count: int, seed: int) -> Iterator[bytes]:
    """`count` strings of STRING bytes: prefixes, escapes, VEX and noise; one in BY_ROW begins as a row."""
    rng = random.Random(f"decoders {mode} {seed}")
    rows = [form for form in FORMS if (form.mode64 if mode == 64 else form.mode32)]
    starts = heads(rng, mode)
    for number in range(count):
        if number % BY_ROW == 0:
            yield draw(rows[number // BY_ROW % len(rows)], rng, mode)[:STRING]
        else:
            yield draw_any(starts, rng, STRING)


def compare_strings(judge: Judge, codes: list[bytes], found: Findings) -> None:
    """Hold the readings of single strings of STRING bytes against iced's, and some against the Python decoder's."""
    reader = judge.reader(b"".join(codes))
    for number, code in enumerate(codes):
        record, theirs = decode_fast(code, judge.mode, 1)[0], reader(number * STRING)
        verdict, what = judge.verdict(record, theirs)
        if what:
            found.differ(judge.describe(code, record, theirs, what))
        else:
            found.counts[verdict] += 1
        if number % IN_PYTHON == 0:
            found.python += 1
            cut = code[: 1 + number // IN_PYTHON % STRING]
            for string in (code, cut):
                if python.decode(string, judge.mode) != decode_fast(string, judge.mode, STRING):
                    found.differ(f"{judge.mode}-bit {string.hex(' ')}: our decoders differ")


def compare_code(judge: Judge, code: bytes, found: Findings, progress: Progress) -> None:
    """Read code from its start to its end, instruction by instruction where iced says that one begins."""
    reader, at, shown = judge.reader(code), 0, 0
    ours: list[R.RecordTuple] = []
    while at < len(code):
        if not ours:
            ours = decode_fast(code[at : at + AHEAD * 15], judge.mode, AHEAD)[::-1]
        record, theirs = ours.pop(), reader(at)
        if record[R.FORM] == R.INVALID_FORM and record[R.IMM] == R.TRUNCATED and len(code) - at >= 15:
            ours = []  # only the end of what was read ahead
            continue
        verdict, what = judge.verdict(record, theirs)
        if what:
            found.differ(judge.describe(code[at : at + 15], record, theirs, what))
        else:
            found.counts[verdict] += 1
        at += theirs.len or 1
        if theirs.len != record[R.LENGTH]:
            ours = []
        if at - shown > 1 << 16:
            progress.add(at - shown, f"{found.counts['DIFFERENT']} differ")
            shown = at


def run_random(judge: Judge, count: int, seed: int) -> Findings:
    """Compare `count` strings."""
    found, progress = Findings(), Progress(f"{judge.mode}-bit strings", count)
    waiting: list[bytes] = []
    for code in strings(judge.mode, count, seed):
        waiting.append(code)
        if len(waiting) == BATCH:
            compare_strings(judge, waiting, found)
            progress.add(BATCH, f"{found.counts['DIFFERENT']} differ")
            waiting = []
    compare_strings(judge, waiting, found)
    progress.close()
    return found


def run_file(judge: Judge, path: Path) -> Findings:
    """Compare a program's code."""
    found, (_, code) = Findings(), text_of(path)
    progress = Progress(path.name, len(code))
    compare_code(judge, code, found, progress)
    progress.close()
    return found


def report(name: str, found: Findings, seconds: float, show: int) -> None:
    """Print the counts, what is deliberate with its reason, and the first differences."""
    print(f"{name}: {found.counts.total()} read, {found.counts['DIFFERENT']} differ, {seconds:.0f} s"
          + (f"; {found.python} by the Python decoder too" if found.python else ""))  # fmt: skip
    for reason, count in found.counts.most_common():
        if reason != "DIFFERENT":
            print(f"    {count:9} {reason}")
    for line in found.lines[:show]:
        print(f"    {line}")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Compare; return 1 when something differs, 2 when there is nothing to compare with."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.decoders", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="ELF files or kernel images")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="random strings, over all modes")
    parser.add_argument("--modes", type=int, nargs="+", default=R.MODES, choices=R.MODES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10, help="differences to show (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        from ringzero_tests.iced import Judge
    except ImportError:
        print("decoders: iced-x86 is not installed (pip install iced-x86)", file=sys.stderr)
        return 2
    wrong = 0
    for path in options.files:
        started = time.monotonic()
        try:
            found = run_file(Judge(64), path)
        except (OSError, ValueError) as trouble:
            print(f"decoders: {trouble}", file=sys.stderr)
            return 2
        report(path.name, found, time.monotonic() - started, options.show)
        wrong += found.counts["DIFFERENT"]
    for mode in options.modes if options.random else ():
        started = time.monotonic()
        found = run_random(Judge(mode), options.random // len(options.modes), options.seed)
        report(f"{mode}-bit strings, seed {options.seed}", found, time.monotonic() - started, options.show)
        wrong += found.counts["DIFFERENT"]
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
