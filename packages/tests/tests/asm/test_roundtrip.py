"""Text and bytes, there and back: what the disassembler says assembles to an instruction of the same meaning."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringzero.asm import assemble, disassemble
from ringzero.asm.disassembler import CHUNK, instructions, record_text
from ringzero.isa import record as R
from ringzero.isa.decode import decode
from ringzero.isa.operands import Imm, Mem, Reg, Rel, operands_of
from ringzero.isa.table import FORMS
from ringzero_tests.asmcorpus import lines_of

BASE = 0x4000
PREFIXES = (0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x64, 0x65)


def encode(text: str, mode: int) -> bytes:
    """The bytes of one line at BASE."""
    return assemble(f"bits {mode}\norg {BASE}\n{text}\n", format="bin").flat


@st.composite
def machine_code(draw: st.DrawFn, mode: int) -> bytes:
    """Bytes that begin like some row: prefixes, REX, opcode, ModRM, and anything behind."""
    form = draw(st.sampled_from([f for f in FORMS if (f.mode64 if mode == 64 else f.mode32)]))
    code = bytes(draw(st.lists(st.sampled_from(PREFIXES), max_size=2)))
    code += bytes([form.mandatory] if form.mandatory else [])
    code += bytes([0x40 | draw(st.integers(0, 15))]) if mode == 64 and draw(st.booleans()) else b""
    code += (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")[form.opcode_map]
    code += bytes([form.opcode | (draw(st.integers(0, 7)) if form.plus_r else 0)])
    if form.fixed_modrm is not None:
        code += bytes([form.fixed_modrm])
    elif form.modrm:
        modrm = draw(st.integers(0, 255))
        code += bytes([modrm if form.digit is None else modrm & 0xC7 | form.digit << 3])
    return code + draw(st.binary(min_size=14, max_size=14))


def meaning(record: tuple[int, ...], mode: int) -> object:
    """What the instruction does, as far as its bytes say: equal meanings are the same operation."""
    form = FORMS[record[R.FORM]]
    end = BASE + record[R.LENGTH]
    parts: list[object] = []
    for kind, operand in zip(form.kinds, operands_of(record), strict=True):
        if isinstance(operand, Mem):
            segment = (
                operand.seg if mode != 64 or operand.seg >= 4 else None
            )  # the others are flat in 64-bit mode
            disp = (
                (operand.disp + end) % (1 << operand.addrsize * 8) if operand.base == R.RIP else operand.disp
            )
            parts.append(
                (operand.base, operand.index, operand.scale, disp, segment, operand.size, operand.addrsize)
            )
        elif isinstance(operand, Rel):
            parts.append((end + operand.displacement) % (1 << operand.size * 8))
        elif isinstance(operand, Imm):
            parts.append(operand.value)
        elif isinstance(operand, Reg) and kind.name == "r_m16" and operand.size == 8:
            parts.append(Reg(operand.number, 4))  # a selector: the upper half is cleared either way
        else:
            parts.append(operand)
    if form.mnemonic == "xchg":
        parts.sort(key=repr)
    if (
        form.mnemonic == "mov"
        and isinstance(parts[0], Reg)
        and isinstance(parts[1], int)
        and 0 <= parts[1] < 1 << 32
    ):
        parts[0] = Reg(parts[0].number, 4 if parts[0].size == 8 else parts[0].size, parts[0].high)
    size = record[R.OPSIZE] if not any(isinstance(part, Reg | tuple) for part in parts) else 0
    repeat = record[R.PREFIXES] & (R.REP | R.REPNE) if form.rep else 0
    return form.mnemonic, parts, size, record[R.PREFIXES] & R.LOCK, repeat


@pytest.mark.parametrize("mode", [64, 32, 16])
def test_bytes_to_text_to_bytes_keeps_the_meaning(mode: int) -> None:
    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(machine_code(mode))
    def check(code: bytes) -> None:
        record = decode(code, mode, limit=1)[0]
        if record[R.FORM] == R.INVALID_FORM:
            return
        text = record_text(record, code[: record[R.LENGTH]], mode, BASE)
        again = encode(text, mode)
        back = decode(again, mode)
        assert len(back) == 1, text
        assert meaning(back[0], mode) == meaning(record, mode), text

    check()


@pytest.mark.parametrize("mode", [64, 32, 16])
def test_text_to_bytes_to_text_to_bytes(mode: int) -> None:
    lines = [line for form in FORMS if not form.decode_only for line in lines_of(form, mode, most=6)]
    lines = [line for line in lines if not {"ah", "bh"} & set(line.replace(",", " ").split())]

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.sampled_from(lines))
    def check(line: str) -> None:
        code = encode(line, mode)
        ((_, piece, text),) = disassemble(code, mode, BASE)
        assert piece == code
        again = encode(text, mode)
        # XCHG of two registers is one operation with two texts; nasm, too, turns them round.
        assert "xchg" in text or disassemble(again, mode, BASE)[0][2] == text
        assert meaning(decode(again, mode)[0], mode) == meaning(decode(code, mode)[0], mode)

    check()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=80), st.sampled_from([16, 32, 64]))
def test_any_bytes_have_text_that_covers_them(code: bytes, mode: int) -> None:
    lines = disassemble(code, mode, BASE)
    assert b"".join(piece for _, piece, _ in lines) == code
    assert [at for at, _, _ in lines] == [
        BASE + sum(len(p) for _, p, _ in lines[:n]) for n in range(len(lines))
    ]


@pytest.mark.parametrize("mode", [64, 32, 16])
def test_both_decoders_give_the_same_text_across_the_ends_of_chunks(mode: int) -> None:
    native = pytest.importorskip("ringzero.isa.native", reason="built without the C extension")
    randoms = random.Random(f"disassembler {mode}")
    code = randoms.randbytes(CHUNK - 7) + b"\x66" * 14 + b"\x90" + randoms.randbytes(CHUNK // 4) + b"\x0f"
    whole, at = [], 0
    for record in decode(code, mode):
        piece = code[at : at + max(record[R.LENGTH], 1)]
        whole.append((BASE + at, piece, record_text(record, piece, mode, BASE + at)))
        at += len(piece)
    assert list(instructions(code, mode, BASE, decode)) == whole
    assert list(instructions(code, mode, BASE, native.decode)) == whole


TEXTS = (
    (64, "48 8b 04 25 00 10 00 00", "mov rax, [abs 0x1000]"),
    (64, "48 8b 05 f9 0f 00 00", "mov rax, [rel 0x5000]"),
    (64, "c7 00 05 00 00 00", "mov dword [rax], 0x5"),
    (64, "0f b6 00", "movzx eax, byte [rax]"),
    (64, "65 48 8b 04 25 28 00 00 00", "mov rax, [abs gs:0x28]"),
    (64, "48 8d 44 8b f8", "lea rax, [rbx+rcx*4-0x8]"),
    (64, "48 8d 04 45 00 00 00 00", "lea rax, [nosplit rax*2]"),
    (64, "48 a1 88 77 66 55 44 33 22 11", "mov rax, [qword 0x1122334455667788]"),
    (64, "f0 0f b1 0b", "lock cmpxchg [rbx], ecx"),
    (64, "f3 48 ab", "rep stosq"),
    (64, "f2 ae", "repne scasb"),
    (64, "65 f3 a4", "rep gs movsb"),
    (64, "67 ac", "a32 lodsb"),
    (64, "66 6a ff", "o16 push -0x1"),
    (64, "48 cb", "o64 retf"),
    (64, "c1 e0 05", "shl eax, 0x5"),
    (64, "d3 20", "shl dword [rax], cl"),
    (64, "eb fe", "jmp 0x4000"),
    (64, "48 ff 28", "jmp qword far [rax]"),
    (64, "8c d8", "mov eax, ds"),
    (64, "0f 20 d8", "mov rax, cr3"),
    (64, "06", "db 0x06"),
    (32, "ea 78 56 34 12 08 00", "jmp 0x8:0x12345678"),
    (32, "a1 00 10 00 00", "mov eax, [0x1000]"),
    (32, "60", "pushad"),
)


@pytest.mark.parametrize(("mode", "code", "text"), TEXTS)
def test_text(mode: int, code: str, text: str) -> None:
    assert [line for _, _, line in disassemble(bytes.fromhex(code), mode, BASE)] == [text]
