; scenarios_threads.asm - scenarios of threads: birth, park, end.
;
; Room's rule: as in scenarios.asm. Nobody here relies on who comes first: each thread is right in every order.

section .bss
try_done:       resb completion_size    ; what a scenario's threads wait for
try_flag:       resq 1                  ; what they look at

section .text
pads
; try_init - nothing has happened yet.
; in:       nothing
; out:      nothing
; clobbers: rdi
; interrupts: either
routine try_init, "try_init"
        mov qword [try_flag], 0
        lea rdi, [try_done]
        jmp completion_init

; try_spawn - a thread is made and sleeps at once, while another wakes up with a tick and wakes it.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_spawn, "try_spawn"
        push rbx
        push r12
        call try_init
        spawn try_tick_waker, 3, "tick-waker"
        mov r12, rax
        call yield              ; it goes to sleep
        spawn try_waiter, 4, "waiter"
        mov rdi, rax
        call kthread_join
        cmp rax, 4
        must e, "the waiter was woken"
        mov rdi, r12
        call kthread_join
        cmp rax, 3
        must e, "the waker has ended"
        passed
        pop r12
        pop rbx
        ret

; try_tick_waker - a thread: sleeps for a tick, then completes try_done.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine try_tick_waker, "try_tick_waker"
        mov rbx, rdi
        mov edi, 1
        call sleep_ticks
        lea rdi, [try_done]
        call complete
        mov rax, rbx
        ret

; try_waiter - a thread: waits for try_done.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine try_waiter, "try_waiter"
        mov rbx, rdi
        lea rdi, [try_done]
        call wait_for_completion
        mov rax, rbx
        ret

; try_exit - a thread ends while another begins to wait for its end.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_exit, "try_exit"
        push rbx
        spawn return_argument, 5, "leaver"
        mov rbx, rax
        call yield              ; it runs, as far as it is let
        mov rdi, rbx
        call kthread_join
        cmp rax, 5
        must e, "its exit code arrives"
        passed
        pop rbx
        ret

; try_stop - a thread is asked to stop while it looks for that, or parks.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_stop, "try_stop"
        push rbx
        spawn try_parker, 6, "parker"
        mov rbx, rax
        call yield              ; it parks, if it is let
        mov rdi, rbx
        call kthread_stop
        test rax, rax
        must z, "it can be stopped"
        mov rdi, rbx
        call kthread_join
        cmp rax, 6
        must e, "it has seen the stop"
        passed
        pop rbx
        ret

; try_parker - a thread: parks until it is asked to stop.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine try_parker, "try_parker"
        mov rbx, rdi
.again:
        call kthread_should_stop
        test eax, eax
        jnz .stop
        call kthread_park
        jmp .again
.stop:
        mov rax, rbx
        ret

; try_spin - a thread spins for what another does: an interrupt takes the CPU from it.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_spin, "try_spin"
        push rbx
        call try_init
        lea rax, [try_end_quantum]
        mov [serial_hook], rax
        spawn try_spinner, 7, "spinner"
        mov rbx, rax
        call yield              ; until the interrupt that it asks for
        mov qword [try_flag], 1
        mov rdi, rbx
        call kthread_join
        cmp rax, 7
        must e, "it has seen the flag"
        passed
        mov qword [serial_hook], 0
        pop rbx
        ret

; try_spinner - a thread: spins until try_flag is set, and asks for an interrupt each time, so that no time need pass.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine try_spinner, "try_spinner"
        mov rbx, rdi
.again:
        call serial_interrupt_on
        cmp qword [try_flag], 0
        je .again
        mov rax, rbx
        ret

; try_end_quantum - a serial hook: the interrupted thread has run long enough.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine try_end_quantum, "try_end_quantum"
        mov dword [gs:processor.need_resched], 1
        jmp serial_interrupt_off
