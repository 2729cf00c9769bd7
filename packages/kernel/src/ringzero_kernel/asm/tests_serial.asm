; tests_serial.asm - stages of serial input.
;
; Room's rule: input comes from the chip's own transmitter, in loop-back, so that no stage needs anybody at the other end.

section .bss
serial_buffer:  resb SERIAL_SIZE+64
serial_before:  resq 1

section .text
pads
; test_serial - runs the stages of this file.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_serial, "test_serial"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        call test_serial_input
        call test_serial_blocks
        call test_serial_readers
        call test_serial_overrun
        call test_serial_full
        pop r12
        pop rbx
        pop rbp
        ret

; serial_feed - sends bytes that count up, round to the receiver.
; in:       dil = the first one, esi = how many, at least 1
; out:      returns when they have come in, as far as there was room
; clobbers: scratch
; interrupts: on
routine serial_feed, "serial_feed"
        cli                     ; so that they come in with one interrupt: at STI, or where a chip does not wait, before
        mov dx, UART_MCR
        mov al, MCR_NORMAL + MCR_LOOP
        out dx, al
        mov dx, UART_DATA
        mov eax, edi
.next:
        out dx, al
        inc eax
        dec esi
        jnz .next
        mov dx, UART_MCR
        mov al, MCR_NORMAL
        out dx, al
        sti
        nop                     ; here it comes
        ret

; must_read first, how many - a read must give these bytes, which count up. clobbers: scratch
%macro must_read 2
        lea rdi, [serial_buffer]
        mov esi, %2
        call serial_read
        cmp rax, %2
        must e, "as many bytes as there should be"
        mov edi, %1
        mov esi, %2
        call serial_counts
        must e, "the right bytes, in order"
%endmacro

; serial_counts - do the bytes in serial_buffer count up?
; in:       dil = the first one, esi = how many
; out:      zf set if so
; clobbers: rax, rcx, rdi
; interrupts: either
routine serial_counts, "serial_counts"
        lea rax, [serial_buffer]
        xor ecx, ecx
.next:
        cmp [rax+rcx], dil
        jne .done
        inc edi
        inc ecx
        cmp ecx, esi
        jne .next
.done:
        ret

; test_serial_input - bytes that have come in are read without waiting, in order, in parts too.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine test_serial_input, "test_serial_input"
        begin "serial-input"
        mov edi, 'a'
        mov esi, 9
        call serial_feed
        must_read 'a', 4
        lea rdi, [serial_buffer]
        mov esi, 64
        call serial_read
        cmp rax, 5
        must e, "as many as there are, if that is less"
        mov edi, 'e'
        mov esi, 5
        call serial_counts
        must e, "the rest, in order"
        xor esi, esi
        call serial_read
        test rax, rax
        must z, "a buffer of none does not wait"
        passed
        ret

; serial_reader - a thread: reads once, notes the byte.
; in:       rdi = size of its buffer, at most 8
; out:      rax = what serial_read said * 256 + the first byte
; clobbers: everything
; interrupts: on
routine serial_reader, "serial_reader"
        push 0
        mov rsi, rdi
        mov rdi, rsp
        call serial_read
        pop rdi
        shl rax, 8
        mov al, dil
        mov rbx, rax
        call trace_add
        mov rax, rbx
        ret

; test_serial_blocks - with nothing there a reader sleeps, off the ready queue, until something comes.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_serial_blocks, "test_serial_blocks"
        begin "serial-read-blocks"
        spawn serial_reader, 8, "reader"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        mov rdi, rbx
        call wake_for_nothing
        until_state rbx, STATE_BLOCKED
        must_no_trace "woken for nothing, it sleeps on"
        cmp qword [gs:processor.ready_count], 0
        must e, "it is off the ready queue"
        mov rax, [rbx+thread.tid]
        cmp [serial_readers+waitq.head], rax
        must e, "it is among the readers"
        mov edi, 'k'
        mov esi, 1
        call serial_feed
        mov rdi, rbx
        call kthread_join
        cmp rax, 256+'k'
        must e, "it has read the one byte that came"
        must_trace "k", "once"
        passed
        ret

; test_serial_readers - two sleep, two bytes come with one interrupt: each gets one, who has waited longer the first.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx, r12
; interrupts: on
routine test_serial_readers, "test_serial_readers"
        begin "serial-two-readers"
        spawn serial_reader, 1, "reader-1"
        mov rbx, rax
        until_state rbx, STATE_BLOCKED
        spawn serial_reader, 1, "reader-2"
        mov r12, rax
        until_state r12, STATE_BLOCKED
        mov edi, 'p'
        mov esi, 2
        call serial_feed
        mov rdi, rbx
        call kthread_join
        cmp rax, 256+'p'
        must e, "the first has the first byte"
        mov rdi, r12
        call kthread_join
        cmp rax, 256+'q'
        must e, "the second has the second"
        mov qword [trace_length], 0     ; in whatever order they came to note it
        passed
        ret

; test_serial_overrun - what the chip had no room for is counted; what it had room for is kept.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_serial_overrun, "test_serial_overrun"
        begin "serial-overrun-counted"
        mov rbx, [serial_overruns]
        mov edi, 'A'
        mov esi, 20
        call serial_feed
        must_read 'A', 16
        inc rbx
        cmp [serial_overruns], rbx
        must e, "the overrun was counted"
        mov edi, 'a'
        mov esi, 3
        call serial_feed
        must_read 'a', 3
        cmp [serial_overruns], rbx
        must e, "and there was no other"
        passed
        ret

; test_serial_full - with nobody reading the oldest bytes are kept, and the others counted.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: on
routine test_serial_full, "test_serial_full"
        begin "serial-full-counted"
        mov rax, [serial_dropped]
        mov [serial_before], rax
        xor ebx, ebx
.next:
        mov edi, ebx
        mov esi, 10
        call serial_feed
        add ebx, 10
        cmp ebx, SERIAL_SIZE+24
        jne .next
        mov rax, [serial_dropped]
        sub rax, [serial_before]
        cmp rax, 24
        must e, "every byte that found the ring full was counted"
        must_read 0, SERIAL_SIZE
        mov edi, 'z'
        mov esi, 1
        call serial_feed
        must_read 'z', 1
        passed
        ret
