; start and vstart: loaded low, linked high, as a kernel is.
BASE equ 0xffffffff80000000
bits 64
default rel
org 0x100000
section .note start=0x100000 vstart=0x100000 align=4
section .boot follows=.note align=16
section .text start=0x101000 vstart=0xffffffff80101000 align=4096
section .rodata follows=.text vfollows=.text
section .data follows=.rodata vfollows=.rodata align=8
section .bss nobits vfollows=.data
section .boot
bits 32
boot:   mov esp, stack - BASE
        mov eax, [value - BASE]
        mov [value - BASE], eax
        jmp 8:boot64
bits 64
boot64: mov rax, kernel
        jmp rax
        dq kernel, value, stack
section .note
        dd 4, 8, 18
        db "Xen", 0
        dq boot
section .text
kernel: lea rax, [value]
        mov rcx, value
        mov ecx, [value]
        mov [stack], rcx
        call kernel
        ret
        align 4096, int3
section .rodata
text:   db "text", 0
        align 4096, db 0
section .data
value:  dq text, $, $$, value - $$
section .bss
        resb 4096
stack:  resq 1
