; cpu.asm - the per-CPU structure and how it is reached.
;
; Room's rule: there is one CPU today, and no other file may know that: code says [gs:processor.current].
;
;   IA32_GS_BASE ---> +----------------------+
;                     | processor.self       | --> itself
;                     | processor.current    | --> the thread that runs
;                     | processor.idle       | --> the idle thread
;                     | processor.ready_*    | --> thread -> thread -> 0
;                     | ...                  |
;                     +----------------------+
;
; In ring 3, gs is the user's; SWAPGS exchanges the two bases on the way in and out.

MSR_GS_BASE     equ 0xc0000101
MSR_KERNEL_GS   equ 0xc0000102

section .bss
        global cpu0
cpu0:           resb processor_size

section .text
pads
; cpu_init - makes gs point to this CPU's structure.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine cpu_init, "cpu_init"
        lea rdi, [cpu0]
        mov [rdi+processor.self], rdi
        mov rax, rdi
        mov rdx, rdi
        shr rdx, 32
        mov ecx, MSR_GS_BASE
        wrmsr
        xor eax, eax            ; the user's gs base, until the first SWAPGS
        xor edx, edx
        mov ecx, MSR_KERNEL_GS
        wrmsr
        ret
