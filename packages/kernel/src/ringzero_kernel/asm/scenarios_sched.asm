; scenarios_sched.asm - scenarios of the scheduler and of the way back from an interrupt.
;
; Room's rule: as in scenarios.asm.

section .text
pads
; try_woken - the boot thread sleeps and is woken by a thread that is always ready.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_woken, "try_woken"
        push rbx
        call try_init
        spawn try_busy_waker, 1, "busy-waker"
        mov rbx, rax
        lea rdi, [try_done]
        call wait_for_completion
        mov qword [try_flag], 1
        mov rdi, rbx
        call kthread_join
        cmp rax, 1
        must e, "the other has seen that it runs"
        passed
        pop rbx
        ret

; try_busy_waker - a thread: completes try_done, then lets others run until try_flag is set.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine try_busy_waker, "try_busy_waker"
        mov rbx, rdi
        lea rdi, [try_done]
        call complete
.again:
        call yield
        cmp qword [try_flag], 0
        je .again
        mov rax, rbx
        ret

; try_yield - three threads give the CPU to each other; each comes back to itself.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_yield, "try_yield"
        push rbx
        push r12
        spawn try_yielder, 2, "first"
        mov rbx, rax
        spawn try_yielder, 3, "second"
        mov r12, rax
        mov edi, 1
        call try_yielder
        cmp rax, 1
        must e, "the boot thread has its registers"
        mov rdi, rbx
        call kthread_join
        cmp rax, 2
        must e, "so has the first thread"
        mov rdi, r12
        call kthread_join
        cmp rax, 3
        must e, "so has the second"
        passed
        pop r12
        pop rbx
        ret

; try_yielder - yields twice, and looks who it is; also a thread.
; in:       rdi = a number
; out:      rax = the number
; clobbers: scratch
; interrupts: on
routine try_yielder, "try_yielder"
        push rbx
        push r12
        push r13
        mov rbx, rdi
        mov r12, [gs:processor.current]
        mov r13d, 2
.again:
        call yield
        cmp r12, [gs:processor.current]
        must e, "the thread that runs is the one on record"
        dec r13d
        jnz .again
        mov rax, rbx
        pop r13
        pop r12
        pop rbx
        ret

; try_free - a dead thread is freed while another is ready.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_free, "try_free"
        push rbx
        push r12
        spawn return_argument, 4, "leaver"
        mov rbx, rax
        spawn try_yielder, 5, "yielder"
        mov r12, rax
        mov rdi, rbx
        call kthread_join
        cmp rax, 4
        must e, "the leaver's code arrives"
        mov rdi, r12
        call kthread_join
        cmp rax, 5
        must e, "and the yielder's"
        passed
        pop r12
        pop rbx
        ret

; try_registers - a sum in which every register has a share comes out right, whatever comes between.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
TRY_ROUNDS      equ 40
routine try_registers, "try_registers"
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        xor eax, eax
        mov ebx, 1
        mov edx, 2
        mov esi, 3
        mov edi, 4
        mov ebp, 5
        mov r8d, 6
        mov r9d, 7
        mov r10d, 8
        mov r11d, 9
        mov r12d, 10
        mov r13d, 11
        mov r14d, 12
        mov r15d, 13
        mov ecx, TRY_ROUNDS
.next:
        add rax, rbx
        add rax, rdx
        add rax, rsi
        add rax, rdi
        add rax, rbp
        add rax, r8
        add rax, r9
        add rax, r10
        add rax, r11
        add rax, r12
        add rax, r13
        add rax, r14
        add rax, r15
        dec ecx
        jnz .next
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        cmp rax, TRY_ROUNDS * 13*14/2
        must e, "every register kept its value"
        passed
        ret

; try_ticks - a thread counts while the boot thread sleeps for two ticks: with a periodic timer, both get on.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_ticks, "try_ticks"
        push rbx
        spawn try_counter, 300, "counter"
        mov rbx, rax
        mov edi, 2
        call sleep_ticks
        mov rdi, rbx
        call kthread_join
        cmp rax, 300
        must e, "the count is whole"
        passed
        pop rbx
        ret

; try_counter - a thread: counts.
; in:       rdi = how far
; out:      rax = how far it came
; clobbers: everything
; interrupts: on
routine try_counter, "try_counter"
        xor eax, eax
.next:
        inc rax
        cmp rax, rdi
        jb .next
        ret
