"""Single bits, bit scans and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.operands import Mem, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

# ZF is kept (SDM 2A, BT). A register bit offset reaches beyond the memory operand: a bit string.
_TEST: Columns = {"flags": "c", "undefined": "osap"}
form("bt", "0F A3 /r", "rm, r", **_TEST)
form("bts", "0F AB /r", "rm, r", lock=True, **_TEST)
form("btr", "0F B3 /r", "rm, r", lock=True, **_TEST)
form("btc", "0F BB /r", "rm, r", lock=True, **_TEST)
form("bt", "0F BA /4 ib", "rm, imm8", **_TEST)
form("bts", "0F BA /5 ib", "rm, imm8", lock=True, **_TEST)
form("btr", "0F BA /6 ib", "rm, imm8", lock=True, **_TEST)
form("btc", "0F BA /7 ib", "rm, imm8", lock=True, **_TEST)

# A source of 0 leaves the destination undefined; processors keep it (SDM 2A, BSF).
form("bsf", "0F BC /r", "r, rm", flags="z", undefined="osapc", undefined_results="r")
form("bsr", "0F BD /r", "r, rm", flags="z", undefined="osapc", undefined_results="r")
form("tzcnt", "F3 0F BC /r", "r, rm", flags="zc", undefined="osap", feature="bmi1")
form("lzcnt", "F3 0F BD /r", "r, rm", flags="zc", undefined="osap", feature="abm")
form("popcnt", "F3 0F B8 /r", "r, rm", flags="oszapc", feature="popcnt")

_CRC: Columns = {"feature": "sse4.2"}
form("crc32", "F2 0F 38 F0 /r", "r, rm8", size="y", **_CRC)
form("crc32", "o16 F2 0F 38 F1 /r", "r32, rm16", **_CRC)
form("crc32", "o32 F2 0F 38 F1 /r", "r32, rm32", **_CRC)
form("crc32", "o64 F2 0F 38 F1 /r", "r64, rm64", modes="64", **_CRC)


@lowers("bt", "bts", "btr", "btc")
def bit_test(b: Builder, dst: Operand, offset: Operand) -> None:
    """A register offset into memory counts from the operand's first bit, both ways (SDM 2A, BT)."""
    name, writes = b.form.mnemonic, b.form.mnemonic != "bt"
    bit = b.read(offset)
    if isinstance(dst, Mem) and isinstance(offset, Reg):
        shift = {2: 4, 4: 5, 8: 6}[b.size]
        words = b.temp()
        b.emit("sariq64", words, b.sign_extended(offset), imm=shift)
        offset_bytes = b.left(words, b.const(shift - 3))
        address = b.cut(b.plus(b.effective(dst), offset_bytes), dst.addrsize)
        value = b.load(address, dst.seg, b.size, write=writes)
        b.compare("bt", value, bit)
        if writes:
            b.store(address, dst.seg, b.size, b.operate(name, value, bit))
        return
    value = b.update(dst) if writes else b.read(dst)
    b.compare("bt", value, bit)
    if writes:
        b.write(dst, b.operate(name, value, bit))


@lowers("bsf", "bsr")
def bit_scan(b: Builder, dst: Reg, src: Reg | Mem) -> None:
    value = b.zero_extended(src)
    found = b.scan("ctz", value) if b.form.mnemonic == "bsf" else b.minus(b.const(63), b.scan("clz", value))
    b.emit("flagz", a=value)
    b.write(dst, b.select(value, found, dst.number))


@lowers("tzcnt", "lzcnt")
def count_zeros(b: Builder, dst: Reg, src: Reg | Mem) -> None:
    """CF says that the source was 0, ZF that the count is (SDM 2B, TZCNT)."""
    value = b.zero_extended(src)
    if b.form.mnemonic == "tzcnt":
        guard = b.either(value, b.const(1 << b.width)) if b.size < 8 else value
        count = b.scan("ctz", guard)
    else:
        count = b.minus(b.scan("clz", value), b.const(64 - b.width))
    b.emit("flagz", a=count)
    b.emit("setc", a=b.equal(value, b.const(0)))
    b.write(dst, count)


@lowers("crc32")
def crc32(b: Builder, dst: Reg, src: Reg | Mem) -> None:
    """CRC-32C; the upper half of a 64-bit destination becomes 0 (SDM 2A, CRC32)."""
    crc = b.temp()
    b.emit(f"crc{8 * src.size}", crc, dst.number, b.slot(b.read(src)))
    b.write(dst, crc)


@lowers("popcnt")
def popcnt(b: Builder, dst: Reg, src: Reg | Mem) -> None:
    value = b.zero_extended(src)
    b.emit("flagz", a=value)
    b.write(dst, b.scan("popcnt", value))
