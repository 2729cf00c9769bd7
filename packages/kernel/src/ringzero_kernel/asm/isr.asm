; isr.asm - the way into the kernel through an interrupt, and the way back.
;
; Room's rule: the only file that knows how registers are saved. Handlers get `struc frame` and may change it.
;
;   interrupt --> stub n: error code, vector --> isr_common: swapgs?, 15 pushes --> vectors[n](rdi = frame)
;                                                                                       |
;   iretq <-- 15 pops, swapgs? <-- switch to another thread, if that is due <-- deferred work, interrupts on
;
; Every gate is an interrupt gate: IF is off from the stub to the handler's end. Only deferred work (softirq.asm) is
; interrupted in its turn, and what comes in there starts no more of it, so frames do not pile up higher than that. The
; vectors with a stack of their own (double fault, NMI, machine check) can strike where gs is still the user's;
; they take isr_paranoid, which looks at the base itself, and they never switch threads.

GATE_KERNEL     equ 0x8e        ; present, interrupt gate, callable from ring 0
GATE_USER       equ 0xee        ; the same, callable from ring 3

%macro push_registers 0
        push rax
        push rbx
        push rcx
        push rdx
        push rsi
        push rdi
        push rbp
        push r8
        push r9
        push r10
        push r11
        push r12
        push r13
        push r14
        push r15
%endmacro

%macro pop_registers 0
        pop r15
        pop r14
        pop r13
        pop r12
        pop r11
        pop r10
        pop r9
        pop r8
        pop rbp
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rbx
        pop rax
%endmacro

section .text
pads
; isr_stubs - 256 entries of 16 bytes each: vector n is at isr_stubs + 16*n.
; in:       what the processor has pushed
; out:      error code and vector pushed on top of it; goes on in isr_common or isr_paranoid
; interrupts: off
routine isr_stubs, "isr_stubs"
%assign vector 0
%rep 256
        align 16, nop
%if vector == 8 || vector == 10 || vector == 11 || vector == 12 || vector == 13 || vector == 14 || vector == 17 || vector == 21
        ; the processor has pushed an error code
%else
        push 0
%endif
        push vector
%if vector == 2 || vector == 8 || vector == 18
        jmp isr_paranoid
%else
        jmp isr_common
%endif
%assign vector vector+1
%endrep

; isr_common - saves everything, calls the handler, goes back by way of the scheduler.
; in:       stack = frame from `vector` up
; out:      does not return to a caller; iretq
; interrupts: off
routine isr_common, "isr_common"
        test byte [rsp+frame.cs-frame.vector], 3
        jz .kernel
        swapgs
.kernel:
        push_registers
        cld
        mov rdi, rsp
        mov rax, [rsp+frame.vector]
        lea rcx, [vectors]
        call [rcx+rax*8]
        mov rdi, rsp
        call softirq_exit
        mov rdi, rsp
        call preempt_if_due

; isr_return - back to where the interrupt came from (isr_common goes on here).
; in:       rsp = frame
; out:      iretq
; interrupts: off
routine isr_return, "isr_return"
        test byte [rsp+frame.cs], 3
        jz .kernel
        swapgs
.kernel:
        pop_registers
%ifdef BUG_B21
        cmp qword [rsp], IRQ_VECTOR+IRQ_TIMER
        jne .acknowledged
        call pic_acknowledge    ; after the registers are back: the interrupted code goes on with another rax
.acknowledged:
%endif
        add rsp, 16             ; vector and error code
        iretq

; isr_paranoid - as isr_common, for interrupts that may come at any instruction at all.
; in:       stack = frame from `vector` up, on a stack of its own
; out:      does not return to a caller; iretq
; interrupts: off
routine isr_paranoid, "isr_paranoid"
        push_registers
        cld
        xor ebx, ebx            ; did we swap?
        mov ecx, MSR_GS_BASE
        rdmsr
        test edx, edx           ; the kernel's addresses are the negative ones
        js .kernel
        swapgs
        inc ebx
.kernel:
        mov rdi, rsp
        mov rax, [rsp+frame.vector]
        lea rcx, [vectors]
        call [rcx+rax*8]
        test ebx, ebx
        jz .back
        swapgs
.back:
        pop_registers
        add rsp, 16
        iretq
