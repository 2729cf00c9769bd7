; serial_input.asm - what comes in on COM1: interrupt, deferred work, a read that blocks.
;
; Room's rule: no byte is lost in silence. What the chip or a full ring could not take is counted.
;
;   chip --IRQ 4--> serial_receive: raw ring --deferred--> serial_deferred: input ring --> serial_read: threads
;   16 bytes        interrupts off                         interrupts on, serial_lock       sleep in serial_readers
;
;   ring [ . . . . a b c d . . . . ]     Both counters only grow; a place is a counter modulo the ring's size. The raw
;                  ^tail   ^head         ring has one writer (the handler) and one reader (the deferred work): no lock.
;
; serial_lock protects the input ring. Deferred work takes it with interrupts on, so a thread that holds it keeps deferred
; work out; interrupts may come, and their bytes wait in the raw ring. Whoever finds the input ring empty looks again under
; the lock of serial_readers, with interrupts off, and sleeps; whoever puts bytes in takes that lock afterwards, and wakes.

SERIAL_RAW      equ 64          ; powers of two
SERIAL_SIZE     equ 256

section .bss
serial_raw:     resb SERIAL_RAW
serial_raw_head: resq 1
serial_raw_tail: resq 1         ; under serial_lock
serial_ring:    resb SERIAL_SIZE
serial_head:    resq 1          ; under serial_lock
serial_tail:    resq 1          ; under serial_lock
serial_dropped: resq 1          ; bytes that found a ring full
serial_readers: resb waitq_size
serial_lock:    resd 1
                resd 1

section .text
pads
; serial_input_init - from here on the receiver interrupts.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine serial_input_init, "serial_input_init"
        lea rdi, [serial_readers]
        call waitq_init
        mov edi, SOFTIRQ_SERIAL
        lea rsi, [serial_deferred]
        call softirq_set
        mov edi, IRQ_VECTOR+IRQ_COM1
        lea rsi, [serial_interrupt]
        call set_vector
        mov byte [serial_enabled], IER_RECEIVE + IER_LINE
        mov edi, IRQ_COM1
        call pic_unmask
        mov dx, UART_IER
        mov al, [serial_enabled]
        out dx, al
        ret

; serial_receive - the handler's part: empties the chip into the raw ring.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine serial_receive, "serial_receive"
        mov rcx, [serial_raw_head]
        lea rsi, [serial_raw]
.next:
        call serial_status
        test al, LSR_READY
        jz .done
        mov dx, UART_DATA
        in al, dx
        mov rdi, rcx
        sub rdi, [serial_raw_tail]
        cmp rdi, SERIAL_RAW
        je .full
        mov edi, ecx
        and edi, SERIAL_RAW-1
        mov [rsi+rdi], al
        inc rcx
        jmp .next
.full:
        inc qword [serial_dropped]
        jmp .next
.done:
        mov [serial_raw_head], rcx
        mov edi, SOFTIRQ_SERIAL
        jmp softirq_raise

; serial_deferred - the deferred part: carries bytes from the raw ring to the input ring, and wakes a reader.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine serial_deferred, "serial_deferred"
        lea rsi, [serial_raw]
        lea rdi, [serial_ring]
        spin_lock serial_lock   ; a thread that holds it keeps us out
.next:
        mov rcx, [serial_raw_tail]
        cmp rcx, [serial_raw_head]
        je .done
        and ecx, SERIAL_RAW-1
        mov al, [rsi+rcx]
        inc qword [serial_raw_tail]
        mov rcx, [serial_head]
        mov rdx, rcx
        sub rdx, [serial_tail]
        cmp rdx, SERIAL_SIZE
        je .full
        and ecx, SERIAL_SIZE-1
        mov [rdi+rcx], al
        inc qword [serial_head]
        jmp .next
.full:
        inc qword [serial_dropped]
        jmp .next
.done:
        spin_unlock serial_lock

; serial_wake - wakes the reader that has waited longest (serial_deferred goes on here).
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine serial_wake, "serial_wake"
        irq_save
        lea rdi, [serial_readers]
        spin_lock rdi+waitq.lock
        call waitq_wake_one
        spin_unlock rdi+waitq.lock
        irq_restore
        ret

; serial_read - reads what has come in; if nothing has, waits until something does.
; in:       rdi = buffer, rsi = its size
; out:      rax = bytes read, at least 1; 0 only for a buffer of none
; clobbers: scratch
; interrupts: on; from threads only, holding no lock
routine serial_read, "serial_read"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rbx, rdi
        mov r12, rsi
        xor eax, eax
        test rsi, rsi
        jz .done
.again:
        mov rdi, rbx
        mov rsi, r12
        call serial_take
        test rax, rax
        jnz .taken
        call serial_await
        jmp .again
.taken:
        mov rcx, [serial_head]
        cmp rcx, [serial_tail]
        je .done
        mov rbx, rax            ; one wake-up may stand for many bytes: the rest is for the next reader
        call serial_wake
        mov rax, rbx
.done:
        pop r12
        pop rbx
        pop rbp
        ret

; serial_await - sleeps in serial_readers, unless something is there to read.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine serial_await, "serial_await"
        irq_save
        spin_lock serial_readers+waitq.lock
%ifndef BUG_B22
        mov rax, [serial_head]
        cmp rax, [serial_tail]
        jne .there              ; it came since serial_take looked
%else
        ; serial_take has looked, and nobody looks again: what came since then wakes nobody
%endif
        lea rdi, [serial_readers]
        call waitq_block
.there:
        spin_unlock serial_readers+waitq.lock
        irq_restore
        ret

; serial_take - takes bytes out of the input ring, as many as there are.
; in:       rdi = buffer, rsi = its size
; out:      rax = bytes taken
; clobbers: scratch
; interrupts: on; from threads only
routine serial_take, "serial_take"
%ifndef BUG_B24
        call softirq_disable
%else
        ; deferred work is not kept out: it spins for the lock of the thread above which it runs
%endif
        spin_lock serial_lock
        lea r8, [serial_ring]
        mov rcx, [serial_tail]
        xor r9d, r9d
.next:
        cmp r9, rsi
        je .done
        cmp rcx, [serial_head]
        je .done
        mov edx, ecx
        and edx, SERIAL_SIZE-1
        mov al, [r8+rdx]
        mov [rdi+r9], al
        inc rcx
        inc r9
        jmp .next
.done:
        mov [serial_tail], rcx
        spin_unlock serial_lock
        push r9
%ifndef BUG_B24
        call softirq_enable
%endif
        pop rax
        ret
