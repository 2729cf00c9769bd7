; exceptions.asm - what happens on vectors 0 to 31.
;
; Room's rule: an exception ends in exactly one of three ways, tried in this order:
;   from ring 3      the thread is killed, the kernel goes on;
;   expected         the thread said where to go on (`catch`), and the kernel goes on there;
;   anything else    panic, with registers and a back-trace.
; An NMI is no exception: it is nobody's fault, and comes between any two instructions. It is counted.

%macro catch 1
; catch label - the next exception of this thread goes on at the label, with the stack as it is now.
; clobbers: rax, rcx
        mov rax, [gs:processor.current]
        mov [rax+thread.catch_rsp], rsp
        mov qword [rax+thread.caught_vector], -1
        lea rcx, [%1]
        mov [rax+thread.catch_rip], rcx
%endmacro

; caught register - the thread, whose caught_vector, caught_error and caught_address say what came (vector -1:
; nothing yet); ends a `catch`.
%macro caught 1
        mov %1, [gs:processor.current]
        mov qword [%1+thread.catch_rip], 0
%endmacro

section .rodata
exception_names:
        dq .n0, .n1, .n2, .n3, .n4, .n5, .n6, .n7, .n8, .n9, .n10, .n11, .n12, .n13, .n14, .n15
        dq .n16, .n17, .n18, .n19, .n15, .n21, .n15, .n15, .n15, .n15, .n15, .n15, .n15, .n15, .n15, .n15
.n0:    db "#DE divide error", 0
.n1:    db "#DB debug", 0
.n2:    db "NMI", 0
.n3:    db "#BP breakpoint", 0
.n4:    db "#OF overflow", 0
.n5:    db "#BR bound range", 0
.n6:    db "#UD invalid opcode", 0
.n7:    db "#NM device not available", 0
.n8:    db "#DF double fault", 0
.n9:    db "coprocessor segment overrun", 0
.n10:   db "#TS invalid TSS", 0
.n11:   db "#NP segment not present", 0
.n12:   db "#SS stack fault", 0
.n13:   db "#GP general protection", 0
.n14:   db "#PF page fault", 0
.n15:   db "reserved exception", 0
.n16:   db "#MF x87 error", 0
.n17:   db "#AC alignment check", 0
.n18:   db "#MC machine check", 0
.n19:   db "#XM SIMD error", 0
.n21:   db "#CP control protection", 0

section .bss
nmi_count:      resq 1
nmi_stack:      resq 1          ; where the handler's stack was, the last time

section .text
pads
; nmi_interrupt - counts. It may interrupt anything, so it touches nothing that anybody else does.
; in:       rdi = frame
; out:      nothing
; clobbers: flags
; interrupts: off
routine nmi_interrupt, "nmi_interrupt"
        inc qword [nmi_count]
        mov [nmi_stack], rsp
        ret

; exception - the handler of every exception.
; in:       rdi = frame
; out:      returns to the frame, changed or not, or not at all
; clobbers: scratch
; interrupts: off
routine exception, "exception"
        test byte [rdi+frame.cs], 3
        jnz user_fault

; exception_fatal - the same for double fault and machine check, which are never a program's own fault (and exception
;                   goes on here). They have a stack of their own, on which no thread may be switched away from.
; in:       rdi = frame
; out:      as exception
; clobbers: scratch
; interrupts: off
routine exception_fatal, "exception_fatal"
        mov rax, [gs:processor.current]
        mov rcx, [rax+thread.catch_rip]
        test rcx, rcx
        jz .unexpected
        mov qword [rax+thread.catch_rip], 0
        mov [rdi+frame.rip], rcx
        mov rcx, [rax+thread.catch_rsp]
        mov [rdi+frame.rsp], rcx
        and qword [rdi+frame.rflags], ~RFLAGS_TF
        mov rcx, [rdi+frame.vector]
        mov [rax+thread.caught_vector], rcx
        mov rcx, [rdi+frame.error]
        mov [rax+thread.caught_error], rcx
        mov rcx, cr2
        mov [rax+thread.caught_address], rcx
        ret
.unexpected:
        mov rsi, rdi
        mov rax, [rdi+frame.vector]
        lea rcx, [exception_names]
        mov rdi, [rcx+rax*8]
        jmp panic_frame
