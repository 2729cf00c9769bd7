; work.asm - a unit of deferred work.
;
; Room's rule: a work item counts. `queued` says how often it was accepted, `ran` how often it has run; to wait is to
; wait for a number, so that no stale "done" can be mistaken for a fresh one.
;
;             queue_work               worker                    function returns
;     Idle ---------------> Pending ------------> Running --------------------------> Idle
;               queued+1                             |             ran+1, wake
;                                                    '--- queue_work: Pending as well, will run once more
;
; Who changes what:
;   state     LOCK BTS / BTR; whoever sets Pending owns `queue`, `next` and `queued` until the worker takes over
;   ran       under waiters.lock, together with waking the waiters

WORK_PENDING    equ 0           ; bits of work.state
WORK_RUNNING    equ 1

%ifdef BUG_B9A
%define WORK_COMPLETED
%elifdef BUG_B9B
%define WORK_COMPLETED
%endif

struc work
.function       resq 1          ; called with rdi = argument, rsi = the work item
.argument       resq 1
.name           resq 1
.state          resd 1
%ifdef WORK_COMPLETED
.completed      resd 1          ; what B9a and B9b have in place of a comparison of `ran` and `queued`
%else
                resd 1
%endif
.next           resq 1          ; in its queue
.queue          resq 1          ; the queue it was put on last
.queued         resq 1
.ran            resq 1
.waiters        resb waitq_size
endstruc

section .text
pads
; work_init - an idle work item.
; in:       rdi = work, rsi = function, rdx = argument, rcx = name
; out:      nothing
; clobbers: rax, rdi
; interrupts: either
routine work_init, "work_init"
        mov [rdi+work.function], rsi
        mov [rdi+work.argument], rdx
        mov [rdi+work.name], rcx
        xor eax, eax
        mov [rdi+work.state], eax
        mov [rdi+work.next], rax
        mov [rdi+work.queue], rax
        mov [rdi+work.queued], rax
        mov [rdi+work.ran], rax
%ifdef WORK_COMPLETED
        mov [rdi+work.completed], eax
%endif
        add rdi, work.waiters
        jmp waitq_init

; work_execute - runs a work item, then tells those who wait for it.
; in:       rdi = work: Pending, taken off its queue
; out:      nothing; the item may be gone
; clobbers: scratch
; interrupts: on
routine work_execute, "work_execute"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        lock bts dword [rbx+work.state], WORK_RUNNING
        lock btr dword [rbx+work.state], WORK_PENDING   ; from here on it can be queued again
        mov rdi, [rbx+work.argument]
        mov rsi, rbx
        call [rbx+work.function]

%ifdef BUG_B9B
        ; Idle, and not yet `completed`: queued again here, the next run is taken for done when this one says so
        lock btr dword [rbx+work.state], WORK_RUNNING
        irq_save
        spin_lock rbx+work.waiters+waitq.lock
%else
        irq_save                ; Idle, counted and announced in one piece
        spin_lock rbx+work.waiters+waitq.lock
        lock btr dword [rbx+work.state], WORK_RUNNING
%endif
%ifdef WORK_COMPLETED
        mov dword [rbx+work.completed], 1
%endif
        inc qword [rbx+work.ran]
        lea rdi, [rbx+work.waiters]
        call waitq_wake_all
        spin_unlock rbx+work.waiters+waitq.lock         ; the last touch: a waiter may free the item now
        irq_restore
        pop rbx
        pop rbp
        ret

; work_wait - waits until a work item has run as often as it was queued before this call.
; in:       rdi = work
; out:      rax = 0; -EDEADLK from work of the same queue, which would wait for itself
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine flush_work, "flush_work"
routine work_wait, "work_wait"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        mov rbx, rdi
        irq_save
        spin_lock rbx+work.waiters+waitq.lock
        mov r12, [rbx+work.queued]
.again:
        xor r13d, r13d
%ifdef WORK_COMPLETED
        cmp dword [rbx+work.completed], 0
        jne .done
%else
        cmp [rbx+work.ran], r12
        jae .done
%endif
        mov r13, -EDEADLK
        mov rax, [gs:processor.current]
        mov rax, [rax+thread.serves]
        cmp rax, [rbx+work.queue]
        je .done
        lea rdi, [rbx+work.waiters]
        call waitq_block
        jmp .again
.done:
        spin_unlock rbx+work.waiters+waitq.lock
        irq_restore
        mov rax, r13
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
