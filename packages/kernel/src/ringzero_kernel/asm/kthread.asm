; kthread.asm - kernel threads: create, start, stop, park, join.
;
; Room's rule: what one thread asks of another is a flag in thread.flags, set under the lock that the other holds from
; its test of the flag to its sleep. So a request that comes first is found, and one that comes later wakes.
;
;   kthread_create -> NEW -> kthread_start -> function(argument) -> kthread_exit(code) -> kthread_join: code
;                                               |          ^
;                                    kthread_park          kthread_unpark, kthread_stop
;
; An unpark is a token: one that comes before the park makes that park return at once. A stop stays for good: from
; then on no park sleeps. Whoever creates a kthread joins it, once; that frees it.

section .text
pads
; kthread_create - makes a kernel thread that does not run yet.
; in:       rdi = function(rdi = argument) -> rax = exit code, rsi = argument, rdx = name
; out:      rax = thread, or 0 when memory or TIDs are short
; clobbers: scratch
; interrupts: either; from handlers too
routine kthread_create, "kthread_create"
        call thread_create
        test rax, rax
        jz .done
        lock bts dword [rax+thread.flags], FLAG_KTHREAD
.done:
        ret

; kthread_start - lets a new thread run.
; in:       rdi = thread
; out:      rax = 0, or -EINVAL if it was started before
; clobbers: rcx
; interrupts: either; from handlers too
routine kthread_start, "kthread_start"
        irq_save
        mov eax, STATE_NEW
        mov ecx, STATE_READY
        lock cmpxchg [rdi+thread.state], ecx
        mov rax, -EINVAL
        jne .done
        call ready_push
%ifdef BUG_B13
        irq_restore             ; it may run, and sleep, before its TID means anything: who wakes it finds nobody
        irq_save
        mov rax, [rdi+thread.tid]
        lea rcx, [thread_table]
        mov [rcx+rax*8], rdi
%endif
        xor eax, eax
.done:
        irq_restore
        ret

; kthread_run - kthread_create and kthread_start.
; in:       rdi = function, rsi = argument, rdx = name
; out:      rax = thread, or 0
; clobbers: scratch
; interrupts: either; from handlers too
routine kthread_run, "kthread_run"
        call kthread_create
        test rax, rax
        jz .done
        push rax
        mov rdi, rax
        call kthread_start
        pop rax
.done:
        ret

; kthread_entry - the first code of every thread. One that was stopped before it was started ends here.
; in:       nothing
; out:      does not return
; interrupts: off; on from here on
routine kthread_entry, "kthread_entry"
        push rbp                ; 0: back-traces end here
        mov rbp, rsp
%ifdef BUG_B12
        ; interrupts stay off, as switch_to left them: no tick ever takes the CPU from this thread
%else
        sti
%endif
        mov rax, [gs:processor.current]
        mov rdi, -EINTR
        bt dword [rax+thread.flags], FLAG_CANCEL
        jc kthread_exit
        mov rdi, [rax+thread.argument]
        call [rax+thread.function]
        mov rdi, rax

; kthread_exit - ends the current thread.
; in:       rdi = exit code
; out:      does not return
; interrupts: either
;
; From "it has ended" to the switch away, nothing can come between: a joiner that is woken here finds a thread whose
; stack is no longer in use.
routine kthread_exit, "kthread_exit"
        cli
        mov rbx, [gs:processor.current]
        mov [rbx+thread.exit_code], rdi
%ifdef BUG_B17
        mov dword [rbx+thread.state], STATE_DEAD
        sti                     ; a tick that finds it dead takes the CPU for good, and the joiner was not told
%endif
        lock bts dword [rbx+thread.flags], FLAG_EXITED
        lea rdi, [rbx+thread.exited]
%ifdef BUG_B17
        cli
%endif
%ifdef BUG_B16
        sti                     ; a tick while the lock is held, and the joiner spins on it with interrupts off
        spin_lock rdi+completion.waiters+waitq.lock
        mov qword [rdi+completion.done], -1
        cli
        add rdi, completion.waiters
        call waitq_wake_all
        spin_unlock rdi+waitq.lock
%else
        call complete_all
%endif
        mov dword [rbx+thread.state], STATE_DEAD
        call schedule
        bug "a dead thread runs"

; kthread_should_stop - has somebody asked the current thread to stop?
; in:       nothing
; out:      eax = 1 if so; 0 if not, and 0 for a thread that is no kthread
; clobbers: rcx
; interrupts: either
routine kthread_should_stop, "kthread_should_stop"
        mov rcx, [gs:processor.current]
        mov ecx, [rcx+thread.flags]
        xor eax, eax
        bt ecx, FLAG_KTHREAD
        jnc .done
        bt ecx, FLAG_STOP
        setc al
.done:
        ret

; kthread_stop - asks a thread to stop and wakes it. Does not wait: kthread_join does.
; in:       rdi = thread
; out:      rax = 0, or -EALREADY if it was asked before or has ended
; clobbers: scratch
; interrupts: either; from handlers too
routine kthread_stop, "kthread_stop"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        irq_save
        spin_lock rbx+thread.parking+waitq.lock
        mov rax, -EALREADY
        bt dword [rbx+thread.flags], FLAG_EXITED
        jc .unlock
        lock bts dword [rbx+thread.flags], FLAG_STOP
        jc .unlock
        lea rdi, [rbx+thread.parking]
        call waitq_wake_one
        cmp dword [rbx+thread.state], STATE_NEW
        jne .started
        lock bts dword [rbx+thread.flags], FLAG_CANCEL
        mov rdi, rbx
        call kthread_start      ; it must run to end
.started:
        mov rdi, rbx
        call thread_wake        ; wherever else it sleeps, it looks around and sleeps on
        xor eax, eax
.unlock:
        spin_unlock rbx+thread.parking+waitq.lock
        irq_restore
        pop rbx
        pop rbp
        ret

; kthread_park - the current thread sleeps until it is unparked or stopped; not at all if that came first.
; in:       nothing
; out:      rax = 0 after an unpark, -EINTR after a stop, -EINVAL outside a kthread
; clobbers: scratch
; interrupts: either; holding no lock
routine kthread_park, "kthread_park"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, [gs:processor.current]
        mov r12, -EINVAL
        bt dword [rbx+thread.flags], FLAG_KTHREAD
        jnc .done
        irq_save
        spin_lock rbx+thread.parking+waitq.lock
        lock bts dword [rbx+thread.flags], FLAG_PARKED
.again:
        xor r12d, r12d
        lock btr dword [rbx+thread.flags], FLAG_UNPARK
        jc .leave
%ifdef BUG_B14
        lea rdi, [rbx+thread.parking]   ; sleeps first: a stop since the caller last looked is missed
        call waitq_block
        mov r12, -EINTR
        bt dword [rbx+thread.flags], FLAG_STOP
        jc .leave
%else
        mov r12, -EINTR
        bt dword [rbx+thread.flags], FLAG_STOP
        jc .leave
        lea rdi, [rbx+thread.parking]
        call waitq_block
%endif
        jmp .again
.leave:
        lock btr dword [rbx+thread.flags], FLAG_PARKED
        spin_unlock rbx+thread.parking+waitq.lock
        irq_restore
.done:
        mov rax, r12
        pop r12
        pop rbx
        pop rbp
        ret

; kthread_unpark - wakes a parked thread; if it is not parked, its next park returns at once.
; in:       rdi = thread
; out:      nothing
; clobbers: scratch
; interrupts: either; from handlers too
routine kthread_unpark, "kthread_unpark"
        push rbx
        mov rbx, rdi
        irq_save
        spin_lock rbx+thread.parking+waitq.lock
        lock bts dword [rbx+thread.flags], FLAG_UNPARK
        lea rdi, [rbx+thread.parking]
        call waitq_wake_one
        spin_unlock rbx+thread.parking+waitq.lock
        irq_restore
        pop rbx
        ret

; kthread_parked - is a thread inside kthread_park, asleep?
; in:       rdi = thread
; out:      eax = 1 if so, else 0
; clobbers: flags
; interrupts: either
routine kthread_parked, "kthread_parked"
        xor eax, eax
        bt dword [rdi+thread.flags], FLAG_PARKED
        setc al
        ret

; kthread_join - waits until a thread has ended, and frees it.
; in:       rdi = thread
; out:      rax = exit code; -EDEADLK for the current thread itself, which stays
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine kthread_join, "kthread_join"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        mov r12, -EDEADLK
        cmp rbx, [gs:processor.current]
        je .done
        lea rdi, [rbx+thread.exited]
        call wait_for_completion
.last_steps:
        cmp dword [rbx+thread.on_cpu], 0
        je .free
        pause                   ; with several CPUs: it is in switch_to, a few instructions from its end
        jmp .last_steps
.free:
        mov r12, [rbx+thread.exit_code]
        mov rdi, rbx
        call thread_free
.done:
        mov rax, r12
        pop r12
        pop rbx
        pop rbp
        ret
