; user.asm - running a program in ring 3.
;
; Room's rule: a user program is a kthread that has left the kernel. It comes back through interrupts, exceptions and
; system calls only, always to the top of its own kernel stack.

USER_KILLED     equ 0x100       ; exit code of a program killed by an exception: this + the vector

section .text
pads
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

; user_main - takes the current thread to ring 3, in an address space of its own.
; in:       rdi = entry
; out:      does not return; exit code -ENOMEM when memory is short
; interrupts: on
routine user_main, "user_main"
        push rbp
        mov rbp, rsp
        mov rbx, rdi
        xor eax, eax
        xchg rax, [user_spare]
        test rax, rax
        jnz .enter
        call user_space
        test rax, rax
        jz .no_memory
.enter:
        mov rcx, [gs:processor.current]
        mov rdi, rbx
        mov rsi, [rcx+thread.user_argument]
        cli                     ; both or neither: a switch between the two would load the old one again
        mov [rcx+thread.cr3], rax
        mov cr3, rax
        jmp user_enter
.no_memory:
        mov rdi, -ENOMEM
        jmp kthread_exit

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
