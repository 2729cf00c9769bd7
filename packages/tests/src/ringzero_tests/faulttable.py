"""`python -m ringzero_tests.faulttable`: for each row and each fault that the manual lists for its kind, one case.

The room's rule: which faults a row must have is read from its columns (`wanted`); a case is found by aiming the row's
memory operands at trouble (`Aimed`) and taking the first seed that meets it; what silicon then said is kept. A fault
leaves everything as it was: that is asked of each case, beside vector, error code, CR2 and RIP.

File: `recorded/faults.jsonl.xz`, one JSON object a row and code width, outcomes packed as in vectors.py::

    {"row": …, "bits": 64, "judge": "AuthenticAMD", "faults": {"missing": [seed, outcome], "lock": [seed, outcome], …}}
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from ringzero.isa import record as R
from ringzero.isa.decode import decode
from ringzero.isa.form import Form
from ringzero.isa.table import FORMS
from ringzero_tests import engines, silicon
from ringzero_tests.case import AC, CODE_END, DATA, DATA_END, READONLY, TF, Case, Outcome
from ringzero_tests.compare import difference
from ringzero_tests.digests import undefined_in
from ringzero_tests.draws import Draws
from ringzero_tests.generate import attempt
from ringzero_tests.judged import why_not_silicon
from ringzero_tests.progress import Progress
from ringzero_tests.shape import SHAPERS
from ringzero_tests.vectors import RECORDED, absolute, agreed, pack_outcome, row_name, unpack_outcome

FILE = RECORDED / "faults.jsonl.xz"
SEEDS = 400  # tried for each fault

DE, DB, BP, OF, BR, UD, SS, GP, PF, ALIGNMENT = 0, 1, 3, 4, 5, 6, 12, 13, 14, 17

#: Where a row's memory operands are aimed: name → (vector, error codes, address by size).
_AIMS = {
    "missing": (PF, (4, 6), lambda size, draws: DATA_END + 64 + draws.below(64) * 16),
    "read only": (PF, (7,), lambda size, draws: READONLY + 512 + draws.below(64) * 16),
    "half missing": (PF, (4, 6), lambda size, draws: DATA_END - 1),
    "not canonical": (GP, (0,), lambda size, draws: 1 << 63 | draws.below(64) * 16),
    "stack not canonical": (SS, (0,), lambda size, draws: 1 << 63 | draws.below(64) * 16),
    "not aligned": (ALIGNMENT, (0,), lambda size, draws: DATA + 0x401 + draws.below(64) * 16),
}  # fmt: skip

#: Rows whose memory operand is not touched, or touched by nothing that can fault.
_NO_ACCESS = {"lea", "nop", "invlpg", "cldemote"}
#: Rows behind which no single-step trap is asked for: they change TF, or trap themselves.
_OWN_TRAPS = {
    "popfw",
    "popfd",
    "popfq",
    "iretw",
    "iretd",
    "iretq",
    "int",
    "int1",
    "int3",
    "into",
    "ud0",
    "ud1",
    "ud2",
}
_ONE_BYTE_ACCESS = {"clflush", "clflushopt", "clwb"}
_ONLY_READ = {"cmp", "test", "bt", "push", "mul", "imul", "div", "idiv", "jmp", "call", "bound", "out"}
_OWN = {
    "div": ("divide", DE), "idiv": ("divide", DE), "aam": ("divide", DE), "bound": ("bounds", BR),
    "into": ("overflow", OF), "int3": ("breakpoint", BP),
}  # fmt: skip
#: #UD in user mode, not #GP.
_NO_USER_MODE = {"monitor", "mwait", "clac", "stac"}
_AMD_TOO = {"syscall", "sysret"}  # AMD has them in 32-bit code
_TRAPS = {"overflow": OF, "breakpoint": BP, "step": DB}
_NEEDS_PRIVILEGE = {"in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd", "cli", "sti", "rdpmc"}


class Aimed(Draws):
    """Draws whose memory operands all lie where `aim` says."""

    aim: Any = None

    def target(self, size: int, bits: int) -> int:
        """Where the fault waits."""
        if self.aim is None:
            return super().target(size, bits)
        return int(self.aim(size, self)) & ((1 << 64) - 1 if bits == 64 else 0xFFFFFFFF)

    def inside(self, size: int) -> int:
        """The same for what is drawn inside of DATA."""
        return self.target(size, 64) if self.aim else super().inside(size)


def _memory_sizes(form: Form) -> list[int]:
    """Bytes of the explicit memory operands; 0 where the operand size says, -1 where it has none."""
    return [kind.memory_size or kind.size for kind in form.kinds if "mem" in kind.holds]


def wanted(form: Form, bits: int) -> Iterator[str]:
    """The faults that the row must be able to raise, by its columns."""
    if not (form.mode64 if bits == 64 else form.mode32):
        if form.mnemonic not in _AMD_TOO:
            yield "mode"
        return
    if _vendors_part(form, bits) or form.mnemonic in ("ud0", "ud1"):
        return
    if not (form.lock and form.memory_only):
        yield "lock"
    yield "too long"
    yield "fetch"
    if why_not_silicon(form, bits) or form.mnemonic in _NO_USER_MODE:
        return
    if form.cpl == 0 or form.mnemonic in _NEEDS_PRIVILEGE:
        yield "privilege"
        return
    if form.mnemonic in _OWN:
        yield _OWN[form.mnemonic][0]
    if form.mnemonic not in _OWN_TRAPS and not (form.mnemonic == "nop" and form.operands == ("rr",)):
        yield "step"  # 0F 0D with a register: AMD raises #UD, see judged.vendors_differ
    sizes = _memory_sizes(form)
    if sizes and form.mnemonic not in _NO_ACCESS and not form.mnemonic.startswith("prefetch"):
        yield "missing"
        if bits == 64 and "moffs" not in form.immediates:
            if form.mnemonic != "pop":  # its stack is looked at first
                yield "not canonical"
            yield "stack not canonical"
        if "mem" in form.kinds[0].holds and form.mnemonic not in _ONLY_READ | _ONE_BYTE_ACCESS:
            yield "read only"
        if all(size != 1 for size in sizes) and form.size != "8" and form.mnemonic not in _ONE_BYTE_ACCESS:
            yield "half missing"
            if form.mnemonic not in ("cmpxchg16b",):
                yield "not aligned"


@cache
def _vendors_part(form: Form, bits: int) -> bool:
    """Whether Intel and AMD differ on every case of the row."""
    cases = (_draw(form, bits, "vendors", seed) for seed in range(20))
    return form.modrm and all(agreed(form, case) is None for case in cases if case and 0xF0 not in case.code)


def _draw(form: Form, bits: int, name: str, seed: int) -> Case | None:
    draws = Aimed("fault", name, form.mnemonic, form.encoding, ",".join(form.operands), bits, seed)
    draws.aim = _AIMS[name][2] if name in _AIMS else None
    # The shaper of the bit tests chooses places of its own.
    shaper = (
        None if draws.aim and form.mnemonic in ("bt", "bts", "btr", "btc") else SHAPERS.get(form.mnemonic)
    )
    case = attempt(form, bits, draws, shaper)
    wanted_flags = {"not aligned": AC, "step": TF}.get(name, 0)
    return case and replace(case, flags=case.flags & ~AC | wanted_flags)


def case_of(form: Form, bits: int, name: str, seed: int) -> Case | None:
    """The case that the seed draws for this fault, or None."""
    if name == "mode":
        return _of_another_mode(form, bits, seed)
    case = _draw(form, bits, name, seed)
    if case is None or len(case.code) > R.MAX_LENGTH or case.address + 16 > CODE_END:
        return None
    valid = decode(case.code, bits, limit=1)[0][R.FORM] == form.number
    if name == "lock":
        case = replace(case, code=b"\xf0" + case.code)
        valid = valid and decode(case.code, bits, limit=1)[0][R.FORM] == R.INVALID_FORM
    elif name == "too long":
        case = replace(case, code=b"\x3e" * (R.MAX_LENGTH + 1 - len(case.code)) + case.code)
    elif name == "fetch":
        case = replace(case, address=CODE_END - 1 - seed % max(len(case.code) - 1, 1))
        case = replace(case, code=case.code[: CODE_END - case.address])
    return agreed(form, case) if valid else None


def _of_another_mode(form: Form, bits: int, seed: int) -> Case | None:
    """The row's bytes in code where there is no such row, if they are nothing else there."""
    case = _draw(form, 96 - bits, "mode", seed)
    if case is None or decode(case.code, bits, limit=1)[0][R.FORM] != R.INVALID_FORM or 0xF0 in case.code[:5]:
        return None
    if bits == 32:
        case = replace(case, registers=tuple(r & 0xFFFFFFFF for r in case.registers[:8]) + (0,) * 8)
    return replace(case, bits=bits)


def meets(name: str, form: Form, case: Case, outcome: Outcome) -> bool:
    """Whether the outcome is the fault looked for, with nothing written."""
    if outcome.fault is None:
        return False
    vector, error = outcome.fault.vector, outcome.fault.error
    if name in _TRAPS:
        return vector == _TRAPS[name]  # RIP is behind the instruction
    if outcome.registers != case.registers or outcome.memory or outcome.rip != case.address:
        return False
    if name in _AIMS:
        return vector == _AIMS[name][0] and error in _AIMS[name][1]
    if name in ("divide", "bounds"):
        return vector == _OWN[form.mnemonic][1]
    expected = {
        "lock": (UD, 0),
        "too long": (GP, 0),
        "mode": (UD, 0),
        "privilege": (GP, 0),
        "fetch": (PF, 0x14),
    }[name]
    return (vector, error) == expected


def find(form: Form, bits: int, name: str, runner: engines.EngineRunner) -> tuple[int, Case] | None:
    """The first seed whose case meets the fault on our engine."""
    for seed in range(SEEDS):
        case = case_of(form, bits, name, seed)
        if case is not None and meets(name, form, case, runner.run(case)):
            return seed, case
    return None


def rows() -> list[tuple[Form, int]]:
    """Every row in every code width, also where it does not exist."""
    return [(form, bits) for form in FORMS for bits in (64, 32)]


def load() -> dict[tuple[str, int], dict[str, tuple[int, Outcome]]]:
    """What is recorded: (row, bits) → fault → (seed, silicon's outcome, not yet absolute)."""
    found = {}
    for line in lzma.decompress(FILE.read_bytes()).decode().splitlines() if FILE.exists() else ():
        kept = json.loads(line)
        faults = {name: (seed, unpack_outcome(packed)) for name, (seed, packed) in kept["faults"].items()}
        found[kept["row"], kept["bits"]] = faults
    return found


def replay(
    form: Form, bits: int, faults: dict[str, tuple[int, Outcome]], runner: engines.EngineRunner
) -> Iterator[str]:
    """A line for each fault of a row that an engine raises otherwise than silicon did."""
    for name, (seed, stored) in faults.items():
        case = case_of(form, bits, name, seed)
        if case is None:
            yield f"{bits} {form}: {name}: its case has changed; run `python -m ringzero_tests.faulttable`"
            continue
        answer, ours = absolute(case, stored), runner.run(case)
        found = difference(answer, ours, undefined_in(form, case, answer))
        if found or not meets(name, form, case, ours):
            yield f"{bits} {form}: {name}: {case.code.hex(' ')}: {found or 'something was written'}"


def record_row(
    form: Form, bits: int, runner: engines.EngineRunner, judge: silicon.Silicon
) -> tuple[str, list[str]]:
    """Find and judge a row's faults: its line, and what is wrong."""
    kept, wrong = {}, []
    for name in dict.fromkeys(wanted(form, bits)):
        found = find(form, bits, name, runner)
        if found is None and name == "mode":
            continue  # other instructions have its bytes there
        if found is None:
            wrong.append(f"{bits} {form}: no case of {name}")
            continue
        seed, case = found
        answer = judge.run(case)
        kept[name] = [seed, pack_outcome(case, answer)]
        differs = difference(answer, runner.run(case), undefined_in(form, case, answer))
        if differs:
            wrong.append(f"{bits} {form}: {name}: {case.code.hex(' ')}: {differs}")
    line = {"row": row_name(form), "bits": bits, "judge": silicon.vendor(), "faults": kept}
    return json.dumps(line, separators=(",", ":")), wrong


def main() -> int:
    """Record; return 1 when a fault is missing or wrong."""
    if reason := silicon.why_not():
        print(f"faulttable: {reason}", file=sys.stderr)
        return 2
    runner, lines, wrong = (
        engines.EngineRunner("native" if not engines.missing("native") else "python"),
        [],
        [],
    )
    progress = Progress("faults", len(rows()))
    with silicon.Silicon() as judge:
        for form, bits in rows():
            line, bad = record_row(form, bits, runner, judge)
            lines.append(line)
            wrong += bad
            progress.add(1, f"{len(wrong)} wrong")
    progress.close()
    FILE.write_bytes(lzma.compress(("\n".join(lines) + "\n").encode(), preset=9))
    print("\n".join(wrong))
    count = sum(len(json.loads(line)["faults"]) for line in lines)
    print(
        f"recorded {count} faults of {len(lines)} rows, {len(wrong)} wrong or not met, {FILE.stat().st_size} bytes"
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
