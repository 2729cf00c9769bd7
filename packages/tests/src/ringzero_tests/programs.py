"""Random programs: tens of instructions with branches, memory traffic, faults and stores into their own code.

The room's rule: a program is an ordinary `Case`, named by its seed and kind. Kind "judged" is for silicon: no result
may depend on an undefined one, and every branch goes forwards, so it ends. Kind "wild" is for engine against engine:
anything goes, and it may spin until its budget ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ringzero.isa.decode import decode
from ringzero.isa.form import CONDITIONS, Form
from ringzero.isa.table import FORMS
from ringzero_tests.case import ARITHMETIC, DATA, DATA_END, DF, START, Case
from ringzero_tests.draws import Draws
from ringzero_tests.encode import Draft, Memory, assemble, choose_prefixes, choose_sizes, solve_memory
from ringzero_tests.generate import decodes_as
from ringzero_tests.judged import vendors_differ, why_not_silicon
from ringzero_tests.shape import SHAPERS

# Registers that keep pointing into DATA for most of a program: rbx, rbp, r12..r15. rsp is the stack's; rsi, rdi move.
POINTERS = (3, 5, 12, 13, 14, 15)
OTHERS = (0, 1, 2, 8, 9, 10, 11)

_NEVER = {"popfw", "popfd", "popfq", "int", "int3", "int1", "into", "retf", "ret", "iretw", "iretd", "iretq", "leave",
          "enter", "ud1", "ud2", "jmp", "call", "hlt", "cli", "sti", "syscall", "xlatb", "std"}  # fmt: skip
_PORTS = {"in", "insb", "insw", "insd", "out", "outsb", "outsw", "outsd"}
_FLAG_READERS = {"pushfw", "pushfd", "pushfq", "lahf"}
_STRINGS = ("movs", "stos", "lods", "cmps", "scas")


def program(seed: int, kind: str = "judged") -> Case:
    """Return random program number `seed`; `kind` is "judged" or "wild"."""
    draws = Draws("program", kind, seed)
    registers = _registers(draws)
    pieces: list[bytes] = []
    count = draws.between(10, 40)
    writers = [_instruction] * 12 + [_branch] * 3 + [_patching]
    while len(pieces) < count:
        pieces += draws.pick(writers)(draws, registers, kind)
    code = _resolve(pieces, draws, kind)
    flags = draws.bits(12) & ARITHMETIC | DF * draws.chance(8)
    return Case(code, tuple(registers), flags, (), START)


def _registers(draws: Draws) -> list[int]:
    registers = [draws.value() for _ in range(16)]
    for number in (*POINTERS, 4, 6, 7):
        registers[number] = draws.between(DATA + 0x400, DATA_END - 0x400) & -8
    registers[1] = draws.below(12)
    return registers


@cache
def _rows(kind: str) -> tuple[Form, ...]:
    return tuple(form for form in FORMS if _usable(form, kind))


def _usable(form: Form, kind: str) -> bool:
    name = form.mnemonic
    if not form.mode64 or form.cpl == 0 or name in _NEVER or why_not_silicon(form, 64) or name in _PORTS:
        return False
    if any(token in ("cb", "cz", "far", "moffs") for token in form.immediates) or "m_far" in form.operands:
        return False
    if kind == "wild":
        return True
    return not (set(form.undefined) - {"a"} or form.undefined_results or name in _FLAG_READERS)


def _instruction(draws: Draws, registers: list[int], kind: str) -> list[bytes]:
    """One random instruction whose memory operand, if any, is near a pointer register."""
    while True:
        form = draws.pick(_rows(kind))
        draft = Draft(form, 64, draws, list(registers), set(range(16)))
        if not choose_sizes(draft) or (form.need_addrsize is None and draft.address_prefix):
            continue
        _operands(draft)
        choose_prefixes(draft)
        draft.override = None
        draft.lock = draft.lock and form.lock
        if form.mnemonic[:4] not in _STRINGS:
            _immediates_only(draft)
        solve_memory(draft)
        code = assemble(draft)
        if decodes_as(code, form, 64) and not _vendors(form, code):
            return [code]


def _vendors(form: Form, code: bytes) -> bool:
    return vendors_differ(form, decode(code, 64, limit=1)[0], 64)


def _immediates_only(draft: Draft) -> None:
    """Let the row's shaper choose immediates (shift counts); what it does to the state is not wanted here."""
    shaper: Callable[[Draft], None] | None = SHAPERS.get(draft.form.mnemonic)
    if shaper is None or not draft.form.immediates:
        return
    registers, patches = list(draft.registers), list(draft.patches)
    shaper(draft)
    draft.registers, draft.patches = registers, patches


def _operands(draft: Draft) -> None:
    form, draws = draft.form, draft.draws
    allowed = OTHERS if draws.bits(5) else range(16)
    draft.opreg, draft.rm = draws.pick(allowed), draws.pick(allowed)
    if form.rex_b == 0:
        draft.opreg &= 7
    draft.reg = draws.pick(allowed) if form.digit is None else form.digit
    if form.fixed_modrm is not None:
        draft.mod, draft.reg, draft.rm = (
            form.fixed_modrm >> 6,
            form.fixed_modrm >> 3 & 7,
            form.fixed_modrm & 7,
        )
        return
    holds = {kind.holds for kind in form.kinds if kind.place == "rm"}
    if form.memory_only or ("gpr/mem" in holds and not form.mod3 and draws.bits(1)):
        target = draws.target(16, 64) if draws.chance(48) else draws.inside(16)
        draft.memory = Memory(target, draws.pick(POINTERS), None, 0, "base", 4)


def _branch(draws: Draws, registers: list[int], kind: str) -> list[bytes]:
    """A branch whose displacement is filled in when all pieces are known: a marker of two bytes for now."""
    if kind == "wild" and draws.chance(8):
        return [bytes([draws.pick((0xE0, 0xE1, 0xE2, 0xE3)), 0])]
    if draws.chance(8):
        return [b"\xeb\x00"]
    return [bytes([0x70 + draws.below(len(CONDITIONS)), 0])]


_PATCHED = b"\xb8\x78\x56\x34\x12"  # mov eax, imm32


def _patching(draws: Draws, registers: list[int], kind: str) -> list[bytes]:
    """A store into the immediate of a `mov eax, imm32` that follows soon, sometimes at once."""
    # mov byte [rip + distance], imm8: its displacement counts from its end.
    between: list[bytes] = []
    for _ in range(draws.below(3)):
        between += _instruction(draws, registers, kind)
    distance = sum(map(len, between)) + 1 + draws.below(4)
    store = b"\xc6\x05" + distance.to_bytes(4, "little") + bytes([draws.bits(8)])
    return [store, *between, _PATCHED]


def _resolve(pieces: list[bytes], draws: Draws, kind: str) -> bytes:
    """Point every branch at an instruction's start: forwards, or for wild programs anywhere in reach."""
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    resolved = []
    for number, piece in enumerate(pieces):
        if len(piece) == 2 and (piece[0] & 0xF0 == 0x70 or piece[0] in (0xEB, 0xE0, 0xE1, 0xE2, 0xE3)):
            first = number + 1 if kind == "judged" or draws.bits(1) else 0
            reach = [at for at in starts[first:] if -128 <= at - starts[number + 1] <= 127]
            piece = piece[:1] + ((draws.pick(reach) - starts[number + 1]) & 0xFF).to_bytes(1, "little")
        resolved.append(piece)
    return b"".join(resolved)
