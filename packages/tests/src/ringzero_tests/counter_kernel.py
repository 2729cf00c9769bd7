"""The smallest kernel with a bug that is a question of when: the one that docs/explore.md shows. It is not ours."""

from __future__ import annotations

SOURCE = """\
; counter.asm - counts to one, while the timer's handler counts too.
bits 32
org 0x100000
section .note start=0x100000 align=4
        dd 4, 8, 18             ; the PVH note: where to begin
        db "Xen", 0
        dq _start
section .text start=0x101000
global _start, test_start, test_done, counter, ticks
_start: mov esp, 0x200000
        lgdt [gdtr]
        jmp 8:.flat
.flat:  mov eax, 16
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov eax, tick           ; vector 0x20: the timer
        mov [0x300100], ax
        mov word [0x300102], 8
        mov word [0x300104], 0x8e00
        shr eax, 16
        mov [0x300106], ax
        lidt [idtr]
        mov al, 0x11            ; the interrupt controller: vectors from 0x20 on, the timer alone
        out 0x20, al
        mov al, 0x20
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 1
        out 0x21, al
        mov al, 0xfe
        out 0x21, al
        sti
        nop                     ; interrupts come from here on (SDM 2B, STI)
test_start:
        mov eax, [counter]
        add eax, 1
        mov [counter], eax      ; a tick that came since the load is forgotten
test_done:
        mov eax, 0x10
        mov edx, 0xf4
        out dx, eax
tick:   push eax
        inc dword [counter]
        inc dword [ticks]
        mov al, 0x20
        out 0x20, al
        pop eax
        iret
align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   dw 23
        dd gdt
idtr:   dw 0x107
        dd 0x300000
counter: dd 0
ticks:  dd 0
"""
MENDED = SOURCE.replace(
    """        mov eax, [counter]
        add eax, 1
        mov [counter], eax      ; a tick that came since the load is forgotten
""",
    "        inc dword [counter]\n",
)


def build(source: str = SOURCE) -> bytes:
    """The kernel as an ELF file's content."""
    from ringzero import assemble

    return assemble(source, format="elf64", name="counter.asm").binary
