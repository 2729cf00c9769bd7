; macros.asm - the few macros that the sources are written with.
;
; Room's rule: a macro is here when the plain instructions would hide what is meant. Each says what it clobbers.

; routine label, "name" - opens a global routine and notes it in the symbol table that a panic reads.
; The table is in order of address because the routines are.
%macro routine 2
        align 16, nop
        global %1
%1:
section .rodata
%%name: db %2, 0
section .ksyms
        dq %1, %%name
section .text
%endmacro

; pads - moves what follows by LAYOUT steps in code and in data; nothing at all when LAYOUT is 0.
%macro pads 0
section .text
        times LAYOUT nop
section .rodata
        times LAYOUT db 0
section .data
        times LAYOUT dq 0
section .bss
        resb LAYOUT*8
section .text
%endmacro

; irq_save / irq_restore - switch interrupts off / back to what they were. The flags wait on the stack, so the two
; stand in pairs in one routine. clobbers: nothing / all flags
%macro irq_save 0
        pushfq
        cli
%endmacro

%macro irq_restore 0
        popfq
%endmacro

; spin_lock m32 / spin_unlock m32 - take / give back a lock. Interrupts are off before the lock is taken and until it
; is given back: a handler that wants the same lock then never finds it taken by the thread that it interrupted, and
; on one CPU nobody spins. clobbers: flags
%macro spin_lock 1
%%try:
        lock bts dword [%1], 0
        jnc %%taken
        pause
        jmp %%try
%%taken:
%endmacro

%macro spin_unlock 1
        mov dword [%1], 0
%endmacro

; say "text" [, arguments in rsi, rdx, rcx, r8, r9] - prints one line. clobbers: scratch
%macro say 1
section .rodata
%%text: db %1, 0
section .text
        lea rdi, [%%text]
        call kprintf
%endmacro

; bug "text" [, arguments] - panics. Does not return.
%macro bug 1
section .rodata
%%text: db %1, 0
section .text
        lea rdi, [%%text]
        call panic
%endmacro

; begin "name" ... passed - the frame of a test: `passed` prints the stage's marker. clobbers: scratch
%macro begin 1
section .rodata
%%name: db %1, 0
section .text
        lea rax, [%%name]
        mov [test_name], rax
%endmacro

%macro passed 0
        call stage_passed
%endmacro

; must cc, "what should hold" - the test fails unless the condition holds. clobbers: nothing while it holds
%macro must 2
        j %+ %1 %%held
        lea rdi, [%%why]
        call test_failed
section .rodata
%%why:  db %2, 0
section .text
%%held:
%endmacro
