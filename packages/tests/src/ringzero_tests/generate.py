"""Random cases for every row of the instruction table, the same on every host.

The room's rule: a case is a function of (row's text, bits, seed) and nothing else, so that a failure is named by them
(`generate.case_for(form, 64, 17)`), and a row that is added or renumbered changes no other row's cases.
"""

from __future__ import annotations

from functools import lru_cache

from ringzero.isa import record as R
from ringzero.isa.decode import decode
from ringzero.isa.form import Form
from ringzero_tests.case import AC, ARITHMETIC, CODE_END, DATA, DATA_END, DF, PAGE, START, Case
from ringzero_tests.draws import Draws
from ringzero_tests.encode import (
    Draft,
    assemble,
    choose_modrm,
    choose_prefixes,
    choose_sizes,
    operand_size,
    solve_memory,
)
from ringzero_tests.shape import SHAPERS, Shaper

ATTEMPTS = 40


def case_for(form: Form, bits: int, seed: int, shaper: Shaper | None = None) -> Case | None:
    """Return the case that (row, bits, seed) names; None if no draw encodes the row (it does not exist there).

    `shaper` chooses the operands instead of the one that the row has in SHAPERS.
    """
    if not (form.mode64 if bits == 64 else form.mode32):
        return None
    draws = Draws(form.mnemonic, form.encoding, ",".join(form.operands), bits, seed)
    for _ in range(ATTEMPTS):
        case = attempt(form, bits, draws, shaper or SHAPERS.get(form.mnemonic))
        if case is not None:
            return case
    return None


def attempt(form: Form, bits: int, draws: Draws, shaper: Shaper | None) -> Case | None:
    """One draw of a case; None where it does not encode the row."""
    draft = Draft(form, bits, draws, _registers(draws, bits))
    draft.flags = draws.bits(12) & ARITHMETIC | DF * draws.chance(6) | AC * draws.chance(12)
    draft.address = _address(draws)
    if not choose_sizes(draft):
        return None
    choose_modrm(draft, _memory_size(draft))
    choose_prefixes(draft)
    if shaper is not None:
        shaper(draft)
    solve_memory(draft)
    code = assemble(draft)
    if not decodes_as(code, form, bits):
        return None
    registers = tuple(draft.registers)
    room = CODE_END - draft.address
    return Case(code[:room], registers, draft.flags, tuple(draft.patches), draft.address, bits)


def decodes_as(code: bytes, form: Form, bits: int) -> bool:
    """Tell whether the bytes are this row and no other; a wrong LOCK makes them invalid, which is wanted too."""
    first = first_record(code, bits)
    if first is None:
        return False
    if first[R.FORM] == R.INVALID_FORM:
        return (0xF0 in code[:6] or form.vex) and len(code) <= R.MAX_LENGTH
    return first[R.FORM] == form.number and first[R.LENGTH] == len(code)


@lru_cache(maxsize=4096)
def first_record(code: bytes, bits: int) -> R.RecordTuple | None:
    """What the first instruction decodes to, None of no bytes. Who draws a case asks, and again who judges it."""
    return next(iter(decode(code, bits, limit=1)), None)


def _registers(draws: Draws, bits: int) -> list[int]:
    if bits != 64:
        values = [draws.value() & 0xFFFFFFFF for _ in range(8)] + [0] * 8
    else:
        values = [draws.value() for _ in range(16)]
    if not draws.chance(4):
        values[4] = draws.between(DATA + 512, DATA_END - 64) & -8
    return values


def _address(draws: Draws) -> int:
    """Draw where the code lies: rarely across a page boundary, more rarely cut short by the end of mapped memory."""
    kind = draws.below(32)
    if kind == 0:
        return CODE_END - PAGE - draws.between(1, 14)
    if kind == 1 and draws.bits(1):
        return CODE_END - draws.between(1, 10)
    return START + draws.below(64)


def _memory_size(draft: Draft) -> int:
    """Bytes that the ModRM memory operand has; 16 where the row leaves it open (descriptors, far pointers)."""
    size = operand_size(draft.form, draft.bits, draft.operand_prefix, draft.wide)
    for kind in draft.form.kinds:
        if kind.place == "rm":
            return 16 if kind.memory_size < 0 else kind.memory_size or size
    return size
