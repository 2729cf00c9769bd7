; tests_calls.asm - stages of system calls that block and return.
;
; Room's rule: every call goes through user_exact, which looks at all sixteen registers and the flags.

section .text
pads
; start_user entry, argument, "name", register - starts a program. clobbers: scratch
%macro start_user 4
        mov edi, %1
        mov esi, %2
        text_of rdx, %3
        call user_run
        test rax, rax
        must nz, "there is memory for a program"
        mov %4, rax
%endmacro

; join_user thread, code, "what should hold" - a program must end with that exit code. clobbers: scratch
%macro join_user 3
        mov rdi, %1
        call kthread_join
        cmp rax, %2
        must e, %3
%endmacro

; test_calls - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_calls, "test_calls"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        call test_user_read
        call test_user_wait_on
        call test_user_refused
        call test_user_exact
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; test_user_read - a program sleeps in read until input comes; two, and each gets its own.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_user_read, "test_user_read"
        begin "user-read-blocks"
        start_user user_reader, 8, "reader", rbx
        until_state rbx, STATE_BLOCKED
        lea rax, [serial_readers]
        cmp [rbx+thread.wait_queue], rax
        must e, "it is among the readers"
        mov edi, 'u'
        mov esi, 3
        call serial_feed
        join_user rbx, 3*256+'u', "it has read three bytes, and its registers are exact"

        start_user user_reader, 1, "reader-1", rbx
        until_state rbx, STATE_BLOCKED
        start_user user_reader, 2, "reader-2", r12
        until_state r12, STATE_BLOCKED
        mov edi, 'v'
        mov esi, 2
        call serial_feed
        join_user rbx, 256+'v', "the first has read one byte"
        join_user r12, 256+'w', "the second the other"
        passed
        ret

; test_user_wait_on - programs with an address space each wait on one word of shared memory; a third one wakes them.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
routine test_user_wait_on, "test_user_wait_on"
        begin "user-wait-on-wakes"
        mov rax, [user_shared]
        mov dword [rax], 5
        start_user user_waiter, 5, "waiter-1", rbx
        start_user user_waiter, 5, "waiter-2", r12
        until_state rbx, STATE_BLOCKED
        until_state r12, STATE_BLOCKED
        mov rax, [user_shared]
        cmp [rbx+thread.wait_word], rax
        must e, "the word is named by its place in memory"
        start_user user_waker, 6, "waker", r13
        join_user r13, 2*16, "two were woken"
        join_user rbx, 0, "the first went on, exact"
        join_user r12, 0, "and the second"
        start_user user_waiter, 5, "late-waiter", rbx
        join_user rbx, -EAGAIN, "a value that differs is not waited for"
        start_user user_waker, 7, "late-waker", rbx
        join_user rbx, 0, "nobody is left to be woken"
        passed
        ret

; test_user_refused - wrong addresses and sizes are refused, and nothing is taken for them.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_user_refused, "test_user_refused"
        begin "user-blocking-calls-refused"
        mov edi, 'r'
        mov esi, 2
        call serial_feed
        run_user user_wrong_calls, 0, "wrong-calls"
        cmp rax, 42
        must e, "wrong addresses and sizes are refused"
        must_read 'r', 2
        passed
        ret

; test_user_exact - three programs make calls of every kind and are switched between at each tick.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
routine test_user_exact, "test_user_exact"
        begin "user-registers-exact"
        mov edi, 1
        call quantum_set
        start_user user_caller, 3, "caller-1", rbx
        start_user user_caller, 5, "caller-2", r12
        start_user user_caller, 7, "caller-3", r13
        join_user rbx, 42, "the first program's registers were exact"
        join_user r12, 42, "the second's"
        join_user r13, 42, "the third's"
        mov edi, QUANTUM
        call quantum_set
        passed
        ret
