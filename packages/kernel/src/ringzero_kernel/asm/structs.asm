; structs.asm - the structures that more than one file knows.
;
; Room's rule: a field's comment says who may write it, or under which protection.

; One processor. Reached through gs, so that no code names "the" processor.
struc processor
.self           resq 1          ; its own linear address
.current        resq 1          ; the thread that runs; written by switch_to alone
.idle           resq 1          ; runs when nobody else can; never on the ready queue
.ready_head     resq 1          ; ready queue, linked by thread.next, 0 ends it
.ready_tail     resq 1          ; this CPU's own: interrupts off is all the protection it needs
.ready_count    resq 1
.kernel_rsp     resq 1          ; top of the current thread's kernel stack, for SYSCALL
.user_rsp       resq 1          ; scratch of the SYSCALL entry, while interrupts are still off
.switches       resq 1          ; context switches so far
.need_resched   resd 1          ; set by anybody on this CPU, cleared by schedule
.number         resd 1
.tss            resb 104        ; task state segment: RSP0 and the interrupt stacks
.softirq_pending resd 1         ; deferred work that was raised, a bit each
.softirq_depth  resd 1          ; not 0: it must not run now, and threads must not be switched (see softirq.asm)
endstruc

; A wait queue: threads that sleep until somebody wakes them, oldest first. It names them by TID.
;
;   waitq.head --> tid 7 -- thread.wait_next --> tid 0 -- thread.wait_next --> NO_WAITER
;   waitq.tail -----------------------------------^
%ifdef BUG_B1
NO_WAITER       equ 0           ; a queue in which TID 0 waits alone looks empty: its wake-up is lost
%else
NO_WAITER       equ -1          ; all ones, never 0: TID 0 is a thread, and it waits like any other
%endif

struc waitq
.lock           resd 1          ; protects the queue and, by its users' choice, the condition waited for
                resd 1
.head           resq 1
.tail           resq 1
endstruc

; Something that happens once, or a number of times: `done` counts what has happened and was not yet waited for.
struc completion
.done           resq 1          ; under waiters.lock
.waiters        resb waitq_size
endstruc

; A thread.
STATE_NEW       equ 0           ; made, never started
STATE_READY     equ 1           ; on the ready queue
STATE_RUNNING   equ 2           ; on a CPU
STATE_BLOCKED   equ 3           ; off the ready queue until somebody wakes it
STATE_DEAD      equ 4           ; never runs again; its structure waits for join

FLAG_KTHREAD    equ 0           ; bits of thread.flags, changed with LOCK BTS and LOCK BTR only
FLAG_STOP       equ 1           ; asked to stop
FLAG_UNPARK     equ 2           ; an unpark came, and no park has used it up
FLAG_PARKED     equ 3           ; inside kthread_park
FLAG_EXITED     equ 4           ; its function has ended
FLAG_CANCEL     equ 5           ; stopped before it was ever started: its function is not called

struc thread
.rsp            resq 1          ; saved stack pointer while it does not run
.tid            resq 1
.name           resb 24
.state          resd 1
.flags          resd 1
.next           resq 1          ; in the ready queue
.wait_next      resq 1          ; TID of the next thread in the wait queue, or NO_WAITER
.wait_queue     resq 1          ; the wait queue it is on, or 0
.wake_at        resq 1          ; the jiffy it sleeps for
.quantum        resd 1          ; ticks left
.on_cpu         resd 1          ; cleared when its stack is no longer in use
.stack_top      resq 1
.cr3            resq 1          ; its address space
.function       resq 1
.argument       resq 1
.exit_code      resq 1
.exited         resb completion_size
.parking        resb waitq_size
.runs           resq 1          ; how often it was switched to
.serves         resq 1          ; the work queue whose worker it is, or 0
.user_argument  resq 1          ; rdi of its user program
.catch_rip      resq 1          ; where to go on after the next exception, or 0 (see exceptions.asm)
.catch_rsp      resq 1
.caught_vector  resq 1
.caught_error   resq 1
.caught_address resq 1
.wait_word      resq 1          ; the word it waits on (see wait_on.asm), or 0; under the bucket's lock
endstruc

; What an interrupt leaves on the stack: pushed by isr.asm (up to vector and error) and by the processor (the rest).
struc frame
.r15            resq 1          ; lowest address
.r14            resq 1
.r13            resq 1
.r12            resq 1
.r11            resq 1
.r10            resq 1
.r9             resq 1
.r8             resq 1
.rbp            resq 1
.rdi            resq 1
.rsi            resq 1
.rdx            resq 1
.rcx            resq 1
.rbx            resq 1
.rax            resq 1
.vector         resq 1
.error          resq 1          ; 0 where the processor pushes none
.rip            resq 1
.cs             resq 1
.rflags         resq 1
.rsp            resq 1
.ss             resq 1
endstruc

; Results: 0 and above is success, below are Linux's numbers.
EINTR           equ 4
EAGAIN          equ 11
ENOMEM          equ 12
EFAULT          equ 14
EINVAL          equ 22
EDEADLK         equ 35
ENOSYS          equ 38
EALREADY        equ 114

RFLAGS_TF       equ 0x100
RFLAGS_IF       equ 0x200
RFLAGS_DF       equ 0x400
RFLAGS_NT       equ 0x4000
RFLAGS_AC       equ 0x40000
