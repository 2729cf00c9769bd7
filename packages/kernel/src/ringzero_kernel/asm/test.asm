; test.asm - how a stage passes or fails.
;
; Room's rule: a marker is printed by `stage_passed` and nowhere else, and only after the checks before it.

EXIT_PORT       equ 0xf4        ; QEMU's isa-debug-exit: status = value*2 + 1
EXIT_SUCCESS    equ 0x10
EXIT_FAILURE    equ 0x11

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
