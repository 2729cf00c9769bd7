"""Give each kind of instruction operands that reach its interesting corners.

The room's rule: a shaper only chooses inputs. It never computes what an instruction does; the judges do.
Without a shaper a row gets random registers, which suits most of them.
"""

from __future__ import annotations

from collections.abc import Callable

from ringzero_tests.case import CODE, CODE_END, DATA, DATA_END, PAGE, USER_CS, USER_SS, region_of
from ringzero_tests.encode import M64, Draft

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
USER_CS32 = 0x23

Shaper = Callable[[Draft], None]
SHAPERS: dict[str, Shaper] = {}


def shapes(*mnemonics: str) -> Callable[[Shaper], Shaper]:
    """Decorator: the function shapes drafts of these mnemonics."""

    def register(shaper: Shaper) -> Shaper:
        for mnemonic in mnemonics:
            SHAPERS[mnemonic] = shaper
        return shaper

    return register


def set_register(draft: Draft, number: int, value: int) -> None:
    """Give a register its value for good: solving the memory operand will not change it."""
    draft.registers[number] = value & (M64 if draft.bits == 64 else 0xFFFFFFFF)
    draft.reserved.add(number)


def poke(draft: Draft, address: int, value: bytes) -> None:
    """Patch memory where it is mapped; elsewhere the case faults and the value does not matter."""
    try:
        if region_of(address) == region_of(address + len(value) - 1):
            draft.patches.append((address, value))
    except ValueError:
        return


def set_rm(draft: Draft, value: int, size: int) -> None:
    """Make the ModRM.rm operand hold `value`."""
    value &= (1 << 8 * size) - 1
    if draft.memory is not None:
        poke(draft, draft.memory.target, value.to_bytes(size, "little"))
    elif size == 1 and not (draft.force_rex or draft.wide) and 4 <= draft.rm < 8:
        number = draft.rm - 4
        set_register(draft, number, draft.registers[number] & ~0xFF00 | value << 8)
    else:
        keep = draft.registers[draft.rm] & ~((1 << 8 * size) - 1)
        set_register(draft, draft.rm, keep | value)


def landing(draft: Draft) -> int:
    """Draw an address in CODE, clear of the instruction itself."""
    while True:
        address = draft.draws.between(CODE, CODE_END - 1)
        if not draft.address - 1 <= address < draft.address + 16:
            return address


def _pointer(draft: Draft, number: int, size: int) -> int:
    target = draft.draws.target(size, draft.bits)
    junk = draft.draws.bits(32) << 32 if draft.address_size == 4 and draft.bits == 64 else 0
    set_register(draft, number, target & 0xFFFFFFFF | junk if junk else target)
    return target


def _stack(draft: Draft, slots: int, below: int = 0) -> int:
    """Point RSP at `slots` slots that an instruction pops, with room for `below` that it pushes."""
    draws = draft.draws
    room = max(slots + below, 1) * draft.stack_size
    top = draws.target(room, draft.bits) + below * draft.stack_size
    set_register(draft, RSP, top)
    return top & M64


@shapes("push", "call", "pushfw", "pushfd", "pushfq", "pushaw", "pushad")
def _pushes(draft: Draft) -> None:
    _stack(draft, 0, 8 if draft.form.mnemonic.startswith("pusha") else 1)
    if draft.form.mnemonic == "call":
        _indirect(draft)


@shapes("pop", "popaw", "popad")
def _pops(draft: Draft) -> None:
    _stack(draft, 8 if draft.form.mnemonic.startswith("popa") else 1)


@shapes("popfw", "popfd", "popfq")
def _pop_flags(draft: Draft) -> None:
    top = _stack(draft, 1)
    # TF would trap behind the landing int3; it has tests of its own.
    poke(draft, top, (draft.draws.bits(64) & ~0x100).to_bytes(8, "little")[: draft.stack_size])


@shapes("ret")
def _near_return(draft: Draft) -> None:
    top = _stack(draft, 1)
    if not draft.draws.chance(16):
        poke(draft, top, landing(draft).to_bytes(8, "little")[: draft.stack_size])


def _selector(draft: Draft) -> int:
    code = USER_CS if draft.bits == 64 else USER_CS32
    return draft.draws.pick((code, code, code, code, 0, USER_SS))


@shapes("retf")
def _far_return(draft: Draft) -> None:
    top, size = _stack(draft, 2), draft.stack_size
    slots = (landing(draft), _selector(draft))
    poke(draft, top, b"".join(slot.to_bytes(8, "little")[:size] for slot in slots))


@shapes("iretw", "iretd", "iretq")
def _interrupt_return(draft: Draft) -> None:
    top, size, draws = _stack(draft, 5), draft.stack_size, draft.draws
    flags = draws.bits(32) & ~(0x100 | 1 << 17)
    slots = (landing(draft), _selector(draft), flags, draws.target(8, draft.bits), USER_SS)
    poke(draft, top, b"".join(slot.to_bytes(8, "little")[:size] for slot in slots))


@shapes("enter")
def _enter(draft: Draft) -> None:
    draws = draft.draws
    draft.immediates["ib"] = draws.pick((0, 0, 1, 2, 3, 31, 32, 33, draws.bits(8)))
    draft.immediates["iw"] = draws.pick((0, 8, 64, draws.bits(16)))
    set_register(
        draft, RSP, draws.between(DATA + 300, DATA_END) if draws.bits(2) else draws.target(8, draft.bits)
    )
    set_register(
        draft, RBP, draws.between(DATA + 300, DATA_END) if draws.bits(2) else draws.target(8, draft.bits)
    )


@shapes("leave")
def _leave(draft: Draft) -> None:
    set_register(draft, RBP, draft.draws.target(draft.stack_size, draft.bits))


@shapes("jmp")
def _indirect(draft: Draft) -> None:
    if not draft.form.modrm or draft.draws.chance(16):
        if "far" in draft.form.immediates:
            draft.immediates["far"] = landing(draft) | _selector(draft) << 8 * draft.operand_size
        return
    if draft.form.memory_only:
        size = draft.operand_size
        pointer = landing(draft).to_bytes(8, "little")[:size] + _selector(draft).to_bytes(2, "little")
        if draft.memory is not None:
            poke(draft, draft.memory.target, pointer)
        return
    set_rm(draft, landing(draft), draft.operand_size)


@shapes("loop", "loope", "loopne", "jcxz", "jecxz", "jrcxz")
def _counted(draft: Draft) -> None:
    count = draft.draws.pick((0, 1, 2, draft.draws.value()))
    junk = draft.draws.bits(32) << 32 if draft.address_size < 8 else 0
    set_register(draft, RCX, count & (1 << 8 * draft.address_size) - 1 | junk)


def _string(draft: Draft, uses_source: bool, uses_destination: bool) -> None:
    draws, size = draft.draws, draft.operand_size
    draft.flags ^= 0x400 * draws.bits(1)
    run = size * draws.between(1, 24)
    if uses_source:
        _string_pointer(draft, RSI, run, size)
    if uses_destination:
        _string_pointer(draft, RDI, run, size)
    if uses_source and uses_destination and draws.chance(8):
        set_register(draft, RDI, draft.registers[RSI] + draws.between(-9, 9))
    count = draws.pick((0, 1, 2, run // size, run // size, draws.below(64)))
    if draws.chance(24):
        count = draws.value()
    junk = draws.bits(32) << 32 if draft.address_size < 8 else 0
    set_register(draft, RCX, count & (1 << 8 * draft.address_size) - 1 | junk)


def _string_pointer(draft: Draft, number: int, run: int, size: int) -> None:
    start = draft.draws.target(run, draft.bits)
    if draft.flags & 0x400:
        start += run - size
    junk = draft.draws.bits(32) << 32 if draft.address_size == 4 and draft.bits == 64 else 0
    set_register(draft, number, start & 0xFFFFFFFF | junk if junk else start)


def _fill(draft: Draft, number: int, pattern: bytes) -> None:
    """Fill some bytes around where a string register points, so that repeats run for a while."""
    around = draft.registers[number] & (0xFFFFFFFF if draft.address_size == 4 else M64)
    size = len(pattern)
    for step in range(-draft.draws.below(20), draft.draws.below(20)):
        poke(draft, (around + step * size) & M64, pattern)


@shapes("movsb", "movsw", "movsd", "movsq", "outsb", "outsw", "outsd")
def _move_string(draft: Draft) -> None:
    _string(draft, True, not draft.form.mnemonic.startswith("outs"))


@shapes("lodsb", "lodsw", "lodsd", "lodsq")
def _load_string(draft: Draft) -> None:
    _string(draft, True, False)


@shapes("stosb", "stosw", "stosd", "stosq", "insb", "insw", "insd")
def _store_string(draft: Draft) -> None:
    _string(draft, False, True)


@shapes("scasb", "scasw", "scasd", "scasq")
def _scan_string(draft: Draft) -> None:
    _string(draft, False, True)
    if draft.draws.bits(1):
        accumulator = draft.registers[RAX] if draft.repeat != 0xF2 else ~draft.registers[RAX]
        _fill(draft, RDI, (accumulator & M64).to_bytes(8, "little")[: draft.operand_size])


@shapes("cmpsb", "cmpsw", "cmpsd", "cmpsq")
def _compare_string(draft: Draft) -> None:
    _string(draft, True, True)
    if draft.draws.bits(1):
        pattern = draft.draws.bits(64).to_bytes(8, "little")[: draft.operand_size]
        _fill(draft, RSI, pattern)
        _fill(draft, RDI, pattern)


@shapes("xlatb")
def _translate(draft: Draft) -> None:
    target = draft.draws.target(1, draft.bits)
    set_register(draft, RBX, target - (draft.registers[RAX] & 0xFF))


@shapes("bt", "bts", "btr", "btc")
def _bit_test(draft: Draft) -> None:
    if draft.memory is None or draft.form.immediates:
        return
    draws = draft.draws
    offset = draws.between(-8 * 2000, 8 * 2000)
    set_register(draft, draft.reg, offset)
    draft.memory.target = draws.between(DATA + 0x800, DATA_END - 0x800)
    if draws.chance(12):
        draft.memory.target = draws.pick((DATA, DATA_END - 8, DATA + PAGE))


@shapes("cmpxchg")
def _compare_exchange(draft: Draft) -> None:
    draft.reserved.add(RAX)
    if draft.draws.bits(1):
        set_rm(draft, draft.registers[RAX], draft.operand_size)


@shapes("cmpxchg8b", "cmpxchg16b")
def _compare_exchange_pair(draft: Draft) -> None:
    draft.reserved |= {RAX, RBX, RCX, RDX}
    if draft.memory is None:
        return
    half = 8 if draft.form.mnemonic == "cmpxchg16b" else 4
    if half == 8 and not draft.draws.chance(8):
        draft.memory.target &= ~15
    if draft.draws.bits(1):
        pair = b"".join(draft.registers[number].to_bytes(8, "little")[:half] for number in (RAX, RDX))
        poke(draft, draft.memory.target, pair)


@shapes("div", "idiv")
def _divide(draft: Draft) -> None:
    draws, size = draft.draws, draft.operand_size
    if draws.chance(6):
        return
    bits, signed = 8 * size, draft.form.mnemonic == "idiv"
    divisor = draws.value() & (1 << bits) - 1 or 3
    quotient = draws.value() & (1 << bits) - 1
    if signed:
        divisor -= (divisor >> (bits - 1)) << bits
        quotient -= (quotient >> (bits - 1)) << bits
    dividend = quotient * divisor + draws.below(min(abs(divisor), 1 << 40)) + draws.chance(8) * draws.value()
    _set_pair(draft, dividend, size)
    set_rm(draft, divisor, size)


def _set_pair(draft: Draft, value: int, size: int) -> None:
    mask = (1 << 8 * size) - 1
    if size == 1:
        set_register(draft, RAX, draft.registers[RAX] & ~0xFFFF | value & 0xFFFF)
        return
    set_register(draft, RAX, draft.registers[RAX] & ~mask | value & mask)
    set_register(draft, RDX, draft.registers[RDX] & ~mask | value >> 8 * size & mask)


@shapes("rol", "ror", "rcl", "rcr", "shl", "sal", "shr", "sar", "shld", "shrd")
def _shift(draft: Draft) -> None:
    bits = 8 * draft.operand_size
    count = draft.draws.pick((0, 1, 1, 2, bits - 1, bits, bits + 1, 31, 32, 33, 63, 64, draft.draws.bits(8)))
    draft.immediates["ib"] = count
    set_register(draft, RCX, draft.registers[RCX] & ~0xFF | count)


@shapes("lea")
def _address_only(draft: Draft) -> None:
    draft.reserved |= set(range(16))
    if draft.memory is not None:
        draft.memory.target = draft.draws.value()


@shapes("int")
def _software_interrupt(draft: Draft) -> None:
    vector = draft.draws.pick((3, 4, draft.draws.bits(8)))
    draft.immediates["ib"] = vector if vector != 0x80 else 0x81


@shapes("bound")
def _bounds(draft: Draft) -> None:
    if draft.memory is not None and draft.draws.bits(1):
        poke(
            draft,
            draft.memory.target,
            b"\x00" * draft.operand_size + b"\xff" * (draft.operand_size - 1) + b"\x7f",
        )


@shapes("shlx", "shrx", "sarx", "bzhi", "bextr")
def _counted_in_vvvv(draft: Draft) -> None:
    draws, bits = draft.draws, 8 * draft.operand_size
    count = draws.pick((0, 1, 2, bits - 1, bits, bits + 1, 31, 32, 33, 63, 64, draws.bits(8)))
    if draft.form.mnemonic == "bextr":
        count |= draws.pick((0, 1, bits - 1, bits, draws.bits(6), draws.bits(8))) << 8
    if draws.chance(6):
        return
    set_register(draft, draft.opreg, draws.bits(48) << 16 | count)


@shapes("les", "lds", "lss")
def _far_pointer(draft: Draft) -> None:
    """The selector is the one that is there already, or none in any table: the worker's segments stay as they are."""
    if draft.memory is not None:
        selector = draft.draws.pick((USER_SS, USER_SS, USER_SS, 0xFFFB))
        pointer = draft.draws.value().to_bytes(8, "little")[: draft.operand_size] + selector.to_bytes(
            2, "little"
        )
        poke(draft, draft.memory.target, pointer)


@shapes("popcnt", "bsf", "bsr", "tzcnt", "lzcnt")
def _count_bits(draft: Draft) -> None:
    if draft.draws.chance(3):
        set_rm(draft, draft.draws.pick((0, 1 << draft.draws.below(64), 0)), draft.operand_size)
