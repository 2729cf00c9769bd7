; sched.asm - who runs next.
;
; Room's rule: interrupts are off in all of this file's work, and the ready queue belongs to one CPU; that is all the
; protection it needs. `schedule` chooses *and* switches: no choice is ever left uncommitted, none is abandoned.
;
;            thread_start            schedule
;      NEW ---------------> READY -----------------> RUNNING ------------> DEAD
;                            ^ ^                      |   |   thread_exit
;                            | '---- quantum over ----'   |
;                            '------- BLOCKED <-----------' waitq_block, kthread_park
;                          thread_wake
;
; The idle thread is RUNNING or nothing: it is in no queue, and schedule falls back on it when the queue is empty.

section .data
sched_quantum:  dq QUANTUM

section .text
pads
; ready_push - puts a thread at the end of this CPU's ready queue.
; in:       rdi = thread, READY
; out:      nothing
; clobbers: rax
; interrupts: off
routine ready_push, "ready_push"
%ifndef BUG_B4
        cmp rdi, [gs:processor.idle]
        je .idle
%endif
        mov qword [rdi+thread.next], 0
        mov rax, [gs:processor.ready_tail]
        mov [gs:processor.ready_tail], rdi
        inc qword [gs:processor.ready_count]
        test rax, rax
        jz .first
        mov [rax+thread.next], rdi
        ret
.first:
        mov [gs:processor.ready_head], rdi
        ret
.idle:
        bug "the idle thread was about to be queued"

; ready_pop - takes the first thread of the ready queue.
; in:       nothing
; out:      rax = thread, or the idle thread when the queue is empty
; clobbers: rcx
; interrupts: off
routine ready_pop, "ready_pop"
        mov rax, [gs:processor.ready_head]
        test rax, rax
        jz .idle
        mov rcx, [rax+thread.next]
        mov [gs:processor.ready_head], rcx
        dec qword [gs:processor.ready_count]
        test rcx, rcx
        jnz .done
        mov qword [gs:processor.ready_tail], 0
.done:
        ret
.idle:
%ifdef BUG_B11
        lea rax, [boot_thread]  ; the boot thread, which may block as well, stands in for nobody
        cmp dword [rax+thread.state], STATE_READY
        je .done
%endif
        mov rax, [gs:processor.idle]
        ret

; schedule - gives the CPU to the next thread. The current one goes to the end of the queue if it is still RUNNING;
;            if it is BLOCKED or DEAD it is left out, whatever need_resched says.
; in:       nothing
; out:      returns when the current thread is chosen again
; clobbers: scratch
; interrupts: off, before and after
routine schedule, "schedule"
        cmp dword [gs:processor.softirq_depth], 0
        jne .deferred
        mov dword [gs:processor.need_resched], 0
        mov rdi, [gs:processor.current]
        cmp dword [rdi+thread.state], STATE_RUNNING
        jne .choose
%ifndef BUG_B4                          ; without this the idle thread takes turns with those that have work
        cmp rdi, [gs:processor.idle]
        je .choose
%endif
        mov dword [rdi+thread.state], STATE_READY
        call ready_push
.choose:
        call ready_pop
        mov dword [rax+thread.state], STATE_RUNNING
        mov ecx, [sched_quantum]
        mov [rax+thread.quantum], ecx
        mov rdi, [gs:processor.current]
        mov rsi, rax
%ifdef BUG_B18
        mov [gs:processor.current], rsi ; committed, with interrupts on before the switch: a tick in between saves
        sti                             ; this thread's registers as the chosen one's
        nop
        cli
%endif
%ifdef BUG_B19
        mov [gs:processor.current], rsi ; committed, and then the dispatch gives up when the table is locked:
        bt dword [threads_lock], 0      ; the recorded thread is not the one that runs on
        jc .abandoned
%endif
        cmp rax, rdi
        jne switch_to           ; returns to our caller, once rdi runs again
%ifdef BUG_B19
.abandoned:
%endif
        ret
.deferred:
        bug "deferred work must not sleep"

; yield - lets the others run first.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either; from threads only
routine yield, "yield"
        irq_save
        call schedule
        irq_restore
        ret

; thread_wake - makes a BLOCKED thread READY; any other is left alone.
; in:       rdi = thread
; out:      rax = 1 if it was BLOCKED, else 0
; clobbers: rcx
; interrupts: off; from threads and handlers
routine thread_wake, "thread_wake"
        mov eax, STATE_BLOCKED
        mov ecx, STATE_READY
        lock cmpxchg [rdi+thread.state], ecx    ; of two who wake, one queues
        jne .no
%ifdef BUG_B11
        lea rax, [boot_thread]  ; the fallback is not queued: it starves behind threads that are always ready
        cmp rdi, rax
        je .fallback
%endif
        call ready_push
%ifdef BUG_B11
.fallback:
%endif
        mov rax, [gs:processor.current]
        cmp rax, [gs:processor.idle]
        jne .done
        mov dword [gs:processor.need_resched], 1        ; idle has nothing to finish
.done:
        mov eax, 1
        ret
.no:
        xor eax, eax
        ret

; quantum_tick - counts one tick of the current thread's quantum.
; in:       nothing
; out:      need_resched, if the quantum is over
; clobbers: rax
; interrupts: off
routine quantum_tick, "quantum_tick"
        mov rax, [gs:processor.current]
        cmp rax, [gs:processor.idle]
        je .done
        cmp dword [rax+thread.quantum], 0
        je .over                ; since an earlier tick: the switch was put off (see softirq.asm)
        dec dword [rax+thread.quantum]
        jnz .done
.over:
        mov dword [gs:processor.need_resched], 1
.done:
        ret

; preempt_if_due - the last thing before an interrupt returns: switches threads if that is due.
; in:       rdi = frame
; out:      returns when the interrupted thread is chosen again
; clobbers: scratch
; interrupts: off
routine preempt_if_due, "preempt_if_due"
        test dword [rdi+frame.rflags], RFLAGS_IF
        jz .no                  ; an exception in a part that must not be interrupted
        cmp dword [gs:processor.softirq_depth], 0
        jne .no                 ; deferred work was interrupted, or a thread that keeps it out
        cmp dword [gs:processor.need_resched], 0
        jne schedule
        mov rax, [gs:processor.current]
        cmp dword [rax+thread.state], STATE_RUNNING
        jne schedule            ; blocked or dead: it must not run on
.no:
        ret

; idle_main - the idle thread: sleeps until an interrupt, for ever.
; in:       nothing
; out:      does not return
; interrupts: either
;
; STI takes effect after the next instruction (SDM 2B, STI), so no interrupt can come between it and HLT: one that
; made a thread ready before CLI is seen by the test, one that comes later ends HLT.
routine idle_main, "idle_main"
.again:
        cli
        cmp qword [gs:processor.ready_head], 0
        jne .work
        sti
        hlt
        jmp .again
.work:
        call schedule
        jmp .again
