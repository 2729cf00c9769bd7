; test.asm - how a stage passes or fails.
;
; Room's rule: a marker is printed by `stage_passed` and nowhere else, and only after the checks before it.

EXIT_PORT       equ 0xf4        ; QEMU's isa-debug-exit: status = value*2 + 1
EXIT_SUCCESS    equ 0x10
EXIT_FAILURE    equ 0x11

; spawn function, argument, "name" - kthread_run, and it must work. out: rax = thread. clobbers: scratch
%macro spawn 3
        lea rdi, [%1]
        mov rsi, %2
        text_of rdx, %3
        call kthread_run
        test rax, rax
        must nz, "there is memory for a thread"
%endmacro

; text_of register, "text" - the address of a text. clobbers: nothing
%macro text_of 2
section .rodata
%%text: db %2, 0
section .text
        lea %1, [%%text]
%endmacro

; until_state thread, state - yields until a thread is in a state. clobbers: scratch
%macro until_state 2
%%again:
        cmp dword [%1+thread.state], %2
        je %%reached
        call yield
        jmp %%again
%%reached:
%endmacro

section .bss
test_name:      resq 1
stages_passed:  resq 1

section .text
pads
; stage_passed - prints the marker of the test that runs.
; in:       [test_name]
; out:      nothing
; clobbers: scratch
; interrupts: either
routine stage_passed, "stage_passed"
        inc qword [stages_passed]
        mov rsi, [test_name]
        say "[stage] %s"
        ret

; test_failed - says which check failed and ends the machine with failure.
; in:       rdi = what should have held
; out:      does not return
; interrupts: either
routine test_failed, "test_failed"
        cli
        mov rdx, rdi
        mov rsi, [test_name]
        say "[fail] %s: %s"
        jmp exit_failure

; exit_success, exit_failure - end the machine; on one without the exit port, stand still.
; in:       nothing
; out:      does not return
; interrupts: either
routine exit_success, "exit_success"
        mov al, EXIT_SUCCESS
        jmp machine_exit
routine exit_failure, "exit_failure"
        mov al, EXIT_FAILURE
routine machine_exit, "machine_exit"
        cli
        out EXIT_PORT, al
.halt:
        hlt
        jmp .halt

; quantum_set - changes the quantum, for the current thread at once.
; in:       edi = ticks
; out:      nothing
; clobbers: rax
; interrupts: either
QUANTUM_NONE    equ 0x7fffffff          ; nobody is preempted
routine quantum_set, "quantum_set"
        mov [sched_quantum], rdi
        mov rax, [gs:processor.current]
        mov [rax+thread.quantum], edi
        ret

; A trace of single characters, by which a test sees the order of things.
section .bss
trace_text:     resb 64
trace_length:   resq 1
section .text

; trace_add - notes a character.
; in:       dil = character
; out:      nothing
; clobbers: rax, rcx
; interrupts: either
routine trace_add, "trace_add"
        mov eax, 1
        lock xadd [trace_length], rax
        and eax, 63
        lea rcx, [trace_text]
        mov [rcx+rax], dil
        ret

; trace_is - compares the trace with what it should be, and clears it.
; in:       rdi = text expected
; out:      zf set if it is that
; clobbers: scratch
; interrupts: either
routine trace_is, "trace_is"
        lea rsi, [trace_text]
        mov rax, [trace_length]
        and eax, 63
        mov byte [rsi+rax], 0
        mov qword [trace_length], 0
        jmp string_equal

; must_trace "text", "what should hold" - the trace must be that. clobbers: scratch
%macro must_trace 2
        text_of rdi, %1
        call trace_is
        must e, %2
%endmacro

; must_no_trace "what should hold" - the trace must be empty. clobbers: nothing
%macro must_no_trace 1
        cmp qword [trace_length], 0
        must e, %1
%endmacro
