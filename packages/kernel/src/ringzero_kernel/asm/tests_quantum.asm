; tests_quantum.asm - stages of the quantum and of sleep: what is counted in ticks.
;
; Room's rule: ticks are counted where they happen, in a hook of the tick's handler, never by the clock on the wall.

section .bss
run_last:       resq 1          ; quantum test: the thread of the last tick, its ticks so far, runs seen, ticks each
run_ticks:      resq 1
run_count:      resq 1
run_wrong:      resq 1
run_threads:    resq 3
run_totals:     resq 3

section .text
pads
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
; clobbers: everything
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
; clobbers: everything
; interrupts: on
routine sleeper, "sleeper"
        call sleep_ticks
        xor eax, eax
        ret
