"""A guest that calls from ring 3 through a call gate and returns: 64-bit, and 32-bit with parameters on the stack.

The room's rule: the guest leaves what it sees in dwords or qwords at SEEN; the same image runs on our engines and on
Bochs. It calls twice: the first call returns, the second ends with HLT at ring 0.

GDT at 0x9000: 08 code32, 10 code64, 18 data, 20 user data, 28 user code64, 30 user code32, 38 TSS, 48 the gate.
TSS at 0xa000; the inner stack ends at 0x28000, the outer one at 0x2a000.
"""

from __future__ import annotations

from ringzero import Machine, assemble
from ringzero.cpu.state import ARCHITECTURAL

SEEN, SIZE = 0x30000, 2 << 20

_HEAD = """
org 0x10000
start:  cld
        mov esi, tables
        mov edi, 0x9000
        mov ecx, 88
        rep movsb
        mov word [0x7f00], 0x57
        mov dword [0x7f02], 0x9000
        mov dword [0x7f06], 0
        lgdt [0x7f00]
"""
_TABLES = """
        align 8
tables: dq 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
        dq 0x00cffb000000ffff, 0x00008900a0000067, 0
"""
LONG = (
    "bits 64"
    + _HEAD
    + f"""
        or byte [0x1000], 4                     ; the first 2 MiB are ring 3's too
        or byte [0x2000], 4
        or byte [0x3000], 4
        mov dword [0xa004], 0x28000
        mov eax, 0x38
        ltr ax
        push 0x23
        push 0x2a000
        push 2
        push 0x2b
        push outer
        iretq
outer:  mov ebx, {SEEN}
        mov dword [0x8000], 0
        mov dword [0x8004], 0
        mov word [0x8008], 0x4b                 ; 16:64
        call far [0x8000]
back:   mov [rbx], rsp
        mov [rbx+8], ss
        mov [rbx+16], cs
        mov dword [0x8010], 1
        call far [0x8000]
inner:  cmp dword [0x8010], 1
        je last
        mov [rbx+24], rsp
        mov [rbx+32], ss
        mov [rbx+40], cs
        mov rsi, rsp
        lea rdi, [rbx+48]
        mov ecx, 4
        rep movsq
        o64 retf
last:   hlt
"""
    + _TABLES
    + "dw inner-start, 0x10, 0xec00, 1, 0, 0, 0, 0\n"
)
PROTECTED = (
    "bits 32"
    + _HEAD
    + f"""
        mov dword [0xa004], 0x28000
        mov dword [0xa008], 0x18
        mov eax, 0x38
        ltr ax
        mov eax, 0x20
        mov ds, eax
        mov es, eax
        push 0x23
        push 0x2a000
        push 2
        push 0x33
        push outer
        iretd
outer:  mov ebx, {SEEN}
        push 0x11
        push 0x22
        push 0x33
        call 0x4b:0
back:   mov [ebx], esp
        mov [ebx+4], ss
        mov [ebx+8], cs
        mov [ebx+12], fs
        mov dword [0x8010], 1
        call 0x4b:0
inner:  cmp dword [0x8010], 1
        je last
        mov [ebx+16], esp
        mov [ebx+20], ss
        mov [ebx+24], cs
        mov eax, 0x18
        mov fs, eax                             ; is nulled by the return
        mov esi, esp
        lea edi, [ebx+32]
        mov ecx, 7
        rep movsd
        retf 12
last:   hlt
"""
    + _TABLES
    + "dw inner-start, 0x08, 0xec03, 1, 0, 0, 0, 0\n"
)


def machine(text: str, engine: str) -> tuple[Machine, dict[str, int]]:
    """A machine that is about to run a guest, and the guest's labels."""
    made = assemble(text, format="bin", name="gate.asm")
    mode = 64 if text is LONG else 32
    return Machine.flat(made.binary, engine=engine, memory=SIZE, mode=mode), dict(made.symbols)


def start(text: str) -> tuple[bytes, dict[str, int]]:
    """Memory and registers with which another processor begins the same."""
    fresh, _ = machine(text, "python")
    return bytes(fresh.memory.read(0, SIZE)), {name: fresh.cpu.state[name] for name in ARCHITECTURAL}


#: A 32-bit guest whose gate 48 leads to ring 1 (code 10). Faults leave vector and error code at SEEN.
FAULTY = (
    "bits 32"
    + _HEAD
    + f"""
        mov dword [0x9010], 0xffff              ; code for ring 1
        mov dword [0x9014], 0x00cfbb00
        mov byte [0x904a], 0x10
        mov dword [0xa004], 0x28000
        mov dword [0xa008], 0x18
        mov dword [0xa00c], 0x29000
        mov dword [0xa010], 0x41
        mov dword [0x9040], 0xffff              ; data for ring 1, where the TSS's upper half would be
        mov dword [0x9044], 0x00cfb300
        mov word [0x7f00], 0x77
        mov dword [0x7f02], idt
        lidt [0x7f00]
        mov eax, 0x38
        ltr ax
        {{change}}
        push 0x23
        push 0x2a000
        push 2
        push 0x33
        push outer
        iretd
outer:  {{call}}
        nop
inner:  int3
unwell: mov edx, 0x18
        mov ds, edx
        pop dword [{SEEN}]
        pop dword [{SEEN}+4]
last:   hlt
v3:     push 3
        jmp unwell
v10:    push 10
        jmp unwell
v11:    push 11
        jmp unwell
v12:    push 12
        jmp unwell
v13:    push 13
        jmp unwell
        align 8
idt:    times 3 dq 0
        dw v3-start, 0x08, 0xee00, 1
        times 6 dq 0
        dw v10-start, 0x08, 0x8e00, 1, v11-start, 0x08, 0x8e00, 1
        dw v12-start, 0x08, 0x8e00, 1, v13-start, 0x08, 0x8e00, 1
        dq 0
"""
    + _TABLES
    + "dw inner-start, 0x10, 0xec00, 1, 0, 0, 0, 0\n"
)


def faulty(change: str, call: str) -> str:
    """The text of FAULTY with its tables changed, and one far transfer from ring 3."""
    return FAULTY.replace("{change}", change).replace("{call}", call)
