"""Bytes to NASM text: every record a line that assembles to an instruction of the same meaning.

The text says no more than is needed: a size keyword where no register gives the size, an o16 or o64 where nothing
else does, `nosplit` where the assembler would otherwise take a shorter address. What is no instruction is `db`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache

from ringzero.asm.candidates import natural_size
from ringzero.asm.registers import BYTES, GENERAL, HIGH, SEGMENTS
from ringzero.isa import record as R
from ringzero.isa.form import Form
from ringzero.isa.operands import CReg, Far, Imm, Mem, Operand, Reg, Rel, SReg, operands_of
from ringzero.isa.record import NO_REGISTER, NO_SEGMENT, RIP, RecordTuple
from ringzero.isa.table import FORMS

ADDRESSES = (1 << 64) - 1
_KEYWORDS = {1: "byte", 2: "word", 4: "dword", 8: "qword", 10: "tword", 16: "oword"}
_STRINGS = ("movs", "cmps", "stos", "lods", "scas", "ins", "outs")


#: Bytes decoded at once, so that a large file needs no memory for all of its records.
CHUNK = 1 << 12
#: Rows whose text depends on where the instruction stands, as that of a RIP-relative operand does.
_PLACED = frozenset(form.number for form in FORMS if any(kind.holds == "rel" for kind in form.kinds))

Decode = Callable[[bytes, int], list[RecordTuple]]


def disassemble(code: bytes, mode: int = 64, address: int = 0) -> list[tuple[int, bytes, str]]:
    """(address, bytes, text) of each instruction of `code`, which lies at `address`; mode 64, 32 or 16."""
    return list(instructions(code, mode, address))


def instructions(
    code: bytes, mode: int = 64, address: int = 0, decode: Decode | None = None
) -> Iterator[tuple[int, bytes, str]]:
    """What `disassemble` gives, one after the other as they are decoded; `decode` is the fastest there is.

    What runs beyond the last 64-bit address goes on at 0, as ndisasm has it.
    """
    decode = decode or fastest_decoder()
    at = 0
    while at < len(code):
        # An instruction that begins before the chunk's end is seen whole, or it is too long anywhere.
        start, window = at, bytes(code[at : at + CHUNK + R.MAX_LENGTH])
        for record in decode(window, mode):
            if at - start >= CHUNK:
                break
            length, here = max(record[R.LENGTH], 1), (address + at) & ADDRESSES
            piece = window[at - start : at - start + length]
            yield here, piece, record_text(record, piece, mode, here)
            at += length


@cache
def fastest_decoder() -> Decode:
    """The decoder in C where it is built, or the one in Python; both give the same records."""
    try:
        from ringzero.isa.native import decode as decode_in_c
    except ImportError:
        from ringzero.isa.decode import decode

        return decode
    return decode_in_c


def record_text(record: RecordTuple, code: bytes, mode: int, address: int = 0) -> str:
    """NASM text of one record that stands at `address`; `code` are its bytes."""
    if record[R.FORM] == R.INVALID_FORM:
        return "db " + ", ".join(f"0x{byte:02x}" for byte in code)
    if record[R.FORM] in _PLACED or record[R.BASE] == RIP:
        return _text(record, mode, (address + record[R.LENGTH]) & (1 << mode) - 1)
    return _remembered_text(record, mode)


def _text(record: RecordTuple, mode: int, end: int) -> str:
    """The text of a record whose instruction ends at `end`."""
    form = FORMS[record[R.FORM]]
    operands = operands_of(record)
    texts = [_operand(operand, n, form, operands, record, mode, end) for n, operand in enumerate(operands)]
    if form.mnemonic == "xchg" and form.modrm and record[R.MOD] == 3:
        texts.reverse()  # nasm has the register of ModRM.reg first here
    words = [*_prefixes(record, form, operands, mode), form.mnemonic]
    return " ".join(words) + (" " + ", ".join(texts) if texts else "")


@lru_cache(1 << 14)
def _remembered_text(record: RecordTuple, mode: int) -> str:
    """The text of a record that is the same everywhere: programs repeat themselves."""
    return _text(record, mode, 0)


def _prefixes(record: RecordTuple, form: Form, operands: tuple[Operand, ...], mode: int) -> list[str]:
    bits, words = record[R.PREFIXES], []
    if bits & R.LOCK:
        words.append("lock")
    if form.rep and bits & (R.REP | R.REPNE):
        repz = "repe" if form.rep == "repz" else "rep"
        words.append(repz if bits & R.REP else "repne")
    memory = any(isinstance(operand, Mem) for operand in operands)
    if (
        not memory
        and record[R.OVERRIDE] != NO_SEGMENT
        and _counts(record[R.OVERRIDE], mode)
        and _implicit_memory(form)
    ):
        words.append(SEGMENTS[record[R.OVERRIDE]])
    if (
        not memory
        and record[R.ADDRSIZE] * 8 != mode
        and form.need_addrsize is None
        and _uses_address_size(form)
    ):
        words.append(f"a{record[R.ADDRSIZE] * 8}")
    if not _says_size(form, operands) and record[R.OPSIZE] != natural_size(form, mode):
        words.append(f"o{record[R.OPSIZE] * 8}")
    return words


def _counts(segment: int, mode: int) -> bool:
    return mode != 64 or segment >= 4


def _implicit_memory(form: Form) -> bool:
    return form.mnemonic[:-1] in _STRINGS or form.mnemonic == "xlatb"


def _uses_address_size(form: Form) -> bool:
    return _implicit_memory(form) or form.mnemonic.startswith("loop")


def _says_size(form: Form, operands: tuple[Operand, ...]) -> bool:
    """Whether the row or an operand's text leaves only one operand size."""
    if form.need_opsize or form.rex_w or form.size in ("8", "w", "d", "q", "n"):
        return True
    for kind, operand in zip(form.kinds, operands, strict=True):
        if isinstance(operand, Reg) and kind.size == 0:
            return True
        if isinstance(operand, Mem | Far) and (kind.memory_size == 0 or kind.name in ("m_far", "r_m16")):
            return True
    return False


def _operand(
    operand: Operand,
    number: int,
    form: Form,
    operands: tuple[Operand, ...],
    record: RecordTuple,
    mode: int,
    end: int,
) -> str:
    if isinstance(operand, Reg):
        return _register(operand)
    if isinstance(operand, Mem):
        keyword = _memory_keyword(operand, form, operands)
        return keyword + _memory(operand, record, mode, end, form.operands[number].startswith("moffs"))
    if isinstance(operand, Imm):
        return f"{operand.value:#x}"
    if isinstance(operand, Rel):
        return f"{(end + operand.displacement) & (1 << operand.size * 8) - 1:#x}"
    if isinstance(operand, Far):
        keyword = "" if operand.size * 8 == mode else _KEYWORDS[operand.size] + " "
        return keyword + f"{operand.selector:#x}:{operand.offset:#x}"
    if isinstance(operand, SReg):
        return SEGMENTS[operand.number] if operand.number < 6 else f"sr{operand.number}"
    return f"cr{operand.number}" if isinstance(operand, CReg) else f"dr{operand.number}"


def _register(operand: Reg) -> str:
    if operand.high:
        return HIGH[operand.number]
    return GENERAL[operand.size][operand.number] if operand.size > 1 else BYTES[operand.number]


def _memory_keyword(memory: Mem, form: Form, operands: tuple[Operand, ...]) -> str:
    if "m_far" in form.operands:
        return f"{_KEYWORDS[memory.size - 2]} far "
    if not memory.size or form.memory_only:
        return ""  # the row leaves no choice
    widths = {kind.memory_size for kind in form.kinds if kind.place in ("rm", "moffs")}
    for kind, other in zip(form.kinds, operands, strict=True):
        if (
            isinstance(other, Reg)
            and form.mnemonic != "crc32"  # whose source may have any size beside this register
            and kind.name not in ("cl", "dx")
            and kind.size in widths
            and other.size == memory.size
        ):
            return ""
    return _KEYWORDS[memory.size] + " "


def _memory(memory: Mem, record: RecordTuple, mode: int, end: int, moffs: bool) -> str:
    override = record[R.OVERRIDE]
    segment = f"{SEGMENTS[override]}:" if override != NO_SEGMENT and _counts(override, mode) else ""
    if memory.base not in (NO_REGISTER, RIP) or memory.index != NO_REGISTER:
        nosplit = "nosplit " if memory.base == NO_REGISTER else ""
        return f"[{nosplit}{segment}{_registers(memory)}]"
    bits = memory.addrsize * 8
    words = [f"a{bits}"] if bits != mode else []
    address = memory.disp
    if memory.base == RIP:
        words.append("rel")
        address += end
    elif mode == 64:
        # The keyword keeps `default rel` away; qword asks for the form that holds all 64 bits.
        words.append("qword" if moffs and bits == 64 else "abs")
    return f"[{' '.join([*words, segment])}{address & (1 << bits) - 1:#x}]"


def _registers(memory: Mem) -> str:
    names = GENERAL[memory.addrsize]
    text = names[memory.base] if memory.base != NO_REGISTER else ""
    if memory.index != NO_REGISTER:
        scale = 1 << memory.scale
        if not text:
            text = f"{names[memory.index]}*{scale}"
        else:
            text += f"+{names[memory.index]}" + (f"*{scale}" if scale > 1 else "")
    if memory.disp:
        text += f"{'-' if memory.disp < 0 else '+'}{abs(memory.disp):#x}"
    return text
