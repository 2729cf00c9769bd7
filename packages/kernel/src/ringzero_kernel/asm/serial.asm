; serial.asm - COM1, the first sink of the log.
;
; Room's rule: transmission is polled, so that it works before interrupts do and inside a panic. The transmit
; interrupt can be switched on, as a second interrupt source beside the timer: see serial_interrupt.
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
LSR_THRE        equ 0x20        ; the transmitter can take a byte
IER_THRE        equ 2           ; interrupt when it can

section .bss
serial_hook:    resq 1          ; a test's routine, called in the handler; 0 = none

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
        mov al, 0x0b            ; DTR, RTS, OUT2 (lets the interrupt out of the chip)
        out dx, al
        ret

; serial_put - sends one byte, waiting until the transmitter can take it.
; in:       al = byte
; out:      nothing
; clobbers: rax, rcx, rdx
; interrupts: either
routine serial_put, "serial_put"
        mov ecx, eax
        mov dx, UART_LSR
.wait:
        in al, dx
        test al, LSR_THRE
        jz .wait
        mov eax, ecx
        mov dx, UART_DATA
        out dx, al
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
        mov al, IER_THRE
        out dx, al
        ret

; serial_interrupt_off - silences it.
; in:       nothing
; out:      nothing
; clobbers: rax, rdx, rdi
; interrupts: either
routine serial_interrupt_off, "serial_interrupt_off"
        mov dx, UART_IER
        xor eax, eax
        out dx, al
        mov edi, IRQ_COM1
        jmp pic_mask

; serial_interrupt - the transmitter can take a byte.
; in:       rdi = frame
; out:      nothing
; clobbers: scratch
; interrupts: off
routine serial_interrupt, "serial_interrupt"
        mov dx, UART_IIR        ; reading the reason clears it
        in al, dx
        mov al, PIC_EOI
        out PIC1, al
        mov rax, [serial_hook]
        test rax, rax
        jz .done
        call rax
.done:
        ret
