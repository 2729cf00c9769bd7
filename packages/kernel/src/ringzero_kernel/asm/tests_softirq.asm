; tests_softirq.asm - stages of deferred interrupt work.
;
; Room's rule: the interrupt is INT of a vector that no line has, so that it comes exactly where it is wanted; its handler
; and the deferred work note letters, and the order of the letters is what is tested.

TEST_VECTOR     equ 0x30

section .bss
softirq_handler: resq 1         ; what the interrupt does, after it has noted 'h'
softirq_work:    resq 1         ; what TEST_A does, after it has noted 'a'
softirq_count:   resq 1

section .text
pads
; test_softirq - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_softirq, "test_softirq"
        push rbp
        mov rbp, rsp
        push rbx
        mov edi, TEST_VECTOR
        lea rsi, [test_interrupt]
        call set_vector
        mov edi, SOFTIRQ_TEST_A
        lea rsi, [test_deferred_a]
        call softirq_set
        mov edi, SOFTIRQ_TEST_B
        lea rsi, [test_deferred_b]
        call softirq_set
        call test_softirq_after
        call test_softirq_on
        call test_softirq_again
        call test_softirq_nested
        call test_softirq_bounded
        call test_softirq_switch
        call test_softirq_kept
        mov edi, TEST_VECTOR
        lea rsi, [interrupt_unexpected]
        call set_vector
        pop rbx
        pop rbp
        ret

; test_interrupt - the handler: notes 'h', does what the stage wants, notes 'i'.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine test_interrupt, "test_interrupt"
        mov edi, 'h'
        call trace_add
        call [softirq_handler]
        mov edi, 'i'
        jmp trace_add

; test_deferred_a, test_deferred_b - deferred work: the first notes 'a' and does what the stage wants, the other notes 'b'.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_deferred_a, "test_deferred_a"
        mov edi, 'a'
        call trace_add
        jmp [softirq_work]
routine test_deferred_b, "test_deferred_b"
        mov edi, 'b'
        jmp trace_add

; softirq_as handler, work - what the interrupt and TEST_A do in this stage. clobbers: rax
%macro softirq_as 2
        lea rax, [%1]
        mov [softirq_handler], rax
        lea rax, [%2]
        mov [softirq_work], rax
%endmacro

; raise_a, raise_both, raise_none - what a handler may do.
; in:       nothing
; out:      nothing
; clobbers: rdi
; interrupts: either
routine raise_both, "raise_both"
        mov edi, SOFTIRQ_TEST_B
        call softirq_raise
routine raise_a, "raise_a"
        mov edi, SOFTIRQ_TEST_A
        jmp softirq_raise
routine raise_none, "raise_none"
        ret

; test_softirq_after - deferred work runs after the handler, before the interrupted thread goes on; the lower number first.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_softirq_after, "test_softirq_after"
        begin "softirq-after-handler"
        softirq_as raise_both, raise_none
        int TEST_VECTOR
        must_trace "hiab", "the handler ends, then the deferred work runs"
        int TEST_VECTOR
        int TEST_VECTOR
        must_trace "hiabhiab", "as often as it is raised"
        cli
        int TEST_VECTOR
        must_trace "hi", "where interrupts are off it does not run"
        softirq_as raise_none, raise_none
        sti                     ; no tick comes before INT
        int TEST_VECTOR
        must_trace "hiab", "it runs on the way out of the next interrupt"
        passed
        ret

; test_softirq_on - interrupts are on in deferred work: a tick comes in.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_softirq_on, "test_softirq_on"
        begin "softirq-interrupts-on"
        softirq_as raise_a, await_tick
        int TEST_VECTOR
        must_trace "hiat", "a tick has come in while it ran"
        passed
        ret

; await_tick - deferred work: waits for a tick, and notes 't'.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine await_tick, "await_tick"
        mov rax, [jiffies]
.wait:
        hlt
        cmp [jiffies], rax
        je .wait
        mov edi, 't'
        jmp trace_add

; test_softirq_again - what is raised while deferred work runs is run too, the work itself included.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_softirq_again, "test_softirq_again"
        begin "softirq-raised-again"
        mov qword [softirq_count], 3
        softirq_as raise_a, raise_counted
        int TEST_VECTOR
        must_trace "hiaaab", "it has run as often as it was raised"
        passed
        ret

; raise_counted - deferred work: raises itself, softirq_count times in all, then the other.
; in:       nothing
; out:      nothing
; clobbers: rdi
; interrupts: on
routine raise_counted, "raise_counted"
        mov edi, SOFTIRQ_TEST_A
        dec qword [softirq_count]
        jnz softirq_raise
        mov edi, SOFTIRQ_TEST_B
        jmp softirq_raise

; test_softirq_nested - an interrupt that comes in while deferred work runs starts none; what it raises comes next.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_softirq_nested, "test_softirq_nested"
        begin "softirq-not-nested"
        softirq_as raise_a, interrupt_self
        int TEST_VECTOR
        must_trace "hiahi.ab", "what was raised inside runs afterwards"
        passed
        ret

; interrupt_self - deferred work: takes an interrupt that raises both, and notes '.'; when it runs again, nothing.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine interrupt_self, "interrupt_self"
        softirq_as raise_both, raise_none
        int TEST_VECTOR
        mov edi, '.'
        jmp trace_add

; test_softirq_bounded - work that always raises itself does not keep the thread from running.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_softirq_bounded, "test_softirq_bounded"
        begin "softirq-bounded"
        mov edi, IRQ_TIMER      ; its way out would run some more
        call pic_mask
        softirq_as raise_a, raise_a
        int TEST_VECTOR
        must_trace "hiaaaaaaaaaa", "the thread goes on after ten rounds"
        softirq_as raise_none, raise_none
        int TEST_VECTOR
        must_trace "hia", "and the rest runs with the next interrupt"
        mov edi, IRQ_TIMER
        call pic_unmask
        passed
        ret

; test_softirq_switch - threads are switched after deferred work, not under it.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_softirq_switch, "test_softirq_switch"
        begin "softirq-before-switch"
        softirq_as raise_a, end_quantum
        cli                     ; so that the other thread cannot begin before
        spawn note_thread, 'o', "other"
        mov rbx, rax
        sti
        int TEST_VECTOR
        mov rdi, rbx
        call kthread_join
        must_trace "hiahi.o", "the other thread came after the deferred work"
        passed
        ret

; end_quantum - deferred work: the quantum ends, and an interrupt comes in whose way out would switch; notes '.'.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine end_quantum, "end_quantum"
        mov dword [gs:processor.need_resched], 1
        softirq_as raise_none, raise_none
        int TEST_VECTOR
        mov edi, '.'
        jmp trace_add

; note_thread - a thread: notes its letter.
; in:       rdi = letter
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine note_thread, "note_thread"
        call trace_add
        xor eax, eax
        ret

; test_softirq_kept - a thread keeps deferred work out, and with it a switch; then what came meanwhile runs at once.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_softirq_kept, "test_softirq_kept"
        begin "softirq-kept-out"
        mov edi, IRQ_TIMER      ; with it the switch would come, at the end
        call pic_mask
        softirq_as raise_a, raise_none
        cli                     ; so that the other thread cannot begin before
        spawn note_thread, 'o', "other"
        mov rbx, rax
        call softirq_disable
        call softirq_disable
        sti
        mov dword [gs:processor.need_resched], 1
        int TEST_VECTOR
        must_trace "hi", "neither does it run nor the other thread"
        call softirq_enable
        must_no_trace "not while it is kept out twice"
        call softirq_enable
        must_trace "a", "it runs when it is let in"
        mov edi, IRQ_TIMER
        call pic_unmask
        mov rdi, rbx
        call kthread_join
        must_trace "o", "and so does the thread, later"
        passed
        ret
