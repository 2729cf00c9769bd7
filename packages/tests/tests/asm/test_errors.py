"""Every class of mistake: one line that names file, line and text, says what is wrong, and how out of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ringzero.asm import AssemblyError, assemble

# source line(s), and what the one message for it must say (behind `t.asm:1: text: `)
CASES = (
    ("mov [rax], 5", "operand size unknown; write byte, word, dword or qword"),
    ("andn eax, ebx", "no such operand combination in 64-bit mode; andn takes r, v, rm"),
    ("rep andn eax, ebx, ecx", "andn takes no prefix but an address size and a segment"),
    ("o16 andn eax, ebx, ecx", "andn takes no prefix but an address size and a segment"),
    ("repne movbe eax, [rax]", "rep and repne would make another instruction of movbe"),
    ("crc32 eax, [rax]", "operand size unknown; write byte, word or dword"),
    ("movv eax, 5", "unknown instruction movv (did you mean mov?)"),
    ("hltt", "unknown instruction hltt (did you mean hlt?); if it is a label, write hltt:"),
    ("mov eax, bl", "operand sizes differ"),
    ("add eax, [rax], 5", "no such operand combination in 64-bit mode; add takes"),
    ("jmp nowhere", "symbol nowhere is not defined"),
    ("start: jmp strat", "symbol strat is not defined (did you mean start?)"),
    ("dq nowhere", "symbol nowhere is not defined"),
    ("mov rax, [nowhere]", "symbol nowhere is not defined"),
    ("x equ nowhere", "symbol nowhere is not defined"),
    ("a: nop\na: nop", "a is defined already at t.asm:1"),
    ("a equ 1\na equ 2", "a is defined already at t.asm:1"),
    (".x: nop", "before any label that it could belong to"),
    ("%if 1", "%if without its %endif"),
    ("%endif", "%endif without %if"),
    ("%else", "%else without %if"),
    ("%if 1\n%else\n%else\n%endif", "%else after %else"),
    ("%macro m 0", "%macro without its %endmacro"),
    ("%endmacro", "%endmacro without its %macro"),
    ("%rep 2", "%rep without its %endrep"),
    ("%endrep", "%endrep without its %rep"),
    ("%exitrep", "%exitrep outside %rep"),
    ("%macro\n%endmacro", "%macro needs a name"),
    ("%macro m x\n%endmacro", "is no number of parameters"),
    ("%macro m 1\n%endmacro\nm 1, 2", "macro m called with 2 parameters; it takes 1"),
    ("%define f(a) a\ndb f(1, 2)", "macro f called with 2 arguments; it takes 1"),
    ("%define f(a) a\ndb f(1", "without its closing parenthesis"),
    ("%macro m 0\nmov [rax], 1\n%endmacro\nm", "[in t.asm:2: mov [rax], 1]: operand size unknown"),
    ("%frobnicate", "unknown preprocessor directive %frobnicate"),
    ("%ifxyz a\n%endif", "unknown condition %ifxyz"),
    ("%if a\n%endif", "a is not a number here"),
    ("%assign a b", "b is not a number here"),
    ('%include "none.asm"', "file none.asm not found"),
    ("%include none", "%include needs a file name in quotes"),
    ('incbin "none.bin"', "file none.bin not found"),
    ("%error my own words", "my own words"),
    ("%fatal the end\nnosuch 1", "the end"),
    ("%pop", "%pop of a context that is not open"),
    ("dd %$x", "contexts are open"),
    ("%rotate 1", "%rotate outside a macro"),
    ("times -1 nop", "times -1 is negative"),
    ("times a nop\na:", "times needs a value that earlier lines define"),
    ("times 5", "times needs something to repeat"),
    ("times 2 section .x", "times cannot repeat section"),
    ("resb -1", "cannot be negative"),
    ("db 300", "does not fit in 8 bits of db"),
    ("dd 0x1ffffffff", "does not fit in 32 bits of dd"),
    ("add al, 300", "does not fit in 8 bits"),
    ("mov eax, 0x123456789", "does not fit in 32 bits"),
    ("add rax, 0x80000000", "does not fit in 32 sign-extended bits"),
    ("mov rax, [0xfee00000]", "does not fit in a sign-extended 32-bit displacement"),
    ("org 0x100000000\nx: mov eax, x", "does not fit in 32 bits"),
    ("jmp short x\ntimes 200 nop\nx:", "a short branch reaches -128..127"),
    ("mov eax, 1/0", "division by zero"),
    ("%if 1 % 0\n%endif", "division by zero"),
    ("mov eax, 0xzz", "0xzz is not a number"),
    ("dq 0x1ffffffffffffffff", "does not fit in 64 bits"),
    ("mov rax, 'abcdefghi'", "a character constant has at most 8"),
    ("dw 1.5", "a floating-point number is written with dd or dq"),
    ("mov eax, (5", "( without its )"),
    ("mov eax, [rax", "[ without its ]"),
    ("mov eax,", "operand expected behind the last comma"),
    ("mov eax, 5 6", "comma expected before 6"),
    ("mov eax, ", "operand expected"),
    ('db "open', "unterminated string"),
    ("section .a nobitz", "section attribute nobitz is not known (did you mean nobits?)"),
    ("section .a align=3", "align=3 is not a power of two"),
    ("section .a start=1 follows=.b", "exclude each other"),
    ("section .a follows=.b\nnop", "follows .b, which has no place"),
    ("section .a vfollows=.b\nnop", "vfollows .b, which is not there"),
    ("section .a nobits align=8 vstart=8\nresb 1", "mixes real and virtual attributes"),
    ("section .a start=0\nnop\nsection .b start=0\nnop", "overlaps section .a"),
    ("section .a start=8\nnop\norg 0x10", "starts before org 0x10"),
    ("section .bss\nnop", "is nobits and holds no bytes"),
    ("section .bss progbits", "section .bss is nobits already"),
    ("org 1\norg 2", "org is 0x1 already"),
    ("align 3", "align 3 is not a power of two"),
    ("bits 48", "there is no such mode; write bits 16, 32 or 64"),
    ("bits 16\nmov ax, [ax]", "no such 16-bit address; write bx or bp, si or di, or one of each"),
    ("bits 16\nmov ax, [bx+bp]", "no such 16-bit address"),
    ("bits 16\nmov rax, 1", "rax does not exist in 16-bit mode"),
    ("pusha", "pusha does not exist in 64-bit mode"),
    ("bits 32\nsyscall", "syscall does not exist in 32-bit mode"),
    ("bits 32\nmov rax, 5", "rax does not exist in 32-bit mode; use `bits 64`"),
    ("bits 32\nmov r8d, 5", "32-bit mode"),
    ("mov eax, [bx]", "bx cannot address memory here"),
    ("mov eax, [eax+rbx]", "cannot address memory here"),
    ("mov eax, [rax+rbx+rcx]", "at most two registers"),
    ("mov eax, [rax*7]", "scale 7 of an index"),
    ("mov eax, [rsp*2]", "cannot be scaled"),
    ("mov eax, [-rax]", "cannot stand so in an address"),
    ("mov ah, sil", "needs REX"),
    ("lock mov eax, ebx", "lock is not allowed"),
    ("lock", "prefix without an instruction"),
    ("extern printf", "no other modules to link with"),
    ("global nosuch", "global nosuch is not defined"),
    ("mov eax, dword ptr [rax]", "ptr is not NASM syntax"),
    ("mov eax, rbx + 1", "register rbx cannot stand in this expression"),
    ("x: dd x >> 1", "needs a number, and this is an address"),
    ("[]", "[ and ] hold a directive here"),
    ("[section .text", "[ and ] hold a directive here"),
    ("struc a", "a is not closed; write endstruc"),
    ("endstruc", "endstruc without struc"),
    ("struc a\ndb 5\nendstruc", "bytes in an absolute section or a struc"),
    ("iend", "iend without istruc"),
    ("default sideways", "default sideways is not known"),
    ("xmm: mov eax, 5:6", "no such operand combination"),
    ("mov al, dword 5", "no such operand combination"),
    ("mov dword byte [rax], 1", "dword and byte for one operand; write the one that is meant"),
    ("jmp short near $", "short and near for one operand"),
    ("mov eax, cr0", "control registers are 64 bits wide in 64-bit mode; write rax"),
    ("mov dr7, r9d", "debug registers are 64 bits wide in 64-bit mode; write r9"),
    ("bits 16\nmov cr0, ax", "control registers are 32 bits wide in 16-bit mode; write eax"),
)


def errors_of(text: str, **options: object) -> list[str]:
    """The messages for a text; it must have some."""
    with pytest.raises(AssemblyError) as caught:
        assemble(text, name="t.asm", **options)  # type: ignore[arg-type]
    return caught.value.errors


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_one_mistake_is_one_clear_line(text: str, wanted: str) -> None:
    errors = errors_of(text)
    assert len(errors) == 1
    assert errors[0].startswith("t.asm:")
    assert wanted in errors[0]
    assert "\n" not in errors[0]


def test_message_names_file_line_and_text() -> None:
    (error,) = errors_of("nop\n\n   mov   [rax], 5 ; why\n")
    assert error == ("t.asm:3: mov [rax], 5 ; why: operand size unknown; write byte, word, dword or qword")


def test_all_mistakes_of_a_file_and_its_includes_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "main.asm").write_text('inc [rax]\n%include "part.asm"\njmp nowhere\npusha\n%if 1\n')
    (tmp_path / "part.asm").write_text("dec [rbx]\nmovv eax, 1\n")
    with pytest.raises(AssemblyError) as caught:
        assemble(tmp_path / "main.asm")
    places = [error.split(": ")[0] for error in caught.value.errors]
    assert places == ["main.asm:1", "main.asm:3", "main.asm:4", "main.asm:5", "part.asm:1", "part.asm:2"]
    assert str(caught.value) == "\n".join(caught.value.errors)


def test_missing_file_and_bad_define() -> None:
    with pytest.raises(AssemblyError, match="No such file"):
        assemble(Path("there-is-no-such.asm"))
    assert "-D 1x: not a name" in errors_of("nop", defines={"1x": "2"})[0]


def test_many_mistakes_are_counted() -> None:
    errors = errors_of("inc [rax]\n" * 500)
    assert len(errors) == 101
    assert errors[-1] == "and 400 more errors"


DOUBLING = "".join(
    f"%define {a} {b} {b}\n" for a, b in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
)
BOMBS = (
    ("%include 't.asm'", None),
    ("%macro m 1\n%macro n 0\nm x\n%endmacro\nn\n%endmacro\nm x", None),
    (DOUBLING + "db a", "macro expansion exceeds"),
    ("%rep 100000000\nnop\n%endrep", "repetitions"),
    ("%rep 2000\n%rep 2000\n; nothing\n%endrep\n%endrep", "lines after expansion"),
    ("times 10000000000 nop", "an image has at most"),
    ("times 1000000000000000000 db 0", "an image has at most"),
    ("times 100000 times 100000 jmp $", "repetitions of what depends on its place"),
    ("resb 1 << 50", "reserved; at most"),
    ("section .bss\nresq 1 << 62", "at most"),
    ("section .a start=0\nnop\nsection .b start=0xffffffffff\nnop", "the image would have"),
    ("align 1 << 40", "at most 1 GiB"),
    ('%define s "xx"\n' + "%strcat s s, s\n" * 40, "bytes; at most"),
    ("mov eax, " + "(" * 5000 + "1" + ")" * 5000, "nested more than"),
    ("mov eax, " + "-" * 5000 + "1", "nested more than"),
    ("mov eax, " + "+".join(["x"] * 5000), "operators in one expression"),
    ("%if 1\n" * 10000, "%if inside each other"),
    ("a equ b + 1\nb equ a + 1", "is not defined"),
    ("a: nop\nb equ c - a\ntimes b & 1 nop\nc:", None),
    ("x" * 100_000, "characters"),
    ("db " + "1," * 60_000, "characters"),
    (
        "".join(f"jmp nowhere{n}\n" for n in range(5000)) + "".join(f"label{n}: nop\n" for n in range(5000)),
        "more errors",
    ),
    ("".join(f"nosuch{n} eax\n" for n in range(5000)), "more errors"),
)


@pytest.mark.parametrize(("text", "wanted"), BOMBS, ids=range(len(BOMBS)))
def test_bombs_end_in_a_clear_line(text: str, wanted: str | None, tmp_path: Path) -> None:
    (tmp_path / "t.asm").write_text(text)
    started = time.process_time()
    with pytest.raises(AssemblyError) as caught:
        assemble(tmp_path / "t.asm")
    assert time.process_time() - started < 60  # a bound against hangs, not a measurement
    assert all("\n" not in error and len(error) < 1000 for error in caught.value.errors)
    if wanted:
        assert any(wanted in error for error in caught.value.errors)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"\x00" * 100, bytes(range(256)) * 4, b"\xef\xbb\xbfnop\n\x80"]
)
def test_bytes_that_are_no_text(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.asm").write_bytes(data)
    with pytest.raises(AssemblyError):
        assemble(tmp_path / "t.asm")
