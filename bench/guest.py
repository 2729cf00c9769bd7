"""A loop as a bootable image: the same ELF file runs under QEMU and here, and ends through the debug exit port."""

from __future__ import annotations

from functools import cache

import loops

#: Into 64-bit code over an identity map of 16 MiB, at the addresses that the loops have anywhere else.
_BOOT = """
bits 32
org 0x600000
section .note start=0x600000 align=4
        dd 4, 8, 18
        db "Xen", 0
        dq _start
section .text start=0x601000
global _start
_start: mov dword [0x2000], 0x3007
        mov dword [0x3000], 0x4007
        xor ecx, ecx
.map:   mov eax, ecx
        shl eax, 21
        or eax, 0x87
        mov [0x4000+ecx*8], eax
        inc ecx
        cmp ecx, 8
        jb .map
        mov eax, 0x20
        mov cr4, eax
        mov eax, 0x2000
        mov cr3, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, 0x80000011
        mov cr0, eax
        lgdt [gdtr]
        jmp 8:long
bits 64
long:
"""

_END = """
        mov al, 0
        out 0xf4, al
        cli
        hlt
align 8
gdt:    dq 0, 0x00af9b000000ffff
gdtr:   dw 15
        dq gdt
"""

EXIT_STATUS = 1  # what QEMU makes of the 0 that the guest writes
EXIT_DEVICE = "isa-debug-exit,iobase=0xf4,iosize=4"


@cache
def image(name: str, turns: int) -> bytes:
    """An ELF file with a PVH note that runs a loop so many times; with none, it only boots and ends."""
    from ringzero import assemble

    body = loops.source(name, turns) if turns else ""
    return assemble(_BOOT + body + _END, format="elf64", name=f"{name}.asm").binary
