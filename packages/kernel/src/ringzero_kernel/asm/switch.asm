; switch.asm - the context switch.
;
; Room's rule: no lock, no log, no choice. It is the one place where the stack changes under running code.
;
; What a thread that does not run looks like: everything else it owns is on its stack, further up.
;
;   thread.rsp --> | rflags | r15 | r14 | r13 | r12 | rbx | rbp | return to the caller of schedule |  ... to stack_top
;
; A thread that was preempted has its `struct frame` above that, with all registers; a new one has thread_entry as
; its return address.

section .text
pads
; switch_to - saves the current thread and goes on as another.
; in:       rdi = current thread, rsi = the other, another one
; out:      returns when somebody switches back to rdi
; clobbers: scratch
; interrupts: off
routine switch_to, "switch_to"
        push rbp
        push rbx
        push r12
        push r13
        push r14
        push r15
        pushfq
        mov [rdi+thread.rsp], rsp
        mov [gs:processor.current], rsi
        mov rsp, [rsi+thread.rsp]
        global switch_restored
switch_restored:                ; from here on the stack is the new thread's
        mov dword [rdi+thread.on_cpu], 0
        mov dword [rsi+thread.on_cpu], 1
        inc qword [rsi+thread.runs]
        inc qword [gs:processor.switches]
        mov rax, [rsi+thread.stack_top]
        mov [gs:processor.kernel_rsp], rax
        mov [gs:processor.tss+TSS_RSP0], rax
        mov rax, [rsi+thread.cr3]
        mov rcx, cr3
        cmp rax, rcx
        je .same_space          ; loading CR3 would empty the TLB for nothing
        mov cr3, rax
.same_space:
        popfq
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
