; syscall_wait.asm - the system calls that block until somebody else acts.
;
; Room's rule: everything that a call could be refused for is looked at before it takes or changes anything. A page that
; is a program's own stays so until the program ends, and a program in a system call does not end.

READ_MAX        equ 160

section .text
pads
; user_place - the kernel's own address of what a user address of the current program stands for.
; in:       rdi = user address, esi = bits that its page's entry must have (PTE_U and so on)
; out:      rax = its address in the direct map, or 0 if it is not the user's, or not for this
; clobbers: scratch
; interrupts: either
routine user_place, "user_place"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        mov rbx, rdi
        mov r12d, esi
        xor r13d, r13d
        mov rax, USER_TOP
        cmp rdi, rax
        jae .done
        irq_save
        spin_lock paging_lock
        mov rax, [gs:processor.current]
        mov rdi, [rax+thread.cr3]
        mov rsi, rbx
        xor edx, edx
        call page_entry
        test rax, rax
        jz .unlock
        mov rax, [rax]
        mov ecx, eax
        and ecx, r12d
        cmp ecx, r12d
        jne .unlock
        mov r13, 0x000ffffffffff000
        and r13, rax
        and ebx, PAGE-1
        mov rax, DIRECT_BASE
        add r13, rbx
        add r13, rax
.unlock:
        spin_unlock paging_lock
        irq_restore
.done:
        mov rax, r13
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; sys_read - reads from the serial line; waits until there is something.
; in:       rdi = buffer, rsi = its size
; out:      rax = bytes read; -EINVAL if the size is too much, -EFAULT if the buffer is not the user's to write: then
;           nothing is taken
; clobbers: scratch
; interrupts: on
routine sys_read, "sys_read"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        sub rsp, READ_MAX
        mov rbx, rdi
        mov r12, rsi
        xor eax, eax
        test rsi, rsi
        jz .done
        mov rax, -EINVAL
        cmp rsi, READ_MAX
        ja .done
        call read_allowed
        jz .fault
        mov rdi, rsp
        mov rsi, r12
        call serial_read
        mov rdi, rbx
        mov rsi, rsp
        mov rcx, rax
        rep movsb
        jmp .done
.fault:
        mov rax, -EFAULT
.done:
        add rsp, READ_MAX
        pop r12
        pop rbx
        pop rbp
        ret

; read_allowed - may the current program write these bytes? They lie in two pages at most: the first and the last tell.
; in:       rdi = user address, rsi = bytes, 1 to READ_MAX
; out:      zf clear if it may
; clobbers: scratch
; interrupts: either
routine read_allowed, "read_allowed"
        lea rax, [rdi+rsi-1]
        push rax
        mov esi, PTE_P + PTE_W + PTE_U
        call user_place
        pop rdi
        test rax, rax
        jz .no
        mov esi, PTE_P + PTE_W + PTE_U
        call user_place
        test rax, rax
.no:
        ret

; sys_wait_on - sleeps while a word has a value, until sys_wake.
; in:       rdi = address of the double word, esi = value
; out:      rax = 0 when woken, -EAGAIN when the value is another, -EINVAL, -EFAULT
; clobbers: scratch
; interrupts: on
routine sys_wait_on, "sys_wait_on"
        push rsi
        call user_word
        pop rsi
        js .done
        mov rdi, rcx
        call wait_on
.done:
        ret

; sys_wake - wakes those who wait on a word, in whatever program they are.
; in:       rdi = address of the double word, esi = how many at most
; out:      rax = how many, -EINVAL, -EFAULT
; clobbers: scratch
; interrupts: on
routine sys_wake, "sys_wake"
        push rsi
        call user_word
        pop rsi
        js .done
        mov rdi, rcx
        call wake_on
.done:
        ret

; user_word - the kernel's address of a double word of the current program.
; in:       rdi = user address
; out:      sf clear: rcx = its address; sf set: rax = -EINVAL or -EFAULT
; clobbers: scratch
; interrupts: either
routine user_word, "user_word"
        mov rax, -EINVAL
        test edi, 3
        jnz .refuse
        mov esi, PTE_P + PTE_U
        call user_place
        mov rcx, rax
        mov rax, -EFAULT
        test rcx, rcx
        jz .refuse
        xor eax, eax
.refuse:
        test rax, rax
        ret
