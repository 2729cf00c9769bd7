; tests_work.asm - the ten stages of a work queue's life.
;
; Room's rule: these run in every configuration; the finer promises are in tests_promises.asm.

section .bss
test_wq:        resb workqueue_size
other_wq:       resb workqueue_size
works:          resb work_size*8
gate:           resb completion_size    ; gate_work waits here
gate_reached:   resb completion_size    ; and says here that it has come

section .text
pads
; make_work register, function, argument - initialises works[n] of an index. clobbers: scratch
%macro make_work 3
        lea rdi, [works + (%1)*work_size]
        lea rsi, [%2]
        mov rdx, %3
        text_of rcx, "test"
        call work_init
%endmacro

; queue_accepts queue, index - queues works[n]; it must be accepted. clobbers: scratch
%macro queue_accepts 2
        lea rdi, [%1]
        lea rsi, [works + (%2)*work_size]
        call queue_work
        test eax, eax
        must nz, "the work is accepted"
%endmacro

; trace_work - work: notes its argument.
; in:       rdi = character
; out:      nothing
; clobbers: scratch
; interrupts: on
routine trace_work, "trace_work"
        jmp trace_add

; gate_work - work: says that it has come, waits for the gate, notes its argument.
; in:       rdi = character
; out:      nothing
; clobbers: scratch
; interrupts: on
routine gate_work, "gate_work"
        push rbx
        mov rbx, rdi
        lea rdi, [gate_reached]
        call complete
        lea rdi, [gate]
        call wait_for_completion
        mov rdi, rbx
        call trace_add
        pop rbx
        ret

; gates_init - shut gate, nobody there.
; in:       nothing
; out:      nothing
; clobbers: rdi
; interrupts: either
routine gates_init, "gates_init"
        lea rdi, [gate]
        call completion_init
        lea rdi, [gate_reached]
        jmp completion_init

; gate_await, gate_open - waits until work stands at the gate; lets one through.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on / either
routine gate_await, "gate_await"
        lea rdi, [gate_reached]
        jmp wait_for_completion
routine gate_open, "gate_open"
        lea rdi, [gate]
        jmp complete

; test_workqueue - the ten stages.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_workqueue, "test_workqueue"
        push rbp
        mov rbp, rsp
        push rbx
        call gates_init
        begin "wq-initialised"
        lea rdi, [test_wq]
        text_of rsi, "test-wq"
        call workqueue_init
        cmp qword [test_wq+workqueue.worker], 0
        must e, "no worker before there is work"
        passed

        begin "wq-worker-started"
        make_work 0, trace_work, 'a'
        queue_accepts test_wq, 0
        mov rbx, [test_wq+workqueue.worker]
        test rbx, rbx
        must nz, "the first work makes the worker"
        bt dword [rbx+thread.flags], FLAG_KTHREAD
        must c, "which is a kthread"
        passed

        begin "wq-basic-execution"
        lea rdi, [works]
        call work_wait
        test rax, rax
        must z, "the wait succeeds"
        must_trace "a", "the work has run"
        cmp dword [works+work.state], 0
        must e, "it is idle again"
        passed
        call test_wq_order
        call test_wq_flush
        call test_wq_reject
        call test_wq_multi_flush
        call test_wq_shutdown
        begin "wq-all-passed"
        passed
        pop rbx
        pop rbp
        ret

; test_wq_order - work runs in the order in which it was queued.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wq_order, "test_wq_order"
        begin "wq-fifo-order"
        make_work 0, trace_work, 'b'
        make_work 1, trace_work, 'c'
        make_work 2, trace_work, 'd'
        make_work 3, trace_work, 'e'
        queue_accepts test_wq, 0
        queue_accepts test_wq, 1
        queue_accepts test_wq, 2
        queue_accepts test_wq, 3
        lea rdi, [works+3*work_size]
        call work_wait
        must_trace "bcde", "first in, first out"
        passed
        ret

; test_wq_flush - a flush waits for what was queued.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wq_flush, "test_wq_flush"
        begin "wq-flush"
        make_work 0, trace_work, 'f'
        queue_accepts test_wq, 0
        lea rdi, [test_wq]
        call flush_workqueue
        test rax, rax
        must z, "the flush succeeds"
        must_trace "f", "the work has run"
        passed
        ret

; test_wq_reject - work that is pending is not queued a second time.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wq_reject, "test_wq_reject"
        begin "wq-requeue-rejected"
        make_work 0, gate_work, 'g'
        make_work 1, trace_work, 'h'
        queue_accepts test_wq, 0
        call gate_await
        queue_accepts test_wq, 1
        lea rdi, [test_wq]
        lea rsi, [works+work_size]
        call queue_work
        test eax, eax
        must z, "pending work is not accepted again"
        call gate_open
        lea rdi, [test_wq]
        call flush_workqueue
        must_trace "gh", "it ran once"
        passed
        ret

; test_wq_multi_flush - a flush waits for many items, with the worker held up.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wq_multi_flush, "test_wq_multi_flush"
        begin "wq-multi-flush"
        make_work 0, gate_work, '0'
        make_work 1, trace_work, '1'
        make_work 2, trace_work, '2'
        make_work 3, trace_work, '3'
        make_work 4, trace_work, '4'
        make_work 5, trace_work, '5'
        queue_accepts test_wq, 0
        queue_accepts test_wq, 1
        queue_accepts test_wq, 2
        queue_accepts test_wq, 3
        queue_accepts test_wq, 4
        queue_accepts test_wq, 5
        call gate_open
        lea rdi, [test_wq]
        call flush_workqueue
        must_trace "012345", "all have run"
        call gate_await         ; use the signal up
        passed
        ret

; test_wq_shutdown - destroy ends the worker; afterwards every request has a harmless answer.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_wq_shutdown, "test_wq_shutdown"
        begin "wq-shutdown"
        mov rbx, [threads_count]
        lea rdi, [test_wq]
        call destroy_workqueue
        test rax, rax
        must z, "destroy succeeds"
        dec rbx
        cmp [threads_count], rbx
        must e, "the worker is gone"
        passed

        begin "wq-error-path"
        make_work 0, trace_work, 'x'
        lea rdi, [test_wq]
        lea rsi, [works]
        call queue_work
        test eax, eax
        must z, "a destroyed queue takes no work"
        cmp dword [works+work.state], 0
        must e, "and the work is not left pending"
        lea rdi, [test_wq]
        call flush_workqueue
        test rax, rax
        must z, "there is nothing to flush"
        must_no_trace "nothing ran"
        passed
        ret
