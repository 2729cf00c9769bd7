; workqueue.asm - a queue of work and the thread that does it.
;
; Room's rule: the queue's lock, more.lock, covers the list, the flags and the step from "empty" to "asleep"; it is
; held for a few instructions, with interrupts off, and never while work runs or anybody waits.
;
;   queue_work --> head -> work -> work -> tail --> worker_main --> work_execute
;                    |                                  |
;                  queued + 1                       finished + 1, wake `drained`
;
; One worker takes the items in order. So "everything queued before now has run" is one comparison, finished >= queued
; as read at the start, and a flush needs no marker in the queue, no lock while it sleeps, and no worker to be there.

WQ_CLOSED       equ 0           ; bit of workqueue.flags: being destroyed, or destroyed

struc workqueue
.name           resq 1
.head           resq 1          ; linked by work.next, 0 ends it
.tail           resq 1
.worker         resq 1          ; made when the first work comes
.flags          resd 1
                resd 1
.queued         resq 1          ; accepted so far
.finished       resq 1          ; run so far; under drained.lock
.more           resb waitq_size ; the worker sleeps here
.drained        resb waitq_size ; flushers sleep here
.destroyed      resb completion_size
endstruc

section .text
pads
; workqueue_init - an empty queue, without a worker.
; in:       rdi = queue, rsi = name
; out:      nothing
; clobbers: scratch
; interrupts: either
routine workqueue_init, "workqueue_init"
        push rbx
        mov rbx, rdi
        push rsi
        mov esi, workqueue_size
        call fill_zero
        pop rsi
        mov [rbx+workqueue.name], rsi
        lea rdi, [rbx+workqueue.more]
        call waitq_init
        lea rdi, [rbx+workqueue.drained]
        call waitq_init
        lea rdi, [rbx+workqueue.destroyed]
        call completion_init
        pop rbx
        ret

; queue_work - hands work to a queue.
; in:       rdi = queue, rsi = work
; out:      eax = 1 if it will run; 0 if it is pending already, if the queue is closed, if the work runs on another
;           queue just now, or if there was no memory for a worker
; clobbers: scratch
; interrupts: either; from threads and handlers
routine queue_work, "queue_work"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        mov r12, rsi
%ifdef BUG_B27
        pushfq                  ; interrupts stay on while the lock is held: a handler that queues spins on it for ever
%else
        irq_save
%endif
        xor eax, eax
        lock bts dword [r12+work.state], WORK_PENDING
        jc .done
        spin_lock rbx+workqueue.more+waitq.lock
        call work_acceptable
        test eax, eax
        jz .refuse
        call worker_ensure
        test eax, eax
        jz .refuse
        call work_append
%ifdef BUG_B27
        cli                     ; the ready queue, behind this call, is sound
%endif
        lea rdi, [rbx+workqueue.more]
        call waitq_wake_one
        mov eax, 1
        jmp .unlock
.refuse:
        lock btr dword [r12+work.state], WORK_PENDING
.unlock:
        spin_unlock rbx+workqueue.more+waitq.lock
.done:
        irq_restore
        pop r12
        pop rbx
        pop rbp
        ret

; work_acceptable - may this queue take this work?
; in:       rbx = queue, locked; r12 = work
; out:      eax = 1 if so, else 0
; clobbers: rcx
; interrupts: off
routine work_acceptable, "work_acceptable"
        xor eax, eax
        bt dword [rbx+workqueue.flags], WQ_CLOSED
        jc .done
        bt dword [r12+work.state], WORK_RUNNING
        jnc .fine
        cmp rbx, [r12+work.queue]       ; two workers must not run one item at a time
        jne .done
.fine:
        mov eax, 1
.done:
        ret

; worker_ensure - makes the queue's worker if there is none yet.
; in:       rbx = queue, locked
; out:      eax = 1 if there is a worker, else 0
; clobbers: scratch
; interrupts: off
routine worker_ensure, "worker_ensure"
        cmp qword [rbx+workqueue.worker], 0
        jne .there
        lea rdi, [worker_main]
        mov rsi, rbx
        mov rdx, [rbx+workqueue.name]
        call kthread_create
        test rax, rax
        jz .done
        mov [rbx+workqueue.worker], rax
        mov [rax+thread.serves], rbx
        mov rdi, rax
        call kthread_start
.there:
        mov eax, 1
.done:
        ret

; work_append - puts work at the end of the list.
; in:       rbx = queue, locked; r12 = work, Pending by our hand
; out:      nothing
; clobbers: rax
; interrupts: off
routine work_append, "work_append"
        mov [r12+work.queue], rbx
        mov qword [r12+work.next], 0
%ifdef BUG_B9A
        ; `completed` stays as the last run left it: whoever waits for this one need not
%elifdef BUG_B9B
        mov dword [r12+work.completed], 0
%endif
        inc qword [r12+work.queued]
        inc qword [rbx+workqueue.queued]
        mov rax, [rbx+workqueue.tail]
        mov [rbx+workqueue.tail], r12
        test rax, rax
        jz .first
        mov [rax+work.next], r12
        ret
.first:
        mov [rbx+workqueue.head], r12
        ret

; work_take - takes the first work off the list.
; in:       rbx = queue, locked
; out:      rax = work, or 0
; clobbers: rcx
; interrupts: off
routine work_take, "work_take"
        mov rax, [rbx+workqueue.head]
        test rax, rax
        jz .done
        mov rcx, [rax+work.next]
        mov [rbx+workqueue.head], rcx
        test rcx, rcx
        jnz .done
        mov [rbx+workqueue.tail], rcx
.done:
        ret

; worker_main - a worker's life: take work, do it, sleep when there is none, end when the queue is closed and empty.
; in:       rdi = queue
; out:      rax = 0, the exit code
; clobbers: everything
; interrupts: on
routine worker_main, "worker_main"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
.next:
        irq_save
        spin_lock rbx+workqueue.more+waitq.lock
.look:
%ifdef BUG_B10
        bt dword [rbx+workqueue.flags], WQ_CLOSED
        jc .end                 ; the list is not looked at: what came between destroy's flush and its flag never runs
%endif
        call work_take
        mov r12, rax
        test rax, rax
        jnz .work
        bt dword [rbx+workqueue.flags], WQ_CLOSED
        jc .end
%ifdef BUG_B8
        ; the list was seen empty, and the worker does not sleep yet: work that is queued here wakes nobody
        spin_unlock rbx+workqueue.more+waitq.lock
        irq_restore
        irq_save
        spin_lock rbx+workqueue.more+waitq.lock
%endif
        lea rdi, [rbx+workqueue.more]
        call waitq_block        ; the lock was held since the list was seen empty
        jmp .look
.work:
        spin_unlock rbx+workqueue.more+waitq.lock
        irq_restore
        mov rdi, r12
        call work_execute
        mov rdi, rbx
        call work_finished
        jmp .next
.end:
        spin_unlock rbx+workqueue.more+waitq.lock
        irq_restore
        xor eax, eax
        pop r12
        pop rbx
        pop rbp
        ret

; work_finished - counts a work item that has run, and wakes the flushers to look.
; in:       rdi = queue
; out:      nothing
; clobbers: scratch
; interrupts: either
routine work_finished, "work_finished"
        irq_save
        spin_lock rdi+workqueue.drained+waitq.lock
        inc qword [rdi+workqueue.finished]
        add rdi, workqueue.drained
        call waitq_wake_all
        spin_unlock rdi+waitq.lock
        irq_restore
        ret

; flush_workqueue - waits until everything that was queued before this call has run.
; in:       rdi = queue
; out:      rax = 0; -EDEADLK from the queue's own work
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine flush_workqueue, "flush_workqueue"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        mov rax, [gs:processor.current]
        cmp rbx, [rax+thread.serves]
        mov rax, -EDEADLK
        je .done
%ifdef BUG_B7
        ; an item that is queued and waited for, as if there were a worker: after destroy nobody runs it
        sub rsp, work_size
        mov r12, rsp
        mov rdi, r12
        lea rsi, [completion_done]
        lea rdx, [rbx+workqueue.destroyed]
        mov rcx, [rbx+workqueue.name]
        call work_init
        irq_save
        spin_lock rbx+workqueue.more+waitq.lock
        lock bts dword [r12+work.state], WORK_PENDING
        call work_append
        lea rdi, [rbx+workqueue.more]
        call waitq_wake_one
        spin_unlock rbx+workqueue.more+waitq.lock
        irq_restore
        mov rdi, r12
        call work_wait
        add rsp, work_size
        jmp .done
%endif
        irq_save
        spin_lock rbx+workqueue.drained+waitq.lock
        mov r12, [rbx+workqueue.queued]
.again:
        cmp [rbx+workqueue.finished], r12
        jae .flushed
        lea rdi, [rbx+workqueue.drained]
        call waitq_block
        jmp .again
.flushed:
        spin_unlock rbx+workqueue.drained+waitq.lock
        irq_restore
        xor eax, eax
.done:
        pop r12
        pop rbx
        pop rbp
        ret

; destroy_workqueue - closes a queue: what is pending still runs, then the worker ends.
; in:       rdi = queue; its memory stays the caller's
; out:      rax = 0; -EALREADY if it was destroyed before (and by now is); -EDEADLK from the queue's own work
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine destroy_workqueue, "destroy_workqueue"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        mov rax, [gs:processor.current]
        cmp rbx, [rax+thread.serves]
        mov rax, -EDEADLK
        je .done
%ifdef BUG_B10
        mov rdi, rbx            ; "all has run" is found out first, and the queue closed afterwards
        call flush_workqueue
%endif
        irq_save
        spin_lock rbx+workqueue.more+waitq.lock
        lock bts dword [rbx+workqueue.flags], WQ_CLOSED
        setc r12b               ; was it closed before?
        lea rdi, [rbx+workqueue.more]
        call waitq_wake_all
        spin_unlock rbx+workqueue.more+waitq.lock
        irq_restore
        test r12b, r12b
        jnz .again
        mov r12, [rbx+workqueue.worker] ; nobody makes one any more
        test r12, r12
        jz .no_worker
        mov rdi, r12
        call kthread_stop
        mov rdi, r12
        call kthread_join
        mov qword [rbx+workqueue.worker], 0
.no_worker:
        lea rdi, [rbx+workqueue.destroyed]
        call complete_all
        xor eax, eax
        jmp .done
.again:
        lea rdi, [rbx+workqueue.destroyed]
        call wait_for_completion
        mov rax, -EALREADY
.done:
        pop r12
        pop rbx
        pop rbp
        ret
