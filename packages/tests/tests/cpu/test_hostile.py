"""Guests that do their worst: each comes to a clear stop, on both engines at the same step, and the host lives on."""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble
from ringzero.machine.stop import StopReason

LIMIT = 9_000
CODE = 0x10000

#: An IDT at 0x8000 whose gates all lead to `handler`, as `Machine.flat` starts: no IDT at all.
IDT = """
start:  mov edi, 0x8000
        mov eax, handler
        mov ecx, 32
.gate:  mov [rdi], ax
        mov dword [rdi+2], 0x8e000010
        mov dword [rdi+6], 1
        mov dword [rdi+10], 0
        add rdi, 16
        loop .gate
        mov word [0x7f00], 32*16-1
        mov qword [0x7f02], 0x8000
        lidt [0x7f00]
"""

SHUTDOWN, HALTED, LIMITED, UNSUPPORTED = (
    *(StopReason.SHUTDOWN, StopReason.HALTED, StopReason.LIMIT),
    StopReason.UNSUPPORTED,
)

# name, code for 64-bit mode, how it ends
GUESTS = [
    ("jumps into nothing", "mov rax, 0x123456789000\njmp rax", SHUTDOWN),
    ("jumps out of canonical space", "mov rax, 1<<47\njmp rax", SHUTDOWN),
    ("runs off the end of memory", "mov eax, 0xfffffe\njmp rax", SHUTDOWN),
    ("runs where only devices are", "mov dword [0x3008], 0xc0000083\nmov eax, 0x200000\njmp rax", SHUTDOWN),
    ("triple fault", "lidt [zero]\nint3\nzero: times 10 db 0", SHUTDOWN),
    ("no gate for its fault", "ud2", SHUTDOWN),
    ("exhausts its stack", IDT + "again: times 8 push rax\njmp again\nhandler: hlt", SHUTDOWN),
    ("calls itself for ever", "again: call again", SHUTDOWN),
    ("writes where nothing is", "mov rax, 0x7fffffff0000\nmov [rax], rax", SHUTDOWN),
    ("writes beyond memory", (
        "mov dword [0x3008], 0xc0000083\nmov [0x200000], rax\nmov rbx, [0x200000]\ncli\nhlt"
    ), HALTED),
    ("spins", "cli\njmp $", LIMITED),
    ("spins with loop", "mov rcx, -1\nloop $", LIMITED),
    ("stores for 2^40", "mov rcx, 1<<40\nmov edi, 0x100000\nrep stosb", LIMITED),
    ("scans for 2^40", "mov rcx, 1<<40\nmov edi, 0x100000\nxor eax, eax\nrep scasb", LIMITED),
    ("reads ports for 2^40", "mov rcx, 1<<40\nmov edi, 0x100000\nmov edx, 0x60\nrep insb", LIMITED),
    ("writes ports for 2^40", "mov rcx, 1<<40\nmov esi, 0x100000\nmov edx, 0x80\nrep outsb", LIMITED),
    ("faults in its handler", IDT + "ud2\nhandler: mov esp, 0x10000\nud2", LIMITED),
    ("faults in its handler until its stack is its IDT", IDT + "ud2\nhandler: ud2", SHUTDOWN),
    ("returns to its fault", IDT + "ud2\nhandler: iretq", LIMITED),
    ("breaks its handler's stack", IDT + "ud2\nhandler: mov rsp, 1<<47\nud2", SHUTDOWN),
    ("single-steps for ever", IDT + "pushfq\nor dword [rsp], 0x100\npopfq\njmp $\nhandler: iretq", LIMITED),
    ("floods the serial port", "mov dx, 0x3f8\nagain: out dx, al\njmp again", LIMITED),
    ("halts for ever", "cli\nhlt", HALTED),
    ("cr3 beyond memory", "mov rax, 0x7ffffff000\nmov cr3, rax\nnop", SHUTDOWN),
    ("tables beyond memory", "mov rax, 0x7000000003\nmov [0x1000], rax\nmov rax, cr3\nmov cr3, rax", SHUTDOWN),
    ("tables in circles", "mov qword [0x1000], 0x1003\nmov rax, cr3\nmov cr3, rax", SHUTDOWN),
    ("all tables ones", "mov edi, 0x1000\nmov ecx, 512\nmov rax, -1\nrep stosq", SHUTDOWN),
    ("maps its own tables away", "mov qword [0x3000], 0\nnop\nnop", SHUTDOWN),
    ("gdt beyond memory", (
        "mov dword [0x3008], 0xc0000083\nmov dword [0x7f02], 0x200000\nmov word [0x7f00], 63\n"
        "lgdt [0x7f00]\nmov eax, 0x18\nmov ds, eax\ncli\nhlt"
    ), HALTED),
    ("gdt not mapped", (
        "mov rax, 0x700000000000\nmov [0x7f02], rax\nmov word [0x7f00], 63\nlgdt [0x7f00]\n"
        "mov eax, 0x18\nmov ds, eax"
    ), SHUTDOWN),
    ("idt beyond memory", (
        "mov dword [0x3008], 0xc0000083\nmov dword [0x7f02], 0x200000\nmov word [0x7f00], -1\n"
        "lidt [0x7f00]\nint3"
    ), SHUTDOWN),
    ("idt not mapped", (
        "mov rax, 0x700000000000\nmov [0x7f02], rax\nmov word [0x7f00], -1\nlidt [0x7f00]\nint3"
    ), SHUTDOWN),
    ("stack beyond memory", IDT + (
        "mov dword [0x3008], 0xc0000083\nmov esp, 0x200100\nint3\nhandler: cli\nhlt"
    ), HALTED),
    ("tss beyond memory", IDT + (
        "mov byte [0x8000+6*16+4], 1\nmov rax, 0x2000893f30000067\nmov [0x530], rax\n"
        "mov qword [0x538], 0x7fff\nmov word [0x7f00], 63\nmov dword [0x7f02], 0x500\n"
        "mov dword [0x7f06], 0\nlgdt [0x7f00]\nmov eax, 0x30\nltr ax\nud2\nhandler: hlt"
    ), HALTED),
    ("no tss for its ist", IDT + "mov byte [0x8000+6*16+4], 1\nud2\nhandler: cli\nhlt", HALTED),
    ("changes its next instruction", "mov byte [next], 0xf4\ncli\nnext: nop\njmp $", HALTED),
    ("changes the instruction that runs", "mov edi, $+10\nmov al, 0xf4\ncli\nstosb\nnop\njmp $", HALTED),
    ("rewrites itself for ever", "again: inc dword [data]\njmp there\ndata: dd 0\nthere: jmp again", LIMITED),
    ("runs over the end of a page into nothing", (
        "mov qword [0x3008], 0\nmov word [0x1ffffe], 0x9090\nmov eax, 0x1ffffe\njmp rax"
    ), SHUTDOWN),
    ("an instruction half in nothing", (
        "mov qword [0x3008], 0\nmov word [0x1ffffe], 0xb848\nmov eax, 0x1ffffe\njmp rax"
    ), SHUTDOWN),
    ("its stack is its code", IDT + "mov esp, next+8\nint3\nnext: hlt\nhandler: cli\nhlt", HALTED),
    ("cr0 of nothing", "xor eax, eax\nmov cr0, rax", SHUTDOWN),
    ("cr4 of ones", "mov rax, -1\nmov cr4, rax", SHUTDOWN),
    ("efer of ones", "mov ecx, 0xc0000080\nmov eax, -1\nmov edx, eax\nwrmsr", SHUTDOWN),
    ("unknown msr", "mov ecx, 0xdeadbeef\nwrmsr", SHUTDOWN),
    ("a hardware breakpoint", "mov eax, here\nmov dr0, rax\nmov eax, 0x401\nmov dr7, rax\nhere: nop", SHUTDOWN),
    ("interrupts without a handler", (
        "lidt [zero]\nmov al, 0x11\nout 0x20, al\nmov al, 0x20\nout 0x21, al\nmov al, 4\nout 0x21, al\n"
        "mov al, 1\nout 0x21, al\nmov al, 0xfe\nout 0x21, al\nmov al, 0x34\nout 0x43, al\nmov al, 16\n"
        "out 0x40, al\nxor eax, eax\nout 0x40, al\nsti\njmp $\nzero: times 10 db 0"
    ), SHUTDOWN),
]  # fmt: skip

# the same for 32-bit protected mode without paging
GUESTS32 = [
    ("16-bit code", "mov byte [0x50e], 0x8f\njmp 0x08:next\nnext: cli\nhlt", HALTED),
    ("real mode without vectors", "mov eax, 0x10\nmov cr0, eax\nint3", SHUTDOWN),
    ("runs off its segment", "mov dword [0x508], 0xffff\nmov byte [0x50e], 0x41\njmp 0x08:0x1fffc", SHUTDOWN),
    (
        "code at the top of the address space",
        (
            "mov byte [0x50f], 0xff\nmov byte [0x50c], 0xff\nmov word [0x50a], 0xf000\njmp 0x08:next+0x1000\n"
            "next: cli\nhlt"
        ),
        HALTED,
    ),
    ("32-bit paging", "mov eax, 0x80000011\nmov cr0, eax", SHUTDOWN),
    ("virtual-8086 mode", "push 0x20002\npush 8\npush next\niretd\nnext: nop", UNSUPPORTED),
    ("code with a base", "mov word [0x50a], 0x1000\njmp 0x08:next-0x1000\nnext: cli\nhlt", HALTED),
    ("triple fault in 32 bits", "int3", SHUTDOWN),
    ("jumps beyond memory in 32 bits", "mov eax, 0xfffffff0\njmp eax", SHUTDOWN),
    ("stack at the bottom", "xor esp, esp\nagain: push eax\njmp again", LIMITED),
    ("wraps around the top", "mov eax, [0xfffffffe]\ncli\nhlt", HALTED),
]


def run(code: bytes, engine: str, mode: int) -> tuple[StopReason, int, str]:
    machine = Machine.flat(code, mode=mode, engine=engine)
    stop = machine.run(max_steps=LIMIT)
    return stop.reason, stop.step, machine.state_hash()


ROWS = [(name, 64, code, end) for name, code, end in GUESTS] + [
    (name, 32, code, end) for name, code, end in GUESTS32
]


@pytest.mark.parametrize(("mode", "source", "end"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_it_ends(mode: int, source: str, end: StopReason, engine: str) -> None:
    code = assemble(f"bits {mode}\norg {CODE}\n{source}\n", format="bin", name="guest.asm").binary
    reason, step, state = run(code, engine, mode)
    assert reason is end
    assert step <= LIMIT
    if engine != "python":
        assert (reason, step, state) == run(code, "python", mode)
