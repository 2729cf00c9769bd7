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
; interrupts: on
routine flusher, "flusher"
        lea rdi, [test_wq]
        jmp flush_workqueue

; test_wq_waiters - two threads wait for one work; a spurious wake-up sends neither on too early.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_wq_waiters, "test_wq_waiters"
        begin "wq-two-waiters"
        make_work 0, gate_work, 'n'
        queue_accepts test_wq, 0
        call gate_await
        spawn work_waiter, 0, "work-waiter-1"
        mov rbx, rax
        spawn work_waiter, 0, "work-waiter-2"
        mov r12, rax
        until_state rbx, STATE_BLOCKED
        until_state r12, STATE_BLOCKED
        irq_save
        mov rdi, rbx
        call thread_wake
        irq_restore
        until_state rbx, STATE_BLOCKED
        must_no_trace "woken for nothing, it sleeps on"
        call gate_open
        mov rdi, rbx
        call kthread_join
        cmp rax, 1
        must e, "the first waiter came back after the run"
        mov rdi, r12
        call kthread_join
        cmp rax, 1
        must e, "and so did the second"
        must_trace "n", "there was one run"
        passed
        ret

; work_waiter - a thread: waits for works[0].
; in:       nothing
; out:      rax = how often it had run by then
; interrupts: on
routine work_waiter, "work_waiter"
        lea rdi, [works]
        call work_wait
        mov rax, [works+work.ran]
        ret

; test_wq_boot_waits - the boot thread sleeps in work_wait; the work itself looks.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wq_boot_waits, "test_wq_boot_waits"
        begin "wq-boot-thread-waits"
        make_work 0, boot_watcher, 0
        queue_accepts test_wq, 0
        lea rdi, [works]
        call work_wait
        cmp qword [promise_result], 0
        must e, "TID 0 was in the work's wait queue"
        cmp qword [works+work.ran], 1
        must e, "and came back after the run, not before"
        passed
        ret

; boot_watcher - work: waits until the boot thread sleeps, notes who waits for this work, wakes it for nothing.
; in:       rsi = work
; out:      promise_result
; interrupts: on
routine boot_watcher, "boot_watcher"
        push rbx
        push r12
        mov r12, rsi
        mov rbx, [thread_table]
        until_state rbx, STATE_BLOCKED
        mov rax, [r12+work.waiters+waitq.head]
        mov [promise_result], rax
        irq_save
        mov rdi, rbx
        call thread_wake
        irq_restore
        until_state rbx, STATE_BLOCKED
        pop r12
        pop rbx
        ret

; test_flush_count - a flush waits for what came before it, not for what comes after.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_flush_count, "test_flush_count"
        begin "wq-flush-only-earlier"
        make_work 0, gate_work, 'o'
        make_work 1, gate_work, 'p'
        queue_accepts test_wq, 0
        call gate_await
        spawn flusher, 0, "flusher"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        queue_accepts test_wq, 1
        call gate_open          ; the first ends, the second comes to the gate and stays there
        mov rdi, rbx
        call kthread_join
        test rax, rax
        must z, "the flush ended while later work still ran"
        call gate_await
        must_trace "o", "which it did"
        call gate_open
        lea rdi, [test_wq]
        call flush_workqueue
        must_trace "p", "and then ended too"
        passed
        ret

; test_two_queues - work that runs on one queue is not taken by another; afterwards it is.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_two_queues, "test_two_queues"
        begin "wq-one-queue-at-a-time"
        lea rdi, [other_wq]
        text_of rsi, "other-wq"
        call workqueue_init
        make_work 0, gate_work, 's'
        queue_accepts test_wq, 0
        call gate_await
        lea rdi, [other_wq]
        lea rsi, [works]
        call queue_work
        test eax, eax
        must z, "two workers never run one item"
        call gate_open
        lea rdi, [works]
        call work_wait
        queue_accepts other_wq, 0
        call gate_open
        lea rdi, [other_wq]
        call flush_workqueue
        must_trace "ss", "one after the other is fine"
        call gate_await
        lea rdi, [other_wq]
        call destroy_workqueue
        passed
        ret

; test_destroy_pending - destroy lets pending work run, and takes no more meanwhile.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_destroy_pending, "test_destroy_pending"
        begin "wq-destroy-runs-pending"
        make_work 0, gate_work, 't'
        make_work 1, trace_work, 'u'
        make_work 2, trace_work, 'v'
        make_work 3, trace_work, 'w'
        queue_accepts test_wq, 0
        queue_accepts test_wq, 1
        queue_accepts test_wq, 2
        call gate_await
        spawn destroyer, 0, "destroyer"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED  ; it waits for the worker's end
        lea rdi, [test_wq]
        lea rsi, [works+3*work_size]
        call queue_work
        test eax, eax
        must z, "a queue that closes takes no more"
        cmp dword [works+3*work_size+work.state], 0
        must e, "and does not leave the work pending"
        call gate_open
        mov rdi, rbx
        call kthread_join
        test rax, rax
        must z, "destroy succeeds"
        must_trace "tuv", "all that was pending has run"
        passed
        ret

; destroyer - a thread: destroys test_wq.
; in:       nothing
; out:      rax = what destroy said
; interrupts: on
routine destroyer, "destroyer"
        lea rdi, [test_wq]
        jmp destroy_workqueue

; test_destroy_twice - a second destroy, a flush and a queue after it: harmless answers.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_destroy_twice, "test_destroy_twice"
        begin "wq-destroy-twice"
        lea rdi, [test_wq]
        call destroy_workqueue
        cmp rax, -EALREADY
        must e, "it says that it was done before"
        passed

        begin "wq-flush-after-destroy"
        lea rdi, [test_wq]
        call flush_workqueue
        test rax, rax
        must z, "it returns at once"
        passed

        begin "wq-queue-after-destroy"
        make_work 0, trace_work, 'z'
        lea rdi, [test_wq]
        lea rsi, [works]
        call queue_work
        test eax, eax
        must z, "it is refused"
        cmp dword [works+work.state], 0
        must e, "with Pending cleared"
        lea rdi, [works]
        call work_wait
        test rax, rax
        must z, "so that a wait does not hang"
        passed
        ret

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
; interrupts: on
routine system_flusher, "system_flusher"
        jmp flush_system_workqueue
