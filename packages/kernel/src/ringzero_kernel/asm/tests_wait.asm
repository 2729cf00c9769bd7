; tests_wait.asm - stages of wait queues and completions.
;
; Room's rule: "it waits" means BLOCKED and off the ready queue; that is looked at, not assumed.

section .bss
test_completion: resb completion_size
test_waitq:     resb waitq_size
wait_passed:    resq 1

section .text
pads
; test_wait - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wait, "test_wait"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        begin "no-waiter-is-all-ones"
        lea rdi, [test_waitq]
        call waitq_init
        cmp qword [test_waitq+waitq.head], -1
        must e, "an empty queue is told from TID 0"
        passed
        call test_completion_first
        call test_completion_wakes
        call test_spurious
        call test_boot_waits
        call test_two_waiters
        call test_waitq_order
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; completion_waiter - a thread: waits for test_completion, then counts itself.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine completion_waiter, "completion_waiter"
        mov rbx, rdi
        lea rdi, [test_completion]
        call wait_for_completion
        lock inc qword [wait_passed]
        mov rax, rbx
        ret

; test_completion_first - a completion that came first is not waited for.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_completion_first, "test_completion_first"
        begin "completion-before-wait"
        lea rdi, [test_completion]
        call completion_init
        lea rdi, [test_completion]
        call complete
        lea rdi, [test_completion]
        call completion_done
        must nz, "it is done"
        lea rdi, [test_completion]
        call wait_for_completion
        lea rdi, [test_completion]
        call completion_done
        must z, "waiting has used it up"
        passed
        ret

; test_completion_wakes - a waiter sleeps off the ready queue until complete.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_completion_wakes, "test_completion_wakes"
        begin "completion-wakes"
        mov qword [wait_passed], 0
        spawn completion_waiter, 5, "waiter"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        cmp qword [gs:processor.ready_count], 0
        must e, "it is off the ready queue"
        mov rax, [rbx+thread.tid]
        cmp [test_completion+completion.waiters+waitq.head], rax
        must e, "it is in the wait queue"
        lea rdi, [test_completion]
        call complete
        mov rdi, rbx
        call kthread_join
        cmp rax, 5
        must e, "it went on"
        cmp qword [test_completion+completion.waiters+waitq.head], NO_WAITER
        must e, "the wait queue is empty"
        passed
        ret

; test_spurious - a thread that is woken for no reason looks and sleeps on.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_spurious, "test_spurious"
        begin "spurious-wakeup"
        mov qword [wait_passed], 0
        spawn completion_waiter, 6, "waiter"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        irq_save
        mov rdi, rbx
        call thread_wake
        irq_restore
        cmp eax, 1
        must e, "it was woken"
        until_state rbx, STATE_BLOCKED
        cmp qword [wait_passed], 0
        must e, "it did not go on"
        lea rdi, [test_completion]
        call complete
        mov rdi, rbx
        call kthread_join
        cmp rax, 6
        must e, "a real wake-up still finds it"
        passed
        ret

; test_boot_waits - TID 0 waits like any other thread.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_boot_waits, "test_boot_waits"
        begin "boot-thread-waits"
        spawn boot_waker, 0, "boot-waker"
        mov rbx, rax
        lea rdi, [test_completion]
        call wait_for_completion
        mov rdi, rbx
        call kthread_join
        cmp rax, 1
        must e, "it was really blocked, and woken by its TID, 0"
        passed
        ret

; boot_waker - a thread: waits until the boot thread sleeps, then completes.
; in:       nothing
; out:      rax = 1 if the boot thread was in the wait queue as TID 0
; clobbers: everything
; interrupts: on
routine boot_waker, "boot_waker"
        mov rbx, [thread_table]
        until_state rbx, STATE_BLOCKED
        xor r12d, r12d
        cmp qword [test_completion+completion.waiters+waitq.head], 0
        sete r12b
        lea rdi, [test_completion]
        call complete
        mov rax, r12
        ret

; test_two_waiters - complete lets one go on, complete_all everybody, for good.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_two_waiters, "test_two_waiters"
        begin "two-waiters"
        mov qword [wait_passed], 0
        spawn completion_waiter, 1, "waiter-1"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        spawn completion_waiter, 2, "waiter-2"
        mov r12, rax
        until_state r12, STATE_BLOCKED
        lea rdi, [test_completion]
        call complete
        mov rdi, rbx
        call kthread_join
        cmp rax, 1
        must e, "the one that waited longest goes first"
        cmp qword [wait_passed], 1
        must e, "and alone"
        lea rdi, [test_completion]
        call complete_all
        mov rdi, r12
        call kthread_join
        cmp rax, 2
        must e, "complete_all lets the other go"
        lea rdi, [test_completion]
        call wait_for_completion
        lea rdi, [test_completion]
        call wait_for_completion
        passed
        ret

; test_waitq_order - a wait queue is first in, first out, and a thread can leave it from the middle.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
routine test_waitq_order, "test_waitq_order"
        begin "wait-queue-order"
        spawn queue_waiter, '1', "queue-1"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        spawn queue_waiter, '2', "queue-2"
        mov r12, rax
        until_state r12, STATE_BLOCKED
        spawn queue_waiter, '3', "queue-3"
        mov r13, rax
        until_state r13, STATE_BLOCKED
        irq_save
        mov rdi, r12            ; out of the middle, by itself
        call thread_wake
        irq_restore
        mov rdi, r12
        call kthread_join
        irq_save
        spin_lock test_waitq+waitq.lock
        lea rdi, [test_waitq]
        call waitq_wake_all
        spin_unlock test_waitq+waitq.lock
        irq_restore
        mov rdi, rbx
        call kthread_join
        mov rdi, r13
        call kthread_join
        must_trace "213", "the order is right"
        cmp qword [test_waitq+waitq.head], NO_WAITER
        must e, "the queue is empty"
        cmp qword [test_waitq+waitq.tail], NO_WAITER
        must e, "at its end as well"
        passed
        ret

; queue_waiter - a thread: blocks once in test_waitq, then notes its number.
; in:       rdi = character
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine queue_waiter, "queue_waiter"
        mov rbx, rdi
        irq_save
        spin_lock test_waitq+waitq.lock
        lea rdi, [test_waitq]
        call waitq_block
        mov rdi, rbx
        call trace_add          ; still under the lock: in the order of the wake-ups
        spin_unlock test_waitq+waitq.lock
        irq_restore
        xor eax, eax
        ret
