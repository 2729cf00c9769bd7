"""Which rows of the instruction table an instruction's operands fit, before any value is known.

The rows say what exists; here stands only what NASM's syntax adds to them: names it knows besides the table's, which
of two equal encodings it takes, and what an operand without a size means. The answer for a signature is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ringzero.asm.diagnostics import Mistake, UnknownName
from ringzero.asm.operands import FarOperand, ImmOperand, MemOperand, Operand, RegOperand
from ringzero.asm.registers import GENERAL
from ringzero.isa.form import Form
from ringzero.isa.kinds import Kind
from ringzero.isa.table import FORMS


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to encode: a row, an operand size, and which written operand stands for each of the row's.

    `opsize_prefix` 66 is needed; `wide` REX.W is needed; `zero_extends`: a 64-bit register is loaded through its low
    half, so the immediate must be a number below 2³².
    """

    form: Form
    kinds: tuple[Kind, ...]
    opsize: int
    order: tuple[int, ...]
    opsize_prefix: bool
    wide: bool
    zero_extends: bool = False


#: Names that nasm knows for a row at one operand size.
_SIZED_NAMES = {"retfq": ("retf", 8), "retfd": ("retf", 4), "retfw": ("retf", 2), "movsx": ("movsxd", 0)}
#: Written either way round; nasm takes the first operand as the register where both are.
_SYMMETRIC = ("test", "xchg")
#: An indirect branch without a size is of the mode's.
_NATURAL_SIZE = ("jmp", "call")

_SIZES64 = {"v": (2, 4, 8), "z": (2, 4), "8": (1,), "d64": (2, 8), "f64": (8,), "y": (4, 8), "n": (8,)}
_SIZES32 = {"v": (2, 4), "z": (2, 4), "8": (1,), "d64": (2, 4), "f64": (2, 4), "y": (4,), "n": (4,)}
_FIXED = {"w": (2,), "d": (4,), "q": (8,)}


@cache
def rows_by_name() -> dict[str, tuple[Form, ...]]:
    """Every name that the assembler knows, with the rows it may choose from, in the order of the table."""
    rows: dict[str, list[Form]] = {}
    for form in FORMS:
        if not form.decode_only:
            for name in (form.mnemonic, *form.aliases):
                rows.setdefault(name, []).append(form)
    for name, (other, _) in _SIZED_NAMES.items():
        rows.setdefault(name, []).extend(rows.get(other, []))
    return {name: tuple(forms) for name, forms in rows.items()}


@cache
def branches() -> frozenset[str]:
    """The names of instructions whose operand may be a place: their bytes depend on where they stand."""
    return frozenset(
        name
        for name, rows in rows_by_name().items()
        if any(k.holds in ("rel", "far") for row in rows for k in row.kinds)
    )


def operand_sizes(form: Form, mode: int) -> tuple[int, ...]:
    """The operand sizes, in bytes, that the row can have in this mode."""
    sizes = _FIXED.get(form.size) or (_SIZES64 if mode == 64 else _SIZES32)[form.size]
    if form.need_opsize:
        sizes = tuple(s for s in sizes if s == form.need_opsize)
    if form.rex_w is not None and form.size in ("v", "y"):
        sizes = tuple(s for s in sizes if (s == 8) == bool(form.rex_w))
    return sizes


def natural_size(form: Form, mode: int) -> int:
    """The operand size without any prefix."""
    sizes = operand_sizes(form, mode)
    wanted = (
        8 if mode == 64 and form.size in ("d64", "f64", "n") else 2 if mode == 16 and form.size != "n" else 4
    )
    return wanted if wanted in sizes else sizes[-1]


def candidates(mnemonic: str, mode: int, operands: tuple[Operand, ...], opsize: int) -> tuple[Candidate, ...]:
    """All candidates in the order of preference; Mistake, with the way out, when there are none.

    `opsize` is what an o16, o32 or o64 prefix asks for, or 0.
    """
    shapes = tuple([operand.signature for operand in operands])
    found = _remembered(mnemonic, mode, shapes, opsize)
    if found is None:
        found = _find(mnemonic, mode, operands, opsize)
        _memo[mnemonic, mode, shapes, opsize] = found
    return found


_memo: dict[Any, tuple[Candidate, ...]] = {}


def _remembered(mnemonic: str, mode: int, shapes: Any, opsize: int) -> tuple[Candidate, ...] | None:
    return _memo.get((mnemonic, mode, shapes, opsize))


def _find(mnemonic: str, mode: int, operands: tuple[Operand, ...], opsize: int) -> tuple[Candidate, ...]:
    rows = rows_by_name().get(mnemonic)
    if rows is None:
        way = "write one of the table, or a label with a colon"
        raise UnknownName(f"unknown instruction {mnemonic}", mnemonic, rows_by_name(), way)
    live = [form for form in rows if (form.mode64 if mode == 64 else form.mode32)]
    if not live:
        other = 32 if mode == 64 else 64
        raise Mistake(
            f"{mnemonic} does not exist in {mode}-bit mode; use `bits {other}` or another instruction"
        )
    opsize = opsize or _SIZED_NAMES.get(mnemonic, ("", 0))[1]
    matches = [match for form in live for match in _matches(mnemonic, form, mode, operands)]
    if not matches:
        raise _no_combination(mnemonic, mode, operands, rows)
    kept = _settle_size(mnemonic, mode, operands, matches, opsize)
    kept.sort(key=lambda match: "simm8" not in match[0].operands)  # nasm's choice where both are as long
    return tuple(_candidate(form, size, order, mode, opsize) for form, size, order in kept) + _short_load(
        mnemonic, mode, operands, kept
    )


Match = tuple[Form, int, tuple[int, ...]]


def _orders(mnemonic: str, count: int) -> list[tuple[int, ...]]:
    if mnemonic in _SYMMETRIC and count == 2:
        return [(1, 0), (0, 1)] if mnemonic == "xchg" else [(0, 1), (1, 0)]
    if mnemonic == "imul" and count == 2:
        return [(0, 1), (0, 0, 1)]
    return [tuple(range(count))]


def _matches(mnemonic: str, form: Form, mode: int, operands: tuple[Operand, ...]) -> list[Match]:
    found = []
    for order in _orders(mnemonic, len(operands)):
        if len(order) != len(form.operands):
            continue
        taken = [operands[n] for n in order]
        for size in operand_sizes(form, mode):
            if all(
                _fits(form, kind, operand, size, mode)
                for kind, operand in zip(form.kinds, taken, strict=True)
            ):
                found.append((form, size, order))
    if mnemonic == "xchg" and mode == 64 and form.plus_r:
        # 90 is nop, which does not clear the upper half as `xchg eax, eax` does.
        found = [m for m in found if m[1] != 4 or operands[0].signature != operands[1].signature]
    if mnemonic == "movsx" and form.mnemonic == "movsxd":
        found = [m for m in found if m[1] == 8]
    return found


def _fits(form: Form, kind: Kind, operand: Operand, size: int, mode: int) -> bool:
    if isinstance(operand, RegOperand):
        return _register_fits(form, kind, operand, size)
    if isinstance(operand, MemOperand):
        return _memory_fits(kind, operand, size, mode)
    if isinstance(operand, FarOperand):
        return kind.holds == "far" and operand.size in (0, size)
    if kind.holds == "rel":
        if operand.distance == "short" or operand.size == 1:
            return kind.size == 1
        return kind.size != 1 or (operand.distance != "near" and operand.size == 0 and not operand.strict)
    return kind.holds == "imm" and operand.distance == "" and _immediate_fits(form, kind, operand, size, mode)


def _register_fits(form: Form, kind: Kind, operand: RegOperand, size: int) -> bool:
    register = operand.register
    if kind.place == "fixed":
        same = register.kind == kind.holds and register.number == kind.fixed
        return same and (kind.holds == "sreg" or register.size == (kind.size or size))
    if kind.holds in ("gpr", "gpr/mem"):
        if register.kind == "high":
            return (kind.size or size) == 1
        if form.operands == ("sreg", "rm16") or form.mnemonic in ("lar", "lsl"):
            # Only 16 bits are read; nasm takes any width of at least that.
            return register.kind == "gpr" and register.size >= 2 and (kind.size == 2 or register.size == size)
        return register.kind == "gpr" and register.size == (kind.size or size)
    return register.kind == kind.holds


def _memory_fits(kind: Kind, operand: MemOperand, size: int, mode: int) -> bool:
    if kind.place == "moffs":
        if operand.terms or operand.far or operand.relative:
            return False
        if mode == 64 and operand.disp_size != 8 and not operand.addr_size:
            return False
    elif kind.holds not in ("mem", "gpr/mem") or (
        mode == 64 and operand.disp_size == 8 and not operand.terms
    ):
        return False
    if operand.far != (kind.name == "m_far"):
        return False
    if kind.name == "m_far":
        return operand.size in (0, size)
    return operand.size == 0 or kind.memory_size < 0 or operand.size == (kind.memory_size or size)


_TOKEN_SIZES = {"ib": 1, "iw": 2, "id": 4, "iq": 8}


def field_size(form: Form, which: int, opsize: int) -> int:
    """Bytes of the row's immediate number `which` at this operand size."""
    token = form.immediates[which]
    if token == "iv":
        return opsize
    return 2 if token == "iz" and opsize == 2 else _TOKEN_SIZES.get(token, 4)


def _immediate_fits(form: Form, kind: Kind, operand: ImmOperand, size: int, mode: int) -> bool:
    if kind.place == "fixed":
        return not operand.strict and operand.size in (0, 1)
    if not operand.size:
        return not (operand.strict and kind.name == "simm8")
    width = field_size(form, 0, size)
    if operand.strict:
        return width == operand.size
    # As nasm reads it: a keyword as wide as the operand says nothing, a narrower one picks the shorter field.
    if form.mnemonic == "push":
        other = 4 if mode == 16 else 2
        return operand.size == other if size == other else operand.size != other
    if operand.size == size:
        return True
    return width == operand.size or (kind.name == "simm8" and operand.size == 4)


def _memory_size(match: Match, operands: tuple[Operand, ...]) -> int | None:
    form, size, order = match
    for kind, n in zip(form.kinds, order, strict=True):
        if isinstance(operands[n], MemOperand):
            return kind.memory_size or size
    return None


def _settle_size(
    mnemonic: str, mode: int, operands: tuple[Operand, ...], matches: list[Match], opsize: int
) -> list[Match]:
    """Leave one operand size a row: the one asked for, the one the operands fix, or the natural one."""
    if opsize and any(size == opsize for _, size, _ in matches):
        matches = [m for m in matches if m[1] == opsize]
    memory = next((o for o in operands if isinstance(o, MemOperand)), None)
    if memory is not None and memory.size == 0:
        matches = _settle_memory(mnemonic, mode, operands, matches)
    sizes: dict[int, list[int]] = {}
    for form, size, _ in matches:
        sizes.setdefault(form.number, []).append(size)
    kept = []
    for form, size, order in matches:
        options = sizes[form.number]
        natural = natural_size(form, mode)
        if form.operands == ("m_far",) and mode == 64 and memory is not None and not memory.size:
            natural = 8
        if len(set(options)) == 1 or size == (natural if natural in options else options[-1]):
            kept.append((form, size, order))
    return kept


def _settle_memory(
    mnemonic: str, mode: int, operands: tuple[Operand, ...], matches: list[Match]
) -> list[Match]:
    """Memory without a size keyword: the other operand must say the size, or the instruction has only one."""
    if {_memory_size(m, operands) for m in matches} in ({-1}, {None}) or matches[0][0].operands == ("m_far",):
        return matches
    keyword = next((o.size for o in operands if isinstance(o, ImmOperand) and o.size), 0)
    if keyword:
        matches = [m for m in matches if _memory_size(m, operands) == keyword] or matches
    if len({_memory_size(m, operands) for m in matches}) == 1:
        return matches
    if mnemonic in _NATURAL_SIZE:
        return [m for m in matches if m[1] == mode // 8]
    sizes = sorted({_memory_size(m, operands) or 0 for m in matches})
    names = [{1: "byte", 2: "word", 4: "dword", 8: "qword", 16: "oword"}.get(s, str(s)) for s in sizes]
    raise Mistake(f"operand size unknown; write {', '.join(names[:-1])} or {names[-1]}")


def _candidate(form: Form, size: int, order: tuple[int, ...], mode: int, asked: int) -> Candidate:
    other = 4 if mode == 16 else 2  # what 66 asks for
    prefixed = size == other and form.size in ("v", "z", "d64", "f64")
    wide = form.rex_w == 1 or (size == 8 and form.size in ("v", "y"))
    if form.mnemonic == "sldt" or form.operands == ("r_m16", "sreg"):
        wide = False  # the low half is written and the upper half cleared all the same
    asked_other = asked == other and form.mandatory is None and not form.vex
    return Candidate(form, form.kinds, size, order, prefixed or asked_other, wide)


def _short_load(
    mnemonic: str, mode: int, operands: tuple[Operand, ...], kept: list[Match]
) -> tuple[Candidate, ...]:
    """`mov r64, imm` with a number below 2³²: the 32-bit load clears the upper half."""
    if mnemonic != "mov" or mode != 64 or len(operands) != 2 or not isinstance(operands[1], ImmOperand):
        return ()
    if operands[1].strict or operands[1].size not in (0, 8):
        return ()
    return tuple(
        Candidate(form, form.kinds, 4, order, False, False, True)
        for form, size, order in kept
        if form.operands == ("o", "imm") and size == 8
    )


def _no_combination(
    mnemonic: str, mode: int, operands: tuple[Operand, ...], rows: tuple[Form, ...]
) -> Mistake:
    for operand in operands:
        if mode != 64 and isinstance(operand, RegOperand) and operand.register.needs_64:
            raise Mistake(
                f"{operand.register.name} does not exist in {mode}-bit mode; use `bits 64` or another register"
            )
    if mnemonic == "mov" and (narrow := _beside_control(mode, operands)):
        return narrow
    there = [f for f in rows if (f.mode64 if mode == 64 else f.mode32)]
    shapes = list(dict.fromkeys(", ".join(form.operands) or "no operands" for form in there))
    takes = "; ".join(shapes[:8]) + ("; …" if len(shapes) > 8 else "")
    if any(len(f.operands) == len(operands) for f in there) and len(operands) >= 2:
        sizes = {
            o.register.size
            for o in operands
            if isinstance(o, RegOperand) and o.register.kind in ("gpr", "high")
        }
        sizes |= {o.size for o in operands if isinstance(o, MemOperand) and o.size}
        if len(sizes) > 1 and _agrees_when_equal(operands, there):
            return Mistake("operand sizes differ; make them the same, or use movzx or movsx to widen")
    return Mistake(f"no such operand combination in {mode}-bit mode; {mnemonic} takes {takes}")


def _beside_control(mode: int, operands: tuple[Operand, ...]) -> Mistake | None:
    """A control or debug register beside a general one of another width."""
    registers = [operand.register for operand in operands if isinstance(operand, RegOperand)]
    sorts = {"creg": "control", "dreg": "debug"}
    special = next((r for r in registers if r.kind in sorts), None)
    general = next((r for r in registers if r.kind == "gpr"), None)
    width = 8 if mode == 64 else 4
    if special is None or general is None or general.size == width:
        return None
    wanted = GENERAL[width][general.number]
    return Mistake(
        f"{sorts[special.kind]} registers are {width * 8} bits wide in {mode}-bit mode; write {wanted}"
    )


def _agrees_when_equal(operands: tuple[Operand, ...], rows: list[Form]) -> bool:
    def kind_of(operand: Operand) -> str:
        if isinstance(operand, RegOperand):
            return "gpr"
        return "mem" if isinstance(operand, MemOperand) else "imm"

    wanted = [kind_of(o) for o in operands]
    return any(
        len(f.kinds) == len(wanted) and all(w in k.holds for w, k in zip(wanted, f.kinds, strict=True))
        for f in rows
    )
