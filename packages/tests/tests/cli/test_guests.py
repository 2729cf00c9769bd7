"""Guests that go wrong: a verdict, where the machine stands, status 1; on both engines, and at the same step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringzero import assemble
from ringzero.cli.main import main

HEAD = """
bits 32
org 0x100000
section .note start=0x100000 align=4
        dd 4, 8, 18
        db "Xen", 0
        dq _start
section .text start=0x101000
global _start
_start:
"""

# Long mode, all of the first GiB mapped to itself, RSP at 2 MiB; goes on in 64-bit code.
LONG = """
        or dword [0x300000], 0x301003
        or dword [0x301000], 0x302003
        mov edi, 0x302000
        mov eax, 0x83
.map:   mov [edi], eax
        add edi, 8
        add eax, 0x200000
        cmp edi, 0x303000
        jb .map
        mov eax, 0x20
        mov cr4, eax
        mov eax, 0x300000
        mov cr3, eax
        mov ecx, 0xc0000080
        mov eax, 0x100
        xor edx, edx
        wrmsr
        mov eax, 0x80000011
        mov cr0, eax
        lgdt [gdtr]
        jmp 8:long
align 8
gdt:    dq 0, 0x00af9b000000ffff
gdtr:   dw 15
        dd gdt
bits 64
default rel
long:   xor eax, eax            ; the null SS is good enough for IRETQ to ring 0
        mov ss, eax
        mov esp, 0x200000
"""

# An IDT whose 32 gates all lead to `handler`.
IDT = """
        lea rax, [handler]
        mov edi, 0x310000
        mov ecx, 32
.gate:  mov [rdi], ax
        mov dword [rdi+2], 0x8e000008
        mov rdx, rax
        shr rdx, 16
        mov [rdi+6], dx
        mov qword [rdi+8], 0
        add rdi, 16
        dec ecx
        jnz .gate
        mov word [0x320000], 32*16-1
        mov qword [0x320002], 0x310000
        lidt [0x320000]
"""

EXIT = "mov edx, 0xf4\nmov eax, {}\nout dx, eax\n"

# name, source below the entry, the stop, what the reason says
GUESTS = [
    ("jumps into nothing", LONG + "mov rax, 0x123456789000\njmp rax", "shutdown", "triple fault"),
    ("jumps outside memory", "mov eax, 0xe0000000\njmp eax", "shutdown", "triple fault"),
    ("exhausts its stack", LONG + "xor esp, esp\nagain: call again", "shutdown", "triple fault"),
    ("has no table for its fault", LONG + "ud2", "shutdown", "triple fault"),
    ("writes outside memory", LONG + "mov rax, 0x7fffffff0000\nmov [rax], rax", "shutdown", "triple fault"),
    ("spins with interrupts off", "cli\nagain: jmp again", "limit", "limit of 20000 steps"),
    ("sleeps with interrupts off", "cli\nhlt", "halted", "interrupts off"),
    ("sleeps, and nothing comes", LONG + IDT + "sti\nhlt\nhandler: iretq", "halted", "no interrupt can come"),
    ("repeats a string for ever", LONG + "mov rcx, 1<<40\nmov esi, 0x400000\nrep lodsb", "limit", "limit"),
    ("faults in its fault handler", LONG + IDT + "mov esp, 0x8000\nud2\nhandler: ud2", "shutdown", "triple fault"),
    ("takes its fault again and again", LONG + IDT + "ud2\nhandler: iretq", "limit", "limit of 20000 steps"),
    ("floods the serial port", "mov dx, 0x3f8\nmov al, 'x'\nagain: out dx, al\njmp again", "limit", "limit"),
    ("exits with another status", EXIT.format(3), "exit", "status 7, not 33"),
    ("resets the machine", "mov al, 0xfe\nout 0x64, al\nhlt", "reset", "reset"),
]  # fmt: skip


def elf(tmp_path: Path, source: str) -> str:
    path = tmp_path / "guest.elf"
    path.write_bytes(assemble(HEAD + source + "\n", format="elf64", name="guest.asm").binary)
    return str(path)


@pytest.mark.parametrize(
    ("source", "stop", "reason"), [row[1:] for row in GUESTS], ids=[row[0] for row in GUESTS]
)
def test_it_is_told(
    source: str, stop: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", elf(tmp_path, source), "--max-steps", "20000", "--json"]
    outcomes = []
    for engine in ("python", "auto"):
        assert main([*arguments, "--engine", engine]) == 1
        written = capsys.readouterr()
        assert written.err == ""
        outcomes.append(json.loads(written.out))
    assert outcomes[0]["stop"] == stop
    assert reason in outcomes[0]["reason"]
    for outcome in outcomes:
        del outcome["engine"]
    assert outcomes[0] == outcomes[1]


def test_a_good_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", elf(tmp_path, EXIT.format(0x10))]) == 0
    assert capsys.readouterr().out.startswith("passed: ")


def test_another_success(tmp_path: Path) -> None:
    assert main(["run", elf(tmp_path, EXIT.format(3)), "--success-exit", "7"]) == 0


def test_where_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Symbol, source line and registers are named for people."""
    assert main(["run", elf(tmp_path, LONG + "global lost\nlost:\nmov rbx, 0xdecade\nud2")]) == 1
    written = capsys.readouterr().out
    assert "lost" in written
    assert "guest.asm:" in written
    assert "rbx 0000000000decade" in written
    assert written.splitlines()[-1].startswith("failed: ")


def test_stages_of_any_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "[stage] one"
    send = "\n".join(f"mov al, {ord(character)}\nout dx, al" for character in text + "\n")
    guest = elf(tmp_path, "mov dx, 0x3f8\n" + send + "\n" + EXIT.format(0x10))
    stages = tmp_path / "stages.toml"
    rows = '[[stages]]\nname = "one"\ntitle = "the first"\n'
    stages.write_text(rows)
    assert main(["run", guest, "--stages", str(stages)]) == 0
    assert "the first" in capsys.readouterr().out
    stages.write_text(rows + '[[stages]]\nname = "two"\ntitle = "the second"\n')
    assert main(["run", guest, "--stages", str(stages)]) == 1
    assert "first missing: two (the second)" in capsys.readouterr().out


def test_serial_goes_where_it_is_sent(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    guest = elf(
        tmp_path, "mov dx, 0x3f8\nmov al, 'A'\nout dx, al\nmov al, 10\nout dx, al\n" + EXIT.format(0x10)
    )
    assert main(["run", guest, "-serial", f"file:{tmp_path}/serial.txt"]) == 0
    assert (tmp_path / "serial.txt").read_bytes() == b"A\n"
    capsysbinary.readouterr()
    assert main(["run", guest, "-serial", "stdio"]) == 0
    assert capsysbinary.readouterr().out == b"A\n"


def test_qemu_option_names(tmp_path: Path) -> None:
    guest = elf(tmp_path, EXIT.format(0x10).replace("0xf4", "0x501"))
    device = "isa-debug-exit,iobase=0x501,iosize=4"
    assert main(["run", guest, "-m", "32M", "-append", "quiet root=/dev/null", "-device", device]) == 0
