; tests_sysqueue.asm - stages of the system work queue.
;
; Room's rule: runs once a boot, because the queue is opened once.

section .text
pads
; test_system_queue - the system work queue, before and after it is opened.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_system_queue, "test_system_queue"
        push rbp
        mov rbp, rsp
        push rbx
        call gates_init
        begin "system-wq-not-ready"
        make_work 0, trace_work, 'x'
        lea rdi, [works]
        call schedule_work
        test eax, eax
        must z, "schedule_work says no"
        cmp dword [works+work.state], 0
        must e, "and leaves the work idle"
        lea rdi, [trace_work]
        mov esi, 'x'
        text_of rdx, "early"
        call schedule_work_fn
        test rax, rax
        must z, "schedule_work_fn says no"
        call flush_system_workqueue
        test rax, rax
        must z, "a flush returns"
        passed

        begin "system-wq-runs"
        call system_workqueue_init
        make_work 0, trace_work, 'y'
        lea rdi, [works]
        call schedule_work
        test eax, eax
        must nz, "work is accepted"
        call flush_system_workqueue
        must_trace "y", "and has run"
        passed

        begin "system-wq-function"
        lea rdi, [trace_work]
        mov esi, 'z'
        text_of rdx, "function"
        call schedule_work_fn
        mov rbx, rax
        test rax, rax
        must nz, "a function is accepted"
        mov rdi, rbx
        call work_wait
        must_trace "z", "and has run"
        mov rdi, rbx
        call kfree
        passed
        call test_system_chain
        pop rbx
        pop rbp
        ret

; test_system_chain - work schedules work on the system queue while somebody flushes it.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_system_chain, "test_system_chain"
        begin "system-wq-work-schedules-work"
        make_work 0, system_chain_work, '1'
        make_work 1, trace_work, '2'
        lea rdi, [works]
        call schedule_work
        call gate_await
        spawn system_flusher, 0, "system-flusher"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        call gate_open
        mov rdi, rbx
        call kthread_join
        test rax, rax
        must z, "the flush came to its end"
        call flush_system_workqueue
        must_trace "12", "both have run"
        passed
        ret

; system_chain_work - work: waits at the gate, schedules works[1], notes its argument.
; in:       rdi = character
; out:      nothing
; clobbers: scratch
; interrupts: on
routine system_chain_work, "system_chain_work"
        push rbx
        mov rbx, rdi
        lea rdi, [gate_reached]
        call complete
        lea rdi, [gate]
        call wait_for_completion
        lea rdi, [works+work_size]
        call schedule_work
        test eax, eax
        must nz, "work may schedule work"
        mov rdi, rbx
        call trace_add
        pop rbx
        ret

; system_flusher - a thread: flushes the system queue.
; in:       nothing
; out:      rax = what the flush said
; clobbers: everything
; interrupts: on
routine system_flusher, "system_flusher"
        jmp flush_system_workqueue
