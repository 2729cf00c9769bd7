; serial.asm - COM1, the first sink of the log.
;
; Room's rule: transmission is polled, so that it works before interrupts do and inside a panic. The transmit
; interrupt can be switched on, as an interrupt source that comes at will: see serial_interrupt_on. What comes in is
; serial_input.asm's; here its interrupt is told from the transmitter's.
;
;   port   read                write
;   3f8    received byte       byte to send            (divisor low while LCR.DLAB)
;   3f9    interrupt enable    interrupt enable        (divisor high while LCR.DLAB)
;   3fa    interrupt reason    FIFO control
;   3fb    line control        line control
;   3fc    modem control       modem control
;   3fd    line status

COM1            equ 0x3f8
UART_DATA       equ COM1 + 0
UART_IER        equ COM1 + 1
UART_IIR        equ COM1 + 2
UART_FCR        equ COM1 + 2
UART_LCR        equ COM1 + 3
UART_MCR        equ COM1 + 4
UART_LSR        equ COM1 + 5
UART_MSR        equ COM1 + 6
LSR_READY       equ 1           ; a byte has come in
LSR_OVERRUN     equ 1           ; (its bit number) one was lost, because the chip was full; reading the port clears it
LSR_THRE        equ 0x20        ; the transmitter can take a byte
IER_RECEIVE     equ 1           ; interrupt when a byte has come in
IER_THRE        equ 2           ; when the transmitter can take one
IER_LINE        equ 4           ; when one was lost
IIR_NONE        equ 1           ; reasons: a bit that says there is none, and those there are
IIR_THRE        equ 2
IIR_RECEIVE     equ 4
IIR_LINE        equ 6
IIR_TIMEOUT     equ 12          ; a byte has been there for a while
MCR_NORMAL      equ 0x0b        ; DTR, RTS, OUT2 (lets the interrupt out of the chip)
MCR_LOOP        equ 0x10        ; what is sent comes in

section .bss
serial_hook:    resq 1          ; a test's routine, called in the handler; 0 = none
serial_overruns: resq 1         ; how often the chip said that it was full
serial_enabled: resb 1          ; the interrupts that stay on: none, or those of serial_input.asm
                resb 7

section .text
pads
; serial_init - 115200 baud, 8 bits, no parity, FIFOs on, no interrupts.
; in:       nothing
; out:      nothing
; clobbers: rax, rdx
; interrupts: off
routine serial_init, "serial_init"
        mov dx, UART_IER
        xor eax, eax
        out dx, al
        mov dx, UART_LCR
        mov al, 0x80            ; DLAB: the first two ports are the divisor
        out dx, al
        mov dx, UART_DATA
        mov al, 1               ; 115200 / 1
        out dx, al
        mov dx, UART_IER
        xor eax, eax
        out dx, al
        mov dx, UART_LCR
        mov al, 3               ; 8 bits, no parity, 1 stop bit
        out dx, al
        mov dx, UART_FCR
        mov al, 7               ; FIFOs on and empty
        out dx, al
        mov dx, UART_MCR
        mov al, MCR_NORMAL
        out dx, al
        ret

; serial_put - sends one byte, waiting until the transmitter can take it.
; in:       al = byte
; out:      nothing
; clobbers: rax, rcx, rdx
; interrupts: either
routine serial_put, "serial_put"
        mov ecx, eax
.wait:
        call serial_status
        test al, LSR_THRE
        jz .wait
        mov eax, ecx
        mov dx, UART_DATA
        out dx, al
        ret

; serial_status - reads the line status, and counts the overrun that only this reading is told of.
; in:       nothing
; out:      al = line status
; clobbers: dx
; interrupts: either
routine serial_status, "serial_status"
        mov dx, UART_LSR
        in al, dx
        bt eax, LSR_OVERRUN
        adc qword [serial_overruns], 0
        ret

; serial_interrupt_on - lets the transmitter interrupt whenever it can take a byte; at once, if it can now.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine serial_interrupt_on, "serial_interrupt_on"
        mov edi, IRQ_VECTOR+IRQ_COM1
        lea rsi, [serial_interrupt]
        call set_vector
        mov edi, IRQ_COM1
        call pic_unmask
        mov dx, UART_IER
        mov al, [serial_enabled]
        or al, IER_THRE
        out dx, al
        ret

; serial_interrupt_off - silences the transmitter, and the line if nothing else wants it.
; in:       nothing
; out:      nothing
; clobbers: rax, rdx, rdi
; interrupts: either
routine serial_interrupt_off, "serial_interrupt_off"
        mov dx, UART_IER
        mov al, [serial_enabled]
        out dx, al
        mov edi, IRQ_COM1
        test al, al
        jz pic_mask
        ret

; serial_interrupt - deals with every reason that the chip has: its line rises again only after it has fallen.
; in:       rdi = frame
; out:      nothing
; clobbers: scratch
; interrupts: off
routine serial_interrupt, "serial_interrupt"
        mov al, PIC_EOI
        out PIC1, al
.next:
        mov dx, UART_IIR        ; reading the reason clears it, if it is the transmitter's
        in al, dx
        and eax, 15
        cmp eax, IIR_THRE
        je .sent
        cmp eax, IIR_RECEIVE
        je .received
        cmp eax, IIR_TIMEOUT
        je .received
        cmp eax, IIR_LINE
        je .received            ; whoever empties the chip sees the overrun
        test al, IIR_NONE
        jnz .done
        mov dx, UART_MSR        ; modem lines: nobody enabled them, and reading them is the answer
        in al, dx
        jmp .next
.received:
        call serial_receive
        jmp .next
.sent:
        mov rax, [serial_hook]
        test rax, rax
        jz .next
        call rax
        jmp .next
.done:
        ret
