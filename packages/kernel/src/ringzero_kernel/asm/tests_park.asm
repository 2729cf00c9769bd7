; tests_park.asm - stages of stop and park, in each order in which the two can come.
;
; Room's rule: what must come first is made to come first with interrupts off, not with luck.

section .text
pads
; test_stop_parked - a stop wakes a parked thread; one that came before the park is not lost.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_stop_parked, "test_stop_parked"
        begin "kthread-stop-wakes-parked"
        spawn park_until_stopped, 5, "parked"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        mov rdi, rbx
        call kthread_stop
        test rax, rax
        must z, "a parked thread can be stopped"
        mov rdi, rbx
        call kthread_join
        cmp rax, 5
        must e, "it woke and ended"
        passed

        begin "kthread-stop-before-park"
        irq_save                ; it must not run before the stop
        spawn park_until_stopped, 6, "stopped-first"
        mov rbx, rax
        mov rdi, rbx
        call kthread_stop
        irq_restore
        mov rdi, rbx
        call kthread_join
        cmp rax, 6
        must e, "its park did not sleep"
        passed
        ret

; test_stop_early - a thread that is stopped before it was started never calls its function.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_stop_early, "test_stop_early"
        begin "kthread-stop-before-start"
        lea rdi, [return_argument]
        mov esi, 8
        text_of rdx, "never"
        call kthread_create
        mov rbx, rax
        mov rdi, rbx
        call kthread_stop
        mov rdi, rbx
        call kthread_join
        cmp rax, -EINTR
        must e, "its function was not called"
        passed
        ret

; test_park_tokens - an unpark that comes first is kept, once; a spurious wake-up does not unpark.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_park_tokens, "test_park_tokens"
        begin "kthread-park-after-unpark"
        mov qword [life_unparked], 0
        irq_save                ; both unparks come before the first park
        spawn park_counter, 0, "park-counter"
        mov rbx, rax
        mov rdi, rbx
        call kthread_unpark
        mov rdi, rbx
        call kthread_unpark
        irq_restore
        until_state rbx, STATE_BLOCKED
        cmp qword [life_unparked], 1
        must e, "the first park returned at once, the second sleeps"
        passed

        begin "kthread-park-spurious"
        irq_save
        mov rdi, rbx
        call thread_wake
        irq_restore
        until_state rbx, STATE_BLOCKED
        cmp qword [life_unparked], 1
        must e, "only an unpark unparks"
        mov rdi, rbx
        call kthread_unpark
.wait:
        call yield
        cmp qword [life_unparked], 2
        jne .wait
        mov rdi, rbx
        call kthread_stop
        mov rdi, rbx
        call kthread_join
        passed
        ret

; park_counter - a thread: counts how often its park returned for an unpark, until it is stopped.
; in:       nothing
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine park_counter, "park_counter"
.again:
        call kthread_park
        test rax, rax
        js .stopped
        inc qword [life_unparked]
        jmp .again
.stopped:
        xor eax, eax
        ret

; test_outside - what a thread that is no kthread, or its own joiner, gets for an answer.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_outside, "test_outside"
        begin "should-stop-outside"
        call kthread_should_stop
        test eax, eax
        must z, "the boot thread is never asked to stop"
        call kthread_park
        cmp rax, -EINVAL
        must e, "nor does it park"
        passed

        begin "kthread-join-self"
        spawn self_joiner, 0, "self-joiner"
        mov rdi, rax
        call kthread_join
        cmp rax, -EDEADLK
        must e, "a thread does not wait for its own end"
        passed
        ret

; self_joiner - a thread: joins itself.
; in:       nothing
; out:      rax = what kthread_join said
; clobbers: everything
; interrupts: on
routine self_joiner, "self_joiner"
        mov rdi, [gs:processor.current]
        jmp kthread_join
