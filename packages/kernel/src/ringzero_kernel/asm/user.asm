; user.asm - running a program in ring 3.
;
; Room's rule: a user program is a kthread that has left the kernel. It comes back through interrupts, exceptions and
; system calls only, always to the top of its own kernel stack.
;
;   USER_BASE    text      the image's .user page itself: readable, executable, not writable
;   USER_DATA    data      a fresh page of zeroes: writable, not executable
;   USER_STACK   stack     one fresh page below it, likewise
;   USER_SHARED  shared    one page for all programs, likewise; it stays when they end

USER_KILLED     equ 0x100       ; exit code of a program killed by an exception: this + the vector

section .bss
user_shared:    resq 1          ; the shared page, in the direct map

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

; user_run - starts a program in its own address space.
; in:       rdi = entry, a user address; rsi = its argument; rdx = name
; out:      rax = thread, for kthread_join; 0 when memory is short
; clobbers: scratch
; interrupts: either
routine user_run, "user_run"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov r12, rsi
        mov rsi, rdi
        lea rdi, [user_main]
        call kthread_create
        mov rbx, rax
        test rax, rax
        jz .done
        mov [rbx+thread.user_argument], r12
        mov rdi, rbx
        call kthread_start
.done:
        mov rax, rbx
        pop r12
        pop rbx
        pop rbp
        ret

; user_main - builds the address space of the current thread and goes to ring 3.
; in:       rdi = entry
; out:      does not return; exit code -ENOMEM when memory is short
; interrupts: on
routine user_main, "user_main"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        call space_create
        test rax, rax
        jz .no_memory
        mov r12, rax
        mov rcx, [gs:processor.current]
        cli                     ; both or neither: a switch between the two would load the old one again
        mov [rcx+thread.cr3], rax
        mov cr3, rax
        sti
        mov rdi, r12
        mov esi, USER_BASE
        mov edx, USER_PHYS + PTE_P + PTE_U
        call page_map
        test rax, rax
        js .undo
        mov rdi, r12
        mov esi, USER_SHARED
        mov rdx, [user_shared]
        mov rax, DIRECT_BASE
        sub rdx, rax
        add rdx, PAGE_RW + PTE_U
        bts rdx, NX_BIT
        call page_map
        test rax, rax
        js .undo
        mov rdi, r12
        mov esi, USER_DATA
        call user_page
        test rax, rax
        js .undo
        mov rdi, r12
        mov esi, USER_STACK - PAGE
        call user_page
        test rax, rax
        js .undo
        mov rax, [gs:processor.current]
        mov rsi, [rax+thread.user_argument]
        mov rdi, rbx
        jmp user_enter
.undo:
        mov rdi, -ENOMEM
        jmp user_exit
.no_memory:
        mov rdi, -ENOMEM
        jmp kthread_exit

; user_page - maps a fresh page of zeroes for ring 3 in the current address space.
; in:       rdi = address space, rsi = linear address
; out:      rax = 0 or -ENOMEM, -EINVAL
; clobbers: scratch
; interrupts: either
routine user_page, "user_page"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rsi
        mov edx, PTE_U
        call page_map_new
        test rax, rax
        js .done
        mov rdi, rbx
        mov esi, PAGE
        call fill_zero
        xor eax, eax
.done:
        pop rbx
        pop rbp
        ret

; user_enter - leaves for ring 3, with empty registers.
; in:       rdi = entry, rsi = argument
; out:      does not return
; interrupts: either; on in ring 3
routine user_enter, "user_enter"
        cli
        push USER_DS
        push USER_STACK
        push RFLAGS_IF + 2
        push USER_CS
        push rdi
        mov rdi, rsi
        xor eax, eax
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor esi, esi
        xor ebp, ebp
        xor r8d, r8d
        xor r9d, r9d
        xor r10d, r10d
        xor r11d, r11d
        xor r12d, r12d
        xor r13d, r13d
        xor r14d, r14d
        xor r15d, r15d
        swapgs
        iretq

; user_fault - an exception in ring 3: the program dies, the kernel goes on.
; in:       rdi = frame
; out:      does not return
; interrupts: off; on from here on
routine user_fault, "user_fault"
        mov rbx, [rdi+frame.vector]
        sti
        mov rax, [gs:processor.current]
        lea rsi, [rax+thread.name]
        lea rcx, [exception_names]
        mov rdx, [rcx+rbx*8]
        say "%s: killed by %s"
        lea rdi, [rbx+USER_KILLED]

; user_exit - ends the current program and frees its address space.
; in:       rdi = exit code
; out:      does not return
; interrupts: either
routine user_exit, "user_exit"
        mov rbx, rdi
        mov rdx, [gs:processor.current]
        mov eax, kernel_pml4 - KBASE
        cli
        mov rdi, [rdx+thread.cr3]
        mov [rdx+thread.cr3], rax
        mov cr3, rax
        sti
        call space_destroy
        mov rdi, rbx
        jmp kthread_exit

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
