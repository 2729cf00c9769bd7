"""What the instruction table covers: by mnemonic, family and feature, as data and as docs/instructions.md.

A family is the file of this package that lowers a mnemonic; its first line is what the family is.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ringzero.isa.features import FEATURES
from ringzero.isa.form import Form
from ringzero.isa.table import FORMS, LOWERINGS

MODES = ("64", "32", "real")
NOT_LOWERED = "not lowered"


@dataclass(frozen=True)
class Entry:
    """A mnemonic. `modes`: where any row of it exists; `features`: those that some row needs; `cpl`: the outermost."""

    mnemonic: str
    family: str
    rows: int
    modes: tuple[str, ...]
    features: tuple[str, ...]
    cpl: int
    lowered: bool
    aliases: tuple[str, ...]


def modes_of(form: Form) -> tuple[str, ...]:
    """64-bit code; other protected code, of 32 bits or of 16; real mode."""
    real = form.mode32 and not form.protected and not form.vex
    return tuple(mode for mode, there in zip(MODES, (form.mode64, form.mode32, real), strict=True) if there)


def family_of(mnemonic: str) -> str:
    """The file that lowers a mnemonic."""
    if mnemonic not in LOWERINGS:
        return NOT_LOWERED
    return LOWERINGS[mnemonic].__module__.rpartition(".")[2]


def entries() -> list[Entry]:
    """All mnemonics in alphabetical order."""
    rows: dict[str, list[Form]] = {}
    for form in FORMS:
        rows.setdefault(form.mnemonic, []).append(form)
    return [_entry(mnemonic, rows[mnemonic]) for mnemonic in sorted(rows)]


def _entry(mnemonic: str, rows: list[Form]) -> Entry:
    present = {mode for form in rows for mode in modes_of(form)}
    return Entry(
        mnemonic,
        family_of(mnemonic),
        len(rows),
        tuple(mode for mode in MODES if mode in present),
        tuple(sorted({form.feature for form in rows} - {""})),
        max(form.cpl for form in rows),
        mnemonic in LOWERINGS,
        tuple(dict.fromkeys(alias for form in rows for alias in form.aliases)),
    )


def totals() -> dict[str, dict[str, int]]:
    """Rows by family and by feature ("any": every processor here has them), in alphabetical order."""
    families = Counter(family_of(form.mnemonic) for form in FORMS)
    features = Counter(form.feature or "any" for form in FORMS)
    return {"families": dict(sorted(families.items())), "features": dict(sorted(features.items()))}


# --- docs/instructions.md --------------------------------------------------------------------------------------------

_HEAD = """# Instructions

Generated from the instruction table: `ringzero info --markdown > docs/instructions.md`.

Each row is one encoding, in the notation of `ringzero/isa/form.py`. *Modes*: 64-bit code; other protected code, of 32
bits or of 16; real mode. *Needs*: the CPUID feature (`--cpu`) without which the row is #UD, and `cpl 0` for a row that
is #GP(0) elsewhere. *Flags*: those that it may change, and in brackets those that the manual leaves undefined.
"""


def markdown() -> str:
    """The whole of docs/instructions.md."""
    return "\n".join([_HEAD, *_summary(), *_features(), *_families()]) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
    yield ""


def _summary() -> Iterator[str]:
    found = entries()
    lowered = sum(1 for form in FORMS if form.mnemonic in LOWERINGS)
    yield f"{len(FORMS)} rows of {len(found)} mnemonics; {lowered} rows have a lowering, and so run on both engines.\n"


def _features() -> Iterator[str]:
    counts = totals()["features"]
    yield "## Features\n"
    yield from _table(
        ("feature", "what comes with it", "rows", "in the model `ringzero`"),
        (
            (f.name, f.note, counts.get(f.name, 0) or "", "yes" if f.default else "")
            for f in FEATURES.values()
        ),
    )


def _families() -> Iterator[str]:
    families: dict[str, list[Form]] = {}
    for form in FORMS:
        families.setdefault(family_of(form.mnemonic), []).append(form)
    for family in sorted(families):
        yield f"## {family}\n"
        if family != NOT_LOWERED:
            about = sys.modules[f"ringzero.isa.{family}"].__doc__ or ""
            yield about.strip().splitlines()[0] + "\n"
        yield from _table(
            ("instruction", "encoding", "modes", "needs", "flags", "note"), map(_row, families[family])
        )


def _row(form: Form) -> tuple[str, ...]:
    needs = [form.feature] * bool(form.feature) + ["cpl 0"] * (form.cpl == 0)
    flags = form.flags + (f" ({form.undefined})" if form.undefined else "")
    operands = f"{form.mnemonic} {', '.join(form.operands)}".strip()
    return f"`{operands}`", f"`{form.encoding}`", " ".join(modes_of(form)), ", ".join(needs), flags, form.note
