; structs.asm - the structures that more than one file knows.
;
; Room's rule: a field's comment says who may write it and under which protection.

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
.tss            resq 1
.need_resched   resd 1          ; set by anybody on this CPU, cleared by schedule
.number         resd 1
endstruc
