"""The text of the ring 0 guest: from the PVH entry to a report of each case. See `system_runner` for the map."""

from __future__ import annotations

from ringzero_tests.stubs import stubs

#: One case: what the runner reads, then its three pieces of code.
CASE = """
align 16
case{n}:
        dq setup{n}, registers{n}, code{n}, {cs:#x}, {flags:#x}, {rsp:#x}, {ss:#x}
bits 64
setup{n}:
{setup}
        ret
registers{n}:
{registers}
        jmp enter
align 16
bits {bits}
code{n}:
{code}
        int 0x80
.end:
"""

GUEST = (
    """
PML4 equ 0x201000
PDPT equ 0x202000
PD equ 0x203000
WINDOW_PD equ 0x204000
WINDOW_PT equ 0x205000
WALK_PDPT equ 0x206000
WALK_PD equ 0x207000
WALK_PT equ 0x208000
GDT equ 0x210000
IDT equ 0x211000
TSS equ 0x212000
LDT equ 0x213000
RSP0 equ 0x220000
IST1 equ 0x224000
STACK0 equ 0x228000
STACK3 equ 0x22c000
SCRATCH equ 0x230000
FRAMES equ 0x300000
WINDOW equ 0x40000000
WALK equ 1<<39 | 5<<30 | 5<<21 | 5<<12 | 0x10
RUNNER_STACK equ 0x240000
CODE equ 0x250000               ; the case's code, copied here
REPORTS equ 0xb00000            ; how many, then one after another
ENTRY equ 0x250100              ; where SYSCALL leads: to an INT 0x80
EVENT equ 0x241000              ; 8 words, then the context before, then the context after
BEFORE equ EVENT+64
CONTEXT equ 31*8+320
AFTER equ BEFORE+CONTEXT

bits 32
org 0x100000
section .note start=0x100000 align=4
        dd 4, 8, 18
        db "Xen", 0
        dq _start
section .text start=0x101000
global _start
_start: cld
        mov esp, RUNNER_STACK
        mov dword [PML4], PDPT|7
        mov dword [PDPT], PD|7
        mov dword [PDPT+8], WINDOW_PD|7
        xor ecx, ecx
.map:   mov eax, ecx
        shl eax, 21
        or eax, 0x87
        mov [PD+ecx*8], eax
        inc ecx
        cmp ecx, 8
        jb .map
        mov eax, 0x20
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax
        mov ecx, 0xc0000080
        mov eax, 0x901
        xor edx, edx
        wrmsr
        mov eax, 0x80010033
        mov cr0, eax
        lgdt [boot_gdtr]
        jmp 0x10:long

bits 64
long:   mov al, 0xff
        out 0x21, al            ; no interrupt from outside
        out 0xa1, al
        mov qword [current], 0
next_case:
        mov esp, RUNNER_STACK
        mov rax, [current]
        cmp rax, CASES
        jae finished
        mov rbp, [table+rax*8]
        inc qword [current]
        call reset
        push rbp
        call [rbp]              ; its setup
        pop rbp
        mov rax, [rbp+24]
        mov [frame+8], rax
        mov qword [frame], CODE
        mov rsi, [rbp+16]
        mov edi, CODE
        mov ecx, 8
        rep movsq
        mov rax, [rbp+32]
        mov [frame+16], rax
        mov rax, [rbp+40]
        mov [frame+24], rax
        mov rax, [rbp+48]
        mov [frame+32], rax
        mov rax, [rbp+8]
        mov [go], rax
        mov rax, 0x1111111111110001
        mov rcx, 0x2222222222220002
        mov rdx, 0x3333333333330003
        mov ebx, SCRATCH
        mov rbp, 0x5555555555550005
        mov rsi, 0x6666666666660006
        mov edi, WINDOW
        mov r8, 0x8888888888880008
        mov r9, 0x9999999999990009
        mov r10, 0xaaaaaaaaaaaa000a
        mov r11, 0xbbbbbbbbbbbb000b
        mov r12, 0xcccccccccccc000c
        mov r13, 0xdddddddddddd000d
        mov r14, 0xeeeeeeeeeeee000e
        mov r15, 0xffffffffffff000f
        jmp [go]                ; its registers, then `enter`

enter:  mov [BEFORE+15*8], rax
        lea rax, [BEFORE]
        call save
        mov rax, [frame+24]
        mov [BEFORE+19*8], rax  ; rsp, and cs:ss, that the case will see
        mov rax, [frame+8]
        shl rax, 16
        or rax, [frame+32]
        mov [BEFORE], rax
        mov rax, [frame+16]
        mov [EVENT+40], rax
        mov rax, [BEFORE+15*8]
        mov esp, frame
        iretq

; save: the context to rax. in: rax, the case's rax already at [rax+15*8]. clobbers: rax
save:   mov [rax+16*8], rcx
        mov [rax+17*8], rdx
        mov [rax+18*8], rbx
        mov [rax+20*8], rbp
        mov [rax+21*8], rsi
        mov [rax+22*8], rdi
        mov [rax+23*8], r8
        mov [rax+24*8], r9
        mov [rax+25*8], r10
        mov [rax+26*8], r11
        mov [rax+27*8], r12
        mov [rax+28*8], r13
        mov [rax+29*8], r14
        mov [rax+30*8], r15
        mov rbp, rax
        mov rax, cr0
        mov [rbp+1*8], rax
        mov rax, cr4
        mov [rbp+2*8], rax
        mov rax, dr6
        mov [rbp+3*8], rax
        mov rax, dr7
        mov [rbp+4*8], rax
        mov ecx, 0xc0000080
        rdmsr
        mov [rbp+5*8], rax
        xor eax, eax
        mov eax, ds
        mov [rbp+6*8], rax
        mov eax, es
        mov [rbp+7*8], rax
        mov eax, fs
        mov [rbp+8*8], rax
        mov eax, gs
        mov [rbp+9*8], rax
        sldt eax
        mov [rbp+10*8], rax
        str eax
        mov [rbp+11*8], rax
        mov ecx, 0xc0000100
        call .msr
        mov [rbp+12*8], rax
        mov ecx, 0xc0000101
        call .msr
        mov [rbp+13*8], rax
        mov ecx, 0xc0000102
        call .msr
        mov [rbp+14*8], rax
        lea rdi, [rbp+31*8]
        xor ecx, ecx
.access: mov al, [GDT+rcx*8+5]
        stosb
        inc ecx
        cmp ecx, 32
        jb .access
        mov esi, SCRATCH
        mov ecx, 8
        rep movsq
        mov esi, WINDOW_PT
        mov ecx, 8
        rep movsq
        mov rax, [PML4+8]
        stosq
        mov rax, [WALK_PDPT+40]
        stosq
        mov rax, [WALK_PD+40]
        stosq
        mov rax, [WALK_PT+40]
        stosq
        mov esi, STACK3-128
        mov ecx, 8
        rep movsq
        mov esi, STACK0-128
        mov ecx, 8
        rep movsq
        mov rax, rbp
        mov rcx, [rax+16*8]
        mov rdx, [rax+17*8]
        mov rbp, [rax+20*8]
        mov rsi, [rax+21*8]
        mov rdi, [rax+22*8]
        ret
.msr:   rdmsr
        shl rdx, 32
        or rax, rdx
        ret

; Every gate leads here: vector, error code and frame are on the stack.
common: mov [AFTER+15*8], rax
        pop qword [EVENT]
        pop qword [EVENT+8]
        mov [EVENT+56], rsp
        pop qword [EVENT+16]
        pop qword [EVENT+24]
        pop qword [EVENT+32]
        pop qword [AFTER+19*8]
        pop qword [AFTER]
        mov eax, [EVENT+24]
        shl rax, 16
        or [AFTER], rax
        cld
        mov esp, RUNNER_STACK
        lea rax, [AFTER]
        call save
        mov rax, cr2
        mov [EVENT+48], rax
        mov esi, EVENT
        mov rdi, [report]
        mov ecx, (64+2*CONTEXT)/8
        rep movsq
        mov [report], rdi
        inc qword [REPORTS]
        jmp next_case

finished:
        mov edx, 0xf4
        mov eax, 0x10
        out dx, eax
        hlt

; reset: everything that a case may have changed. clobbers: all but rbp
reset:  mov eax, 0x80010033
        mov cr0, rax
        mov eax, 0x20
        mov cr4, rax
        mov esi, gdt
        mov edi, GDT
        mov ecx, 32
        rep movsq
        mov esi, tss
        mov edi, TSS
        mov ecx, 17
        rep movsq
        call reset_idt
        call reset_pages
        lgdt [gdtr]
        lidt [idtr]
        xor eax, eax
        lldt ax
        mov ax, 0x40
        ltr ax
        mov ax, 0x2b
        mov ds, ax
        mov es, ax
        mov ax, 0x18
        mov ss, ax
        xor eax, eax
        mov fs, ax
        mov gs, ax
        mov cr2, rax
        mov eax, 0xffff0ff0
        mov dr6, rax
        mov eax, 0x400
        mov dr7, rax
        mov eax, PML4
        mov cr3, rax
        xor edx, edx
        mov ecx, 0xc0000080
        mov eax, 0x901
        wrmsr
        mov ecx, 0xc0000100
        mov eax, 0x111000
        wrmsr
        inc ecx
        mov eax, 0x222000
        wrmsr
        inc ecx
        mov eax, 0x333000
        wrmsr
        mov ecx, 0xc0000081
        xor eax, eax
        mov edx, 0x00200010
        wrmsr
        inc ecx
        mov eax, ENTRY
        xor edx, edx
        wrmsr
        mov ecx, 0xc0000084
        mov eax, 0x700
        wrmsr
        ret

reset_idt:
        mov edi, IDT
        mov eax, stubs
        mov ecx, 0x90
.gate:  mov [rdi], ax
        mov dword [rdi+2], 0x8e010010
        mov edx, eax
        shr edx, 16
        mov [rdi+6], dx
        mov qword [rdi+8], 0
        add rdi, 16
        add eax, 16
        dec ecx
        jnz .gate
        or byte [IDT+3*16+5], 0x60
        or byte [IDT+4*16+5], 0x60
        mov ecx, 0x80
        mov edi, IDT+0x80*16
.open:  or byte [rdi+5], 0x60
        add edi, 16
        inc ecx
        cmp ecx, 0x8e
        jb .open
        mov word [IDT+0x81*16+4], 0xef00        ; trap gate, no IST
        mov word [IDT+0x82*16+4], 0xee00        ; interrupt gate, no IST
        mov byte [IDT+0x83*16+5], 0x6e          ; not present
        mov byte [IDT+0x84*16+5], 0xec          ; a call gate
        mov word [IDT+0x85*16+2], 3             ; null
        mov word [IDT+0x86*16+2], 0x100         ; beyond the GDT
        mov word [IDT+0x87*16+2], 0x18          ; data
        mov word [IDT+0x88*16+2], 0x70          ; not present
        mov word [IDT+0x89*16+2], 0x08          ; 32-bit
        mov dword [IDT+0x8a*16+8], 0x8000       ; not canonical
        mov word [IDT+0x8b*16+2], 0x33          ; an outer segment
        mov word [IDT+0x8c*16+2], 0x78          ; conforming
        mov byte [IDT+0x8c*16+4], 0
        mov byte [IDT+0x8d*16+4], 2             ; IST2
        ret

reset_pages:
        mov esi, window_pt
        mov edi, WINDOW_PT
        mov ecx, 16
        rep movsq
        mov qword [WINDOW_PD], WINDOW_PT|0x27
        mov ecx, 8
.user:  or byte [PD+rcx*8-8], 4
        loop .user
        xor eax, eax
        mov [PML4+8], rax
        mov [WALK_PDPT+40], rax
        mov [WALK_PD+40], rax
        mov [WALK_PT+40], rax
        mov [0x405018], rax
        mov [0xa05018], rax
        mov edi, SCRATCH
        mov rax, 0x0123456789abcdef
        mov ecx, 8
        rep stosq
        mov edi, STACK3-128
        mov ecx, 16
        rep stosq
        mov edi, STACK0-128
        mov ecx, 16
        rep stosq
        mov edi, FRAMES
        mov edx, 8
.frame: xor eax, eax
        mov ecx, 0x110/8
        rep stosq
        mov [rdi+0xff0-0x110], rax
        mov [rdi+0xff8-0x110], rax
        mov dword [rdi-0x110], 0x80cd80cd
        mov dword [rdi+16-0x110], 0x80cd80cd
        mov word [rdi+0xffe-0x110], 0x80cd
        add rdi, 0x1000-0x110
        dec edx
        jnz .frame
        mov word [ENTRY], 0x80cd
        mov word [0x405010], 0x80cd
        mov word [0xa05010], 0x80cd
        ret

"""
    + stubs(0x90)
    + """
align 16
gdt:    dq 0
        dq 0x00cf9b000000ffff   ; 08 code, 32 bits
        dq 0x00af9b000000ffff   ; 10 code, 64 bits
        dq 0x00cf93000000ffff   ; 18 data
        dq 0x00cffb000000ffff   ; 20 user code, 32 bits
        dq 0x00cff3000000ffff   ; 28 user data
        dq 0x00affb000000ffff   ; 30 user code, 64 bits
        dq 0x00cf91000000ffff   ; 38 data, read-only
        dq 0x0000890000000000 | (TSS & 0xffffff) << 16 | 0x87, 0        ; 40 TSS
        dq 0x0000820000000000 | (LDT & 0xffffff) << 16 | 0x0f, 0        ; 50 LDT
        dq 0x00cf13000000ffff   ; 60 data, not present
        dq 0x00cf73000000ffff   ; 68 user data, not present
        dq 0x00af1b000000ffff   ; 70 code, 64 bits, not present
        dq 0x00af9f000000ffff   ; 78 code, 64 bits, conforming
        dq 0x00ef9b000000ffff   ; 80 code, L and D
        dq 0x00cf99000000ffff   ; 88 code, 32 bits, execute only
        dq 0x00cf92000000ffff   ; 90 data, not accessed
        dq 0x00cff2000000ffff   ; 98 user data, not accessed
        dq 0x00affa000000ffff   ; a0 user code, 64 bits, not accessed
        dq 0x0040fb0000000fff   ; a8 user code, 32 bits, 4 KiB
        dq 0x0000890000000000 | (TSS & 0xffffff) << 16 | 0x67, 0        ; b0 another TSS
        dq 0x0000090000000000 | (TSS & 0xffffff) << 16 | 0x67, 0        ; c0 TSS, not present
        dq 0x0000020000000000 | (LDT & 0xffffff) << 16 | 0x0f, 0        ; d0 LDT, not present
        dq 0x00af9a000000ffff   ; e0 code, 64 bits, not accessed
        dq 0x00afff000000ffff   ; e8 user code, 64 bits, conforming
        dq 0x00cfb3000000ffff   ; f0 data of ring 1
        dq 0
boot_gdtr:
        dw 0xff
        dd gdt
gdtr:   dw 0xff
        dq GDT
idtr:   dw 0x90*16-1
        dq IDT
align 16
tss:    dd 0
        dq RSP0, 0, 0, 0
        dq IST1, 0, 0, 0, 0, 0, 0, 0
        dd 0x680000             ; the I/O map begins at 68; ports 0 to 7f are open
        times 16 db 0
        times 16 db 0xff
window_pt:
        dq FRAMES|0x67, FRAMES+0x1000|0x65, FRAMES+0x2000|0x63, 0
        dq FRAMES+0x4000|0x67|1<<63, FRAMES+0x5000|0x67|1<<45, FRAMES+0x6000|0x67, 0
        times 8 dq 0
current: dq 0
report: dq REPORTS+8
go:     dq 0
frame:  dq 0, 0, 0, 0, 0
"""
)
