; syscall.asm - system calls.
;
; Room's rule: the kernel believes nothing that comes from ring 3: neither pointers nor numbers nor flags.
;
;   SYSCALL   rcx = rip, r11 = rflags, rflags &= ~SFMASK (so IF is off), rip = LSTAR; rsp is still the user's
;   in:       rax = number, rdi, rsi, rdx = arguments
;   out:      rax = result; rcx and r11 lost, everything else as it was
;
; The entry builds a `struct frame` as an interrupt would, so that a thread can be switched away from and killed in the
; same way in both. System calls run with interrupts on.
;
;   0 exit(code)   1 write(text, length)   2 time() -> jiffies   3 yield()   4 tid()   5 sleep(ticks)
;   6 read(buffer, size)   7 wait_on(address, value)   8 wake(address, how many)         (see syscall_wait.asm)

MSR_STAR        equ 0xc0000081
MSR_LSTAR       equ 0xc0000082
MSR_SFMASK      equ 0xc0000084
SYSCALL_VECTOR  equ 256         ; frame.vector of a system call
SYSCALLS        equ 9
WRITE_MAX       equ 160

SYS_EXIT        equ 0
SYS_WRITE       equ 1
SYS_TIME        equ 2
SYS_YIELD       equ 3
SYS_TID         equ 4
SYS_SLEEP       equ 5
SYS_READ        equ 6
SYS_WAIT_ON     equ 7
SYS_WAKE        equ 8

section .rodata
                align 8, db 0
syscall_table:  dq sys_exit, sys_write, sys_time, sys_yield, sys_tid, sys_sleep, sys_read, sys_wait_on, sys_wake

section .text
pads
; syscall_init - tells the processor where system calls go.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine syscall_init, "syscall_init"
        mov ecx, MSR_STAR
        xor eax, eax
        mov edx, KERNEL_CS + ((USER_DS-8) << 16)
        wrmsr
        mov ecx, MSR_LSTAR
        mov rax, syscall_entry
        mov rdx, rax
        shr rdx, 32
        wrmsr
        mov ecx, MSR_SFMASK
        mov eax, RFLAGS_TF + RFLAGS_IF + RFLAGS_DF + RFLAGS_NT + RFLAGS_AC
        xor edx, edx
        wrmsr
        ret

; syscall_entry - where SYSCALL arrives.
; in:       as above
; out:      SYSRET to the user, or the thread ends
; interrupts: off; on while the call runs
routine syscall_entry, "syscall_entry"
        swapgs
        mov [gs:processor.user_rsp], rsp
        mov rsp, [gs:processor.kernel_rsp]
        push USER_DS
        push qword [gs:processor.user_rsp]
        push r11
        push USER_CS
        push rcx
        push 0
        push SYSCALL_VECTOR
        push_registers
        sti
        mov rdi, rsp
        call syscall_dispatch
        cli
%ifdef BUG_B20
        cmp dword [gs:processor.need_resched], 0        ; over a switch the frame stays as the entry has left it:
        jne .switch                                     ; its rax is the call's number
%endif
        mov [rsp+frame.rax], rax
%ifdef BUG_B20
.switch:
%endif
        mov rdi, rsp
        call preempt_if_due

; syscall_return - back to ring 3 (syscall_entry goes on here).
; in:       rsp = frame
; out:      SYSRET
; interrupts: off
routine syscall_return, "syscall_return"
        pop_registers           ; rax is the call's result
        add rsp, 16
        pop rcx                 ; rip: in the user half, since nothing is mapped at its very end
        add rsp, 8
        pop r11
        pop rsp
        swapgs
        o64 sysret

; syscall_dispatch - calls the routine for a number.
; in:       rdi = frame
; out:      rax = its result
; clobbers: scratch
; interrupts: on
routine syscall_dispatch, "syscall_dispatch"
        push rbp
        mov rbp, rsp
        mov rax, [rdi+frame.rax]
        cmp rax, SYSCALLS
        jae .unknown
        lea rcx, [syscall_table]
        mov rcx, [rcx+rax*8]
        mov rsi, [rdi+frame.rsi]
        mov rdx, [rdi+frame.rdx]
        mov rdi, [rdi+frame.rdi]
        call rcx
        pop rbp
        ret
.unknown:
        mov rax, -ENOSYS
        pop rbp
        ret

; The calls themselves. Arguments as the user passed them; what they return goes to the user's rax.

; sys_exit - ends the program.
; in:       rdi = exit code
; out:      does not return
; interrupts: on
routine sys_exit, "sys_exit"
        jmp user_exit

; sys_write - prints text.
; in:       rdi = text, rsi = length
; out:      rax = length, -EINVAL if that is too much, -EFAULT
; clobbers: scratch
; interrupts: on
routine sys_write, "sys_write"
        push rbp
        mov rbp, rsp
        push rbx
        sub rsp, WRITE_MAX+8
        mov rbx, rsi
        mov rax, -EINVAL
        cmp rsi, WRITE_MAX
        ja .done
        mov rdx, rsi
        mov rsi, rdi
        mov rdi, rsp
        call copy_from_user
        test rax, rax
        js .done
        mov rdi, rsp
        mov rsi, rbx
        call log_write
        mov rax, rbx
.done:
        add rsp, WRITE_MAX+8
        pop rbx
        pop rbp
        ret

; sys_time - what time is it?
; in:       nothing
; out:      rax = ticks since boot
; clobbers: nothing
; interrupts: on
routine sys_time, "sys_time"
        mov rax, [jiffies]
        ret

; sys_yield - lets others run.
; in:       nothing
; out:      rax = 0
; clobbers: scratch
; interrupts: on
routine sys_yield, "sys_yield"
        call yield
        xor eax, eax
        ret

; sys_tid - who am I?
; in:       nothing
; out:      rax = TID
; clobbers: nothing
; interrupts: on
routine sys_tid, "sys_tid"
        mov rax, [gs:processor.current]
        mov rax, [rax+thread.tid]
        ret

; sys_sleep - sleeps.
; in:       rdi = ticks
; out:      rax = 0
; clobbers: scratch
; interrupts: on
routine sys_sleep, "sys_sleep"
        call sleep_ticks
        xor eax, eax
        ret

; copy_from_user - copies bytes that ring 3 pointed at.
; in:       rdi = where to, rsi = user address, rdx = bytes
; out:      rax = 0, or -EFAULT if any of it is not the user's to read
; clobbers: scratch
; interrupts: either
routine copy_from_user, "copy_from_user"
        push rbp
        mov rbp, rsp
        mov r8, USER_TOP
        mov rax, -EFAULT
        cmp rdx, r8
        ja .done
        lea rcx, [rsi+rdx]      ; no overflow: neither is larger than USER_TOP
        cmp rsi, r8
        ja .done
        cmp rcx, r8
        ja .done
        catch .fault
        mov rcx, rdx
        rep movsb
.fault:
        caught rcx
        xor eax, eax
        cmp qword [rcx+thread.caught_vector], -1
        je .done
        mov rax, -EFAULT
.done:
        pop rbp
        ret
