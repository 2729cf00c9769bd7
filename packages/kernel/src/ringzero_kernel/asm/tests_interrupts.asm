; tests_interrupts.asm - stages of the PIC, the timer, and what an interrupt must leave alone.
;
; Room's rule: the serial transmitter is the second interrupt source: it can be made to interrupt at will.

section .bss
registers_left: resq 16         ; what interrupt_registers found
hook_calls:     resq 1
hook_limit:     resq 1
hook_inside:    resq 1

section .text
pads
; test_interrupts - runs the stages of this file. Interrupts are on afterwards.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off; on at the end
routine test_interrupts, "test_interrupts"
        push rbp
        mov rbp, rsp
        push rbx
        begin "pic-remapped"
        in al, PIC1+1
        cmp al, 0xfa
        must e, "timer and slave are let through, nothing else"
        in al, PIC2+1
        cmp al, 0xff
        must e, "the slave lets nothing through"
        passed

        begin "timer-ticks"
        mov rbx, [jiffies]
        add rbx, 3
        sti
.tick:
        hlt
        cmp [jiffies], rbx
        jb .tick
        passed

        call test_date
        call test_sti_hlt
        call test_interrupt_registers
        pop rbx
        pop rbp
        ret

; test_date - the clock gives a date that exists.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: either
routine test_date, "test_date"
        begin "date-read"
        call rtc_read
        mov rbx, rax
        movzx r9d, bl
        movzx eax, bh
        mov r8d, eax
        mov rax, rbx
        shr rax, 16
        movzx ecx, al           ; hours
        movzx edx, ah           ; day
        shr rax, 16
        movzx esi, al           ; month
        cmp ecx, 0x23
        must be, "hours are 0 to 23"
        cmp r9d, 0x59
        must be, "seconds are 0 to 59"
        cmp r8d, 0x59
        must be, "minutes are 0 to 59"
        lea eax, [rdx-1]
        cmp eax, 0x30
        must be, "days are 1 to 31"
        lea eax, [rsi-1]
        cmp eax, 0x11
        must be, "months are 1 to 12"
        say "~month %h day %h, %h:%h:%h"
        passed
        ret

; test_sti_hlt - an interrupt that waits while STI; HLT run must end that HLT, not slip in before it.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
;
; The serial interrupt is made to wait; if it were taken between STI and HLT, HLT would sleep until the next tick. A
; tick may come by chance while we look, so several tries are allowed.
routine test_sti_hlt, "test_sti_hlt"
        begin "sti-hlt-atomic"
        lea rax, [hook_count]
        mov [serial_hook], rax
        mov ebx, 8
.try:
        mov qword [hook_calls], 0
        mov qword [hook_limit], 1
        cli
        call serial_interrupt_on
        mov rsi, [jiffies]
        sti
        hlt
        mov rdi, [jiffies]
        cmp rsi, rdi
        je .ended
        dec ebx
        jnz .try
.ended:
        cmp rsi, rdi
        must e, "the interrupt that waited has ended HLT"
        cmp qword [hook_calls], 1
        must e, "it was taken once"
        passed
        ret

; hook_count - a serial hook: counts, and switches the interrupt off at the limit.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine hook_count, "hook_count"
        inc qword [hook_calls]
        mov rax, [hook_calls]
        cmp rax, [hook_limit]
        jb .done
        jmp serial_interrupt_off
.done:
        ret

; test_interrupt_registers - an interrupt changes no register and no flag of the code that it interrupts.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_interrupt_registers, "test_interrupt_registers"
        push rbp
        push r12
        push r13
        push r14
        push r15
        begin "interrupt-keeps-registers"
        mov qword [hook_calls], 0
        mov qword [hook_limit], 1
        cli
        call serial_interrupt_on
        mov rbx, rsp
        call fill_registers
        push RFLAGS_DF + 0x8d7  ; every flag that arithmetic has, and DF
        popfq
        sti
        nop                     ; here it comes
        nop
        cli
        pushfq
        cld
        push rax
        lea rax, [registers_left]
        pop qword [rax]
        pop qword [rax+8]       ; flags
        mov rax, [registers_left]
        sti
        call compare_registers
        must e, "the registers are as they were"
        cmp rbx, rsp
        must e, "the stack is as it was"
        mov rax, [registers_left+8]
        and eax, 0xcd5
        cmp eax, 0xcd5
        must e, "the flags are as they were"
        cmp qword [hook_calls], 1
        must e, "there was an interrupt"
        passed
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        ret

; fill_registers - a value of its own in every register but rbx and rsp.
; in:       rbx = a value that the caller chooses
; out:      the registers
; clobbers: all but rbx and rsp
; interrupts: either
routine fill_registers, "fill_registers"
        mov rax, 0x0101010101010101
        mov rcx, 0x0202020202020202
        mov rdx, 0x0303030303030303
        mov rsi, 0x0404040404040404
        mov rdi, 0x0505050505050505
        mov rbp, 0x0606060606060606
        mov r8, 0x0808080808080808
        mov r9, 0x0909090909090909
        mov r10, 0x1010101010101010
        mov r11, 0x1111111111111111
        mov r12, 0x1212121212121212
        mov r13, 0x1313131313131313
        mov r14, 0x1414141414141414
        mov r15, 0x1515151515151515
        ret

section .rodata
        align 8, db 0
register_values:
        dq 0x0101010101010101, 0x0202020202020202, 0x0303030303030303, 0x0404040404040404, 0x0505050505050505
        dq 0x0606060606060606, 0x0808080808080808, 0x0909090909090909, 0x1010101010101010, 0x1111111111111111
        dq 0x1212121212121212, 0x1313131313131313, 0x1414141414141414, 0x1515151515151515
section .text

; compare_registers - are they as fill_registers left them?
; in:       the registers
; out:      zf set if they are
; clobbers: flags
; interrupts: either
routine compare_registers, "compare_registers"
        cmp rax, [register_values]
        jne .done
        cmp rcx, [register_values+8]
        jne .done
        cmp rdx, [register_values+16]
        jne .done
        cmp rsi, [register_values+24]
        jne .done
        cmp rdi, [register_values+32]
        jne .done
        cmp rbp, [register_values+40]
        jne .done
        cmp r8, [register_values+48]
        jne .done
        cmp r9, [register_values+56]
        jne .done
        cmp r10, [register_values+64]
        jne .done
        cmp r11, [register_values+72]
        jne .done
        cmp r12, [register_values+80]
        jne .done
        cmp r13, [register_values+88]
        jne .done
        cmp r14, [register_values+96]
        jne .done
        cmp r15, [register_values+104]
.done:
        ret
