; gdt.asm - segments, and the task state segment that names the stacks.
;
; Room's rule: in 64-bit mode a segment is a privilege and little else; this file sets them up once.
;
;   selector   descriptor
;   0x00       null
;   0x08       kernel code                 SYSCALL loads CS = STAR[47:32], SS = that + 8
;   0x10       kernel data
;   0x18       (32-bit user code: unused)  SYSRET loads SS = STAR[63:48] + 8, CS = that + 16
;   0x20       user data
;   0x28       user code
;   0x30       TSS, 16 bytes
;   0x40       data, not present: loading it is how a stage provokes #NP and #SS
;
;   TSS   +4   RSP0: the stack for interrupts that come from ring 3, the current thread's kernel stack
;         +36  IST1: double fault    +44  IST2: NMI    +52  IST3: machine check
;         +102 offset of the I/O bitmap: behind the end, so ring 3 may use no port

KERNEL_CS       equ 0x08
KERNEL_DS       equ 0x10
USER_DS         equ 0x20 + 3
USER_CS         equ 0x28 + 3
TSS_SELECTOR    equ 0x30
ABSENT_SELECTOR equ 0x40

TSS_RSP0        equ 4
TSS_IST1        equ 36
TSS_IST2        equ 44
TSS_IST3        equ 52
TSS_IOMAP       equ 102
TSS_BYTES       equ 104

section .data
        align 16, db 0
gdt:            dq 0
                dq 0x00af9b000000ffff   ; code, long, ring 0
                dq 0x00cf93000000ffff   ; data, ring 0
                dq 0
                dq 0x00cff3000000ffff   ; data, ring 3
                dq 0x00affb000000ffff   ; code, long, ring 3
gdt_tss:        dq 0x0000890000000000 + TSS_BYTES - 1
                dq 0
                dq 0x00cf13000000ffff   ; data, ring 0, not present
gdt_end:
gdt_pointer:    dw gdt_end - gdt - 1
                dq gdt

section .text
pads
; gdt_init - loads the segments and the task register of this CPU.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine gdt_init, "gdt_init"
        push rbp
        mov rbp, rsp
        mov rdi, [gs:processor.self]
        add rdi, processor.tss
        call tss_fill
        call tss_describe
        lgdt [gdt_pointer]
        mov ax, TSS_SELECTOR
        ltr ax
        mov ax, KERNEL_DS
        mov ds, ax
        mov es, ax
        mov ss, ax
        push qword KERNEL_CS    ; a far return is how 64-bit code reloads CS
        lea rax, [.reloaded]
        push rax
        retfq
.reloaded:
        pop rbp
        ret

; tss_fill - writes the stacks into a task state segment that is all zeroes.
; in:       rdi = TSS
; out:      nothing
; clobbers: rax
; interrupts: off
routine tss_fill, "tss_fill"
        lea rax, [boot_stack_top]
        mov [rdi+TSS_RSP0], rax
        lea rax, [fault_stacks+PAGE]
        mov [rdi+TSS_IST1], rax
        add rax, PAGE
        mov [rdi+TSS_IST2], rax
        add rax, PAGE
        mov [rdi+TSS_IST3], rax
        mov word [rdi+TSS_IOMAP], TSS_BYTES
        ret

; tss_describe - puts a TSS's address into its descriptor, where it lies in four pieces.
; in:       rdi = TSS
; out:      nothing
; clobbers: rax, rcx
; interrupts: off
routine tss_describe, "tss_describe"
        lea rcx, [gdt_tss]
        mov rax, rdi
        mov [rcx+2], ax         ; base 15..0
        shr rax, 16
        mov [rcx+4], al         ; base 23..16
        mov [rcx+7], ah         ; base 31..24
        shr rax, 16
        mov [rcx+8], eax        ; base 63..32
        ret
