"""The C core's header, rendered when the extension is built: slots, µops, their tables and bodies.

Nothing of it is committed; the lists it comes from are `state`, `table`, `mode` and `exits`, and the architecture's
bits in `isa.control` and `isa.rflags`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b

from ringzero.cpu import exits, mode
from ringzero.cpu.state import SLOTS
from ringzero.cpu.uops.effects import CPrinter
from ringzero.cpu.uops.table import CONDITIONS, JOINS, NUMBER, UOPS, Uop
from ringzero.isa import control, record, rflags

WRITES_FLAGS, READS_FLAGS, BARRIER, ENDS, SKIPS, NAMES_S, WIDE = 1, 2, 4, 8, 16, 32, 64
_ENDS = ("JUMP(", "BRANCH(", "GOTO(", "RETURN(", "_WINDOW(", "SYSTEM(", "STOP(")
NO_TWIN, DROP = 0xFFFF, 0xFFFE


def digest() -> int:
    """64 bits that name these lists: an extension built from other ones must not be used."""
    text = "\n".join((*SLOTS, *(f"{u.name} {u.width} {u.flags} {u.quiet} {u.effect}" for u in UOPS)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def render() -> str:
    """The text of `uops_gen.h`.

    Outside `RZ_BODIES` it defines constants and tables; with `RZ_BODIES` defined it is instead a list of
    `RZ_OP(number, name) { … } RZ_NEXT`, to be included in the loop that defines those macros.
    """
    parts = [
        "#ifndef RZ_BODIES",
        *_constants(),
        *_info(),
        *_fusion(),
        *_joins(),
        "#else",
        *_bodies(),
        "#endif",
        "",
    ]
    return "\n".join(parts)


def _identifier(name: str) -> str:
    return name.replace("+", "_")


def _constants() -> Iterator[str]:
    yield from (f"#define RZ_SLOT_{name} {number}" for number, name in enumerate(SLOTS))
    yield f"#define RZ_SLOTS {len(SLOTS)}"
    yield from (f"#define RZ_UOP_{_identifier(u.name)} {u.number}" for u in UOPS)
    yield f"#define RZ_UOPS {len(UOPS)}"
    yield f"#define RZ_INVALID_FORM {record.INVALID_FORM}"
    yield from (f"#define RZ_LEAVE_{reason.name} {reason.value}" for reason in exits.Leave)
    for prefix, module in (("", exits), ("", control), ("MODE_", mode), ("RFLAGS_", rflags)):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int):
                yield f"#define RZ_{prefix}{name} {value:#x}ULL"
    for name in (
        "WRITES_FLAGS",
        "READS_FLAGS",
        "BARRIER",
        "ENDS",
        "SKIPS",
        "NAMES_S",
        "WIDE",
        "NO_TWIN",
        "DROP",
    ):
        yield f"#define RZ_UOP_IS_{name} {globals()[name]}"
    yield f"#define RZ_EACH(X) {' '.join(f'X({u.number}, {_identifier(u.name)})' for u in UOPS)}"
    yield f"#define RZ_DIGEST {digest():#x}ULL"


def _twin(uop: Uop) -> int:
    if uop.quiet is None:
        return NO_TWIN
    return NUMBER[uop.quiet] if uop.quiet else DROP


def _info() -> Iterator[str]:
    """What the C core asks of a µop: its use of flags, its twin for when they are dead, where control may go."""
    yield "static const struct { uint16_t bits, twin; } rz_uop_info[RZ_UOPS] = {"
    for u in UOPS:
        bits = (
            WRITES_FLAGS * ("w" in u.flags)
            | READS_FLAGS * ("r" in u.flags)
            | BARRIER * (u.memory or u.leaves)
        )
        bits |= ENDS * any(ending in u.effect for ending in _ENDS) | SKIPS * ("SKIP(" in u.effect)
        bits |= WIDE * (u.width == 64)
        bits |= NAMES_S * bool(re.search(r"\bS\b", u.effect))
        yield f"    {{{bits}, {_twin(u)}}}, /* {u.name} */"
    yield "};"


def _fusion() -> Iterator[str]:
    """rz_fuse_row[first] - 1 is a row of rz_fused, whose columns are the conditions; 0 means none."""
    conditions = list(CONDITIONS)
    rows: dict[str, list[int]] = {}
    for u in UOPS:
        if u.fused:
            first, second = u.fused
            rows.setdefault(first, [NO_TWIN] * 16)[conditions.index(second[1:])] = u.number
    numbers = {first: row for row, first in enumerate(rows, 1)}
    yield f"static const uint16_t rz_fused[{len(rows)}][16] = {{"
    yield from (f"    {{{', '.join(map(str, row))}}}," for row in rows.values())
    yield "};"
    yield f"static const uint8_t rz_fuse_row[RZ_UOPS] = {{{', '.join(str(numbers.get(u.name, 0)) for u in UOPS)}}};"
    yield f"#define RZ_FIRST_CONDITION {NUMBER['jo']} /* the 16 conditional jumps are numbered in order */"


def _joins() -> Iterator[str]:
    """rz_joins from rz_join_row[first] on, to the entry with another first: what pairs become, and how."""
    yield from (f"#define RZ_JOIN_{name.upper()} {number}" for number, name in enumerate(JOINS))
    rules = {name: number for number, name in enumerate(JOINS)}
    rows = sorted(
        (NUMBER[u.joined[0]], NUMBER[u.joined[1]], u.number, rules[u.joined[2]]) for u in UOPS if u.joined
    )
    yield f"static const struct {{ uint16_t first, second, both, how; }} rz_joins[{len(rows) + 1}] = {{"
    yield from (f"    {{{', '.join(map(str, row))}}}," for row in rows)
    yield "    {0, 0, 0, 0}};"
    starts = {row[0]: number for number, row in reversed(list(enumerate(rows)))}
    numbers = ", ".join(str(starts.get(u.number, len(rows))) for u in UOPS)
    yield f"static const uint16_t rz_join_row[RZ_UOPS] = {{{numbers}}};"


def _bodies() -> Iterator[str]:
    printer = CPrinter()
    yield from (f"RZ_OP({u.number}, {_identifier(u.name)}) {{ {printer.block(u)} }} RZ_NEXT" for u in UOPS)
