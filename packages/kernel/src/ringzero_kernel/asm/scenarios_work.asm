; scenarios_work.asm - scenarios of the work queues.
;
; Room's rule: as in scenarios.asm. The queue is test_wq, the items are works[0] and on, as in tests_work.asm.

section .text
pads
; try_wq_open - opens test_wq for a scenario.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine try_wq_open, "try_wq_open"
        lea rdi, [test_wq]
        text_of rsi, "try-wq"
        jmp workqueue_init

; try_slow_work - work: lets others run first, then notes its argument.
; in:       rdi = character
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_slow_work, "try_slow_work"
        push rbx
        mov rbx, rdi
        call yield
        mov rdi, rbx
        call trace_add
        pop rbx
        ret

; try_work_requeue - work is queued again as soon as it is idle; who waits then waits for the second run.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_work_requeue, "try_work_requeue"
        call try_wq_open
        make_work 0, try_slow_work, 'r'
        queue_accepts test_wq, 0
.running:
        call yield
        cmp dword [works+work.state], 0
        jne .running
        queue_accepts test_wq, 0
        lea rdi, [works]
        call work_wait
        must_trace "rr", "it has run twice"
        passed
        lea rdi, [test_wq]
        jmp destroy_workqueue

; try_wq_park - work is queued, done and waited for, and again: the second time while the worker goes to sleep.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_wq_park, "try_wq_park"
        call try_wq_open
        make_work 0, trace_work, 'a'
        make_work 1, trace_work, 'b'
        queue_accepts test_wq, 0
        lea rdi, [works]
        call work_wait
        queue_accepts test_wq, 1
        lea rdi, [works+work_size]
        call work_wait
        must_trace "ab", "both have run"
        passed
        lea rdi, [test_wq]
        jmp destroy_workqueue

; try_wq_destroy - a queue is destroyed with work in it, destroyed again, and flushed.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_wq_destroy, "try_wq_destroy"
        call try_wq_open
        make_work 0, trace_work, 'd'
        queue_accepts test_wq, 0
        lea rdi, [test_wq]
        call destroy_workqueue
        test rax, rax
        must z, "it is destroyed"
        must_trace "d", "its work has run before"
        lea rdi, [test_wq]
        call destroy_workqueue
        cmp rax, -EALREADY
        must e, "only once"
        lea rdi, [test_wq]
        call flush_workqueue
        test rax, rax
        must z, "there is nothing to flush"
        passed
        ret
