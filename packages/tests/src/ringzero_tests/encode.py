"""Encode a row at random: every prefix combination, ModRM shape and immediate that the row's notation allows.

The room's rule: only the row is read (`ringzero.isa.form.Form`), never the assembler, so that the assembler and
these bytes can be held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.isa.form import Form
from ringzero_tests.case import CODE, CODE_END, DATA, DATA_END, FS_BASE, GS_BASE, START
from ringzero_tests.draws import Draws

M64 = (1 << 64) - 1
OVERRIDES = {0: 0x26, 1: 0x2E, 2: 0x36, 3: 0x3E, 4: 0x64, 5: 0x65}
_FIXED_SIZES = {"8": 1, "w": 2, "d": 4, "q": 8}
_FIXED_IMMEDIATES = {"ib": 1, "cb": 1, "iw": 2, "id": 4, "iq": 8}
_RELATIVE = {"cb", "cz"}


@dataclass
class Memory:
    """A ModRM memory operand before it is solved: where it shall point and through which registers."""

    target: int
    base: int | None
    index: int | None
    scale: int
    shape: str  # "base", "rip", "absolute"
    displacement_size: int  # 0, 1, 4
    displacement: int = 0


@dataclass
class Draft:
    """A case in the making: the row's encoding choices and the state around it."""

    form: Form
    bits: int
    draws: Draws
    registers: list[int]
    reserved: set[int] = field(default_factory=set)
    flags: int = 0
    patches: list[tuple[int, bytes]] = field(default_factory=list)
    legacy: list[int] = field(default_factory=list)
    operand_prefix: bool = False
    address_prefix: bool = False
    wide: int = 0
    override: int | None = None
    force_rex: bool = False
    lock: bool = False
    repeat: int | None = None
    mod: int = 3
    reg: int = 0
    rm: int = 0
    opreg: int = 0
    memory: Memory | None = None
    address: int = START
    immediates: dict[str, int] = field(default_factory=dict)

    @property
    def operand_size(self) -> int:
        """Operand size in bytes as Form.size defines it."""
        return operand_size(self.form, self.bits, self.operand_prefix, self.wide)

    @property
    def address_size(self) -> int:
        """Address size in bytes."""
        return (
            (4 if self.address_prefix else 8)
            if self.bits == 64
            else (2 if self.address_prefix != (self.bits == 16) else 4)
        )

    @property
    def stack_size(self) -> int:
        """Bytes of a stack slot with this operand size."""
        return self.operand_size


def operand_size(form: Form, bits: int, prefix: bool, wide: int) -> int:
    """Return the operand size in bytes that prefix 66 and REX.W give a row."""
    small = 2 if (prefix and form.mandatory != 0x66) != (bits == 16) else 4
    size = form.size
    if fixed := _FIXED_SIZES.get(size):
        return fixed
    if bits != 64:
        return 4 if size in ("y", "n") else small
    if size == "v":
        return 8 if wide else small
    if size == "d64":
        return 2 if small == 2 and not wide else 8
    return {"z": small, "y": 8 if wide else 4, "f64": 8, "n": 8}[size]


def immediate_size(token: str, draft: Draft) -> int:
    """Return the bytes of an immediate token other than moffs and far."""
    if fixed := _FIXED_IMMEDIATES.get(token):
        return fixed
    size = draft.operand_size
    return {"iz": min(size, 4), "iv": size, "cz": min(size, 4)}[token]


def choose_sizes(draft: Draft) -> bool:
    """Choose 66, 67 and REX.W so that the row's demands hold; False when this draw does not."""
    form, draws = draft.form, draft.draws
    wide_allowed = draft.bits == 64 and form.rex_w != 0
    draft.wide = 1 if form.rex_w == 1 else int(wide_allowed and draws.chance(3))
    # Beside a mandatory F2 or F3, 66 is still the operand's size: popcnt, lzcnt, crc32.
    free = form.mandatory is None or (form.mandatory != 0x66 and form.size == "v")
    draft.operand_prefix = not form.no_prefix and free and draws.chance(4)
    if draft.form.size == "f64" and draft.bits == 64:
        draft.operand_prefix = False  # Intel ignores it, AMD does not (SDM 2A 2.2.1.7)
    draft.address_prefix = draws.chance(10)
    if form.need_addrsize is not None:
        draft.address_prefix = form.need_addrsize != draft.bits // 8
    if form.need_opsize is not None and draft.operand_size != form.need_opsize:
        draft.operand_prefix = form.need_opsize == 2
        draft.wide = int(form.need_opsize == 8 and form.size == "v")
    if form.rex_w == 1 and draft.bits != 64:
        return False
    return form.need_opsize in (None, draft.operand_size) and form.need_addrsize in (None, draft.address_size)


def choose_prefixes(draft: Draft) -> None:
    """Choose segment override, LOCK, repeat and a REX without need."""
    form, draws = draft.form, draft.draws
    if draws.chance(8):
        draft.override = draws.below(6) if draft.bits == 64 or draws.chance(8) else draws.pick((0, 2, 3))
    draft.force_rex = draft.bits == 64 and draws.chance(4)
    if form.rep is not None:
        draft.repeat = draws.pick((None, 0xF3, 0xF3, 0xF2))
    memory = draft.memory is not None
    if form.lock and memory:
        draft.lock = draws.chance(4)
    elif form.modrm and form.mandatory is None and "creg" not in form.operands and draws.chance(48):
        draft.lock = True  # not allowed here: #UD (SDM 2A, LOCK); AMD reads `lock mov` from cr0 as cr8


def choose_modrm(draft: Draft, memory_size: int) -> None:
    """Choose ModRM, and a memory operand that points somewhere worth while."""
    form, draws = draft.form, draft.draws
    registers = 16 if draft.bits == 64 else 8
    draft.opreg = draws.below(registers)
    if form.rex_b == 0:
        draft.opreg &= 7
    if not form.modrm:
        return
    draft.reg = (
        draws.below(registers) if form.digit is None else form.digit + 8 * (registers == 16 and draws.bits(1))
    )
    draft.rm = draws.below(registers)
    if form.fixed_modrm is not None:
        draft.mod, draft.reg, draft.rm = (
            form.fixed_modrm >> 6,
            form.fixed_modrm >> 3 & 7,
            form.fixed_modrm & 7,
        )
        return
    holds = {kind.holds for kind in form.kinds if kind.place == "rm"}
    if (
        form.mod3
        or not (form.memory_only or "gpr/mem" in holds)
        or (not form.memory_only and draws.chance(2))
    ):
        draft.mod = draws.below(4) if form.mod_ignored else 3
        return
    draft.memory = _memory(draft, memory_size)


def _memory(draft: Draft, size: int) -> Memory:
    draws, count = draft.draws, 16 if draft.bits == 64 else 8
    target = draws.target(size, draft.bits)
    shape = draws.pick(("base",) * 8 + ("absolute", "rip"))
    if shape == "rip" and draft.bits != 64:
        shape = "absolute"
    index = draws.below(count) if draws.chance(3) else None
    index = None if index == 4 or shape == "rip" else index
    base = draws.below(count) if shape == "base" else None
    return Memory(target, base, index, draws.below(4), shape, draws.pick((0, 1, 1, 4)))


def solve_memory(draft: Draft) -> None:
    """Set the base register, or the displacement where the base is taken, so that the operand lies at its target."""
    memory = draft.memory
    if memory is None:
        return
    if draft.address_size == 2:
        memory.displacement = draft.draws.bits(16)
        return
    base = _segment_base(draft)
    if base and not DATA <= memory.target <= DATA_END:
        # AMD checks the offset for canonical form before it adds FS or GS, Intel the sum.
        memory.target = DATA + draft.draws.below(1 << 12)
    linear = memory.target - base
    if memory.index is not None:
        linear -= draft.registers[memory.index] << memory.scale
    if memory.shape == "rip":
        return
    if memory.base is None or memory.base in draft.reserved or memory.base == memory.index:
        memory.displacement_size = 4
        linear -= 0 if memory.base is None else draft.registers[memory.base]
        memory.displacement = linear & 0xFFFFFFFF
        return
    _solve_base(draft, memory, linear)


def _segment_base(draft: Draft) -> int:
    if draft.bits != 64:
        return 0
    return FS_BASE if draft.override == 4 else GS_BASE if draft.override == 5 else 0


def _solve_base(draft: Draft, memory: Memory, linear: int) -> None:
    draws = draft.draws
    size = memory.displacement_size or (1 if memory.base is not None and memory.base & 7 == 5 else 0)
    memory.displacement_size = size
    signed = draws.immediate(size) if size else 0
    memory.displacement = signed
    if size and signed >> (8 * size - 1):
        signed -= 1 << 8 * size
    value = (linear - signed) & M64
    if draft.bits != 64:
        value &= 0xFFFFFFFF
    elif draft.address_size == 4:
        value = value & 0xFFFFFFFF | draws.bits(32) << 32
    assert memory.base is not None
    draft.registers[memory.base] = value
    draft.reserved.add(memory.base)


def assemble(draft: Draft) -> bytes:
    """Return the bytes of the draft; immediates not chosen before are drawn now."""
    head = _prefixes(draft) + _opcode(draft)
    tail_size = sum(_token_size(token, draft) for token in draft.form.immediates)
    modrm = _modrm(draft, len(head), tail_size)
    position = len(head) + len(modrm)
    tail = b"".join(_immediate(token, draft, position + tail_size) for token in draft.form.immediates)
    return head + modrm + tail


def _prefixes(draft: Draft) -> bytes:
    form, draws = draft.form, draft.draws
    legacy = list(draft.legacy)
    legacy += [0x66] * draft.operand_prefix + [0x67] * draft.address_prefix + [0xF0] * draft.lock
    if draft.override is not None:
        legacy.append(OVERRIDES[draft.override])
    if draft.repeat is not None:
        legacy.append(draft.repeat)
    if form.mandatory is not None and not form.vex:
        legacy.append(form.mandatory)
    for at in range(len(legacy) - 1, 0, -1):
        other = draws.below(at + 1)
        legacy[at], legacy[other] = legacy[other], legacy[at]
    return bytes(legacy) + (_vex(draft) if form.vex else _rex(draft))


def _vex(draft: Draft) -> bytes:
    """A VEX prefix of three bytes; what must be ignored, and rarely what must be 1111 or 0, is drawn."""
    form, draws, rex = draft.form, draft.draws, _rex_bits(draft)
    used = any(kind.place == "vvvv" for kind in form.kinds)
    vvvv = ~draft.opreg & 15 if used else 15
    if draft.bits != 64:
        # B and W, and the top bit of vvvv, which only an operand may clear.
        rex |= draws.bits(1) | draws.bits(1) << 3
        vvvv &= 15 if not used else 7 | draws.bits(1) << 3
    if draws.chance(48):
        vvvv = draws.bits(4)
    pp = {None: 0, 0x66: 1, 0xF3: 2, 0xF2: 3}[form.mandatory]
    last = (rex & 8) << 4 | vvvv << 3 | draws.chance(48) << 2 | pp
    return bytes([0xC4, (~rex & 7) << 5 | form.opcode_map, last])


def _rex(draft: Draft) -> bytes:
    low = _rex_bits(draft)
    if draft.bits == 64 and (low or draft.force_rex):
        return bytes([0x40 | low])
    return b""


def _rex_bits(draft: Draft) -> int:
    memory = draft.memory
    base, index = (memory.base or 0, memory.index or 0) if memory else (draft.rm, 0)
    if draft.form.plus_r:
        base = draft.opreg
    elif not draft.form.modrm:
        base = 0
    reg = draft.reg if draft.form.modrm else 0
    return draft.wide << 3 | reg >> 3 << 2 | index >> 3 << 1 | base >> 3


def _opcode(draft: Draft) -> bytes:
    form = draft.form
    escape = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")[0 if form.vex else form.opcode_map]
    return escape + bytes([form.opcode | (draft.opreg & 7 if form.plus_r else 0)])


def _modrm(draft: Draft, before: int, after: int) -> bytes:
    if not draft.form.modrm:
        return b""
    reg = (draft.reg & 7) << 3
    memory = draft.memory
    if memory is None:
        return bytes([draft.mod << 6 | reg | draft.rm & 7])
    if draft.address_size == 2:
        return bytes([0x80 | reg | draft.rm & 7]) + (memory.displacement & 0xFFFF).to_bytes(2, "little")
    if memory.shape == "rip":
        displacement = memory.target - (draft.address + before + 5 + after) & 0xFFFFFFFF
        return bytes([reg | 5]) + displacement.to_bytes(4, "little")
    return _modrm_with_base(draft, memory, reg)


def _modrm_with_base(draft: Draft, memory: Memory, reg: int) -> bytes:
    size = memory.displacement_size
    displacement = (memory.displacement & (1 << 8 * size) - 1).to_bytes(size, "little")
    index = 4 if memory.index is None else memory.index & 7
    if memory.base is None:
        if draft.bits != 64 and memory.index is None:
            return bytes([reg | 5]) + displacement
        return bytes([reg | 4, memory.scale << 6 | index << 3 | 5]) + displacement
    mod = {0: 0, 1: 1, 4: 2}[size] << 6
    if memory.index is not None or memory.base & 7 == 4 or draft.force_rex:
        return bytes([mod | reg | 4, memory.scale << 6 | index << 3 | memory.base & 7]) + displacement
    return bytes([mod | reg | memory.base & 7]) + displacement


def _token_size(token: str, draft: Draft) -> int:
    if token == "moffs":
        return draft.address_size
    if token == "far":
        return draft.operand_size + 2
    return immediate_size(token, draft)


def _immediate(token: str, draft: Draft, length: int) -> bytes:
    size = _token_size(token, draft)
    if token in draft.immediates:
        value = draft.immediates[token]
    elif token == "moffs":
        value = _offset(draft)
    elif token in _RELATIVE:
        value = _relative(draft, size, length)
    else:
        value = draft.draws.immediate(size)
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def _offset(draft: Draft) -> int:
    base = _segment_base(draft)
    if base:  # see solve_memory
        return draft.draws.inside(draft.operand_size) - base
    return draft.draws.target(draft.operand_size, draft.bits)


def _relative(draft: Draft, size: int, length: int) -> int:
    """Draw a displacement that lands in CODE (or, rarely, nowhere) but not on the instruction: that would spin."""
    after = draft.address + length
    while True:
        if size == 1:
            landing = after + draft.draws.bits(8) - 128
        elif draft.draws.chance(16):
            landing = after + draft.draws.bits(8 * size)
        else:
            landing = draft.draws.between(CODE, CODE_END - 1)
        if not draft.address <= landing < after:
            return landing - after
