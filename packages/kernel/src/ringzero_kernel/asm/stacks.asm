; stacks.asm - kernel stacks.
;
; Room's rule: a stack has unmapped pages on both sides. One that grows too far faults at once, and because the
; processor cannot push the page fault's frame there, the fault becomes a double fault, which has its own stack.
;
;   STACK_BASE + tid*STACK_SLOT   | guard (unmapped) | stack | stack | unmapped |
;                                                                    ^ top

section .text
pads
; stacks_init - makes the page tables of the whole stack area, so that a thread costs its stack's frames and no more.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine stacks_init, "stacks_init"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, STACK_BASE
.next:
        mov edi, kernel_pml4 - KBASE
        mov rsi, rbx
        mov edx, PAGE_RW
        call page_entry
        add rbx, 0x200000       ; one table covers as much
        mov rax, STACK_BASE + MAX_THREADS*STACK_SLOT
        cmp rbx, rax
        jb .next
        pop rbx
        pop rbp
        ret

; stack_alloc - maps a stack for a thread.
; in:       rdi = TID
; out:      rax = top of the stack, or 0 when memory is short
; clobbers: scratch
; interrupts: either
routine stack_alloc, "stack_alloc"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        mov r13, rdi
        imul rbx, rdi, STACK_SLOT
        mov rax, STACK_BASE + PAGE
        add rbx, rax
        lea r12, [rbx+STACK_PAGES*PAGE]
.next:
        mov edi, kernel_pml4 - KBASE
        mov rsi, rbx
        xor edx, edx
        call page_map_new
        test rax, rax
        js .undo
        add rbx, PAGE
        cmp rbx, r12
        jb .next
        mov rax, rbx
        jmp .done
.undo:
        mov rdi, r13
        call stack_free
        xor eax, eax
.done:
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; stack_free - unmaps a thread's stack and frees its frames.
; in:       rdi = TID
; out:      nothing
; clobbers: scratch
; interrupts: either
routine stack_free, "stack_free"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        imul rbx, rdi, STACK_SLOT
        mov rax, STACK_BASE + PAGE
        add rbx, rax
        mov r12d, STACK_PAGES
.next:
        mov edi, kernel_pml4 - KBASE
        mov rsi, rbx
        call page_unmap_free
        add rbx, PAGE
        dec r12d
        jnz .next
        pop r12
        pop rbx
        pop rbp
        ret
