"""What an outcome leaves undefined, so that judges are only held to what the manual promises.

The room's rule: the rows say *which* flags and results may be undefined (their `undefined` columns); only the *when* (a
shift's count, a zero source) is said here, once, with its source.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringzero.isa.form import Form
from ringzero.isa.record import IMM, MOD, OPREG, OPSIZE, REG, RM, RecordTuple
from ringzero_tests.case import AF, CF, FLAG_BITS, OF, ZF, Case, Outcome

_SHIFTS = {"shl", "sal", "shr", "sar", "shld", "shrd"}
_ROTATES = {"rol", "ror", "rcl", "rcr"}
_MANY_ACCESSES = {
    "retf",
    "iretw",
    "iretd",
    "iretq",
    "popaw",
    "popad",
    "pushaw",
    "pushad",
    "enter",
    "call",
    "jmp",
}
_TWO_MEMORY_OPERANDS = {"cmpsb", "cmpsw", "cmpsd", "cmpsq", "movsb", "movsw", "movsd", "movsq"}


@dataclass(frozen=True, slots=True)
class Undefined:
    """Flags (RFLAGS bits) and general registers (numbers), memory, that must not be compared.

    `fault`: any fault will do, for instructions that touch several places in an order that no manual promises.
    """

    flags: int = 0
    registers: frozenset[int] = frozenset()
    memory: bool = False
    fault: bool = False


def undefined_for(form: Form, record: RecordTuple, case: Case, judge: Outcome) -> Undefined:
    """Return what a case of this row leaves undefined; `judge` is the judge's outcome."""
    if judge.fault is not None and judge.rip == case.address:
        return _after_fault(form)
    flags = 0
    for letter in form.undefined:
        flags |= FLAG_BITS.get(letter, 0)
    if form.mnemonic in _SHIFTS or form.mnemonic in _ROTATES:
        flags, results = _shift(form.mnemonic, flags, record, case, form)
    else:
        results = _results(form.mnemonic, record, judge)
    if not (results and form.undefined_results):
        return Undefined(flags)
    return Undefined(flags, _destination(form, record), record[MOD] != 3)


def _after_fault(form: Form) -> Undefined:
    # AMD's POPA has loaded registers when a later slot faults; restarting it loads them again. Its far CALL has pushed
    # CS when there is no room for the offset; pushing it again writes the same.
    name = form.mnemonic
    registers = frozenset(set(range(16)) - {4}) if name in ("popaw", "popad") else frozenset()
    memory = name == "call" and form.operands in (("m_far",), ("far",))
    return Undefined(0, registers, memory, fault=name in _MANY_ACCESSES | _TWO_MEMORY_OPERANDS)


def _destination(form: Form, record: RecordTuple) -> frozenset[int]:
    kind = form.kinds[0]
    if kind.place == "opcode":
        return frozenset({record[OPREG]})
    return frozenset({record[RM] if kind.place == "rm" else record[REG]})


def _results(name: str, record: RecordTuple, judge: Outcome) -> bool:
    if name == "bswap":
        return record[OPSIZE] == 2  # SDM 2A, BSWAP: 16-bit operands
    # SDM 2A, BSF and BSR: ZF says that the source was 0, and then the destination is undefined.
    return name in ("bsf", "bsr") and bool(judge.flags & ZF)


def _count(form: Form, record: RecordTuple, case: Case) -> int:
    mask = 63 if record[OPSIZE] == 8 else 31
    source = form.operands[-1]
    if source == "1":
        return 1
    if source == "cl":
        return case.registers[1] & mask
    return record[IMM] & mask


def _shift(name: str, flags: int, record: RecordTuple, case: Case, form: Form) -> tuple[int, bool]:
    """SDM 2B, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD: what depends on the masked count."""
    count, bits = _count(form, record, case), 8 * record[OPSIZE]
    if count == 0:
        return 0, False
    undefined = flags & ~(OF | CF) | (AF if name in _SHIFTS else 0)
    if count != 1:
        undefined |= OF
    if name in ("shl", "sal", "shr") and count >= bits:
        undefined |= CF
    if name in ("shld", "shrd") and count > bits:
        return ~0 & 0x8D5, True
    return undefined, False
