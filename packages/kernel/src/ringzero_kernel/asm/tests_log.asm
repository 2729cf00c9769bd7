; tests_log.asm - stages of the log where it is hard: a handler logs, and a thread is switched away from, in mid-line.
;
; Room's rule: the serial interrupt comes with every character that is sent, so it always comes inside the log.

section .text
pads
; test_log_handler - a handler logs while a thread is inside the log.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_log_handler, "test_log_handler"
        begin "log-from-handler"
        lea rax, [hook_log]
        mov [serial_hook], rax
        mov qword [hook_calls], 0
        mov qword [hook_limit], 8
        mov qword [hook_inside], 0
        call serial_interrupt_on
        say "a thread is inside the log"
        cmp qword [hook_calls], 8
        must e, "the handler came in while the line was going out"
        cmp qword [hook_inside], 0
        must ne, "and the line was not out yet"
        call check_last_line
        passed
        ret

; test_log_threads - two threads log, and one is switched for the other after nearly every character.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
;
; The serial interrupt, which comes with each character, ends the quantum. Every line must still be whole. The order of
; the lines is the scheduler's business; hence the tilde.
LOG_TEST_LINES  equ 4
LOG_TEST_LENGTH equ 21          ; tilde, 19 letters, line feed
routine test_log_threads, "test_log_threads"
        begin "log-lines-whole"
        mov r13, [log_head]
        lea rax, [hook_preempt]
        mov [serial_hook], rax
        spawn log_thread, 'a', "logs-a"
        mov rbx, rax
        spawn log_thread, 'b', "logs-b"
        mov r12, rax
        call serial_interrupt_on
        mov rdi, rbx
        call kthread_join
        mov rdi, r12
        call kthread_join
        call serial_interrupt_off
        lea rax, [r13+2*LOG_TEST_LINES*LOG_TEST_LENGTH]
        cmp [log_head], rax
        must e, "every line went through the log"
        mov ebx, 2*LOG_TEST_LINES
.line:
        mov rdi, r13
        call log_line_whole
        must e, "no line has another one's letters"
        add r13, LOG_TEST_LENGTH
        dec ebx
        jnz .line
        passed
        ret

; log_thread - a thread: logs lines of one letter.
; in:       rdi = letter
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine log_thread, "log_thread"
        push rbp
        mov rbp, rsp
        sub rsp, 24
        mov byte [rsp], '~'
        mov ecx, LOG_TEST_LENGTH-2
.fill:
        mov [rsp+rcx], dil
        dec ecx
        jnz .fill
        mov byte [rsp+LOG_TEST_LENGTH-1], 10
        mov ebx, LOG_TEST_LINES
.next:
        mov rdi, rsp
        mov esi, LOG_TEST_LENGTH
        call log_write
        dec ebx
        jnz .next
        leave
        xor eax, eax
        ret

; log_line_whole - is this line in the ring a tilde, one letter again and again, and a line feed?
; in:       rdi = its counter in the ring
; out:      zf set if so
; clobbers: rax, rcx, rdx, rdi, r8
; interrupts: either
routine log_line_whole, "log_line_whole"
        lea r8, [log_ring]
        mov ecx, LOG_TEST_LENGTH-3      ; letters that must be the same as the first
        inc rdi
        mov eax, edi
        and eax, LOG_SIZE-1
        mov dl, [r8+rax]
.next:
        inc rdi
        mov eax, edi
        and eax, LOG_SIZE-1
        cmp [r8+rax], dl
        jne .done
        dec ecx
        jnz .next
        inc rdi
        mov eax, edi
        and eax, LOG_SIZE-1
        cmp byte [r8+rax], 10
.done:
        ret

; hook_preempt - a serial hook: ends the quantum of whoever runs.
; in:       nothing
; out:      nothing
; clobbers: nothing
; interrupts: off
routine hook_preempt, "hook_preempt"
        mov dword [gs:processor.need_resched], 1
        ret

; hook_log - a serial hook: at the limit, notes how much of the thread's line is still in the ring, and logs.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine hook_log, "hook_log"
        inc qword [hook_calls]
        mov rax, [hook_calls]
        cmp rax, [hook_limit]
        jne .done
        call serial_interrupt_off
        mov rax, [log_head]
        sub rax, [log_tail]
        mov [hook_inside], rax
        say "a handler has come in and logged"
.done:
        ret
