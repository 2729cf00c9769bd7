; softirq.asm - deferred interrupt work: what a handler leaves to be done with interrupts on.
;
; Room's rule: a handler does what cannot wait and raises the rest. The rest runs on the way out of the interrupt, with
; interrupts on and before any switch of threads; it is never nested in itself or in other deferred work, and never sleeps.
;
;   interrupt --> handler: softirq_raise(n) --> softirq_exit --> preempt_if_due --> iretq
;                                                |       ^
;                          sti, softirq_handlers[n], cli, until nothing is pending; SOFTIRQ_ROUNDS times at most
;
;   processor.softirq_pending     bit n: n was raised, and has not begun to run since
;   processor.softirq_depth       not 0: deferred work runs, or a thread keeps it out
;
; While the depth is not 0 interrupts come as ever, but none of them starts deferred work, and none switches threads. So
; frames of interrupts pile up two high and no higher: one that deferred work runs above, one that interrupts that work.
; What is raised while it runs is run as well, by the loop above; what is still raised after all rounds waits for the way
; out of the next interrupt, so that a flood of interrupts cannot keep threads from running.
;
; A thread may share data with deferred work only with interrupts off, or between softirq_disable and softirq_enable.

SOFTIRQS        equ 4
SOFTIRQ_SERIAL  equ 0           ; input has come
SOFTIRQ_TEST_A  equ 1           ; tests_softirq.asm
SOFTIRQ_TEST_B  equ 2
SOFTIRQ_ROUNDS  equ 10

section .data
        align 8, db 0
softirq_handlers:               ; in: nothing, out: nothing, clobbers: scratch, interrupts: on
                times SOFTIRQS dq softirq_unexpected

section .text
pads
; softirq_set - makes a routine the deferred work of a number.
; in:       edi = number, rsi = routine
; out:      nothing
; clobbers: rax
; interrupts: either
routine softirq_set, "softirq_set"
        lea rax, [softirq_handlers]
        mov [rax+rdi*8], rsi
        ret

; softirq_raise - asks for deferred work, once, however often it is asked for before it runs.
; in:       edi = number
; out:      nothing
; clobbers: nothing
; interrupts: either; from handlers and from deferred work
routine softirq_raise, "softirq_raise"
        bts dword [gs:processor.softirq_pending], edi   ; one instruction on this CPU's own: no lock
        ret

; softirq_exit - on the way out of an interrupt: does what is pending, if this is the place for it.
; in:       rdi = frame
; out:      nothing
; clobbers: scratch
; interrupts: off; on while deferred work runs
routine softirq_exit, "softirq_exit"
        cmp dword [gs:processor.softirq_pending], 0
        je .done
        test dword [rdi+frame.rflags], RFLAGS_IF
        jz .done                ; an exception in a part that must not be interrupted
        cmp dword [gs:processor.softirq_depth], 0
        je softirq_run
.done:
        ret

; softirq_run - does what is pending, the lowest number first, and what is raised meanwhile.
; in:       depth 0
; out:      nothing is pending, or all rounds are over
; clobbers: scratch
; interrupts: off; on while deferred work runs
routine softirq_run, "softirq_run"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov r12d, SOFTIRQ_ROUNDS
        inc dword [gs:processor.softirq_depth]
.round:
        xor ebx, ebx
        xchg ebx, [gs:processor.softirq_pending]
        sti
.next:
        bsf edi, ebx
        jz .end
        btr ebx, edi
        lea rax, [softirq_handlers]
        call [rax+rdi*8]
        jmp .next
.end:
        cli
        cmp dword [gs:processor.softirq_pending], 0
        je .done
        dec r12d
        jnz .round
.done:
        dec dword [gs:processor.softirq_depth]
        pop r12
        pop rbx
        pop rbp
        ret

; softirq_disable - keeps deferred work out on this CPU. Nests; softirq_enable stands in pairs with it.
; in:       nothing
; out:      nothing
; clobbers: flags
; interrupts: either; from threads only, which must not sleep until softirq_enable
routine softirq_disable, "softirq_disable"
        inc dword [gs:processor.softirq_depth]
        ret

; softirq_enable - lets it in again, and does what came meanwhile.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
;
; A switch of threads that fell due meanwhile comes with the next way out of the kernel, an interrupt's or a system
; call's: whoever keeps deferred work out may hold something that the next thread wants.
routine softirq_enable, "softirq_enable"
        cli
        dec dword [gs:processor.softirq_depth]
        jnz .done
        cmp dword [gs:processor.softirq_pending], 0
        je .done
        call softirq_run
.done:
        sti
        ret

; softirq_unexpected - deferred work that nobody does.
; in:       nothing
; out:      does not return
; interrupts: on
routine softirq_unexpected, "softirq_unexpected"
        bug "deferred work that nobody does"
