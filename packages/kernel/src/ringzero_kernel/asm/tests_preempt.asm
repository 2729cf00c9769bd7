; tests_preempt.asm - stages of preemption: the CPU is taken away, and nothing else.
;
; Room's rule: a thread that must be preempted waits for the tick in HLT where it can, so that time costs no instructions;
; `preempt-spinner` alone really spins, and has the timer run faster meanwhile.

section .text
pads
; test_spinner - a thread that never gives up the CPU loses it when its quantum is over.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_spinner, "test_spinner"
        begin "preempt-spinner"
        mov edi, 1
        call quantum_set
        mov qword [sched_flag], 0
        spawn spinner, 0, "spinner"
        mov rbx, rax
        mov edi, HZ_FAST
        call timer_rate
        call yield              ; comes back by preemption only
        cmp qword [rbx+thread.runs], 0
        must ne, "it has run"
        mov qword [sched_flag], 1
        mov rdi, rbx
        call kthread_join
        cmp rax, 99
        must e, "it saw the flag"
        mov edi, HZ
        call timer_rate
        mov edi, QUANTUM
        call quantum_set
        passed
        ret

; spinner - a thread: spins until sched_flag is set.
; in:       nothing
; out:      rax = 99
; clobbers: everything
; interrupts: on
routine spinner, "spinner"
.again:
        pause
        cmp qword [sched_flag], 0
        je .again
        mov eax, 99
        ret

; test_preempt_state - a preemption keeps all registers, all flags and the stack.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_preempt_state, "test_preempt_state"
        mov edi, 1
        call quantum_set
        mov qword [sched_errors], 0
        begin "preempt-keeps-registers"
        spawn register_keeper, 0x77, "registers-1"
        mov rbx, rax
        spawn register_keeper, 0x88, "registers-2"
        mov r12, rax
        mov rdi, rbx
        call kthread_join
        cmp rax, 2
        must ae, "the first thread was preempted"
        mov rdi, r12
        call kthread_join
        cmp rax, 2
        must ae, "the second thread was preempted"
        cmp qword [sched_errors], 0
        must e, "no register has changed"
        passed

        begin "preempt-keeps-flags"
        spawn flags_holder, RFLAGS_IF + RFLAGS_DF + 0x8d7, "flags-set"
        mov rbx, rax
        spawn flags_holder, RFLAGS_IF + 2, "flags-clear"
        mov r12, rax
        mov rdi, rbx
        call kthread_join
        cmp rax, 2
        must ae, "the first thread was preempted"
        mov rdi, r12
        call kthread_join
        cmp rax, 2
        must ae, "the second thread was preempted"
        cmp qword [sched_errors], 0
        must e, "no flag has changed"
        mov edi, QUANTUM
        call quantum_set
        passed
        ret

; register_keeper - a thread: looks at all its registers again and again, for six ticks.
; in:       rdi = number, which makes the values of rax and rbx its own
; out:      rax = how often it was switched to; errors in sched_errors
; clobbers: everything
; interrupts: on
routine register_keeper, "register_keeper"
        mov rbx, rdi
        mov rcx, [jiffies]
        add rcx, 6
        push rdi
        push rcx                ; [rsp] = when to end, [rsp+8] = number
.round:
        call fill_registers
        add rax, rbx
        nop
        nop
        hlt                     ; a tick comes here or before
        nop
        nop
        sub rax, rbx
        call compare_registers
        jne .error
        cmp rbx, [rsp+8]
        je .kept
.error:
        inc qword [sched_errors]
.kept:
        mov rcx, [rsp]
        cmp [jiffies], rcx
        jb .round
        add rsp, 16
        xor ebp, ebp
        mov rax, [gs:processor.current]
        mov rax, [rax+thread.runs]
        ret

; flags_holder - a thread: holds its flags over ticks, for six ticks.
; in:       rdi = flags
; out:      rax = how often it was switched to; errors in sched_errors
; clobbers: everything
; interrupts: on
routine flags_holder, "flags_holder"
        mov r12, [jiffies]
        add r12, 6
        mov r13, rdi
.round:
        push r13
        popfq
        hlt
        pushfq
        cld
        pop rax
        xor rax, r13
        test eax, 0xed5
        jz .same
        inc qword [sched_errors]
.same:
        cmp [jiffies], r12
        jb .round
        mov rax, [gs:processor.current]
        mov rax, [rax+thread.runs]
        ret

; test_blocked_left - a thread that is BLOCKED is switched away from at the next interrupt, whatever its quantum.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_blocked_left, "test_blocked_left"
        begin "blocked-is-left"
        mov edi, QUANTUM_NONE
        call quantum_set
        spawn self_blocker, 0, "self-blocker"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        cmp dword [rbx+thread.quantum], 1000
        must a, "its quantum was not over"
        irq_save
        mov rdi, rbx
        call thread_wake
        irq_restore
        mov rdi, rbx
        call kthread_join
        cmp rax, 7
        must e, "it went on after it was woken"
        mov edi, QUANTUM
        call quantum_set
        passed
        ret

; self_blocker - a thread: calls itself BLOCKED and goes on, which no thread should do.
; in:       nothing
; out:      rax = 7
; clobbers: everything
; interrupts: on
routine self_blocker, "self_blocker"
        mov rbx, [gs:processor.current]
        mov dword [rbx+thread.state], STATE_BLOCKED
.wait:
        hlt                     ; the tick's return path takes the CPU away
        cmp dword [rbx+thread.state], STATE_RUNNING
        jne .wait
        mov eax, 7
        ret
