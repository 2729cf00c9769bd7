; pic.asm - the two 8259 interrupt controllers.
;
; Room's rule: a line is masked until somebody asks for it, and every interrupt that was taken is acknowledged once,
; before its handler can switch threads.
;
;   IRQ 0..7  -> master, ports 20, 21 -> vectors 0x20..0x27        IRQ 0  timer      IRQ 2  the slave
;   IRQ 8..15 -> slave,  ports a0, a1 -> vectors 0x28..0x2f        IRQ 4  COM1

PIC1            equ 0x20
PIC2            equ 0xa0
IRQ_VECTOR      equ 0x20
IRQ_TIMER       equ 0
IRQ_COM1        equ 4
PIC_EOI         equ 0x20

section .text
pads
; pic_init - moves the interrupts away from the exceptions' vectors and masks all of them.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine pic_init, "pic_init"
        mov al, 0x11            ; ICW1: edge triggered, cascade, ICW4 follows
        out PIC1, al
        out PIC2, al
        mov al, IRQ_VECTOR      ; ICW2: vectors
        out PIC1+1, al
        mov al, IRQ_VECTOR+8
        out PIC2+1, al
        mov al, 4               ; ICW3: the slave is on line 2
        out PIC1+1, al
        mov al, 2
        out PIC2+1, al
        mov al, 1               ; ICW4: 8086 mode, explicit end of interrupt
        out PIC1+1, al
        out PIC2+1, al
        mov al, 0xfb            ; all masked but the slave's line
        out PIC1+1, al
        mov al, 0xff
        out PIC2+1, al
        mov edi, IRQ_VECTOR+7   ; where a PIC sends what went away before it was taken
        lea rsi, [irq_spurious]
        call set_vector
        mov edi, IRQ_VECTOR+15
        lea rsi, [irq_spurious]
        jmp set_vector

; pic_unmask - lets a line of the master through.
; in:       edi = IRQ, 0..7
; out:      nothing
; clobbers: rax
; interrupts: either
routine pic_unmask, "pic_unmask"
        irq_save
        in al, PIC1+1
        btr eax, edi
        out PIC1+1, al
        irq_restore
        ret

; pic_mask - stops a line of the master.
; in:       edi = IRQ, 0..7
; out:      nothing
; clobbers: rax
; interrupts: either
routine pic_mask, "pic_mask"
        irq_save
        in al, PIC1+1
        bts eax, edi
        out PIC1+1, al
        irq_restore
        ret

%ifdef BUG_B21
; pic_acknowledge - end of interrupt, for the master's lines.
; in:       nothing
; out:      nothing
; clobbers: rax
; interrupts: off
routine pic_acknowledge, "pic_acknowledge"
        mov al, PIC_EOI
        out PIC1, al
        ret
%endif

; irq_spurious - lines 7 and 15 of an interrupt that went away. A real one would be in service; nobody unmasks them.
; in:       rdi = frame
; out:      nothing
; clobbers: scratch
; interrupts: off
routine irq_spurious, "irq_spurious"
        inc qword [spurious_count]
        cmp qword [rdi+frame.vector], IRQ_VECTOR+15
        jne .done
        mov al, PIC_EOI         ; the slave's is not real, but the master's line 2 was
        out PIC1, al
.done:
        ret

section .bss
spurious_count: resq 1
section .text
