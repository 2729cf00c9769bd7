; main.asm - the order in which the kernel comes up.
;
; Room's rule: only calls. A part is brought up, then its stage checks it, before the next part may rely on it.

section .text
; kernel_main - brings everything up, runs the stages, ends the machine.
; in:       nothing
; out:      does not return
; interrupts: off
routine kernel_main, "kernel_main"
        push rbp
        mov rbp, rsp
        call cpu_init
        call serial_init
        call screen_init
        call test_boot
        begin "all-passed"
        passed
        jmp exit_success
