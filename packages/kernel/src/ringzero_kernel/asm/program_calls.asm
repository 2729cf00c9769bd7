; program_calls.asm - user programs that make system calls which block, and look at every register afterwards.
;
; Room's rule: as in program.asm. Each program's registers hold values that no other program has, so that a mix-up shows.
;
;   USER_DATA    | seed | rax | rdi | rsi | rsp |      what user_exact remembers of the call that it makes
;   USER_SHARED  | word | ...                          one page that all programs see

struc call_made
.seed           resq 1
.rax            resq 1
.rdi            resq 1
.rsi            resq 1
.rsp            resq 1
endstruc

READ_BUFFER     equ USER_DATA + 0x100
EXACT_FLAGS     equ RFLAGS_DF + 0x8d5   ; DF, and all that arithmetic sets

section .user
; user_seed - the values that this program's registers will hold. in: rdi = a small number
user_seed:
        mov rax, 0x0101010101010101
        imul rax, rdi
        mov ecx, USER_DATA
        mov [rcx+call_made.seed], rax
        ret

; user_exact - makes a system call with every register full. in: rax = number, rdi, rsi = arguments
; out: rax = its result, zf set if rcx and r11 are what SYSCALL makes them and everything else is as it was
user_exact:
        mov ecx, USER_DATA
        mov [rcx+call_made.rax], rax
        mov [rcx+call_made.rdi], rdi
        mov [rcx+call_made.rsi], rsi
        mov [rcx+call_made.rsp], rsp
        mov rbx, [rcx+call_made.seed]
        lea rdx, [rbx+1]
        lea rbp, [rbx+2]
        lea r8, [rbx+3]
        lea r9, [rbx+4]
        lea r10, [rbx+5]
        lea r12, [rbx+6]
        lea r13, [rbx+7]
        lea r14, [rbx+8]
        lea r15, [rbx+9]
        push EXACT_FLAGS
        popfq
        syscall
.back:
        pushfq
        cld
        push rax
        push rcx
        mov ecx, USER_DATA
        lea rax, [rsp+24]
        cmp rax, [rcx+call_made.rsp]
        jne .wrong
        lea rax, [.back]        ; SDM 2B, SYSCALL: RCX is where to go on, R11 the flags
        cmp rax, [rsp]
        jne .wrong
        cmp r11, [rsp+16]
        jne .wrong
        mov eax, [rsp+16]
        and eax, EXACT_FLAGS
        cmp eax, EXACT_FLAGS
        jne .wrong
        cmp rdi, [rcx+call_made.rdi]
        jne .wrong
        cmp rsi, [rcx+call_made.rsi]
        jne .wrong
        cmp rbx, [rcx+call_made.seed]
        jne .wrong
        lea rax, [rbx+1]
        cmp rdx, rax
        jne .wrong
        inc rax
        cmp rbp, rax
        jne .wrong
        inc rax
        cmp r8, rax
        jne .wrong
        inc rax
        cmp r9, rax
        jne .wrong
        inc rax
        cmp r10, rax
        jne .wrong
        inc rax
        cmp r12, rax
        jne .wrong
        inc rax
        cmp r13, rax
        jne .wrong
        inc rax
        cmp r14, rax
        jne .wrong
        inc rax
        cmp r15, rax
.wrong:
        pop rcx
        pop rax
        lea rsp, [rsp+8]
        ret

; exact_call number - a system call through user_exact; exit code 1 if a register is wrong.
%macro exact_call 1
        mov eax, %1
        call user_exact
        mov edi, 1
        jne user_end
%endmacro

; user_reader - reads up to rdi bytes. exit code: how many * 256 + the first one, or 1.
user_reader:
        mov r14, rdi
        call user_seed
        mov rsi, r14
        mov edi, READ_BUFFER
        exact_call SYS_READ
        shl rax, 8
        mov ecx, READ_BUFFER
        mov al, [rcx]
        mov rdi, rax
        jmp user_end

; user_waiter - waits once on the shared word, if it is rdi. exit code: what the call said, or 1.
user_waiter:
        mov r14, rdi
        lea edi, [rdi+0x20]
        call user_seed
        mov rsi, r14
        mov edi, USER_SHARED
        exact_call SYS_WAIT_ON
        mov rdi, rax
        jmp user_end

; user_waker - makes the shared word rdi, and wakes everybody. exit code: how many * 16, or 1.
user_waker:
        mov ecx, USER_SHARED
        mov [rcx], edi
        lea edi, [rdi+0x40]
        call user_seed
        mov edi, USER_SHARED
        mov esi, WAKE_ALL
        exact_call SYS_WAKE
        shl rax, 4
        mov rdi, rax
        jmp user_end

; user_caller - makes calls of every kind, eight times over. rdi = its seed. exit code: 42, or 1.
user_caller:
        call user_seed
        mov ecx, USER_DATA
        mov qword [rcx+call_made_size], 8
.round:
        mov edi, 1
        exact_call SYS_SLEEP
        exact_call SYS_YIELD
        mov edi, USER_SHARED
        mov esi, -1             ; which it never is
        exact_call SYS_WAIT_ON
        exact_call SYS_TIME
        mov edi, READ_BUFFER
        xor esi, esi
        exact_call SYS_READ
        exact_call SYS_TID
        mov ecx, USER_DATA
        dec qword [rcx+call_made_size]
        jnz .round
        mov edi, 42
        jmp user_end

; refused number, result, exit code - a system call must be refused like that; the arguments are in rdi and rsi.
%macro refused 3
        system_call %1
        cmp rax, %2
        je %%refused
        mov edi, %3
        jmp user_end
%%refused:
%endmacro

; user_wrong_calls - asks the blocking calls for what they must refuse. exit code: 42, or which was not refused.
user_wrong_calls:
        lea rdi, [user_start]           ; our text: readable, not writable
        mov esi, 1
        refused SYS_READ, -EFAULT, 1
        mov rdi, 0xffffffff80104000     ; the kernel's
        mov esi, 1
        refused SYS_READ, -EFAULT, 2
        mov edi, USER_DATA + PAGE - 1   ; begins in a page, ends in none
        mov esi, 2
        refused SYS_READ, -EFAULT, 3
        mov rdi, -1                     ; wraps around
        mov esi, 2
        refused SYS_READ, -EFAULT, 4
        mov edi, USER_DATA
        mov esi, 100000                 ; too long
        refused SYS_READ, -EINVAL, 5
        mov edi, 0x1000                 ; nothing is mapped there
        xor esi, esi
        refused SYS_WAIT_ON, -EFAULT, 6
        refused SYS_WAKE, -EFAULT, 7
        mov rdi, 0xffffffff80104000
        refused SYS_WAIT_ON, -EFAULT, 8
        refused SYS_WAKE, -EFAULT, 9
        mov edi, USER_SHARED + 2        ; no place for a double word
        refused SYS_WAIT_ON, -EINVAL, 10
        refused SYS_WAKE, -EINVAL, 11
        mov edi, 42
        jmp user_end

user_finish:
        times PAGE - (user_finish - user_start) db 0
section .text
