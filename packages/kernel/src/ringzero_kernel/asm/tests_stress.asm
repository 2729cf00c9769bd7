; tests_stress.asm - stages with many threads.
;
; Room's rule: the same promises, many at a time; nothing may be left over at the end.

STRESS_THREADS  equ 100
STRESS_ROUNDS   equ 50

section .bss
stress_threads: resq STRESS_THREADS
stress_heap:    resq 1
stress_count:   resq 1
stress_runs:    resq 1

section .text
pads
; test_stress - 100 parking threads, rapid stop, join all; 50 rounds of create, stop, join.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_stress, "test_stress"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rax, [threads_count]
        mov [stress_count], rax
        mov rax, [heap_used]
        mov [stress_heap], rax
        begin "stress-create"
        call stress_create
        passed
        begin "stress-all-parked"
        call stress_await_parked
        passed
        begin "stress-unpark"
        call stress_unpark
        call stress_await_parked
        passed
        begin "stress-rapid-stop"
        call stress_stop
        passed
        begin "stress-join-all"
        call stress_join
        call stress_nothing_left
        passed
        begin "stress-rounds"
        call stress_rounds
        call stress_nothing_left
        passed
        pop r12
        pop rbx
        pop rbp
        ret

; stress_create - starts all the threads, each with its number as exit code.
; in:       nothing
; out:      [stress_threads]
; clobbers: scratch, rbx
; interrupts: on
routine stress_create, "stress_create"
        xor ebx, ebx
.next:
        spawn park_until_stopped, rbx, "stress"
        lea rcx, [stress_threads]
        mov [rcx+rbx*8], rax
        inc ebx
        cmp ebx, STRESS_THREADS
        jb .next
        ret

; stress_await_parked - waits until every thread sleeps in its park, with no token left.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine stress_await_parked, "stress_await_parked"
        xor ebx, ebx
.next:
        lea rcx, [stress_threads]
        mov rcx, [rcx+rbx*8]
        bt dword [rcx+thread.flags], FLAG_UNPARK
        jc .wait
        cmp dword [rcx+thread.state], STATE_BLOCKED
        je .parked
.wait:
        call yield
        jmp .next
.parked:
        inc ebx
        cmp ebx, STRESS_THREADS
        jb .next
        ret

; stress_unpark - unparks every thread; each goes once around its loop and parks again.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine stress_unpark, "stress_unpark"
        xor ebx, ebx
.next:
        lea rcx, [stress_threads]
        mov rdi, [rcx+rbx*8]
        call kthread_unpark
        inc ebx
        cmp ebx, STRESS_THREADS
        jb .next
        ret

; stress_stop - stops every thread, one right after the other.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine stress_stop, "stress_stop"
        xor ebx, ebx
.next:
        lea rcx, [stress_threads]
        mov rdi, [rcx+rbx*8]
        call kthread_stop
        test rax, rax
        must z, "each could be stopped"
        inc ebx
        cmp ebx, STRESS_THREADS
        jb .next
        ret

; stress_join - joins every thread and checks its exit code.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine stress_join, "stress_join"
        xor ebx, ebx
.next:
        lea rcx, [stress_threads]
        mov rdi, [rcx+rbx*8]
        call kthread_join
        cmp rax, rbx
        must e, "each gave its own exit code"
        inc ebx
        cmp ebx, STRESS_THREADS
        jb .next
        ret

; stress_rounds - creates, stops and joins, again and again; the stop may come before the thread's first instruction.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine stress_rounds, "stress_rounds"
        xor ebx, ebx
.next:
        spawn park_until_stopped, rbx, "round"
        mov r12, rax
        mov rdi, rax
        call kthread_stop
        test rax, rax
        must z, "it could be stopped"
        mov rdi, r12
        call kthread_join
        cmp rax, rbx
        must e, "it gave its exit code"
        inc ebx
        cmp ebx, STRESS_ROUNDS
        jb .next
        ret

; stress_nothing_left - threads and heap blocks are as many as before.
; in:       nothing
; out:      nothing
; clobbers: rax
; interrupts: on
routine stress_nothing_left, "stress_nothing_left"
        mov rax, [stress_count]
        cmp [threads_count], rax
        must e, "no thread is left"
        mov rax, [stress_heap]
        cmp [heap_used], rax
        must e, "no memory is left"
        ret

; test_stress_work - many threads queue work on one queue and wait for it, over and over.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
STRESS_PRODUCERS equ 8
STRESS_WORKS    equ 20          ; by each of them
routine test_stress_work, "test_stress_work"
        push rbp
        mov rbp, rsp
        push rbx
        begin "stress-work"
        mov edi, 1
        call quantum_set
        mov qword [stress_runs], 0
        lea rdi, [test_wq]
        text_of rsi, "stress-wq"
        call workqueue_init
        xor ebx, ebx
.start:
        spawn stress_producer, rbx, "producer"
        lea rcx, [stress_threads]
        mov [rcx+rbx*8], rax
        inc ebx
        cmp ebx, STRESS_PRODUCERS
        jb .start
        lea rdi, [test_wq]
        call flush_workqueue
        xor ebx, ebx
.join:
        lea rcx, [stress_threads]
        mov rdi, [rcx+rbx*8]
        call kthread_join
        cmp rax, STRESS_WORKS
        must e, "each wait came back after its own run"
        inc ebx
        cmp ebx, STRESS_PRODUCERS
        jb .join
        cmp qword [stress_runs], STRESS_PRODUCERS*STRESS_WORKS
        must e, "every work ran once"
        lea rdi, [test_wq]
        call destroy_workqueue
        mov edi, QUANTUM
        call quantum_set
        passed
        pop rbx
        pop rbp
        ret

; stress_producer - a thread: queues its own work item and waits for it, again and again.
; in:       rdi = which item is its own
; out:      rax = how often queueing and waiting did what they should
; clobbers: everything
; interrupts: on
routine stress_producer, "stress_producer"
        imul rbx, rdi, work_size
        lea rax, [works]
        add rbx, rax
        mov rdi, rbx
        lea rsi, [stress_count_work]
        xor edx, edx
        text_of rcx, "stress"
        call work_init
        xor r12d, r12d
.next:
        lea rdi, [test_wq]
        mov rsi, rbx
        call queue_work
        test eax, eax
        jz .done
        mov rdi, rbx
        call work_wait
        inc r12
        cmp [rbx+work.ran], r12
        jne .done
        cmp r12, STRESS_WORKS
        jb .next
        mov rax, r12
        ret
.done:
        xor eax, eax
        ret

; stress_count_work - work: counts itself.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine stress_count_work, "stress_count_work"
        lock inc qword [stress_runs]
        ret
