"""`python -m ringzero_tests.fuzz decode|blocks`: libFuzzer on the C core, under the address and undefined sanitizers.

The room's rule: the targets are C (packages/tests/fuzz); what Python knows (rows, lowered blocks, slots) goes to them
as first inputs, written anew for each build, so that no file names a µop by a number that has changed. A finding stays
in the cache directory under `findings`; `--input FILE` runs it again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ringzero.cpu.lower.lowering import Lowerer
from ringzero.cpu.mode import code_bits, mode_word
from ringzero.cpu.state import GPRS, SLOT, State
from ringzero.cpu.uops.table import PACKED
from ringzero.isa import FORMS, control
from ringzero.machine.memory import Memory
from ringzero_tests.drawbytes import draw
from ringzero_tests.engines import EngineRunner
from ringzero_tests.progress import Progress

TREE = Path(__file__).resolve().parents[4]
TARGETS = ("decode", "blocks")
SANITIZE = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined")
MOST_BYTES = {"decode": 256, "blocks": 4096}
RAM, PLACE = 1 << 16, 0x8000
ROUNDS = 2  # inputs a row


@dataclass(frozen=True)
class Run:
    """What libFuzzer said at its end: executions, edges covered and in all, inputs kept, the target's own line."""

    status: int
    executions: int
    covered: int
    edges: int
    inputs: int
    tally: str
    output: str

    def __str__(self) -> str:
        share = 100 * self.covered / self.edges if self.edges else 0
        found = "nothing found" if self.status == 0 else f"STOPPED with status {self.status}"
        return (f"{self.executions} executions, {self.covered} of {self.edges} edges ({share:.0f} %), "
                f"{self.inputs} inputs kept; {self.tally}; {found}")  # fmt: skip


def why_not() -> str | None:
    """Return why this host cannot fuzz, or None."""
    if not (TREE / "packages/cpu/csrc/decode.c").exists():
        return "fuzzing needs the source tree, not an installed package"
    if shutil.which("clang") is None:
        return "fuzzing needs clang with its libFuzzer runtime"
    probe = subprocess.run(
        ["clang", *SANITIZE, "-x", "c", "-", "-o", os.devnull], capture_output=True, check=False,
        input=b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n; }",
    )  # fmt: skip
    return None if probe.returncode == 0 else "clang is here, but not its libFuzzer or sanitizer runtime"


def cache() -> Path:
    """Return where targets, corpora and findings are kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "ringzero-tests" / "fuzz"


def _headers(directory: Path) -> None:
    spec = importlib.util.spec_from_file_location("build_native", TREE / "packages/cpu/build_native.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_headers(directory)


def _sources(target: str) -> dict[str, bytes]:
    """All that a target is made of, by file name, read once: a tree may change while the compiler is at work."""
    csrc, generated = TREE / "packages/cpu/csrc", cache() / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    _headers(generated)
    files = [*csrc.glob("*.h"), *generated.glob("*.h"), *(csrc.glob("*.c") if target == "blocks" else ())]
    files += [csrc / "decode.c"]
    return {path.name: path.read_bytes() for path in sorted(files)} | {
        f"fuzz_{target}.c": (TREE / f"packages/tests/fuzz/{target}.c").read_bytes()
    }


def build(target: str) -> Path:
    """Compile a target unless one of the same sources is there; return the program's path."""
    sources = _sources(target)
    digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:16]
    program = cache() / f"{target}-{digest}"
    if program.exists():
        return program
    with tempfile.TemporaryDirectory() as name:
        for file, content in sources.items():
            (Path(name) / file).write_bytes(content)
        # Not optimised, and with one switch: sanitizers make the loop so large that more takes minutes.
        level = "-O0" if target == "blocks" else "-O1"
        command = ["clang", "-g", level, "-std=gnu11", "-DRZ_NO_COMPUTED_GOTO", *SANITIZE, f"-I{name}",
                   *(file for file in sources if file.endswith(".c")), "-o", "target"]  # fmt: skip
        subprocess.run(command, check=True, cwd=name)
        shutil.move(Path(name) / "target", program)
    return program


# --- first inputs --------------------------------------------------------------------------------


def decode_inputs(rng: random.Random) -> Iterator[bytes]:
    """A few instructions of each row."""
    for form in FORMS:
        for number, mode in enumerate((64, 32)):
            if form.mode64 if mode == 64 else form.mode32:
                code = b"".join(draw(form, rng, mode)[: rng.randrange(2, 18)] for _ in range(ROUNDS))
                yield bytes([number, rng.randrange(1, 40)]) + code


def _state(bits: int) -> State:
    """The state that `begin` makes from the same bits, as far as the mode word reads it."""
    state, long = State(), bits & 4
    state["cr0"] = control.CR0_PE
    state["efer"] = control.EFER_LMA if long else 0
    for segment in ("es", "cs", "ss", "ds"):
        state[f"{segment}_limit"], state[f"{segment}_attr"] = 0xFFFFFFFF, 0xC93
    state["cs_attr"], state["cpl"] = 0x29B if long else 0xC9B, 3 if bits & 2 else 0
    return state


def packed_block(uops: list[tuple[int, ...]], lengths: list[int], place: int, target: int) -> bytes:
    """A block as blocks.c reads it."""
    body = b"".join(PACKED.pack(*uop) for uop in uops)
    head = bytes([0, len(lengths), len(uops)]) + (place - PLACE).to_bytes(2, "little") + bytes(lengths)
    return head + target.to_bytes(8, "little") + body


class Blocks:
    """Inputs for the loop: what the lowering makes of drawn instructions, with values that reach RAM."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.memory = rng, Memory(1 << 20)
        self.lowerer = Lowerer(self.memory, EngineRunner("python").cpu.systems, frozenset())

    def commands(self, codes: list[bytes], bits: int) -> bytes:
        """Set the state, install a block for each of `codes`, and run through them."""
        rng, mode = self.rng, mode_word(_state(bits).words)
        out = [bytes([0, bits])]
        for name in GPRS:
            value = rng.choice((rng.randrange(RAM), rng.randrange(0xC000, RAM), rng.getrandbits(64)))
            out.append(bytes([5, SLOT[name]]) + value.to_bytes(8, "little"))
        for number, code in enumerate(codes):
            place = PLACE + 0x400 * number + rng.choice((0, 0x3F, 0x100))
            if block := self._packed(code, place, mode):
                out += [b"\x01" + block, b"\x04" + rng.randrange(1, 90).to_bytes(2, "little")]
        return b"".join(out)

    def _packed(self, code: bytes, place: int, mode: int) -> bytes | None:
        self.memory.write(place, code)
        block = self.lowerer.block(place, mode, lambda linear: linear & (RAM - 1))
        lengths = [b - a for a, b in zip(block.offsets, block.offsets[1:], strict=False)]
        if len(block.uops) > 255 or block.count > 255:
            return None
        return packed_block(block.uops, lengths, place, block.target)

    def inputs(self) -> Iterator[bytes]:
        """Several rows an input, in every mode that `begin` knows."""
        rng = self.rng
        for form in FORMS:
            for bits in rng.sample(range(8), ROUNDS):
                mode = code_bits(mode_word(_state(bits).words))
                others = [rng.choice(FORMS) for _ in range(3)]
                yield self.commands([draw(row, rng, mode)[:40] for row in (form, *others)], bits)
        for bits in range(16):
            yield bytes([0, bits, 12]) + rng.randbytes(8) + b"\xff"


def random_blocks(count: int, seed: int) -> bytes:
    """One input that has the target draw `count` well-formed blocks, in every mode in turn."""
    rng, out = random.Random(f"blocks {seed}"), []
    for number in range(-(-count // 255)):
        out.append(bytes([0, number % 16, 12]) + rng.randbytes(8) + b"\xff")
    return b"".join(out)


def write_inputs(target: str, directory: Path) -> int:
    """Write the first inputs; return how many."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(target)
    inputs = list(decode_inputs(rng) if target == "decode" else Blocks(rng).inputs())
    for number, data in enumerate(inputs):
        (directory / f"row-{number:04}").write_bytes(data)
    return len(inputs)


# --- running --------------------------------------------------------------------------------


def run(target: str, seconds: int, seed: int = 1, runs: int = -1, inputs: Path | None = None) -> Run:
    """Fuzz for some seconds (or `runs` executions); return what came of it. `inputs` are run once when given."""
    program = build(target)
    corpus, findings = program.with_suffix(".corpus"), cache() / "findings"
    findings.mkdir(exist_ok=True)
    if not corpus.exists():
        write_inputs(target, corpus)
    command = [str(program), f"-max_len={MOST_BYTES[target]}", f"-seed={seed}", "-print_final_stats=1", "-timeout=20",
               "-rss_limit_mb=2048", f"-artifact_prefix={findings}/{target}-"]  # fmt: skip
    command += [str(inputs)] if inputs else [f"-max_total_time={seconds}", f"-runs={runs}", str(corpus)]
    environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=4"}
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, env=environment)
    return _read(target, done.returncode, done.stderr.decode(errors="replace"))


def run_blocks(count: int, seed: int) -> Run:
    """Run about `count` random blocks, not guided by coverage; stop where the sanitizers do."""
    part, total, tally = 200 * 255, 0, [0, 0, 0, 0]
    program, path = build("blocks"), cache() / f"blocks-{os.getpid()}"
    progress, done = Progress("blocks", count), Run(0, 0, 0, 0, 0, "", "")
    (cache() / "findings").mkdir(exist_ok=True)
    while total < count and done.status == 0:
        path.write_bytes(random_blocks(part, seed * 1_000_003 + total))
        said = subprocess.run([str(program), "-timeout=600", str(path)], stderr=subprocess.PIPE, check=False)
        done = _read("blocks", said.returncode, said.stderr.decode(errors="replace"))
        total += part
        tally = [a + int(b) for a, b in zip(tally, re.findall(r"\d+", done.tally), strict=False)]
        progress.add(part)
    progress.close()
    path.unlink() if done.status == 0 else path.replace(
        cache() / "findings" / f"blocks-random-{seed}-{total}"
    )
    text = f"{tally[0]} blocks run, {tally[1]} refused, {tally[3]} steps"
    return replace(done, executions=total // part, tally=text)


def _read(target: str, status: int, output: str) -> Run:
    def last(pattern: str) -> int:
        return int((re.findall(pattern, output) or ["0"])[-1])

    tally = (re.findall(rf"^{target}: .*", output, re.MULTILINE) or [f"{target}: no count"])[-1]
    return Run(status, last(r"stat::number_of_executed_units:\s+(\d+)"), last(r"cov: (\d+)"),
               last(r"(\d+) inline 8-bit counters"), last(r"corp: (\d+)"), tally, output)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; print one line; return 1 when something was found, 2 when there is nothing to fuzz with."""
    parser = argparse.ArgumentParser(prog="python -m ringzero_tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--time", type=int, default=60, metavar="N", help="seconds (default %(default)s)")
    parser.add_argument("--runs", type=int, default=-1, metavar="N", help="end after N executions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--blocks", type=int, metavar="N", help="blocks: N random ones, not guided by coverage"
    )
    parser.add_argument("--input", type=Path, help="run this one file, as a finding is looked at again")
    options = parser.parse_args(arguments)
    if reason := why_not():
        print(f"fuzz: {reason}", file=sys.stderr)
        return 2
    if options.blocks:
        done = run_blocks(options.blocks, options.seed)
    else:
        done = run(options.target, options.time, options.seed, options.runs, options.input)
    if done.status:
        print(done.output[-6000:], file=sys.stderr)
    print(f"{options.target}: {done}")
    return int(done.status != 0)


if __name__ == "__main__":
    sys.exit(main())
