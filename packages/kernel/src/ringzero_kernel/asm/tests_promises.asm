; tests_promises.asm - every other promise of the work queues.
;
; Room's rule: a test that needs the worker to be somewhere holds it there with a gate; none relies on time.

section .bss
promise_result: resq 4

section .text
pads
; test_work_promises - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_work_promises, "test_work_promises"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        call gates_init
        lea rdi, [test_wq]
        text_of rsi, "promise-wq"
        call workqueue_init
        call test_flush_workerless
        call test_queue_handler
        call test_wait_finished
        call test_requeue_running
        call test_self_flush
        call test_chain
        call test_wq_waiters
        call test_wq_boot_waits
        call test_flush_count
        call test_two_queues
        call test_destroy_pending
        call test_destroy_twice
        pop r12
        pop rbx
        pop rbp
        ret

; test_flush_workerless - a flush of a queue that never had work returns at once.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_flush_workerless, "test_flush_workerless"
        begin "wq-flush-without-worker"
        lea rdi, [test_wq]
        call flush_workqueue
        test rax, rax
        must z, "there was nothing to wait for"
        cmp qword [test_wq+workqueue.worker], 0
        must e, "and no worker was made for it"
        passed
        ret

; test_queue_handler - a handler queues work, on a queue that has no worker yet.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_queue_handler, "test_queue_handler"
        begin "wq-queue-from-handler"
        mov qword [promise_result], 0
        make_work 0, trace_work, 'i'
        lea rax, [hook_queue]
        mov [tick_hook], rax
.wait:
        mov edi, 1
        call sleep_ticks
        cmp qword [tick_hook], 0
        jne .wait
        cmp qword [promise_result], 1
        must e, "the handler's work was accepted"
        lea rdi, [works]
        call work_wait
        must_trace "i", "and has run"
        passed
        ret

; hook_queue - a tick hook: queues works[0], once.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine hook_queue, "hook_queue"
        mov qword [tick_hook], 0
        lea rdi, [test_wq]
        lea rsi, [works]
        call queue_work
        mov [promise_result], rax
        ret

; test_wait_finished - to wait for work that has run, or was never queued, takes no switch of threads.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_wait_finished, "test_wait_finished"
        begin "wq-wait-finished"
        irq_save
        mov rbx, [gs:processor.switches]
        lea rdi, [works]
        call work_wait
        mov r12, [gs:processor.switches]
        irq_restore
        test rax, rax
        must z, "the wait succeeds"
        cmp rbx, r12
        must e, "at once"
        make_work 1, trace_work, 'x'
        lea rdi, [works+work_size]
        call flush_work
        test rax, rax
        must z, "work that was never queued is not waited for"
        passed
        ret

; test_requeue_running - work that is queued while it runs runs once more, and a wait lasts for that run too.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_requeue_running, "test_requeue_running"
        begin "wq-requeue-while-running"
        make_work 0, gate_work, 'r'
        queue_accepts test_wq, 0
        call gate_await         ; it runs now, and stands at the gate
        cmp dword [works+work.state], 1 << WORK_RUNNING
        must e, "it is running, not pending"
        queue_accepts test_wq, 0
        call gate_open
        call gate_open
        lea rdi, [works]
        call work_wait
        must_trace "rr", "it ran twice before the wait ended"
        cmp qword [works+work.ran], 2
        must e, "two runs are counted"
        call gate_await
        passed
        ret

; test_self_flush - what would wait for itself is refused.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_self_flush, "test_self_flush"
        begin "wq-self-flush-refused"
        make_work 0, self_flusher, 0
        queue_accepts test_wq, 0
        lea rdi, [works]
        call work_wait
        cmp qword [promise_result], -EDEADLK
        must e, "a flush from the queue's own work"
        passed

        begin "wq-self-wait-refused"
        cmp qword [promise_result+8], -EDEADLK
        must e, "a wait for itself"
        cmp qword [promise_result+16], -EDEADLK
        must e, "a destroy of its own queue"
        passed
        ret

; self_flusher - work: flushes its own queue, waits for itself, destroys its own queue.
; in:       rsi = work
; out:      promise_result
; clobbers: scratch
; interrupts: on
routine self_flusher, "self_flusher"
        push rbx
        mov rbx, rsi
        lea rdi, [test_wq]
        call flush_workqueue
        mov [promise_result], rax
        mov rdi, rbx
        call work_wait
        mov [promise_result+8], rax
        lea rdi, [test_wq]
        call destroy_workqueue
        mov [promise_result+16], rax
        pop rbx
        ret

; test_chain - work queues work while somebody flushes.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_chain, "test_chain"
        begin "wq-work-queues-work"
        make_work 0, gate_work, 'k'
        make_work 1, chain_work, 'l'
        make_work 2, trace_work, 'm'
        queue_accepts test_wq, 0
        queue_accepts test_wq, 1
        spawn flusher, 0, "flusher"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED  ; it waits for the first two
        call gate_open
        mov rdi, rbx
        call kthread_join
        test rax, rax
        must z, "the flush came to its end"
        lea rdi, [works+2*work_size]
        call work_wait
        must_trace "klm", "all have run"
        call gate_await
        passed
        ret

; chain_work - work: queues works[2] on its own queue, then notes its argument.
; in:       rdi = character
; out:      nothing
; clobbers: scratch
; interrupts: on
routine chain_work, "chain_work"
        push rbx
        mov rbx, rdi
        queue_accepts test_wq, 2
        mov rdi, rbx
        call trace_add
        pop rbx
        ret

; flusher - a thread: flushes test_wq.
; in:       nothing
; out:      rax = what the flush said
; clobbers: everything
; interrupts: on
routine flusher, "flusher"
        lea rdi, [test_wq]
        jmp flush_workqueue
