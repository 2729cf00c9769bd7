; scenarios_wait.asm - scenarios of wait_on, of serial input and of system calls that block.
;
; Room's rule: as in scenarios.asm. Input may come from outside at any place; where none has, it goes round the chip.

section .bss
try_word:       resd 1
                resd 1

section .text
pads
; try_wait_on - a thread waits for a word to change; the boot thread changes it and wakes.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_wait_on, "try_wait_on"
        push rbx
        mov dword [try_word], 0
        spawn try_word_waiter, 6, "word-waiter"
        mov rbx, rax
        call yield              ; it goes to sleep
        mov dword [try_word], 1
        lea rdi, [try_word]
        mov esi, WAKE_ONE
        call wake_on
        mov rdi, rbx
        call kthread_join
        cmp rax, 6
        must e, "the waiter has seen the new value"
        passed
        pop rbx
        ret

; try_word_waiter - a thread: waits until try_word is not 0.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine try_word_waiter, "try_word_waiter"
        mov rbx, rdi
.again:
        cmp dword [try_word], 0
        jne .changed
        lea rdi, [try_word]
        xor esi, esi
        call wait_on
        jmp .again
.changed:
        mov rax, rbx
        ret

; try_serial_read - a thread reads one byte, which comes whenever it likes.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_serial_read, "try_serial_read"
        push rbx
        push r12
        mov r12, [serial_raw_head]
        spawn try_reader, 0, "reader"
        mov rbx, rax
        mov edi, 2
        call sleep_ticks
        cli
        cmp [serial_raw_head], r12
        sti
        jne .came
        mov edi, 'k'
        mov esi, 1
        call serial_feed
.came:
        mov rdi, rbx
        call kthread_join
        cmp rax, 1
        must e, "the reader has its byte"
        passed
        call try_drain
        pop r12
        pop rbx
        ret

; try_reader - a thread: reads one byte.
; in:       nothing
; out:      rax = what serial_read said
; clobbers: everything
; interrupts: on
routine try_reader, "try_reader"
        push 0
        mov rdi, rsp
        mov esi, 1
        call serial_read
        pop rcx
        ret

; try_drain - takes away what has come in and was not read.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_drain, "try_drain"
        push rbp
        mov rbp, rsp
        sub rsp, 16
.again:
        mov rdi, rsp
        mov esi, 16
        call serial_take
        test rax, rax
        jnz .again
        leave
        ret

; try_user_read - a program reads a byte that is there, and looks at its registers afterwards.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_user_read, "try_user_read"
        push rbx
        mov edi, 'k'
        mov esi, 1
        call serial_feed
        mov edi, user_reader
        mov esi, 1
        text_of rdx, "reader"
        call user_run
        mov rdi, rax
        call kthread_join
        cmp rax, 256+'k'
        must e, "the program has read the byte, and its registers are exact"
        passed
        call try_drain
        pop rbx
        ret
