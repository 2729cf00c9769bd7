"""The decoder in Python: bytes in, record tuples out, by the same tables as csrc/decode.c.

It reads as if the code went on for ever (the bytes are padded) and asks only when it decides whether it has read too
far: past the end of the bytes (TRUNCATED), or past 15 bytes (TOO_LONG). Decisions are taken in the order of the bytes:
prefixes, opcode, ModRM, displacement and immediate, then LOCK and what a VEX prefix forbids (a processor has fetched
all of an instruction before it refuses that), so both decoders give the same reason for bad bytes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ringzero.isa import dectab as D
from ringzero.isa import record as R
from ringzero.isa.record import NO_REGISTER, NO_SEGMENT, RecordTuple

#: More than an instruction can read past its end before it asks.
_PADDING = bytes(32)


class _Mode(NamedTuple):
    """All tables of a mode."""

    prefixes: list[int]  # class by byte
    addrsizes: tuple[int, int]  # without and with 67
    no_base: int  # what mod 0, rm 5 has for a base: RIP or nothing
    cells: list[list[int]]
    nodes: list[tuple[int, tuple[int, ...]]]
    rows: list[tuple[tuple[int, int, int, int], D.Layout]]  # operand sizes and layout by row


@cache
def _mode(mode: int) -> _Mode:
    from ringzero.isa.table import FORMS

    tables, addrsizes = D.tables_of(mode), (D.address_size(mode, 0), D.address_size(mode, 1))
    return _Mode(
        D.prefix_classes(mode), addrsizes, R.RIP if mode == 64 else NO_REGISTER,
        tables.cells, tables.nodes, [(D.opsizes(form, mode), D.layout(form)) for form in FORMS],
    )  # fmt: skip


def decode(
    code: bytes | bytearray | memoryview, mode: int = 64, *, limit: int | None = None
) -> list[RecordTuple]:
    """Decode `code` from its first byte on, at most `limit` instructions.

    mode: 64, 32 or 16, as the code segment's L and D bits say. Returns record tuples (see isa/record.py), one after the
    other: the next starts where the last ends. A record of form INVALID_FORM stands for bytes that are no
    instruction; decoding goes on behind its length, but ends at a TRUNCATED one.

    >>> from ringzero.isa.record import Record
    >>> Record._make(decode(bytes.fromhex("4883c408"))[0]).imm
    8
    """
    if mode not in R.MODES:
        raise ValueError(f"decode: no mode {mode}; give 64, 32 or 16")
    tables, end, position = _mode(mode), len(code), 0
    padded = bytes(code) + _PADDING
    left = end if limit is None else limit
    records: list[RecordTuple] = []
    while position < end and len(records) < left:
        record = _decode_one(padded, position, min(end, position + R.MAX_LENGTH), tables)
        records.append(record)
        if record[0] == R.INVALID_FORM and record[16] == R.TRUNCATED:
            break
        position += record[1]
    return records


def _invalid(length: int, available: int) -> RecordTuple:
    """A record for bytes that are no instruction: `length` were read to decide, of `available`."""
    reason = R.INVALID
    if length > available:
        length, reason = available, R.TOO_LONG if available == R.MAX_LENGTH else R.TRUNCATED
    none, no_segment = NO_REGISTER, NO_SEGMENT
    return (R.INVALID_FORM, length, 0, 0, no_segment, 0, 0, 0, 0, 0, none, none, 0, 0, no_segment, 0, reason)


def _prefixes(code: bytes, at: int, stop: int, classes: list[int]) -> tuple[int, int, int, int]:
    """Read prefixes from `at`: where the opcode is, bits of PREFIXES, REX, and the override."""
    prefixes = rex = 0
    override = NO_SEGMENT
    while at < stop and (kind := classes[code[at]]):
        if kind == D.REX_CLASS:
            rex = code[at]
        else:
            rex = 0  # REX counts only directly before the opcode (SDM 2A 2.2.1)
            if kind >= D.SEGMENT_CLASS:
                if kind != D.IGNORED_CLASS:
                    prefixes, override = prefixes | R.SEGMENT_PREFIX, kind - D.SEGMENT_CLASS
            elif kind & (R.REP | R.REPNE):  # the last one counts
                prefixes = prefixes & ~(R.REP | R.REPNE) | kind
            else:
                prefixes |= kind
        at += 1
    return at, prefixes | R.REX_PREFIX if rex else prefixes, rex, override


def _descend(mode: _Mode, cell: int, prefixes: int, rex: int, modrm: int) -> tuple[int, int]:
    """From a node down to a row: its number or INVALID_CELL, and 1 if the ModRM byte was looked at."""
    looked = 0
    while cell & D.NODE:
        dimension, cells = mode.nodes[cell - D.NODE]
        if dimension == D.MOD_REG:
            cell, looked = cells[modrm >> 3 & 7 | (8 if modrm >= 0xC0 else 0)], 1
        elif dimension == D.REP_PREFIX:
            cell = cells[prefixes >> 1 & 3]
        elif dimension == D.RM_BITS:
            cell, looked = cells[modrm & 7], 1
        elif dimension == D.OPSIZE_BIT:
            cell = cells[prefixes >> 3 & 1]
        elif dimension == D.ADDRSIZE_BIT:
            cell = cells[prefixes >> 4 & 1]
        else:
            cell = cells[rex >> D.REX_SHIFT[dimension] & 1]
    return cell, looked


def _vex(code: bytes, at: int, opcode: int, prefixes: int, long: bool) -> tuple[int, int, int, int, int]:
    """A VEX prefix whose first byte is `opcode`, with `at` behind it (SDM 2A 2.3.5).

    Returns where the opcode is, its map in the tables, the bits of PREFIXES, what REX would be, and vvvv. What is not
    allowed (L, or a prefix before it) is told by LOCK, which no VEX row allows.
    """
    first = code[at]
    last = code[at + 1] if opcode == 0xC4 else first & 0x7F
    opcode_map = first & 31 if opcode == 0xC4 else 1
    rex = 0x40 | (~first >> 5 & (7 if opcode == 0xC4 else 4)) | last >> 4 & 8
    if prefixes & D.NOT_BEFORE_VEX or last & 4:
        prefixes |= R.LOCK
    prefixes = prefixes & ~D.NOT_BEFORE_VEX | prefixes & R.LOCK | R.VEX_PREFIX | D.VEX_PREFIXES[last & 3]
    number = opcode_map + D.VEX_MAPS if 1 <= opcode_map <= 3 else D.NO_MAP
    return at + (2 if opcode == 0xC4 else 1), number, prefixes, rex if long else 0, ~last >> 3 & 15


def _address(code: bytes, at: int, rex: int, no_base: int) -> tuple[int, int, int, int, int]:
    """Memory operand of 32- and 64-bit addressing, ModRM at `at`: end, base, index, scale, displacement."""
    mod, low = code[at] >> 6, code[at] & 7
    at += 1
    base, index, scale = low | rex << 3 & 8, NO_REGISTER, 0
    if low == 4:
        sib = code[at]
        at += 1
        no_base, low = NO_REGISTER, sib & 7
        base = low | rex << 3 & 8
        number = sib >> 3 & 7 | rex << 2 & 8
        if number != 4:  # rsp is no index (SDM 2A table 2-3)
            index, scale = number, sib >> 6
    if mod == 1:
        return at + 1, base, index, scale, (code[at] ^ 0x80) - 0x80
    if mod == 0:
        if low != 5:
            return at, base, index, scale, 0
        base = no_base
    return at + 4, base, index, scale, int.from_bytes(code[at : at + 4], "little", signed=True)


def _address16(code: bytes, at: int) -> tuple[int, int, int, int, int]:
    """Memory operand of 16-bit addressing, ModRM at `at`: end, base, index, scale, displacement."""
    mod, low = code[at] >> 6, code[at] & 7
    at += 1
    base, index = D.ADDRESS16[low]
    if mod == 1:
        return at + 1, base, index, 0, (code[at] ^ 0x80) - 0x80
    if mod == 0:
        if low != 6:
            return at, base, index, 0, 0
        base = NO_REGISTER
    return at + 2, base, index, 0, int.from_bytes(code[at : at + 2], "little", signed=True)


def _immediate(code: bytes, at: int, kind: int, opsize: int, addrsize: int) -> tuple[int, int, int]:
    """What stands behind ModRM: end, immediate, and what goes to DISP (0 when it is not this one's)."""
    if kind == D.SIGNED_BYTE:
        return at + 1, (code[at] ^ 0x80) - 0x80, 0
    if kind == D.BYTE:
        return at + 1, code[at], 0
    short = 2 if opsize == 2 else 4
    if kind == D.SIZED:
        return at + short, int.from_bytes(code[at : at + short], "little", signed=True), 0
    if kind == D.FULL:
        return at + opsize, int.from_bytes(code[at : at + opsize], "little", signed=True), 0
    if kind == D.OFFSET:
        return at + addrsize, 0, int.from_bytes(code[at : at + addrsize], "little", signed=addrsize == 8)
    if kind == D.FAR:
        selector = code[at + short] | code[at + short + 1] << 8
        return at + short + 2, int.from_bytes(code[at : at + short], "little"), selector
    word = code[at] | code[at + 1] << 8
    return (at + 2, word, 0) if kind == D.WORD else (at + 3, word, code[at + 2])


def _decode_one(code: bytes, start: int, stop: int, mode: _Mode) -> RecordTuple:
    """One instruction at `start`; bytes from `stop` on must not count."""
    at, prefixes, rex, override = _prefixes(code, start, stop, mode.prefixes)
    if at >= stop:
        return _invalid(at + 1 - start, stop - start)
    opcode, opcode_map = code[at], 0
    if opcode == 0x0F:
        at += 1
        opcode, opcode_map = code[at], 1
        if opcode == 0x38 or opcode == 0x3A:
            at += 1
            opcode, opcode_map = code[at], 2 if opcode == 0x38 else 3
    at += 1
    cell, modrm, vvvv = mode.cells[opcode_map][opcode], code[at], 0
    if cell >= D.VEX_CELL:
        cell, looked = _descend(mode, cell, prefixes, rex, modrm)
        if cell == D.VEX_CELL:
            at, opcode_map, prefixes, rex, vvvv = _vex(code, at, opcode, prefixes, mode.no_base == R.RIP)
            opcode, modrm = code[at], code[at + 1]
            at += 1
            cell, looked = _descend(mode, mode.cells[opcode_map][opcode], prefixes, rex, modrm)
        if cell == D.INVALID_CELL:
            return _invalid(at + looked - start, stop - start)

    opsizes, row = mode.rows[cell]
    opsize, addrsize = opsizes[rex >> 2 & 2 | prefixes >> 3 & 1], mode.addrsizes[prefixes >> 4 & 1]
    mod = reg = rm = scale = displacement = immediate = 0
    base = index = NO_REGISTER
    segment = NO_SEGMENT
    end = at
    if row.modrm:
        end += 1
        mod, reg, rm = modrm >> 6, modrm >> 3 & 7 | rex << 1 & 8, modrm & 7 | rex << 3 & 8
        if row.mod_ignored:
            mod = 3
    if row.modrm and mod != 3:
        if addrsize != 2:
            end, base, index, scale, displacement = _address(code, at, rex, mode.no_base)
        else:
            end, base, index, scale, displacement = _address16(code, at)
        # Stack-based addressing means ss (SDM 1 3.7.4); bx, si, di, and all others ds.
        segment = override if override != NO_SEGMENT else 2 if base == 5 or base == 4 else 3
    if row.immediate:
        end, immediate, extra = _immediate(code, end, row.immediate, opsize, addrsize)
        if row.immediate >= D.OFFSET:
            displacement = extra
            if row.immediate == D.OFFSET:
                segment = override if override != NO_SEGMENT else 3
    if end > stop or (prefixes & R.LOCK and (not row.lock or mod == 3)) or (vvvv and not row.vvvv):
        return _invalid(end - start, stop - start)
    opreg = opcode & 7 | rex << 3 & 8 if row.plus_r else vvvv if mode.no_base == R.RIP else vvvv & 7
    return (
        cell, end - start, opsize, addrsize, segment, prefixes, rex, mod, reg, rm, base, index, scale, opreg,
        override, displacement, immediate,
    )  # fmt: skip
