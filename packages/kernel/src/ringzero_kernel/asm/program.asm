; program.asm - the user program: what runs in ring 3.
;
; Room's rule: one page, linked at USER_BASE, and no word of the kernel in it but the system calls' numbers. Several
; entries stand for several programs. The page goes on, and ends, in program_calls.asm.

%macro system_call 1
        mov eax, %1
        syscall
%endmacro

section .user
user_start:

; user_hello - prints, asks the time, checks what a system call preserves. exit code: 42, or which check failed.
user_hello:
        lea rdi, [.text]
        mov esi, .text_end - .text
        system_call SYS_WRITE
        cmp rax, .text_end - .text
        mov edi, 1
        jne user_end
        system_call SYS_TIME
        mov rbx, rax
        system_call SYS_TIME
        cmp rax, rbx            ; time never runs backwards
        mov edi, 2
        jb user_end
        mov edi, 42
        jmp user_end
.text:  db "hello from ring 3", 10
.text_end:

; user_registers - fills every register, calls the kernel, compares. exit code: 42, or 1.
; Flags too: SYSRET restores them from r11.
user_registers:
        mov eax, USER_DATA
        mov [rax], rsp
        call user_fill
        std
        stc
        system_call SYS_YIELD
        jnc .wrong
        pushfq
        cld
        test dword [rsp], RFLAGS_DF
        lea rsp, [rsp+8]
        jz .wrong
        call user_compare
        jne .wrong
        mov eax, USER_DATA
        cmp rsp, [rax]
        jne .wrong
        mov edi, 42
        jmp user_end
.wrong:
        mov edi, 1
        jmp user_end

; user_fill - a different value in every register that a system call must preserve.
user_fill:
        mov rbx, 0x1111111111111111
        mov rdx, 0x2222222222222222
        mov rsi, 0x3333333333333333
        mov rdi, 0x4444444444444444
        mov rbp, 0x5555555555555555
        mov r8, 0x6666666666666666
        mov r9, 0x7777777777777777
        mov r10, 0x8888888888888888
        mov r12, 0x9999999999999999
        mov r13, 0xaaaaaaaaaaaaaaaa
        mov r14, 0xbbbbbbbbbbbbbbbb
        mov r15, 0xcccccccccccccccc
        ret

; user_compare - zf set if they all still have it. clobbers: rax
user_compare:
        mov rax, 0x1111111111111111
        cmp rbx, rax
        jne .done
        add rax, rax
        cmp rdx, rax
        jne .done
        mov rax, 0x3333333333333333
        cmp rsi, rax
        jne .done
        mov rax, 0x4444444444444444
        cmp rdi, rax
        jne .done
        mov rax, 0x5555555555555555
        cmp rbp, rax
        jne .done
        mov rax, 0x6666666666666666
        cmp r8, rax
        jne .done
        mov rax, 0x7777777777777777
        cmp r9, rax
        jne .done
        mov rax, 0x8888888888888888
        cmp r10, rax
        jne .done
        mov rax, 0x9999999999999999
        cmp r12, rax
        jne .done
        mov rax, 0xaaaaaaaaaaaaaaaa
        cmp r13, rax
        jne .done
        mov rax, 0xbbbbbbbbbbbbbbbb
        cmp r14, rax
        jne .done
        mov rax, 0xcccccccccccccccc
        cmp r15, rax
.done:
        ret

; user_spin - computes without a system call until it was interrupted for rdi ticks, registers full. exit code: 42, or 1.
user_spin:
        mov ecx, USER_DATA
        mov [rcx], rdi
        system_call SYS_TIME
        mov ecx, USER_DATA
        add [rcx], rax
        call user_fill
.round:
        mov ecx, 64
.again:
        call user_compare
        jne .wrong
        dec ecx
        jnz .again
        system_call SYS_TIME
        mov ecx, USER_DATA
        cmp rax, [rcx]
        jb .round
        mov edi, 42
        jmp user_end
.wrong:
        mov edi, 1
        jmp user_end

; user_requests - asks the kernel for what it must refuse. exit code: 42, or which was not refused.
user_requests:
        mov rdi, 0xffffffff80104000     ; the kernel's text is not ours to print
        mov esi, 16
        system_call SYS_WRITE
        cmp rax, -EFAULT
        mov edi, 1
        jne user_end
        mov edi, 0x1000                 ; nothing is mapped there
        mov esi, 16
        system_call SYS_WRITE
        cmp rax, -EFAULT
        mov edi, 2
        jne user_end
        mov rdi, USER_TOP - 8           ; begins in our half, ends outside
        mov esi, 16
        system_call SYS_WRITE
        cmp rax, -EFAULT
        mov edi, 3
        jne user_end
        lea rdi, [user_start]
        mov esi, 100000                 ; too long
        system_call SYS_WRITE
        cmp rax, -EINVAL
        mov edi, 4
        jne user_end
        mov edi, USER_DATA + PAGE - 8   ; begins in a page, ends in none
        mov esi, 16
        system_call SYS_WRITE
        cmp rax, -EFAULT
        mov edi, 7
        jne user_end
        system_call 1234                ; no such call
        cmp rax, -ENOSYS
        mov edi, 5
        jne user_end
        system_call SYS_TID
        cmp rax, 1                      ; neither boot nor idle
        mov edi, 6
        jbe user_end
        mov edi, 42
        jmp user_end

; user_sleep - sleeps rdi ticks. exit code: 42, or 1 if it woke too early.
user_sleep:
        mov rbx, rdi
        system_call SYS_TIME
        add rax, rbx
        mov r12, rax
        mov rdi, rbx
        system_call SYS_SLEEP
        system_call SYS_TIME
        cmp rax, r12
        mov edi, 1
        jb user_end
        mov edi, 42

; user_end - the end of every program. in: edi = exit code
user_end:
        system_call SYS_EXIT
        ud2

; user_crash - does what rdi says and no program may. exit code: 0 if the kernel let it.
CRASH_WRITE_KERNEL      equ 0
CRASH_READ_NULL         equ 1
CRASH_WRITE_TEXT        equ 2
CRASH_RUN_DATA          equ 3
CRASH_HALT              equ 4
CRASH_PORT              equ 5
CRASH_DIVIDE            equ 6
CRASH_OPCODE            equ 7
CRASH_GATE              equ 8
CRASH_BREAKPOINT        equ 9
CRASH_OVERFLOW          equ 10
CRASH_CR3               equ 11
CRASH_ALIGNMENT         equ 12
user_crash:
        lea rax, [.table]
        jmp [rax+rdi*8]
.write_kernel:
        mov rax, 0xffffffff80104000
        mov [rax], rax
        jmp .alive
.read_null:
        xor eax, eax
        mov eax, [rax]
        jmp .alive
.write_text:
        mov byte [user_start], 0
        jmp .alive
.run_data:
        mov eax, USER_DATA
        mov byte [rax], 0xc3    ; RET
        call rax
        jmp .alive
.halt:
        hlt
        jmp .alive
.port:
        in al, 0x21
        jmp .alive
.divide:
        xor ecx, ecx
        xor edx, edx
        div ecx
        jmp .alive
.opcode:
        ud2
        jmp .alive
.gate:
        int 0x20                ; the timer's gate is not for ring 3
        jmp .alive
.breakpoint:
        int3
        jmp .alive
.overflow:
        int 4
        jmp .alive
.cr3:
        mov rax, cr3
        jmp .alive
.alignment:
        pushfq
        or dword [rsp], RFLAGS_AC
        popfq
        mov eax, USER_DATA
        mov rax, [rax+1]
.alive:
        xor edi, edi
        jmp user_end
        align 8, db 0
.table: dq .write_kernel, .read_null, .write_text, .run_data, .halt, .port, .divide, .opcode, .gate, .breakpoint
        dq .overflow, .cr3, .alignment
section .text
