; tests_user.asm - stages of ring 3.
;
; Room's rule: whatever a program does, it ends with an exit code, and the kernel is as it was.

section .bss
user_threads:   resq 1
user_heap:      resq 1
user_frames:    resq 1

section .rodata
        align 8, db 0
; What a program may not do, and the exception that it dies of.
crashes:        dq CRASH_WRITE_KERNEL, 14, .write_kernel
                dq CRASH_READ_NULL, 14, .read_null
                dq CRASH_WRITE_TEXT, 14, .write_text
                dq CRASH_RUN_DATA, 14, .run_data
                dq CRASH_HALT, 13, .halt
                dq CRASH_PORT, 13, .port
                dq CRASH_CR3, 13, .cr3
                dq CRASH_GATE, 13, .gate
                dq CRASH_DIVIDE, 0, .divide
                dq CRASH_OPCODE, 6, .opcode
                dq CRASH_BREAKPOINT, 3, .breakpoint
                dq CRASH_OVERFLOW, 4, .overflow
.end:
.write_kernel:   db "writes-kernel", 0
.read_null:      db "reads-null", 0
.write_text:     db "writes-text", 0
.run_data:       db "runs-data", 0
.halt:           db "halts", 0
.port:           db "reads-port", 0
.cr3:            db "reads-cr3", 0
.gate:           db "calls-gate", 0
.divide:         db "divides-by-0", 0
.opcode:         db "runs-ud2", 0
.breakpoint:     db "runs-int3", 0
.overflow:       db "runs-int-4", 0

section .text
pads
; run_user entry, argument, "name" - runs a program to its end. out: rax = exit code. clobbers: scratch
%macro run_user 3
        mov edi, %1
        mov esi, %2
        text_of rdx, %3
        call user_run
        test rax, rax
        must nz, "there is memory for a program"
        mov rdi, rax
        call kthread_join
%endmacro

; test_user - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_user, "test_user"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        begin "user-prints"
        run_user user_hello, 0, "hello"
        cmp rax, 42
        must e, "the program printed, read the time and ended"
        passed
        mov rax, [threads_count]
        mov [user_threads], rax
        mov rax, [heap_used]
        mov [user_heap], rax
        mov rax, [frames_free]
        mov [user_frames], rax
        call test_user_calls
        call test_calls
        call test_user_preempted
        call test_user_crashes
        call test_user_alignment
        begin "kernel-unharmed"
        mov rax, [user_threads]
        cmp [threads_count], rax
        must e, "no thread is left"
        mov rax, [user_heap]
        cmp [heap_used], rax
        must e, "no memory is left"
        mov rax, [user_frames]
        cmp [frames_free], rax
        must e, "no frame is left"
        passed
        pop r12
        pop rbx
        pop rbp
        ret

; test_user_calls - system calls: what they keep, what they refuse, that they can block.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_user_calls, "test_user_calls"
        begin "user-registers-kept"
        run_user user_registers, 0, "registers"
        cmp rax, 42
        must e, "a system call changes rax, rcx and r11 only"
        passed

        begin "user-requests-refused"
        run_user user_requests, 0, "requests"
        cmp rax, 42
        must e, "wrong pointers, lengths and numbers are refused"
        passed

        begin "user-sleeps"
        run_user user_sleep, 2, "sleep"
        cmp rax, 42
        must e, "a call that blocks comes back in time"
        passed
        ret

; test_user_preempted - two programs that compute without end in sight share the CPU, registers intact.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_user_preempted, "test_user_preempted"
        begin "user-preempted"
        mov edi, 1
        call quantum_set
        mov edi, HZ_FAST        ; they really spin
        call timer_rate
        mov edi, user_spin
        mov esi, 2
        text_of rdx, "spin-1"
        call user_run
        mov rbx, rax
        mov edi, user_spin
        mov esi, 2
        text_of rdx, "spin-2"
        call user_run
        mov r12, rax
        mov rdi, rbx
        call kthread_join
        cmp rax, 42
        must e, "the first kept its registers"
        mov rdi, r12
        call kthread_join
        cmp rax, 42
        must e, "the second kept its registers"
        mov edi, HZ
        call timer_rate
        mov edi, QUANTUM
        call quantum_set
        passed
        ret

; test_user_crashes - each forbidden thing kills the program that does it, by the right exception.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_user_crashes, "test_user_crashes"
        begin "user-faults-killed"
        lea rbx, [crashes]
.next:
        mov edi, user_crash
        mov rsi, [rbx]
        mov rdx, [rbx+16]
        call user_run
        test rax, rax
        must nz, "there is memory for a program"
        mov rdi, rax
        call kthread_join
        sub rax, USER_KILLED
        cmp rax, [rbx+8]
        must e, "it died of the right exception"
        add rbx, 24
        lea rax, [crashes.end]
        cmp rbx, rax
        jb .next
        passed
        ret

; test_user_alignment - #AC. Not every machine checks alignment, so this is told, not asked. (Lines that begin with a
;                       tilde may differ from machine to machine.)
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_user_alignment, "test_user_alignment"
        mov rax, cr0
        or eax, CR0_AM
        mov cr0, rax
        run_user user_crash, CRASH_ALIGNMENT, "~misaligned"
        cmp rax, USER_KILLED + 17
        je .checked
        say "~alignment is not checked here"
        jmp .done
.checked:
        say "~alignment is checked: #AC"
.done:
        mov rax, cr0
        and eax, ~CR0_AM
        mov cr0, rax
        ret
