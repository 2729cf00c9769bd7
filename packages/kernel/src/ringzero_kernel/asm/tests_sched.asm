; tests_sched.asm - stages of scheduler and context switch.
;
; Room's rule: passes at every timer period. Preemption itself is in tests_preempt.asm, quantum and sleep in
; tests_quantum.asm.

section .bss
sched_flag:     resq 1
sched_errors:   resq 1

section .text
pads
; test_sched - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_sched, "test_sched"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        call test_boot_thread
        call test_round_robin
        call test_yield_state
        call test_spinner
        call test_preempt_state
        call test_blocked_left
        call test_quantum
        call test_sleep
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; test_boot_thread - the boot thread is a thread like others, idle is not.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_boot_thread, "test_boot_thread"
        begin "boot-thread-is-tid-0"
        mov rbx, [gs:processor.current]
        cmp qword [rbx+thread.tid], 0
        must e, "its TID is 0"
        cmp rbx, [thread_table]
        must e, "it is in the table"
        cmp dword [rbx+thread.state], STATE_RUNNING
        must e, "it is running"
        passed

        begin "idle-never-queued"
        mov edi, 2
        call sleep_ticks        ; nobody else is there: idle runs
        mov rbx, [gs:processor.idle]
        cmp qword [rbx+thread.runs], 0
        must ne, "idle has run"
        cmp qword [gs:processor.ready_count], 0
        must e, "the ready queue is empty"
        cmp qword [gs:processor.ready_head], 0
        must e, "idle is not on it"
        passed
        ret

; test_round_robin - three threads that yield take turns, first come first.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
routine test_round_robin, "test_round_robin"
        begin "yield-round-robin"
        mov edi, QUANTUM_NONE
        call quantum_set
        spawn turn_taker, 'A', "turn-a"
        mov rbx, rax
        spawn turn_taker, 'B', "turn-b"
        mov r12, rax
        spawn turn_taker, 'C', "turn-c"
        mov r13, rax
        mov rdi, rbx
        call kthread_join
        mov rdi, r12
        call kthread_join
        mov rdi, r13
        call kthread_join
        must_trace "ABCABCABC", "they took turns"
        mov edi, QUANTUM
        call quantum_set
        passed
        ret

; turn_taker - a thread: notes its letter three times, yielding in between.
; in:       rdi = letter
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine turn_taker, "turn_taker"
        mov rbx, rdi
        mov r12d, 3
.next:
        mov rdi, rbx
        call trace_add
        call yield
        dec r12d
        jnz .next
        xor eax, eax
        ret

; test_yield_state - a voluntary switch keeps registers, flags and stack.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_yield_state, "test_yield_state"
        begin "yield-keeps-registers"
        spawn yielder, 0x1111, "yielder-1"
        mov rbx, rax
        spawn yielder, 0x2222, "yielder-2"
        mov r12, rax
        mov rdi, rbx
        call kthread_join
        cmp rax, 0x1111
        must e, "the first thread kept its own"
        mov rdi, r12
        call kthread_join
        cmp rax, 0x2222
        must e, "the second thread kept its own"
        passed

        begin "yield-keeps-flags"
        spawn flag_keeper, RFLAGS_AC, "flags-1"
        mov rbx, rax
        spawn flag_keeper, 0, "flags-2"
        mov r12, rax
        mov rdi, rbx
        call kthread_join
        cmp rax, RFLAGS_AC
        must e, "a flag that is set stays set"
        mov rdi, r12
        call kthread_join
        test rax, rax
        must z, "a flag that is clear stays clear"
        passed
        ret

; yielder - a thread: yields with its number in all the registers that a call preserves.
; in:       rdi = number
; out:      rax = number, or 0 if one was lost
; clobbers: everything
; interrupts: on
routine yielder, "yielder"
        mov rbx, rdi
        lea rbp, [rdi+1]
        lea r12, [rdi+2]
        lea r13, [rdi+3]
        lea r14, [rdi+4]
        push rdi
        mov r15d, 5
.next:
        call yield
        dec r15d
        jnz .next
        pop rax
        cmp rax, rbx
        jne .lost
        lea rcx, [rax+1]
        cmp rcx, rbp
        jne .lost
        lea rcx, [rax+2]
        cmp rcx, r12
        jne .lost
        lea rcx, [rax+3]
        cmp rcx, r13
        jne .lost
        lea rcx, [rax+4]
        cmp rcx, r14
        je .kept
.lost:
        xor eax, eax
.kept:
        xor ebp, ebp
        ret

; flag_keeper - a thread: yields with a flag that no instruction of the kernel changes.
; in:       rdi = RFLAGS_AC or 0
; out:      rax = what the flag is afterwards
; clobbers: everything
; interrupts: on
routine flag_keeper, "flag_keeper"
        pushfq
        or [rsp], rdi
        popfq
        call yield
        call yield
        pushfq
        pop rax
        and eax, RFLAGS_AC
        push RFLAGS_IF + 2
        popfq
        ret
