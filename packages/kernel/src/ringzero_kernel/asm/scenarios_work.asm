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
