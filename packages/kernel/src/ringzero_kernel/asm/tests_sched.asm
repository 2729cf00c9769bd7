; tests_sched.asm - stages of scheduler and context switch.
;
; Room's rule: passes at every timer period. A thread that must be preempted waits for the tick in HLT where it can, so
; that time costs no instructions; `preempt-spinner` alone really spins, and has the timer run faster meanwhile.

section .bss
sched_flag:     resq 1
sched_errors:   resq 1
run_last:       resq 1          ; quantum test: the thread of the last tick, its ticks so far, runs seen, ticks each
run_ticks:      resq 1
run_count:      resq 1
run_wrong:      resq 1
run_threads:    resq 3
run_totals:     resq 3

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

; test_quantum - among three threads that never yield, each keeps the CPU for exactly a quantum, in turn.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
QUANTUM_TEST    equ 3
QUANTUM_RUNS    equ 7           ; complete runs to watch
routine test_quantum, "test_quantum"
        begin "quantum-in-ticks"
        mov edi, QUANTUM_TEST
        call quantum_set
        mov qword [sched_flag], 0
        mov qword [run_last], 0
        mov qword [run_count], 0
        mov qword [run_wrong], 0
        spawn halter, 0, "halter-1"
        mov [run_threads], rax
        spawn halter, 0, "halter-2"
        mov [run_threads+8], rax
        spawn halter, 0, "halter-3"
        mov [run_threads+16], rax
        lea rax, [hook_runs]
        mov [tick_hook], rax
        mov rdi, [run_threads]
        call kthread_join
        mov rdi, [run_threads+8]
        call kthread_join
        mov rdi, [run_threads+16]
        call kthread_join
        cmp qword [run_wrong], 0
        must e, "every run was a quantum long"
        passed

        begin "round-robin-fair"
        mov rax, [run_totals]
        cmp rax, 2*QUANTUM_TEST
        must ae, "the first had two turns or more"
        mov rax, [run_totals+8]
        cmp rax, 2*QUANTUM_TEST
        must ae, "the second had two turns or more"
        mov rax, [run_totals+16]
        cmp rax, 2*QUANTUM_TEST
        must ae, "the third had two turns or more"
        mov edi, QUANTUM
        call quantum_set
        passed
        ret

; halter - a thread: waits in HLT, never yields, until sched_flag is set.
; in:       nothing
; out:      rax = 0
; interrupts: on
routine halter, "halter"
.again:
        hlt
        cmp qword [sched_flag], 0
        je .again
        xor eax, eax
        ret

; hook_runs - a tick hook: measures how many ticks in a row belong to one thread.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine hook_runs, "hook_runs"
        mov rax, [gs:processor.current]
        call hook_total
        inc qword [run_ticks]
        mov rdi, [run_last]
        cmp rax, rdi
        je .done
        mov [run_last], rax     ; a change: the run before this tick is complete
        mov rsi, [run_ticks]
        mov qword [run_ticks], 1
        dec rsi
        mov rax, rdi
        call hook_index
        cmp ecx, 3
        je .done                ; the boot thread's own: it sleeps when it likes
        inc qword [run_count]
        cmp qword [run_count], 1
        je .done                ; may have begun before the hook did
        cmp rsi, QUANTUM_TEST
        je .right
        inc qword [run_wrong]
.right:
        cmp qword [run_count], QUANTUM_RUNS
        jb .done
        mov qword [sched_flag], 1
        mov qword [tick_hook], 0
.done:
        ret

; hook_total - counts a tick for the thread that it belongs to.
; in:       rax = thread
; out:      nothing
; clobbers: rcx, rdx
; interrupts: off
routine hook_total, "hook_total"
        call hook_index
        cmp ecx, 3
        je .done
        lea rdx, [run_totals]
        inc qword [rdx+rcx*8]
.done:
        ret

; hook_index - which of the three threads is it?
; in:       rax = thread
; out:      rcx = 0..2, or 3 for another
; clobbers: rdx
; interrupts: off
routine hook_index, "hook_index"
        xor ecx, ecx
        lea rdx, [run_threads]
.next:
        cmp rax, [rdx+rcx*8]
        je .done
        inc ecx
        cmp ecx, 3
        jb .next
.done:
        ret

; test_sleep - sleeping lasts as long as asked, for each sleeper by itself.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_sleep, "test_sleep"
        begin "sleep-lasts"
        mov rbx, [jiffies]
        mov edi, 3
        call sleep_ticks
        mov rax, [jiffies]
        sub rax, rbx
        cmp rax, 3
        must ae, "it lasted as long as asked"
        xor edi, edi
        call sleep_ticks
        passed

        begin "sleep-order"
        spawn sleeper, 200000, "sleeper-long"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        spawn sleeper, 100000, "sleeper-short"
        mov r12, rax
        until_state r12, STATE_BLOCKED
        cli                     ; time is put forward by hand
        mov rax, [r12+thread.wake_at]
        mov [jiffies], rax
        call wake_sleepers
        cmp dword [r12+thread.state], STATE_READY
        must e, "the shorter sleep is over"
        cmp dword [rbx+thread.state], STATE_BLOCKED
        must e, "the longer is not, though it began first"
        mov rax, [rbx+thread.wake_at]
        mov [jiffies], rax
        call wake_sleepers
        cmp dword [rbx+thread.state], STATE_READY
        must e, "now it is"
        sti
        mov rdi, rbx
        call kthread_join
        mov rdi, r12
        call kthread_join
        passed
        ret

; sleeper - a thread: sleeps.
; in:       rdi = ticks
; out:      rax = 0
; interrupts: on
routine sleeper, "sleeper"
        call sleep_ticks
        xor eax, eax
        ret
