; tests_wait_on.asm - stages of wait_on and wake_on.
;
; Room's rule: as in tests_wait.asm, "it waits" means BLOCKED, and that is looked at.

section .bss
wait_words:     resd WAIT_BUCKETS+1     ; the first and the last share a bucket
other_word      equ wait_words + 4*WAIT_BUCKETS

section .text
pads
; test_wait_on - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wait_on, "test_wait_on"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        call test_wait_on_differs
        call test_wake_on_nobody
        call test_wake_on_one
        call test_wake_on_all
        call test_wait_on_word
        call test_wait_on_spurious
        call test_wake_on_handler
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; word_waiter - a thread: waits once on a word that is 0, then notes its letter.
; in:       rdi = letter; bit 8 chooses other_word
; out:      rax = what wait_on said
; clobbers: everything
; interrupts: on
routine word_waiter, "word_waiter"
        mov rbx, rdi
        lea rdi, [wait_words]
        lea rax, [other_word]
        test ebx, 0x100
        cmovnz rdi, rax
        xor esi, esi
        call wait_on
        mov r12, rax
        mov edi, ebx
        call trace_add
        mov rax, r12
        ret

; wake_word word, how many, woken - wakes, and it must be so many. clobbers: scratch
%macro wake_word 3
        lea rdi, [%1]
        mov esi, %2
        call wake_on
        cmp rax, %3
        must e, "as many were woken as should be"
%endmacro

; join_word thread, result - joins a word_waiter, for which wait_on must have had that result. clobbers: scratch
%macro join_word 2
        mov rdi, %1
        call kthread_join
        cmp rax, %2
        must e, "wait_on says why it came back"
%endmacro

; spawn_waiters - three waiters on the first word, asleep in this order.
; in:       nothing
; out:      rbx, r12, r13 = threads
; clobbers: scratch
; interrupts: on
routine spawn_waiters, "spawn_waiters"
        mov dword [wait_words], 0
        spawn word_waiter, 'a', "word-a"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        spawn word_waiter, 'b', "word-b"
        mov r12, rax
        until_state r12, STATE_BLOCKED
        spawn word_waiter, 'c', "word-c"
        mov r13, rax
        until_state r13, STATE_BLOCKED
        ret

; test_wait_on_differs - another value, and it does not sleep.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_wait_on_differs, "test_wait_on_differs"
        begin "wait-on-differs"
        mov rbx, [gs:processor.current]
        mov rbx, [rbx+thread.runs]
        mov dword [wait_words], 7
        lea rdi, [wait_words]
        mov esi, 8
        call wait_on
        cmp rax, -EAGAIN
        must e, "the value is another"
        mov rax, [gs:processor.current]
        cmp [rax+thread.runs], rbx
        must e, "nobody was switched to"
        lea rdi, [wait_words]
        call wait_bucket
        cmp qword [rax+waitq.head], NO_WAITER
        must e, "nobody is in the bucket"
        passed
        ret

; test_wake_on_nobody - a wake-up with nobody there is nothing, and is not kept for later.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_wake_on_nobody, "test_wake_on_nobody"
        begin "wake-on-nobody"
        mov dword [wait_words], 0
        wake_word wait_words, WAKE_ONE, 0
        wake_word wait_words, WAKE_ALL, 0
        spawn word_waiter, 'n', "word-waiter"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        must_no_trace "it sleeps all the same"
        cmp qword [gs:processor.ready_count], 0
        must e, "off the ready queue"
        wake_word wait_words, WAKE_ONE, 1
        join_word rbx, 0
        must_trace "n", "and goes on when it is woken"
        passed
        ret

; test_wake_on_one - one at a time, oldest first.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
routine test_wake_on_one, "test_wake_on_one"
        begin "wake-on-one"
        call spawn_waiters
        wake_word wait_words, WAKE_ONE, 1
        join_word rbx, 0
        must_trace "a", "the one that has waited longest, and no other"
        cmp dword [r12+thread.state], STATE_BLOCKED
        must e, "the second sleeps on"
        wake_word wait_words, WAKE_ONE, 1
        join_word r12, 0
        must_trace "b", "then the second"
        wake_word wait_words, WAKE_ONE, 1
        join_word r13, 0
        must_trace "c", "then the third"
        passed
        ret

; test_wake_on_all - everybody, oldest first.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12, r13
; interrupts: on
routine test_wake_on_all, "test_wake_on_all"
        begin "wake-on-all"
        call spawn_waiters
        irq_save
        wake_word wait_words, WAKE_ALL, 3
        cmp [gs:processor.ready_head], rbx
        must e, "the one that has waited longest is the first to run"
        cmp [rbx+thread.next], r12
        must e, "then the second"
        cmp [r12+thread.next], r13
        must e, "then the third"
        irq_restore
        join_word rbx, 0
        join_word r12, 0
        join_word r13, 0
        cmp qword [trace_length], 3
        must e, "all of them have run"
        mov qword [trace_length], 0     ; in whatever order they came to note it
        wake_word wait_words, WAKE_ALL, 0
        passed
        ret

; test_wait_on_word - two words in one bucket have each their own waiters.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_wait_on_word, "test_wait_on_word"
        begin "wait-on-own-word"
        mov dword [wait_words], 0
        mov dword [other_word], 0
        spawn word_waiter, 'x', "word-x"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        spawn word_waiter, 0x100+'y', "word-y"
        mov r12, rax
        until_state r12, STATE_BLOCKED
        mov rax, [rbx+thread.wait_queue]
        cmp [r12+thread.wait_queue], rax
        must e, "both are in one bucket"
        wake_word other_word, WAKE_ALL, 1
        join_word r12, 0
        must_trace "y", "the other word's waiter alone"
        cmp dword [rbx+thread.state], STATE_BLOCKED
        must e, "the first sleeps on"
        wake_word wait_words, WAKE_ALL, 1
        join_word rbx, 0
        must_trace "x", "until its turn"
        passed
        ret

; test_wait_on_spurious - woken for nothing, a waiter compares again: the same value, and it sleeps on; another, and
;                         it says so.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_wait_on_spurious, "test_wait_on_spurious"
        begin "wait-on-spurious"
        mov dword [wait_words], 0
        spawn word_waiter, 's', "word-waiter"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        mov rdi, rbx
        call wake_for_nothing
        until_state rbx, STATE_BLOCKED
        must_no_trace "it sleeps on"
        mov dword [wait_words], 1
        mov rdi, rbx
        call wake_for_nothing
        join_word rbx, -EAGAIN
        must_trace "s", "it saw the new value"
        passed
        ret

; wake_for_nothing - wakes a thread without taking it out of the queue that it is in.
; in:       rdi = thread, BLOCKED
; out:      nothing
; clobbers: scratch
; interrupts: either
routine wake_for_nothing, "wake_for_nothing"
        irq_save
        call thread_wake
        irq_restore
        cmp eax, 1
        must e, "it was asleep"
        ret

; test_wake_on_handler - a handler changes the word and wakes.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_wake_on_handler, "test_wake_on_handler"
        begin "wake-on-from-handler"
        mov dword [wait_words], 0
        lea rax, [hook_wake_word]
        mov [tick_hook], rax
.again:
        lea rdi, [wait_words]
        xor esi, esi
        call wait_on
        cmp dword [wait_words], 0
        je .again
        cmp qword [tick_hook], 0
        must e, "the handler was there"
        passed
        ret

; hook_wake_word - a tick hook: once, as soon as somebody waits on the first word, changes it and wakes.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine hook_wake_word, "hook_wake_word"
        lea rdi, [wait_words]
        call wait_bucket
        cmp qword [rax+waitq.head], NO_WAITER
        je .done
        mov qword [tick_hook], 0
        mov dword [rdi], 1
        mov esi, WAKE_ONE
        jmp wake_on
.done:
        ret
