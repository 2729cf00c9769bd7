"""Renders the decoder's tables as C: `isa_tables.h`, made at build time from the rows and included by csrc/decode.c.

Standard library only, for the build imports it. The header carries a digest of what it was made from, so that a
native decoder of an older table is noticed (isa/native.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

from ringzero.isa import dectab as D
from ringzero.isa import record as R
from ringzero.isa.table import FORMS

_CONSTANTS = {
    "LOCK": R.LOCK, "REP": R.REP, "REPNE": R.REPNE, "REX_PREFIX": R.REX_PREFIX, "SEGMENT_PREFIX": R.SEGMENT_PREFIX,
    "NO_REGISTER": R.NO_REGISTER, "NO_SEGMENT": R.NO_SEGMENT, "RIP": R.RIP, "INVALID_FORM": R.INVALID_FORM,
    "INVALID": R.INVALID, "TRUNCATED": R.TRUNCATED, "TOO_LONG": R.TOO_LONG, "MAX_LENGTH": R.MAX_LENGTH,
    "NODE": D.NODE, "INVALID_CELL": D.INVALID_CELL, "VEX_CELL": D.VEX_CELL, "VEX_MAPS": D.VEX_MAPS, "NO_MAP": D.NO_MAP,
    "MAPS": D.MAPS,
    "VEX_PREFIX": R.VEX_PREFIX, "NOT_BEFORE_VEX": D.NOT_BEFORE_VEX,
    "REX_CLASS": D.REX_CLASS, "SEGMENT_CLASS": D.SEGMENT_CLASS, "IGNORED_CLASS": D.IGNORED_CLASS,
    "DIM_REP_PREFIX": D.REP_PREFIX, "DIM_MOD_REG": D.MOD_REG, "DIM_RM_BITS": D.RM_BITS, "DIM_REX_R": D.REX_R,
    "DIM_OPSIZE_BIT": D.OPSIZE_BIT, "DIM_REX_W": D.REX_W, "DIM_ADDRSIZE_BIT": D.ADDRSIZE_BIT, "DIM_REX_B": D.REX_B,
    "IMM_NONE": D.NO_IMMEDIATE, "IMM_BYTE": D.BYTE, "IMM_SIGNED_BYTE": D.SIGNED_BYTE, "IMM_SIZED": D.SIZED,
    "IMM_FULL": D.FULL, "IMM_WORD": D.WORD, "IMM_OFFSET": D.OFFSET, "IMM_FAR": D.FAR,
    "IMM_WORD_AND_BYTE": D.WORD_AND_BYTE,
    "ROW_MODRM": 1, "ROW_LOCK": 2, "ROW_MOD_IGNORED": 4, "ROW_PLUS_R": 8, "ROW_VVVV": 16,
}  # fmt: skip


def _array(declaration: str, values: Iterable[int], columns: int = 20) -> str:
    texts = [str(value) for value in values]
    lines = ("    " + ", ".join(texts[i : i + columns]) + "," for i in range(0, len(texts), columns))
    return f"static const {declaration}[] = {{\n" + "\n".join(lines) + "\n};\n"


def _packed_tables(mode: int, pool: list[int]) -> list[int]:
    """The mode's MAPS * 256 cells; nodes go to `pool` as dimension, cells…; NODE + n becomes NODE + place in pool."""
    tables = D.tables_of(mode)
    places: dict[int, int] = {}

    def cell(value: int) -> int:
        return D.NODE + places[value - D.NODE] if value & D.NODE else value

    for number, (dimension, cells) in enumerate(tables.nodes):  # a node comes after those that it leads to
        places[number] = len(pool)
        pool += [dimension, *map(cell, cells)]
    return [cell(value) for cells in tables.cells for value in cells]


def _rows() -> Iterable[int]:
    """16 bytes a row: operand sizes in each mode (4 each), flags, immediate, and two zeros."""
    for form in FORMS:
        at = D.layout(form)
        flags = at.modrm | at.lock << 1 | at.mod_ignored << 2 | at.plus_r << 3 | at.vvvv << 4
        sizes = [size for mode in R.MODES for size in D.opsizes(form, mode)]
        yield from (*sizes, flags, at.immediate, 0, 0)


@cache
def digest() -> str:
    """What the decoders' tables were made from, as 16 hexadecimal digits."""
    text = "\n".join(
        f"{form.number} {form} {D.layout(form)} {form.size} {form.mode64} {form.mode32}" for form in FORMS
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def render() -> str:
    """The text of isa_tables.h."""
    pool: list[int] = []
    cells = [value for mode in R.MODES for value in _packed_tables(mode, pool)]
    parts = [
        "/* Made from the instruction table by ringzero.isa.ctables; do not edit. */\n#include <stdint.h>\n"
    ]
    parts += [f"#define RZ_{name} {value}" for name, value in _CONSTANTS.items()]
    parts += [f'#define RZ_TABLE_DIGEST "{digest()}"', f"#define RZ_FORMS {len(FORMS)}\n"]
    parts.append(_array("uint8_t rz_prefix_classes", [c for mode in R.MODES for c in D.prefix_classes(mode)]))
    parts.append(_array("uint16_t rz_cells", cells))
    parts.append(_array("uint16_t rz_nodes", pool))
    parts.append(_array("uint8_t rz_vex_prefixes", D.VEX_PREFIXES))
    parts.append(_array("uint8_t rz_address16", [register for pair in D.ADDRESS16 for register in pair]))
    parts.append(_array("uint8_t rz_rows", _rows(), columns=16))
    return "\n".join(parts)
