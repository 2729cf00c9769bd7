"""Decoder tables made from the rows: both decoders walk these, so that they agree about what a byte means.

For each mode and opcode map there are 256 *cells*, one for each opcode byte. A cell is a row's number, or INVALID_CELL,
or VEX_CELL (a VEX prefix begins here, which leads to a map of its own), or NODE + n: decision node n, which looks at
one dimension (below) and has a cell for each of its values. Most opcodes are a row at once; groups look at ModRM.reg;
the few that depend on prefixes look at them one at a time.

Two rows that fit the same bytes are sorted out here, once: the more demanding wins, equals are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from ringzero.isa import record as R
from ringzero.isa.form import Form

VEX_CELL = 0x7FFE
INVALID_CELL = 0x7FFF
NODE = 0x8000

# Dimensions of a decision, in the order in which they are looked at; MOD_REG and RM_BITS are in the ModRM byte.
REP_PREFIX, MOD_REG, RM_BITS, REX_R, OPSIZE_BIT, REX_W, ADDRSIZE_BIT, REX_B = range(8)
#: Where the bit of a REX dimension is in the REX byte.
REX_SHIFT = {REX_R: 2, REX_W: 3, REX_B: 0}
#: Number of values: none/F3/F2; reg + 8 if mod is 3; rm; and bits.
VALUES = (3, 16, 8, 2, 2, 2, 2, 2)

#: Opcode maps: 0F, 0F 38 and 0F 3A behind a VEX prefix are maps VEX_MAPS + 1, 2, 3; any other is NO_MAP.
VEX_MAPS, NO_MAP, MAPS = 3, 7, 8
#: What VEX.pp stands for, as bits of record.PREFIXES.
VEX_PREFIXES = (0, R.OPSIZE_PREFIX, R.REP, R.REPNE)
#: Prefixes that a VEX prefix does not stand behind (SDM 2A 2.3.2 to 2.3.4).
NOT_BEFORE_VEX = R.LOCK | R.REP | R.REPNE | R.OPSIZE_PREFIX | R.REX_PREFIX

#: A choice of values, by dimension; unset dimensions are absent.
Choice = dict[int, int]

# How the immediate bytes are read, names for Layout.immediate; from OFFSET on, they give DISP.
NO_IMMEDIATE, BYTE, SIGNED_BYTE, SIZED, FULL, WORD, OFFSET, FAR, WORD_AND_BYTE = range(9)

_CONTROL_REGISTERS = (0, 2, 3, 4, 8)

# Classes of prefix bytes: below REX_CLASS the bit of record.PREFIXES, then REX, then the segment overrides.
REX_CLASS = R.REX_PREFIX
SEGMENT_CLASS = R.SEGMENT_PREFIX  # + segment number
IGNORED_CLASS = 0x80

#: ModRM.rm's base and index in 16-bit addressing: bx+si, bx+di, bp+si, bp+di, si, di, bp, bx (SDM 2A table 2-1).
ADDRESS16 = (
    (3, 6), (3, 7), (5, 6), (5, 7),
    (6, R.NO_REGISTER), (7, R.NO_REGISTER), (5, R.NO_REGISTER), (3, R.NO_REGISTER),
)  # fmt: skip


def prefix_classes(mode: int) -> list[int]:
    """The class of each byte as a prefix in `mode`, 0 for none."""
    classes = [0] * 256
    classes[0xF0], classes[0xF2], classes[0xF3] = R.LOCK, R.REPNE, R.REP
    classes[0x66], classes[0x67] = R.OPSIZE_PREFIX, R.ADDRSIZE_PREFIX
    for segment, byte in enumerate((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)):
        # In 64-bit mode only fs and gs overrides count (SDM 2A 2.1.1).
        classes[byte] = SEGMENT_CLASS + segment if mode != 64 or segment >= 4 else IGNORED_CLASS
    if mode == 64:
        classes[0x40:0x50] = [REX_CLASS] * 16
    return classes


class Overlap(ValueError):
    """Two rows fit the same bytes and neither demands more than the other."""


@dataclass(slots=True)
class Tables:
    """One mode's cells, MAPS maps of 256, and the nodes that they lead to: (dimension, cells)."""

    mode: int
    cells: list[list[int]]
    nodes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    otherwise: int = INVALID_CELL  # what bytes are that fit no row of the opcode at hand


def address_size(mode: int, addrsize_prefix: int) -> int:
    """Address size in bytes: a prefix 67 halves it, or doubles it in 16-bit code."""
    return ({64: 4, 32: 2, 16: 4} if addrsize_prefix else {64: 8, 32: 4, 16: 2})[mode]


def operand_size(rule: str, mode: int, opsize_prefix: int, rex_w: int) -> int:
    """Operand size in bytes by a row's size rule (see Form)."""
    legacy = 2 if bool(opsize_prefix) != (mode == 16) else 4
    wide = bool(rex_w) and mode == 64
    match rule:
        case "v":
            return 8 if wide else legacy
        case "z":
            return 4 if wide else legacy
        case "y":
            return 8 if wide else 4
        case "d64":
            return legacy if mode != 64 else 8 if wide or not opsize_prefix else 2
        case "f64":
            return legacy if mode != 64 else 8
        case "n":
            return 8 if mode == 64 else 4
        case _:
            return {"8": 1, "w": 2, "d": 4, "q": 8}[rule]


def size_rule(form: Form) -> str:
    """The row's size rule; a mandatory 66 says nothing about size."""
    return "y" if form.mandatory == 0x66 and form.size == "v" else form.size


def _dimensions(form: Form) -> Iterator[int]:
    """What a row looks at beyond its opcode."""
    if form.mandatory is not None or form.no_prefix:
        yield from (REP_PREFIX, OPSIZE_BIT)
    if form.no_repeat:
        yield REP_PREFIX
    if form.digit is not None or form.mod3 or form.memory_only or {"sreg", "creg"} & set(form.operands):
        yield MOD_REG
    if form.fixed_modrm is not None:
        yield from (MOD_REG, RM_BITS)
    if {"creg", "dreg"} & set(form.operands):
        yield REX_R
    if form.need_opsize is not None:
        yield from (OPSIZE_BIT, REX_W)
    if form.rex_w is not None:
        yield REX_W
    if form.need_addrsize is not None:
        yield ADDRSIZE_BIT
    if form.rex_b is not None:
        yield REX_B


def _prefixes_fit(form: Form, mode: int, at: Choice) -> bool:
    rep, opsize = at.get(REP_PREFIX, 0), at.get(OPSIZE_BIT, 0)
    present = {1: 0xF3, 2: 0xF2}.get(rep) or (0x66 if opsize else None)
    if (form.no_prefix and (rep or opsize)) or (form.no_repeat and rep):
        return False
    if form.mandatory is not None and present != form.mandatory:
        return False
    if form.rex_w is not None and at.get(REX_W, 0) != form.rex_w:
        return False
    if form.rex_b is not None and at.get(REX_B, 0) != form.rex_b:
        return False
    if form.need_opsize not in (None, operand_size(size_rule(form), mode, opsize, at.get(REX_W, 0))):
        return False
    return form.need_addrsize in (None, address_size(mode, at.get(ADDRSIZE_BIT, 0)))


def _modrm_fits(form: Form, at: Choice) -> bool:
    reg, mod3 = at.get(MOD_REG, 0) & 7, at.get(MOD_REG, 0) >> 3
    if form.fixed_modrm is not None:
        return 0xC0 * mod3 + 8 * reg + at.get(RM_BITS, 0) == form.fixed_modrm
    if form.digit not in (None, reg) or (form.mod3 and not mod3) or (form.memory_only and mod3):
        return False
    if "sreg" in form.operands:  # REX.R is not looked at; a mov to cs is #UD (SDM 2B, MOV)
        return reg < 6 and not (form.operands[0] == "sreg" and reg == 1)
    if "creg" in form.operands:
        return reg + 8 * at.get(REX_R, 0) in _CONTROL_REGISTERS
    return "dreg" not in form.operands or not at.get(REX_R, 0)


def _demands(form: Form) -> int:
    """How much a row demands of the prefixes: more wins."""
    prefix = form.mandatory if form.mandatory is not None else form.no_prefix or None
    demands = (prefix, form.rex_w, form.rex_b, form.need_opsize, form.need_addrsize)
    return sum(demand is not None for demand in demands)


def map_number(form: Form) -> int:
    """Which of the decoder's maps has the row."""
    return form.opcode_map + (VEX_MAPS if form.vex else 0)


def _choose(forms: Sequence[Form], tables: Tables, at: Choice) -> int:
    """The cell for a full choice of values."""
    mode = tables.mode
    fitting = [form for form in forms if _modrm_fits(form, at) and _prefixes_fit(form, mode, at)]
    if not fitting:
        return tables.otherwise
    fitting.sort(key=_demands, reverse=True)
    if len(fitting) > 1 and _demands(fitting[0]) == _demands(fitting[1]):
        raise Overlap(f"{fitting[0]} and {fitting[1]} fit the same bytes in {mode}-bit mode")
    return fitting[0].number


def _build(tables: Tables, forms: Sequence[Form], dimensions: Sequence[int], at: Choice) -> int:
    """The cell that decides between `forms` by the dimensions left; equal branches are no decision."""
    if not dimensions:
        return _choose(forms, tables, at)
    first, rest = dimensions[0], dimensions[1:]
    cells = tuple([_build(tables, forms, rest, {**at, first: value}) for value in range(VALUES[first])])
    if all(cell == cells[0] for cell in cells):
        return cells[0]
    node = (first, cells)
    if node not in tables.nodes:
        tables.nodes.append(node)
    return NODE + tables.nodes.index(node)


def build_tables(forms: Sequence[Form], mode: int) -> Tables:
    """Tables for `mode` (64, 32 or 16) from rows; raises Overlap when two rows cannot be told apart."""
    by_opcode: dict[tuple[int, int], list[Form]] = {}
    for form in forms:
        if form.mode64 if mode == 64 else form.mode32:
            for low in range(8 if form.plus_r else 1):
                by_opcode.setdefault((map_number(form), form.opcode + low), []).append(form)
    tables = Tables(mode, [[INVALID_CELL] * 256 for _ in range(MAPS)])
    tables.cells[0][0xC4] = tables.cells[0][0xC5] = VEX_CELL
    for (opcode_map, opcode), candidates in sorted(by_opcode.items()):
        dimensions = sorted({d for form in candidates for d in _dimensions(form)})
        # Outside 64-bit mode LES and LDS leave mod 3 to VEX.
        tables.otherwise = tables.cells[opcode_map][opcode]
        tables.cells[opcode_map][opcode] = _build(tables, candidates, dimensions, {})
    return tables


@dataclass(frozen=True, slots=True)
class Layout:
    """What a decoder must know of a row once it has found it; its operand sizes come from `opsizes`."""

    modrm: bool
    lock: bool
    mod_ignored: bool
    plus_r: bool
    vvvv: bool  # VEX.vvvv names an operand; otherwise it must be 1111
    immediate: int  # NO_IMMEDIATE .. WORD_AND_BYTE


def layout(form: Form) -> Layout:
    """The row's layout behind the opcode."""
    tokens = form.immediates
    signed = any(kind.signed or kind.place == "rel" for kind in form.kinds)
    immediate = {
        (): NO_IMMEDIATE, ("ib",): SIGNED_BYTE if signed else BYTE, ("cb",): SIGNED_BYTE, ("iw",): WORD,
        ("iz",): SIZED, ("cz",): SIZED, ("iv",): FULL, ("moffs",): OFFSET, ("far",): FAR, ("iw", "ib"): WORD_AND_BYTE,
    }[tokens]  # fmt: skip
    vvvv = any(kind.place == "vvvv" for kind in form.kinds)
    return Layout(form.modrm, form.lock, form.mod_ignored, form.plus_r, vvvv, immediate)


def opsizes(form: Form, mode: int) -> tuple[int, int, int, int]:
    """Operand sizes of a row by REX.W * 2 + prefix 66."""
    rule = size_rule(form)
    narrow, wide = ([operand_size(rule, mode, prefix, w) for prefix in (0, 1)] for w in (0, 1))
    return narrow[0], narrow[1], wide[0], wide[1]


@cache
def tables_of(mode: int) -> Tables:
    """The whole table's decoder tables, built once for each mode."""
    from ringzero.isa.table import FORMS

    return build_tables(FORMS, mode)
