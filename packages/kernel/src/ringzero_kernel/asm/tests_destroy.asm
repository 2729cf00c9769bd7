; tests_destroy.asm - stages of the end of a work queue.
;
; Room's rule: the work items outlive every queue here, so that each refusal can be looked at.

section .text
pads
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
; clobbers: everything
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
