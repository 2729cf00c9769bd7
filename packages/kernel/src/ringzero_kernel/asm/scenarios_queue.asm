; scenarios_queue.asm - scenarios of the end of a work queue, of the system queue, of queueing in a handler.
;
; Room's rule: as in scenarios_work.asm.

section .text
pads
; try_wq_close - work is queued while the queue is destroyed: it is refused, or it runs.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_wq_close, "try_wq_close"
        push rbx
        call try_wq_open
        make_work 0, trace_work, 'a'
        make_work 1, trace_work, 'b'
        queue_accepts test_wq, 0
        lea rdi, [works]
        call work_wait
        spawn try_late_queuer, 1, "late-queuer"
        mov rbx, rax
        lea rdi, [test_wq]
        call destroy_workqueue
        test rax, rax
        must z, "destroy succeeds"
        mov rdi, rbx
        call kthread_join
        cmp rax, [works+work_size+work.ran]
        must e, "what was accepted has run"
        passed
        pop rbx
        ret

; try_late_queuer - a thread: queues a work item and, if it was accepted, waits for it.
; in:       rdi = index of the item
; out:      rax = 1 if it was accepted, else 0
; clobbers: everything
; interrupts: on
routine try_late_queuer, "try_late_queuer"
        imul r12, rdi, work_size
        lea rsi, [works]
        add r12, rsi
        lea rdi, [test_wq]
        mov rsi, r12
        call queue_work
        mov ebx, eax
        test eax, eax
        jz .done
        mov rdi, r12
        call work_wait
.done:
        mov rax, rbx
        ret

; try_system_chain - work of the system queue schedules work while somebody flushes.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_system_chain, "try_system_chain"
        call system_workqueue_init
        make_work 0, try_chain_work, '1'
        make_work 1, trace_work, '2'
        lea rdi, [works]
        call schedule_work
        test eax, eax
        must nz, "the work is accepted"
        call flush_system_workqueue
        lea rdi, [works+work_size]
        call work_wait
        must_trace "12", "both have run"
        passed
        mov qword [system_ready], 0
        lea rdi, [system_wq]
        jmp destroy_workqueue

; try_chain_work - work: notes its argument and schedules works[1].
; in:       rdi = character
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_chain_work, "try_chain_work"
        call trace_add
        lea rdi, [works+work_size]
        call schedule_work
        test eax, eax
        must nz, "work may schedule work"
        ret

; try_wq_handler - work is queued by a thread and in the tick's handler.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_wq_handler, "try_wq_handler"
        call try_wq_open
        mov qword [try_flag], 0
        make_work 0, trace_work, 'a'
        make_work 1, try_count_work, 0
        lea rax, [try_queue_tick]
        mov [tick_hook], rax
        queue_accepts test_wq, 0
        mov edi, 1
        call sleep_ticks        ; at least one tick
        mov qword [tick_hook], 0
        lea rdi, [test_wq]
        call flush_workqueue
        must_trace "a", "the thread's work has run"
        mov rax, [works+work_size+work.queued]
        test rax, rax
        must nz, "the handler's work was accepted"
        cmp rax, [try_flag]
        must e, "and has run as often as that"
        passed
        lea rdi, [test_wq]
        jmp destroy_workqueue

; try_queue_tick - a tick's hook: queues works[1]; pending already is fine.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine try_queue_tick, "try_queue_tick"
        lea rdi, [test_wq]
        lea rsi, [works+work_size]
        jmp queue_work

; try_count_work - work: counts in try_flag.
; in:       nothing
; out:      nothing
; clobbers: nothing
; interrupts: on
routine try_count_work, "try_count_work"
        inc qword [try_flag]
        ret
