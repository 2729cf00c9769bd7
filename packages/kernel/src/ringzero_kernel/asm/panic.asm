; panic.asm - the end: say what is known, then stop.
;
; Room's rule: nothing here may wait for anybody. The log's lock is broken open first: whoever held it runs no more.
;
; A back-trace follows the chain of frames that every routine with `push rbp; mov rbp, rsp` adds to:
;
;   rbp --> | caller's rbp | --> | its caller's rbp | --> 0
;           | return address     | return address

BACKTRACE_DEPTH equ 16

section .bss
panicking:      resq 1

section .text
pads
; panic - prints a message and a back-trace, and ends the machine with failure.
; in:       rdi = format, rsi, rdx, rcx, r8, r9 = its values
; out:      does not return
; interrupts: either
routine panic, "panic"
        cli
        push rbp
        mov rbp, rsp
        call panic_enter
        call kprintf
        say "back-trace:"
        mov rdi, [rbp+8]
        mov rsi, [rbp]
        call backtrace
        jmp exit_failure

; panic_frame - prints a message, the registers of a frame and the back-trace from there; ends with failure.
; in:       rdi = message, rsi = frame
; out:      does not return
; interrupts: either
routine panic_frame, "panic_frame"
        cli
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rsi
        call panic_enter
        mov rsi, rdi
        mov rdx, [rbx+frame.vector]
        mov rcx, [rbx+frame.error]
        mov r8, cr2
        say "[panic] %s: vector %d, error %h, cr2 %x"
        mov rdi, rbx
        call dump_registers
        say "back-trace:"
        mov rdi, [rbx+frame.rip]
        mov rsi, [rbx+frame.rbp]
        call backtrace
        jmp exit_failure

; panic_enter - breaks the log open; a panic inside a panic ends the machine at once.
; in:       nothing
; out:      nothing
; clobbers: flags
; interrupts: off
routine panic_enter, "panic_enter"
        lock bts dword [panicking], 0
        jc exit_failure
        mov dword [log_lock], 0
        ret

; dump_registers - prints a frame and the control registers.
; in:       rdi = frame
; out:      nothing
; clobbers: scratch
; interrupts: either
routine dump_registers, "dump_registers"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        mov rsi, [rbx+frame.rax]
        mov rdx, [rbx+frame.rbx]
        mov rcx, [rbx+frame.rcx]
        mov r8, [rbx+frame.rdx]
        say "rax %x  rbx %x  rcx %x  rdx %x"
        mov rsi, [rbx+frame.rsi]
        mov rdx, [rbx+frame.rdi]
        mov rcx, [rbx+frame.rbp]
        mov r8, [rbx+frame.rsp]
        say "rsi %x  rdi %x  rbp %x  rsp %x"
        mov rsi, [rbx+frame.r8]
        mov rdx, [rbx+frame.r9]
        mov rcx, [rbx+frame.r10]
        mov r8, [rbx+frame.r11]
        say "r8  %x  r9  %x  r10 %x  r11 %x"
        mov rsi, [rbx+frame.r12]
        mov rdx, [rbx+frame.r13]
        mov rcx, [rbx+frame.r14]
        mov r8, [rbx+frame.r15]
        say "r12 %x  r13 %x  r14 %x  r15 %x"
        mov rsi, [rbx+frame.rip]
        mov rdx, [rbx+frame.rflags]
        mov rcx, [rbx+frame.cs]
        mov r8, [rbx+frame.ss]
        say "rip %x  rfl %x  cs  %x  ss  %x"
        mov rsi, cr0
        mov rdx, cr3
        mov rcx, cr4
        mov rax, [gs:processor.current]
        mov r8, [rax+thread.tid]
        lea r9, [rax+thread.name]
        say "cr0 %x  cr3 %x  cr4 %x  thread %d %s"
        pop rbx
        pop rbp
        ret

; backtrace - prints where an address is and who called it. A fault on the way ends it.
; in:       rdi = address, rsi = rbp there
; out:      nothing
; clobbers: scratch
; interrupts: either
routine backtrace, "backtrace"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        mov rbx, rdi
        mov r12, rsi
        mov r13d, BACKTRACE_DEPTH
        catch .done
.next:
        mov rdi, rbx
        call symbol_lookup
        mov rsi, rbx
        mov rcx, rdx
        mov rdx, rax
        say "  %x %s+%h"
        test r12, r12           ; the last has 0, and what ring 3 left in rbp is no frame of ours
        jns .done
        mov rbx, [r12+8]
        mov rax, [r12]
        cmp rax, r12            ; callers' frames lie higher; 0 is the last
        ja .up
        xor eax, eax
.up:
        mov r12, rax
        test rbx, rbx
        jz .done
        dec r13d
        jnz .next
.done:
        caught rax
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; symbol_lookup - finds the routine that an address is in.
; in:       rdi = address
; out:      rax = name, rdx = offset in it; for an address outside .text "?", and the address
; clobbers: rcx, rsi, r8
; interrupts: either
routine symbol_lookup, "symbol_lookup"
        lea rax, [unknown_name]
        mov rdx, rdi
        lea rcx, [text_start]
        cmp rdi, rcx
        jb .done
        lea rcx, [text_end]
        cmp rdi, rcx
        jae .done
        lea rsi, [ksyms_start]  ; the last entry at or below the address is in [rsi, rcx)
        lea rcx, [ksyms_end]
.halve:
        mov r8, rcx
        sub r8, rsi
        cmp r8, 16
        jbe .found
        shr r8, 1
        and r8, ~15
        add r8, rsi
        cmp [r8], rdi
        ja .lower
        mov rsi, r8
        jmp .halve
.lower:
        mov rcx, r8
        jmp .halve
.found:
        cmp [rsi], rdi
        ja .done                ; padding before the first routine
        mov rax, [rsi+8]
        sub rdx, [rsi]
.done:
        ret
section .rodata
unknown_name:   db "?", 0
section .text
