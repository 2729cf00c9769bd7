; rtc.asm - the battery-backed clock: the date.
;
; Room's rule: the clock is only read. It changes under the reader's eyes, so a reading counts when two in a row agree.
;
;   port 70: which register      port 71: its value, two decimal digits in a byte (BCD)
;   0 seconds   2 minutes   4 hours   7 day   8 month   9 year   a: bit 7 = being updated

CMOS_INDEX      equ 0x70
CMOS_VALUE      equ 0x71
RTC_STATUS      equ 0x0a
RTC_UPDATING    equ 0x80

section .rodata
rtc_registers:  db 9, 8, 7, 4, 2, 0     ; year first: readings compare as numbers
RTC_FIELDS      equ 6

section .text
pads
; rtc_read - reads the date.
; in:       nothing
; out:      rax = 00 00 year month day hours minutes seconds, a byte each, in BCD
; clobbers: scratch
; interrupts: either
routine rtc_read, "rtc_read"
        push rbp
        mov rbp, rsp
        push rbx
        xor ebx, ebx
.again:
        call rtc_sample
        cmp rax, rbx
        mov rbx, rax
        jne .again
        pop rbx
        pop rbp
        ret

; rtc_sample - reads the registers once, not while they are being updated.
; in:       nothing
; out:      rax as rtc_read
; clobbers: scratch
; interrupts: either
routine rtc_sample, "rtc_sample"
        xor edx, edx
        lea rsi, [rtc_registers]
        mov ecx, RTC_FIELDS
.next:
        mov al, RTC_STATUS
        call cmos_read
        test al, RTC_UPDATING
        jnz .next
        mov al, [rsi]
        call cmos_read
        shl rdx, 8
        mov dl, al
        inc rsi
        dec ecx
        jnz .next
        mov rax, rdx
        ret

; cmos_read - reads one register.
; in:       al = register
; out:      al = value
; clobbers: flags
; interrupts: either; off between the two ports
routine cmos_read, "cmos_read"
        irq_save
        out CMOS_INDEX, al
        in al, CMOS_VALUE
        irq_restore
        ret
