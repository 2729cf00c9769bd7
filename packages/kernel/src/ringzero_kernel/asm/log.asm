; log.asm - one ring, two sinks, no deadlock.
;
; Room's rule: the log may be called from anywhere, also from a handler that interrupted a thread inside the log.
;
;            log_write: whole lines in                      log_drain: single characters out
;                     |                                              |
;                     v                                              v
;   log_ring  [ ...... a line\n another line\n ..................... ]      --> serial_put, screen_put
;                      ^ log_tail                ^ log_head
;
; Both counters only grow; a position in the ring is a counter modulo its size. The rules:
;   1. log_lock is only ever held with interrupts off, so no handler on this CPU can find it taken.
;   2. A line goes into the ring whole, under the lock: lines never mix.
;   3. Characters leave the ring one at a time, each under the lock, always at log_tail. It does not matter who
;      carries them out: whoever comes next goes on exactly where the last one stopped. So nobody waits for the
;      thread that was interrupted in the middle of a line; its line is finished for it.
;   4. Between two characters interrupts are as the caller had them.

LOG_SIZE        equ 2048        ; a power of two

%ifdef BUG_B6A                          ; found taken by a handler
%define DISPLAY_LOCK
%elifdef BUG_B6B                        ; found taken by a thread
%define DISPLAY_LOCK
%endif

section .bss
%ifdef DISPLAY_LOCK
display_lock:   resq 1
%endif
log_ring:       resb LOG_SIZE
log_head:       resq 1
log_tail:       resq 1
log_lock:       resd 1
                resd 1

section .text
pads
; log_write - writes a text to both sinks. When it returns, the text has left.
; in:       rdi = text, rsi = length, at most 256
; out:      nothing
; clobbers: scratch
; interrupts: either; from threads and handlers alike
routine log_write, "log_write"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        mov r12, rsi
.again:
        irq_save
        spin_lock log_lock
        mov rax, [log_head]
        sub rax, [log_tail]     ; in use
        add rax, r12
        cmp rax, LOG_SIZE
        jbe .room
        spin_unlock log_lock
        irq_restore
        call log_drain
        jmp .again
.room:
        mov rdi, rbx
        mov rsi, r12
        call log_append
        spin_unlock log_lock
        irq_restore
        call log_drain
        pop r12
        pop rbx
        pop rbp
        ret

; log_append - copies a text into the ring.
; in:       rdi = text, rsi = length; there is room; the caller holds log_lock
; out:      nothing
; clobbers: scratch
; interrupts: off
routine log_append, "log_append"
        mov rdx, [log_head]
        lea r8, [log_ring]
        test rsi, rsi
        jz .done
.next:
        mov al, [rdi]
        mov ecx, edx
        and ecx, LOG_SIZE-1
        mov [r8+rcx], al
        inc rdi
        inc rdx
        dec rsi
        jnz .next
.done:
        mov [log_head], rdx
        ret

; log_drain - sends characters until the ring is empty.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine log_drain, "log_drain"
.next:
        irq_save
        spin_lock log_lock
        mov rcx, [log_tail]
        cmp rcx, [log_head]
        je .empty
        lea rdx, [rcx+1]
        mov [log_tail], rdx
        and ecx, LOG_SIZE-1
        lea rax, [log_ring]
        mov al, [rax+rcx]
        push rax
        call serial_put
        pop rax
%ifdef DISPLAY_LOCK
        ; the screen's own lock, held with interrupts on: who logs with interrupts off finds it taken, and spins for ever
        spin_unlock log_lock
        irq_restore
        spin_lock display_lock
        call screen_put
        spin_unlock display_lock
%else
        call screen_put
        spin_unlock log_lock
        irq_restore             ; here a handler may come in, and log
%endif
        jmp .next
.empty:
        spin_unlock log_lock
        irq_restore
        ret
