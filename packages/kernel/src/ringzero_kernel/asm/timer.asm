; timer.asm - the tick: time, sleepers, quantum.
;
; Room's rule: the tick's handler is short and has a bound, else a short period would leave no time for threads.
;
;   8254 channel 0 --IRQ 0--> timer_interrupt: acknowledge, jiffies + 1, wake whose time has come, count the quantum

PIT_CHANNEL0    equ 0x40
PIT_COMMAND     equ 0x43
PIT_HZ          equ 1193182

section .bss
        global jiffies
jiffies:        resq 1          ; ticks since pit_init
tick_hook:      resq 1          ; a test's routine, called in the handler; 0 = none
sleepers:       resb waitq_size

section .text
pads
; timer_init - HZ ticks a second from here on, once interrupts are on.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine timer_init, "timer_init"
        lea rdi, [sleepers]
        call waitq_init
        mov edi, IRQ_VECTOR+IRQ_TIMER
        lea rsi, [timer_interrupt]
        call set_vector
        mov edi, HZ
        call timer_rate
        mov edi, IRQ_TIMER
        jmp pic_unmask

; timer_rate - how many ticks a second from here on.
; in:       edi = ticks a second, 19 and more
; out:      nothing
; clobbers: rax, rcx, rdx
; interrupts: either
routine timer_rate, "timer_rate"
        mov eax, PIT_HZ
        xor edx, edx
        div edi
        mov ecx, eax
        irq_save                ; the three bytes belong together
        mov al, 0x34            ; channel 0, low and high byte, mode 2: rate generator
        out PIT_COMMAND, al
        mov al, cl
        out PIT_CHANNEL0, al
        mov al, ch
        out PIT_CHANNEL0, al
        irq_restore
        ret

; timer_interrupt - one tick.
; in:       rdi = frame
; out:      nothing
; clobbers: scratch
; interrupts: off
routine timer_interrupt, "timer_interrupt"
        push rbp
        mov rbp, rsp
        mov al, PIC_EOI         ; now, so that it is done before another thread can run
        out PIC1, al
        inc qword [jiffies]
%ifdef BUG_B25
        mov ecx, 5000           ; longer than a short period: the next tick is due before any thread has done a step
.slow:
        dec ecx
        jnz .slow
%endif
        mov rax, [tick_hook]
        test rax, rax
        jz .sleepers
        call rax
.sleepers:
        cmp qword [sleepers+waitq.head], NO_WAITER
        je .quantum
        call wake_sleepers
.quantum:
        call quantum_tick
        pop rbp
        ret

; wake_sleepers - wakes the threads whose time has come; the others keep their order.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine wake_sleepers, "wake_sleepers"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        spin_lock sleepers+waitq.lock
        mov rbx, [sleepers+waitq.head]
.next:
        cmp rbx, NO_WAITER
        je .done
        lea rax, [thread_table]
        mov r12, [rax+rbx*8]
        mov rbx, [r12+thread.wait_next]
        mov rax, [r12+thread.wake_at]
        cmp rax, [jiffies]
        ja .next
        lea rdi, [sleepers]
        mov rsi, r12
        call waitq_unlink
        mov rdi, r12
        call thread_wake
        jmp .next
.done:
        spin_unlock sleepers+waitq.lock
        pop r12
        pop rbx
        pop rbp
        ret

; sleep_ticks - sleeps until some ticks have come; at once if 0. A wake-up that comes early is slept over.
; in:       rdi = ticks
; out:      nothing
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine sleep_ticks, "sleep_ticks"
        push rbp
        mov rbp, rsp
        push rbx
        irq_save
        spin_lock sleepers+waitq.lock
        mov rbx, [gs:processor.current]
        add rdi, [jiffies]
        mov [rbx+thread.wake_at], rdi
.again:
        mov rax, [rbx+thread.wake_at]
        cmp [jiffies], rax
        jae .done
        lea rdi, [sleepers]
        call waitq_block
        jmp .again
.done:
        spin_unlock sleepers+waitq.lock
        irq_restore
        pop rbx
        pop rbp
        ret
