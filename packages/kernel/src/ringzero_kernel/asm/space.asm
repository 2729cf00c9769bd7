; space.asm - the address spaces that programs run in.
;
; Room's rule: a space is whole before anybody runs in it, and nobody runs in it any more when it is taken apart.
;
;   USER_BASE    text      the image's .user page itself: readable, executable, not writable
;   USER_DATA    data      a fresh page of zeroes: writable, not executable
;   USER_STACK   stack     one fresh page below it, likewise
;   USER_SHARED  shared    one page for all programs, likewise; it stays when they end

section .bss
user_shared:    resq 1          ; the shared page, in the direct map
user_spare:     resq 1          ; an address space made ahead, or 0

section .text
pads
; user_init - the page that all programs share.
; in:       nothing
; out:      zf clear if there was memory for it
; clobbers: scratch
; interrupts: either
routine user_init, "user_init"
        call frame_alloc_zeroed
        test rax, rax
        jz .done
        mov rcx, DIRECT_BASE
        add rax, rcx
        mov [user_shared], rax
        test rax, rax
.done:
        ret

; user_prepare - makes the next program's address space ahead, so that it starts in few steps.
; in:       nothing
; out:      nothing; if memory is short, nothing is made ahead
; clobbers: scratch
; interrupts: either
routine user_prepare, "user_prepare"
        cmp qword [user_spare], 0
        jne .done
        call user_space
        mov [user_spare], rax
.done:
        ret

; user_space - an address space with all pages of a program.
; in:       nothing
; out:      rax = physical address of its PML4, or 0 when memory is short
; clobbers: scratch
; interrupts: either
routine user_space, "user_space"
        push rbp
        mov rbp, rsp
        push rbx
        call space_create
        mov rbx, rax
        test rax, rax
        jz .done
        mov rdi, rbx
        mov esi, USER_BASE
        mov edx, USER_PHYS + PTE_P + PTE_U
        call page_map
        test rax, rax
        js .undo
        mov rdi, rbx
        mov esi, USER_SHARED
        mov rdx, [user_shared]
        mov rax, DIRECT_BASE
        sub rdx, rax
        add rdx, PAGE_RW + PTE_U
        bts rdx, NX_BIT
        call page_map
        test rax, rax
        js .undo
        mov rdi, rbx
        mov esi, USER_DATA
        call user_page
        test rax, rax
        js .undo
        mov rdi, rbx
        mov esi, USER_STACK - PAGE
        call user_page
        test rax, rax
        js .undo
        mov rax, rbx
        jmp .done
.undo:
        mov rdi, rbx
        call space_destroy
        xor eax, eax
.done:
        pop rbx
        pop rbp
        ret

; user_page - maps a fresh page of zeroes for ring 3.
; in:       rdi = address space, rsi = linear address
; out:      rax = 0 or -ENOMEM, -EINVAL
; clobbers: scratch
; interrupts: either
routine user_page, "user_page"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        mov r12, rdi
        mov r13, rsi
        call frame_alloc_zeroed
        mov rbx, rax
        test rax, rax
        mov rax, -ENOMEM
        jz .done
        mov rdi, r12
        mov rsi, r13
        lea rdx, [rbx+PAGE_RW+PTE_U+PTE_OWNED]
        bts rdx, NX_BIT
        call page_map
        test rax, rax
        jz .done
        mov r12, rax
        mov rdi, rbx
        call frame_free
        mov rax, r12
.done:
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; space_create - an address space: an empty user half, and the kernel's half that all share.
; in:       nothing
; out:      rax = physical address of its PML4, or 0
; clobbers: scratch
; interrupts: either
routine space_create, "space_create"
        call frame_alloc_zeroed
        test rax, rax
        jz .done
        mov rdi, DIRECT_BASE + 256*8
        add rdi, rax
        lea rsi, [kernel_pml4+256*8]
        mov ecx, 256
        rep movsq
.done:
        ret

; space_destroy - frees the user half of an address space that no CPU uses any more, and its PML4.
; in:       rdi = physical address of its PML4
; out:      nothing
; clobbers: scratch
; interrupts: either
routine space_destroy, "space_destroy"
        mov esi, 256            ; entries of the PML4 that are the user's
        mov edx, 3              ; levels below it

; table_destroy - frees a table and everything below it that is owned.
; in:       rdi = physical address of the table, esi = how many entries to look at, edx = levels below this one
; out:      nothing
; clobbers: scratch
; interrupts: either
routine table_destroy, "table_destroy"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        mov r12, rdi
        mov r13d, esi
        mov r14d, edx
        mov rbx, DIRECT_BASE
        add rbx, rdi
.next:
        mov rdi, rbx            ; most entries are empty: on to the next that is not
        mov ecx, r13d
        xor eax, eax
        repe scasq
        je .table
        mov rbx, rdi
        mov r13d, ecx
        mov rax, [rbx-8]
        mov rdi, 0x000ffffffffff000
        and rdi, rax
        test r14d, r14d
        jz .page
        mov esi, 512
        lea edx, [r14-1]
        call table_destroy
        jmp .next
.page:
        test eax, PTE_OWNED
        jz .next
        call frame_free
        jmp .next
.table:
        mov rdi, r12
        call frame_free
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
