; tests_waiters.asm - stages of those who wait for work, and of whom they wait for.
;
; Room's rule: as in tests_promises.asm, gates and no timing.

section .text
pads
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
; clobbers: everything
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
; clobbers: scratch
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
