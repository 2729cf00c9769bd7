"""Decoding, case by case: what prefixes, ModRM, SIB and modes mean, and why bytes are refused. On both decoders."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero.isa import FORMS
from ringzero.isa import decode as python
from ringzero.isa import record as R
from ringzero.isa.operands import operands_of
from ringzero.isa.record import Record

Decode = Callable[..., list[tuple[int, ...]]]


@pytest.fixture(params=["python", "native"])
def decode(request: pytest.FixtureRequest) -> Decode:
    if request.param == "python":
        return python.decode
    return pytest.importorskip("ringzero.isa.native", reason="built without the C extension").decode  # type: ignore[no-any-return]


# mode, bytes, the row, and fields of the record
CASES = (
    (64, "48 83 c4 08", "add rm, simm8 [83 /0 ib]", {"length": 4, "opsize": 8, "rm": 4, "imm": 8}),
    (64, "83 c0 ff", "add rm, simm8 [83 /0 ib]", {"opsize": 4, "imm": -1}),
    (64, "66 83 c0 ff", "add rm, simm8 [83 /0 ib]", {"opsize": 2, "imm": -1}),
    (64, "66 48 83 c0 ff", "add rm, simm8 [83 /0 ib]", {"opsize": 8, "imm": -1}),  # REX.W beats 66
    (64, "48 66 83 c0 ff", "add rm, simm8 [83 /0 ib]", {"opsize": 2, "rex": 0}),  # a REX not before the opcode is none
    (64, "40 48 83 c0 ff", "add rm, simm8 [83 /0 ib]", {"opsize": 8, "rex": 0x48}),  # the last REX counts
    (64, "04 ff", "add al, imm8 [04 ib]", {"opsize": 1, "imm": 0xFF}),
    (64, "48 05 00 00 00 80", "add acc, imm [05 iz]", {"opsize": 8, "imm": -(1 << 31)}),
    (64, "66 05 00 80", "add acc, imm [05 iz]", {"opsize": 2, "imm": -(1 << 15)}),
    (64, "49 b8 88 77 66 55 44 33 22 11", "mov o, imm [B8+r iv]", {"opreg": 8, "imm": 0x1122334455667788}),
    (64, "48 c7 c0 ff ff ff ff", "mov rm, imm [C7 /0 iz]", {"imm": -1}),
    (64, "48 a1 88 77 66 55 44 33 22 11", "mov acc, moffs [A1 moffs]", {"disp": 0x1122334455667788, "seg": 3}),
    (64, "67 a0 ff ff ff ff", "mov al, moffs8 [A0 moffs]", {"disp": 0xFFFFFFFF, "addrsize": 4}),
    (32, "65 a0 44 33 22 11", "mov al, moffs8 [A0 moffs]", {"disp": 0x11223344, "seg": 5}),
    # ModRM and SIB
    (64, "8b 05 fe ff ff ff", "mov r, rm [8B /r]", {"base": R.RIP, "disp": -2, "seg": 3}),
    (64, "67 8b 05 00 00 00 00", "mov r, rm [8B /r]", {"base": R.RIP, "addrsize": 4}),
    (32, "8b 05 00 00 00 80", "mov r, rm [8B /r]", {"base": R.NO_REGISTER, "disp": -(1 << 31)}),
    (64, "41 8b 45 00", "mov r, rm [8B /r]", {"base": 13, "seg": 3, "disp": 0}),  # r13: no ss
    (64, "41 8b 04 24", "mov r, rm [8B /r]", {"base": 12, "index": R.NO_REGISTER}),
    (64, "8b 04 24", "mov r, rm [8B /r]", {"base": 4, "index": R.NO_REGISTER, "seg": 2}),
    (64, "8b 04 e4", "mov r, rm [8B /r]", {"base": 4, "index": R.NO_REGISTER, "scale": 0}),
    (64, "42 8b 04 e4", "mov r, rm [8B /r]", {"base": 4, "index": 12, "scale": 3}),
    (64, "8b 04 25 10 00 00 00", "mov r, rm [8B /r]", {"base": R.NO_REGISTER, "disp": 16, "seg": 3}),
    (64, "8b 04 6d 10 00 00 00", "mov r, rm [8B /r]", {"base": R.NO_REGISTER, "index": 5, "scale": 1, "seg": 3}),
    (64, "8b 44 6d f0", "mov r, rm [8B /r]", {"base": 5, "index": 5, "disp": -16, "seg": 2}),
    (64, "65 8b 44 24 08", "mov r, rm [8B /r]", {"seg": 5, "prefixes": R.SEGMENT_PREFIX, "override": 5}),
    (64, "64 2e 8b 44 24 08", "mov r, rm [8B /r]", {"seg": 4, "override": 4}),  # cs is no override in 64-bit mode
    (32, "64 2e 8b 44 24 08", "mov r, rm [8B /r]", {"seg": 1, "override": 1}),  # the last override counts
    (32, "67 8b 02", "mov r, rm [8B /r]", {"addrsize": 2, "base": 5, "index": 6, "seg": 2}),
    (32, "67 8b 06 34 12", "mov r, rm [8B /r]", {"base": R.NO_REGISTER, "disp": 0x1234, "seg": 3}),
    (32, "67 8b 46 ff", "mov r, rm [8B /r]", {"base": 5, "disp": -1, "seg": 2}),
    # sizes of stack and branches
    (64, "50", "push o [50+r]", {"opsize": 8}),
    (64, "66 50", "push o [50+r]", {"opsize": 2}),
    (32, "50", "push o [50+r]", {"opsize": 4}),
    (64, "66 68 34 12", "push imm [68 iz]", {"opsize": 2, "imm": 0x1234}),
    (64, "66 e8 00 00 00 00", "call rel [E8 cz]", {"opsize": 8, "length": 6}),  # Intel: 66 is ignored
    (32, "66 0f 84 fe ff", "je rel [0F 84 cz]", {"opsize": 2, "imm": -2}),
    (32, "ea 78 56 34 12 08 00", "jmp far [EA far]", {"imm": 0x12345678, "disp": 8}),
    (32, "66 ea 34 12 08 00", "jmp far [EA far]", {"imm": 0x1234, "disp": 8, "length": 6}),
    (64, "c8 34 12 05", "enter imm16, level8 [C8 iw ib]", {"imm": 0x1234, "disp": 5}),
    (64, "67 e3 fe", "jecxz rel8 [a32 E3 cb]", {"imm": -2}),
    (64, "e3 fe", "jrcxz rel8 [a64 E3 cb]", {}),
    (32, "67 e3 fe", "jcxz rel8 [a16 E3 cb]", {}),
    (16, "e3 fe", "jcxz rel8 [a16 E3 cb]", {"opsize": 2}),
    (16, "67 e3 fe", "jecxz rel8 [a32 E3 cb]", {"addrsize": 4}),
    (16, "50", "push o [50+r]", {"opsize": 2}),
    (16, "66 50", "push o [50+r]", {"opsize": 4}),
    (16, "ea 34 12 08 00", "jmp far [EA far]", {"imm": 0x1234, "disp": 8}),
    (16, "66 ea 78 56 34 12 08 00", "jmp far [EA far]", {"imm": 0x12345678, "disp": 8}),
    (16, "66 67 81 04 8b 78 56 34 12", "add rm, imm [81 /0 iz]", {"base": 3, "index": 1, "imm": 0x12345678}),
    (16, "81 46 fe 34 12", "add rm, imm [81 /0 iz]", {"base": 5, "disp": -2, "seg": 2, "imm": 0x1234}),
    (16, "a1 34 12", "mov acc, moffs [A1 moffs]", {"opsize": 2, "addrsize": 2, "disp": 0x1234}),
    (16, "98", "cbw [o16 98]", {}),
    (16, "66 cf", "iretd [o32 CF]", {"opsize": 4}),
    (16, "0f 20 c0", "mov rr, creg [0F 20 /r]", {"opsize": 4}),
    # one opcode, several rows
    (64, "90", "nop [REX.B0 90]", {}),
    (64, "48 90", "nop [REX.B0 90]", {}),
    (64, "49 90", "xchg o, acc [90+r]", {"opreg": 8, "opsize": 8}),
    (64, "f3 90", "pause [F3 REX.B0 90]", {}),
    (64, "f3 49 90", "xchg o, acc [90+r]", {"opreg": 8}),
    (64, "f3 0f bc c1", "tzcnt r, rm [F3 0F BC /r]", {}),
    (64, "f3 f2 0f bc c1", "bsf r, rm [0F BC /r]", {"prefixes": R.REPNE}),  # the last of F2 and F3 counts
    (64, "66 f3 0f bc c1", "tzcnt r, rm [F3 0F BC /r]", {"opsize": 2}),
    (64, "66 98", "cbw [o16 98]", {}),
    (64, "48 98", "cdqe [o64 98]", {}),
    (64, "f3 48 a5", "movsq [o64 A5]", {"prefixes": R.REP | R.REX_PREFIX}),
    (64, "63 c1", "movsxd r, rm32 [63 /r]", {"opsize": 4}),
    (64, "48 0f c7 0f", "cmpxchg16b m128 [REX.W 0F C7 /1]", {}),
    (32, "0f c7 0f", "cmpxchg8b m64 [0F C7 /1]", {}),
    (32, "48", "dec o [48+r]", {"opreg": 0}),
    (64, "48 cf", "iretq [o64 CF]", {"opsize": 8}),
    (64, "0f 01 f8", "swapgs [0F 01 F8]", {}),
    (64, "f3 0f 1e fa", "endbr64 [F3 0F 1E FA]", {}),
    (64, "44 0f 20 05", "mov rr, creg [0F 20 /r]", {"mod": 3, "reg": 8, "rm": 5, "length": 4}),  # mod is ignored
    (64, "c4 62 b0 f2 c1", "andn r, v, rm [VEX.LZ.0F38 F2 /r]", {"opsize": 8, "reg": 8, "opreg": 9, "rm": 1}),
    (64, "67 64 c4 c2 71 f7 00", "shlx r, rm, v [VEX.LZ.66.0F38 F7 /r]", {"addrsize": 4, "seg": 4, "base": 8}),
    # In 32-bit code B, W and the top bit of an operand in vvvv are ignored (silicon says so too).
    (32, "c4 c2 b0 f2 c1", "andn r, v, rm [VEX.LZ.0F38 F2 /r]", {"opsize": 4, "opreg": 1, "rm": 1, "rex": 0}),
    (32, "c4 02", "les r, m [C4 /r]", {"base": 2}),
    (64, "f0 48 0f b1 0f", "cmpxchg rm, r [0F B1 /r]", {"prefixes": R.LOCK | R.REX_PREFIX}),
)  # fmt: skip


@pytest.mark.parametrize(("mode", "code", "row", "fields"), CASES)
def test_case(decode: Decode, mode: int, code: str, row: str, fields: dict[str, int]) -> None:
    raw = bytes.fromhex(code)
    (found,) = decode(raw, mode)
    record = Record._make(found)
    assert str(FORMS[record.form]) == row
    assert record.length == len(raw)
    assert {name: getattr(record, name) for name in fields} == fields


# mode, bytes, reason, bytes that decide
REFUSED = (
    (64, "f0 89 00", R.INVALID, 3),  # mov takes no LOCK
    (64, "f0 01 c0", R.INVALID, 3),  # add takes one, not with a register
    (64, "f0 90", R.INVALID, 2),
    (64, "06", R.INVALID, 1),  # push es went away
    (64, "0f 0a", R.INVALID, 2),
    (64, "ff f8", R.INVALID, 2),  # FF /7
    (64, "66 c4 e2 70 f2 01", R.INVALID, 6),  # no 66, F2, F3, LOCK or REX before VEX, and that comes last
    (64, "40 c4 e2 70 f2 01", R.INVALID, 6),
    (64, "c4 e2 74 f2 c1", R.INVALID, 5),  # L is 1
    (64, "c4 e3 73 f0 c1 07", R.INVALID, 6),  # rorx has nothing in vvvv
    (32, "c4 e3 3b f0 c1 07", R.INVALID, 6),  # of which 32-bit code, too, looks at all bits
    (64, "c4 e0 70 f2 c1", R.INVALID, 4),  # no map 0
    (64, "c4", R.TRUNCATED, 1),
    (64, "c4 e2 70", R.TRUNCATED, 3),
    (64, "c4 e3 7b f0 c1", R.TRUNCATED, 5),
    (32, "c4 c2", R.TRUNCATED, 2),
    (64, "f3 0f 38 f0 00", R.INVALID, 4),  # movbe takes no F3
    (64, "8e c8", R.INVALID, 2),  # mov cs, ax
    (64, "8c f0", R.INVALID, 2),  # no seventh segment register
    (64, "0f 20 c8", R.INVALID, 3),  # cr1
    (64, "44 0f 21 c0", R.INVALID, 3),  # dr8: decided by REX.R, before ModRM is looked at
    (64, "8d c0", R.INVALID, 2),  # lea of a register
    (64, "66 0f ae e8", R.INVALID, 4),  # lfence takes no 66
    (32, "0f 05", R.INVALID, 2),  # syscall
    (64, "48", R.TRUNCATED, 1),
    (64, "0f", R.TRUNCATED, 1),
    (64, "0f 38", R.TRUNCATED, 2),
    (64, "ff", R.TRUNCATED, 1),
    (64, "8b 04", R.TRUNCATED, 2),
    (64, "8b 05 00 00 00", R.TRUNCATED, 5),
    (64, "81 c0 00 00 00", R.TRUNCATED, 5),
    (64, "48 b8 00 00 00 00 00 00 00", R.TRUNCATED, 9),
    (64, "66 " * 14, R.TRUNCATED, 14),
    (64, "66 " * 15, R.TOO_LONG, 15),
    (64, "66 " * 15 + "90", R.TOO_LONG, 15),
    (64, "2e " * 10 + "81 00 00 00 00 00", R.TOO_LONG, 15),
    (64, "66 " * 14 + "06", R.INVALID, 15),
)  # fmt: skip


@pytest.mark.parametrize(("mode", "code", "reason", "length"), REFUSED)
def test_refused(decode: Decode, mode: int, code: str, reason: int, length: int) -> None:
    record = Record._make(decode(bytes.fromhex(code), mode)[0])
    assert (record.form, record.imm, record.length) == (R.INVALID_FORM, reason, length)


def test_fifteen_bytes_are_allowed(decode: Decode) -> None:
    assert [t[R.LENGTH] for t in decode(b"\x2e" * 9 + bytes.fromhex("81 00 00 00 00 00"))] == [15]


def test_a_sweep_goes_on_behind_bad_bytes_and_ends_at_truncated_ones(decode: Decode) -> None:
    records = decode(bytes.fromhex("90 06 ff f8 90 8b 05 00"))
    assert [t[R.LENGTH] for t in records] == [1, 1, 2, 1, 3]
    assert [t[R.IMM] for t in records] == [0, R.INVALID, R.INVALID, 0, R.TRUNCATED]


def test_limit_and_no_bytes(decode: Decode) -> None:
    assert len(decode(b"\x90" * 9, limit=4)) == 4
    assert decode(b"\x90", limit=0) == []
    assert decode(b"") == []


def test_every_kind_of_buffer(decode: Decode) -> None:
    for code in (b"\x90\xc3", bytearray(b"\x90\xc3"), memoryview(b"..\x90\xc3")[2:]):
        assert [FORMS[t[R.FORM]].mnemonic for t in decode(code)] == ["nop", "ret"]


@pytest.mark.parametrize("mode", [0, 8, 63])
def test_unknown_mode_is_refused(decode: Decode, mode: int) -> None:
    with pytest.raises(ValueError, match="64, 32 or 16"):
        decode(b"\x90", mode)


# bytes, operands as views print themselves
VIEWS = (
    ("88 e0", "Reg(number=0, size=1, high=False) Reg(number=0, size=1, high=True)"),
    ("40 88 e0", "Reg(number=0, size=1, high=False) Reg(number=4, size=1, high=False)"),
    ("d1 e0", "Reg(number=0, size=4, high=False) Imm(value=1, size=1)"),
    ("66 ef", "Reg(number=2, size=2, high=False) Reg(number=0, size=2, high=False)"),
    ("e2 fe", "Rel(displacement=-2, size=8)"),
    ("48 ff 28", "Mem(base=0, index=255, scale=0, disp=0, seg=3, size=10, addrsize=8)"),
    ("0f 01 10", "Mem(base=0, index=255, scale=0, disp=0, seg=3, size=0, addrsize=8)"),
    ("8c 18", "Mem(base=0, index=255, scale=0, disp=0, seg=3, size=2, addrsize=8) SReg(number=3)"),
    ("48 8c d8", "Reg(number=0, size=8, high=False) SReg(number=3)"),
    ("0f a0", "SReg(number=4)"),
    ("44 0f 22 c1", "CReg(number=8) Reg(number=1, size=8, high=False)"),
    ("0f 23 f8", "DReg(number=7) Reg(number=0, size=8, high=False)"),
    ("c8 10 00 01", "Imm(value=16, size=2) Imm(value=1, size=1)"),
)  # fmt: skip


@pytest.mark.parametrize(("code", "views"), VIEWS)
def test_operand_views(code: str, views: str) -> None:
    record = python.decode(bytes.fromhex(code))[0]
    assert " ".join(map(repr, operands_of(record))) == views
