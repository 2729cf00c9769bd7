; tests_kthread.asm - stages of kernel threads: the seven of a life, then every other promise.
;
; Room's rule: a request is tried in each order in which it can come: before, during and after what it is about.

section .bss
life_running:   resq 1          ; what the thread of test_life has done so far
life_stopped:   resq 1
life_unparked:  resq 1

section .text
pads
; test_kthread_life - one thread from creation to join: the seven stages.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_kthread_life, "test_kthread_life"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov qword [life_running], 0
        mov qword [life_stopped], 0
        mov qword [life_unparked], 0
        mov r12, [threads_count]
        begin "kthread-created"
        lea rdi, [life_main]
        mov esi, 0x1234
        text_of rdx, "life"
        call kthread_create
        mov rbx, rax
        test rax, rax
        must nz, "there is memory for a thread"
        call yield
        cmp dword [rbx+thread.state], STATE_NEW
        must e, "it does not run before it is started"
        mov rax, [rbx+thread.tid]
        lea rcx, [thread_table]
        cmp [rcx+rax*8], rbx
        must e, "it is in the table already"
        passed

        begin "kthread-running"
        mov rdi, rbx
        call kthread_start
        test rax, rax
        must z, "it can be started"
        mov rdi, rbx
        call kthread_start
        cmp rax, -EINVAL
        must e, "but not twice"
.running:
        call yield
        cmp qword [life_running], 0x1234
        jne .running            ; its argument has arrived
        passed

        begin "kthread-parked"
.parking:
        call yield
        mov rdi, rbx
        call kthread_parked
        test eax, eax
        jz .parking
        until_state rbx, STATE_BLOCKED
        cmp qword [life_unparked], 0
        must e, "it sleeps in kthread_park"
        passed

        begin "kthread-unparked"
        mov rdi, rbx
        call kthread_unpark
.waking:
        call yield
        cmp qword [life_unparked], 1
        jne .waking
        passed

        begin "kthread-stop-seen"
        mov rdi, rbx
        call kthread_stop
        test rax, rax
        must z, "it can be stopped"
.stopping:
        call yield
        cmp qword [life_stopped], 1
        jne .stopping
        passed

        begin "kthread-exited"
        until_state rbx, STATE_DEAD
        bt dword [rbx+thread.flags], FLAG_EXITED
        must c, "it is marked as ended"
        lea rdi, [rbx+thread.exited]
        call completion_done
        must nz, "who joins will not wait"
        passed

        begin "kthread-joined"
        mov rdi, rbx
        call kthread_join
        cmp rax, 77
        must e, "join gives the exit code"
        cmp [threads_count], r12
        must e, "the thread is gone from the table"
        passed
        pop r12
        pop rbx
        pop rbp
        ret

; life_main - a thread: runs, parks, then waits for the stop.
; in:       rdi = 0x1234
; out:      rax = 77
; clobbers: everything
; interrupts: on
routine life_main, "life_main"
        mov [life_running], rdi
        call yield
        call kthread_park
        inc qword [life_unparked]
.again:
        call yield
        call kthread_should_stop
        test eax, eax
        jz .again
        inc qword [life_stopped]
        mov eax, 77
        ret

; test_kthread_promises - the rest of what kthreads promise.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_kthread_promises, "test_kthread_promises"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        call test_exit_code
        call test_stop_twice
        call test_stop_parked
        call test_stop_early
        call test_park_tokens
        call test_outside
        pop r12
        pop rbx
        pop rbp
        ret

; test_exit_code - the exit code is 64 bits, whether returned or given to kthread_exit.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_exit_code, "test_exit_code"
        begin "kthread-exit-code"
        mov rbx, 0x123456789abcdef0
        spawn return_argument, rbx, "returns"
        mov rdi, rax
        call kthread_join
        cmp rax, rbx
        must e, "what the function returned"
        not rbx
        spawn exit_argument, rbx, "exits"
        mov rdi, rax
        call kthread_join
        cmp rax, rbx
        must e, "what kthread_exit was given"
        passed
        ret

; return_argument, exit_argument - threads that end with their argument as exit code.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine return_argument, "return_argument"
        mov rax, rdi
        ret
routine exit_argument, "exit_argument"
        push rdi
        call exit_deep          ; from somewhere below its first function
        ud2
routine exit_deep, "exit_deep"
        mov rdi, [rsp+8]
        jmp kthread_exit

; until_stopped - a thread: yields until it is asked to stop.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine until_stopped, "until_stopped"
        mov rbx, rdi
.again:
        call yield
        call kthread_should_stop
        test eax, eax
        jz .again
        mov rax, rbx
        ret

; park_until_stopped - a thread: parks again and again until it is asked to stop.
; in:       rdi = exit code
; out:      rax = exit code
; clobbers: everything
; interrupts: on
routine park_until_stopped, "park_until_stopped"
        mov rbx, rdi
.again:
        call kthread_park
        call kthread_should_stop
        test eax, eax
        jz .again
        mov rax, rbx
        ret

; test_stop_twice - a second stop, and a stop after the end, say "already".
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_stop_twice, "test_stop_twice"
        begin "kthread-double-stop"
        spawn until_stopped, 3, "stopped-twice"
        mov rbx, rax
        call yield
        irq_save                ; so that it cannot end in between
        mov rdi, rbx
        call kthread_stop
        mov r12, rax
        mov rdi, rbx
        call kthread_stop
        irq_restore
        test r12, r12
        must z, "the first stop counts"
        cmp rax, -EALREADY
        must e, "the second one says so"
        passed

        begin "kthread-stop-after-exit"
        until_state rbx, STATE_DEAD
        mov rdi, rbx
        call kthread_stop
        cmp rax, -EALREADY
        must e, "it has ended"
        mov rdi, rbx
        call kthread_join
        cmp rax, 3
        must e, "its exit code is untouched"
        spawn return_argument, 4, "short"
        mov rbx, rax
        until_state rbx, STATE_DEAD
        mov rdi, rbx
        call kthread_stop
        cmp rax, -EALREADY
        must e, "one that ended by itself is not stopped either"
        mov rdi, rbx
        call kthread_join
        passed
        ret
