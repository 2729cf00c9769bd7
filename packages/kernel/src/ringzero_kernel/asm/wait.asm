; wait.asm - wait queues and completions.
;
; Room's rule: a condition is tested and the thread put to sleep under one lock, the queue's, with interrupts off; the
; side that makes the condition true holds the same lock. So nothing can come between "not yet" and "asleep":
;
;   waiter                                      waker
;     cli, lock                                   cli, lock
;     while the condition is false:               make the condition true
;         waitq_block: join the queue,            waitq_wake_one or waitq_wake_all
;             state BLOCKED, unlock,              unlock, restore flags
;             schedule ... (woken), lock
;     unlock, restore flags
;
; Every waiter is a loop, because a thread can be woken for another reason (kthread_stop does): a spurious wake-up
; finds the condition still false, and waitq_block takes a thread that nobody took out of the queue out of it.

section .text
pads
; waitq_init - an empty wait queue.
; in:       rdi = queue
; out:      nothing
; clobbers: nothing
; interrupts: either
routine waitq_init, "waitq_init"
        mov dword [rdi+waitq.lock], 0
        mov qword [rdi+waitq.head], NO_WAITER
        mov qword [rdi+waitq.tail], NO_WAITER
        ret

; waitq_block - sleeps in a wait queue until woken, for whatever reason.
; in:       rdi = queue; the caller holds its lock
; out:      the caller holds the lock again; the thread is in no queue
; clobbers: scratch
; interrupts: off; they are on while it sleeps, if other threads have them on
routine waitq_block, "waitq_block"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov r12, rdi
        mov rbx, [gs:processor.current]
        mov rsi, rbx
        call waitq_link
        mov dword [rbx+thread.state], STATE_BLOCKED
        spin_unlock r12+waitq.lock
%ifdef BUG_B3
        ; BLOCKED, it runs on until its quantum is over, and nobody counts while interrupts are off
        cmp dword [gs:processor.need_resched], 0
        je .runs_on
%endif
        call schedule
%ifdef BUG_B3
.runs_on:
%endif
        spin_lock r12+waitq.lock
        cmp qword [rbx+thread.wait_queue], 0
        je .done
        mov rdi, r12
        mov rsi, rbx
        call waitq_unlink
.done:
        pop r12
        pop rbx
        pop rbp
        ret

; waitq_link - puts a thread at the end of a wait queue.
; in:       rdi = queue, locked; rsi = thread, in no queue
; out:      nothing
; clobbers: rax, rcx, rdx
; interrupts: off
routine waitq_link, "waitq_link"
        mov [rsi+thread.wait_queue], rdi
        mov qword [rsi+thread.wait_next], NO_WAITER
        mov rax, [rsi+thread.tid]
        mov rcx, [rdi+waitq.tail]
        mov [rdi+waitq.tail], rax
        cmp rcx, NO_WAITER
        je .first
        lea rdx, [thread_table]
        mov rcx, [rdx+rcx*8]
        mov [rcx+thread.wait_next], rax
        ret
.first:
        mov [rdi+waitq.head], rax
        ret

; waitq_unlink - takes a thread out of a wait queue, wherever it stands.
; in:       rdi = queue, locked; rsi = thread in it
; out:      nothing
; clobbers: rax, rcx, rdx, r8, r9
; interrupts: off
routine waitq_unlink, "waitq_unlink"
        lea rdx, [thread_table]
        mov rax, [rsi+thread.tid]
        mov r9, NO_WAITER       ; the TID before it
        mov rcx, [rdi+waitq.head]
.next:
        cmp rcx, rax
        je .found
        mov r9, rcx
        mov rcx, [rdx+rcx*8]
        mov rcx, [rcx+thread.wait_next]
        jmp .next
.found:
        mov r8, [rsi+thread.wait_next]
        cmp r9, NO_WAITER
        je .first
        mov rcx, [rdx+r9*8]
        mov [rcx+thread.wait_next], r8
        jmp .tail
.first:
        mov [rdi+waitq.head], r8
.tail:
        cmp [rdi+waitq.tail], rax
        jne .done
        mov [rdi+waitq.tail], r9
.done:
        mov qword [rsi+thread.wait_queue], 0
        ret

; waitq_wake_one - wakes the thread that has waited longest.
; in:       rdi = queue, locked
; out:      rax = 1 if there was one, else 0
; clobbers: scratch, but not rdi
; interrupts: off; from threads and handlers
routine waitq_wake_one, "waitq_wake_one"
        push rdi
        mov rax, [rdi+waitq.head]
        cmp rax, NO_WAITER
        je .none
        lea rcx, [thread_table]
        mov rsi, [rcx+rax*8]
        push rsi
        call waitq_unlink
        pop rdi
        call thread_wake
        mov eax, 1
        pop rdi
        ret
.none:
        xor eax, eax
        pop rdi
        ret

; waitq_wake_all - wakes every thread of a wait queue, oldest first.
; in:       rdi = queue, locked
; out:      nothing
; clobbers: scratch, but not rdi
; interrupts: off; from threads and handlers
routine waitq_wake_all, "waitq_wake_all"
.next:
        call waitq_wake_one
        test eax, eax
        jnz .next
        ret

; completion_init - nothing has happened yet.
; in:       rdi = completion
; out:      nothing
; clobbers: rdi
; interrupts: either
routine completion_init, "completion_init"
        mov qword [rdi+completion.done], 0
        add rdi, completion.waiters
        jmp waitq_init

; complete - it has happened once: one waiter may go on, now or later.
; in:       rdi = completion
; out:      nothing
; clobbers: scratch
; interrupts: either; from threads and handlers
routine complete, "complete"
        irq_save
        spin_lock rdi+completion.waiters+waitq.lock
        cmp qword [rdi+completion.done], -1
        je .wake                ; complete_all came before; it stays
        inc qword [rdi+completion.done]
%ifdef BUG_B15
        mfence
%endif
.wake:
        add rdi, completion.waiters
        call waitq_wake_one
        spin_unlock rdi+waitq.lock
        irq_restore
        ret

; complete_all - it has happened for good: all waiters may go on, now and later.
; in:       rdi = completion
; out:      nothing
; clobbers: scratch
; interrupts: either; from threads and handlers
routine complete_all, "complete_all"
        irq_save
        spin_lock rdi+completion.waiters+waitq.lock
        mov qword [rdi+completion.done], -1
        add rdi, completion.waiters
        call waitq_wake_all
        spin_unlock rdi+waitq.lock
        irq_restore
        ret

; wait_for_completion - sleeps until it has happened, and uses one happening up.
; in:       rdi = completion
; out:      nothing
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine wait_for_completion, "wait_for_completion"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        irq_save
        spin_lock rbx+completion.waiters+waitq.lock
.again:
%ifdef BUG_B15
        mfence                  ; nothing to order on one CPU: the lock before it has done so already
%endif
        mov rax, [rbx+completion.done]
        test rax, rax
        jnz .happened
%ifdef BUG_B2
        ; not yet, and not yet asleep: a completion that comes in here wakes nobody
        spin_unlock rbx+completion.waiters+waitq.lock
        irq_restore
        irq_save
        spin_lock rbx+completion.waiters+waitq.lock
%endif
%ifdef BUG_B5
        ; it never sleeps: each round it gives the CPU away, then halts for what is left of its own tick
        spin_unlock rbx+completion.waiters+waitq.lock
        call yield
        sti
        hlt
        cli
        spin_lock rbx+completion.waiters+waitq.lock
%else
        lea rdi, [rbx+completion.waiters]
        call waitq_block
%endif
        jmp .again
.happened:
        cmp rax, -1
        je .done
        dec rax
        mov [rbx+completion.done], rax
.done:
        spin_unlock rbx+completion.waiters+waitq.lock
        irq_restore
        pop rbx
        pop rbp
        ret

; completion_done - has it happened?
; in:       rdi = completion
; out:      zf clear if it has
; clobbers: nothing
; interrupts: either
routine completion_done, "completion_done"
        cmp qword [rdi+completion.done], 0
        ret
