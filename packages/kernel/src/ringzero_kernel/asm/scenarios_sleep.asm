; scenarios_sleep.asm - scenarios of waiting for a completion, and of sleeping.
;
; Room's rule: as in scenarios.asm.

section .text
pads
; try_completer - a thread: notes its argument, then says that it has happened.
; in:       rdi = character
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine try_completer, "try_completer"
        call trace_add
        lea rdi, [test_completion]
        call complete
        xor eax, eax
        ret

; try_completion - the boot thread waits for what another thread does.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_completion, "try_completion"
        push rbx
        lea rdi, [test_completion]
        call completion_init
        spawn try_completer, 'c', "completer"
        mov rbx, rax
        lea rdi, [test_completion]
        call wait_for_completion
        must_trace "c", "it has happened"
        passed
        mov rdi, rbx
        call kthread_join
        pop rbx
        ret

; try_sleeper - a thread: sleeps for a tick, then notes its argument.
; in:       rdi = character
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine try_sleeper, "try_sleeper"
        mov rbx, rdi
        mov edi, 1
        call sleep_ticks
        mov rdi, rbx
        call trace_add
        xor eax, eax
        ret

; try_sleep - a thread sleeps for a tick while the boot thread waits for its end: the CPU idles.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_sleep, "try_sleep"
        spawn try_sleeper, 's', "sleeper"
        mov rdi, rax
        call kthread_join
        test rax, rax
        must z, "it has ended"
        must_trace "s", "after its sleep"
        passed
        ret
