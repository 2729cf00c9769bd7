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
        call threads_early
        call serial_init
        call screen_init
        call test_boot
        call gdt_init
        call idt_init
        call test_descriptors
        call frames_init
        call paging_init
        call heap_init
        call test_protection
        call test_frames
        call test_heap
        call test_exceptions
        call pic_init
        call timer_init
        call threads_init
        begin "all-passed"
        passed
        jmp exit_success
