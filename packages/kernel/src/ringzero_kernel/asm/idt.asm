; idt.asm - the 256 gates and the table of their handlers.
;
; Room's rule: gates never change after idt_init; what a vector does is an entry of `vectors`.
;
;   gate, 16 bytes:  offset 15..0 | selector | IST, type | offset 31..16 | offset 63..32 | 0

section .bss
idt:            resb 256*16

section .data
        align 8, db 0
vectors:        dq exception, exception, nmi_interrupt
                times 5 dq exception
                dq exception_fatal              ; 8, double fault
                times 9 dq exception
                dq exception_fatal              ; 18, machine check
                times 13 dq exception
                times 224 dq interrupt_unexpected
idt_pointer:    dw 256*16 - 1
                dq idt

section .text
pads
; idt_init - fills and loads the interrupt descriptor table.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine idt_init, "idt_init"
        lea rdi, [idt]
        lea rsi, [isr_stubs]
        mov ecx, 256
.next:
        mov rax, rsi
        mov [rdi], ax
        mov word [rdi+2], KERNEL_CS
        mov word [rdi+4], GATE_KERNEL << 8
        shr rax, 16
        mov [rdi+6], ax
        shr rax, 16
        mov [rdi+8], eax
        add rsi, 16
        add rdi, 16
        dec ecx
        jnz .next

        mov byte [idt+8*16+4], 1        ; double fault: IST1
        mov byte [idt+2*16+4], 2        ; NMI: IST2
        mov byte [idt+18*16+4], 3       ; machine check: IST3
        mov byte [idt+3*16+5], GATE_USER        ; INT3 and INT 4 belong to ring 3 as well
        mov byte [idt+4*16+5], GATE_USER
        lidt [idt_pointer]
        ret

; set_vector - makes a routine the handler of a vector.
; in:       edi = vector, rsi = routine, to be called with rdi = frame
; out:      rax = the routine that it was
; clobbers: rax, rcx
; interrupts: either
routine set_vector, "set_vector"
        lea rcx, [vectors]
        mov rax, rsi
        xchg [rcx+rdi*8], rax
        ret

; interrupt_unexpected - a vector that nobody asked for.
; in:       rdi = frame
; out:      does not return
; interrupts: off
routine interrupt_unexpected, "interrupt_unexpected"
        mov rsi, rdi
        lea rdi, [.message]
        jmp panic_frame
section .rodata
.message:       db "interrupt that nobody asked for", 0
section .text
