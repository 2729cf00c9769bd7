; entry.asm - from the loader's hands into 64-bit code in the higher half.
;
; Room's rule: everything here runs once, at its physical address, before there is anything to rely on.
;
; PVH leaves us in 32-bit protected mode: flat segments, paging off, interrupts off, ebx = physical address of the
; start info. There is no stack. The way up:
;
;   CR4.PAE, EFER.LME|NXE|SCE, CR3, CR0.PG|WP  ->  compatibility mode  ->  far jump  ->  64-bit, low  ->  high
;
; The first page tables map the first GiB twice, at 0 and at KBASE, through the same two lower tables:
;
;   boot_pml4                boot_pdpt                 boot_pd
;   [  0] --------+------->  [  0] ---------+------->  [0..511]  2 MiB pages, physical 0 .. 1 GiB
;   [511] --------+          [510] ---------+
;
; paging.asm replaces them by the real ones, and address 0 is mapped no more.

PTE_P           equ 1           ; present
PTE_W           equ 2           ; writable
PTE_U           equ 4           ; user
PTE_PS          equ 0x80        ; in a PDE: maps 2 MiB

MSR_EFER        equ 0xc0000080
EFER_SCE        equ 1           ; SYSCALL
EFER_LME        equ 0x100       ; long mode
EFER_NXE        equ 0x800       ; no-execute
CR0_PE          equ 1
CR0_MP          equ 2
CR0_EM          equ 4
CR0_TS          equ 8
CR0_NE          equ 0x20
CR0_WP          equ 0x10000     ; the kernel, too, obeys read-only
CR0_AM          equ 0x40000     ; alignment checks in ring 3
CR0_PG          equ 0x80000000
CR4_PAE         equ 0x20

section .note
; The ELF note by which a PVH loader finds the entry: namesz, descsz, type, name, desc.
        dd 4, 8, 18             ; XEN_ELFNOTE_PHYS32_ENTRY
        db "Xen", 0
        dq _start

section .boot
bits 32

; _start - the PVH entry.
; in:       ebx = physical address of the start info; 32-bit protected mode, paging off
; out:      does not return; start_high runs with rbx unchanged
; interrupts: off
        global _start
_start:
        cli
        cld
        mov esp, boot_stack_top - KBASE

        ; The two upper levels: two entries each, which meet again below.
        mov eax, boot_pdpt - KBASE + PTE_P + PTE_W
        mov [boot_pml4 - KBASE], eax
        mov [boot_pml4 - KBASE + 511*8], eax
        mov eax, boot_pd - KBASE + PTE_P + PTE_W
        mov [boot_pdpt - KBASE], eax
        mov [boot_pdpt - KBASE + 510*8], eax

        ; The lowest level: 512 pages of 2 MiB. The upper halves of the entries are 0 as all of .bss.
        mov edi, boot_pd - KBASE
        mov eax, PTE_P + PTE_W + PTE_PS
        mov ecx, 512
.fill:
        mov [edi], eax
        add eax, 0x200000
        add edi, 8
        dec ecx
        jnz .fill

        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, boot_pml4 - KBASE
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME + EFER_NXE + EFER_SCE
        wrmsr

        ; SDM 3A 9.8.5: setting CR0.PG with EFER.LME set activates long mode, in its compatibility sub-mode.
        mov eax, cr0
        and eax, ~(CR0_EM + CR0_TS)
        or eax, CR0_PG + CR0_WP + CR0_NE + CR0_MP + CR0_PE
        mov cr0, eax
        lgdt [boot_gdt_pointer]
        jmp 0x08:start_low

bits 64
; start_low - the first 64-bit instructions; still at a low address, because a far jump of 32-bit code reaches no higher.
start_low:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov rax, start_high
        jmp rax

        align 16, db 0
boot_gdt:                       ; null, 64-bit code, data: enough until gdt.asm has the real one
        dq 0
        dq 0x00af9b000000ffff
        dq 0x00cf93000000ffff
boot_gdt_end:
boot_gdt_pointer:
        dw boot_gdt_end - boot_gdt - 1
        dd boot_gdt

section .bss
; Page-sized things come first: .bss begins on a page, and `resb` alone keeps them aligned.
boot_pml4:      resb PAGE
boot_pdpt:      resb PAGE
boot_pd:        resb PAGE
kernel_pml4:    resb PAGE       ; the real tables, built by paging.asm
image_pdpt:     resb PAGE
image_pd:       resb PAGE
image_pt:       resb PAGE
direct_pdpt:    resb PAGE
direct_pd:      resb PAGE
direct_pt:      resb PAGE
heap_pdpt:      resb PAGE
stacks_pdpt:    resb PAGE
boot_stack_guard: resb PAGE     ; paging.asm leaves this page unmapped
boot_stack:     resb PAGE*2
boot_stack_top:
fault_stacks:   resb PAGE*3     ; one page each for double fault, NMI and machine check
fault_stacks_end:

start_info:     resq 1          ; physical address of the PVH start info

section .text
; start_high - the first code in the higher half.
; in:       rbx = physical address of the start info
; out:      does not return
; interrupts: off
routine start_high, "start_high"
        mov rsp, boot_stack_top
        xor ebp, ebp            ; the end of every chain of frames
        mov ebx, ebx            ; PVH hands over 32 bits
        mov [start_info], rbx
        call kernel_main
.halt:
        cli
        hlt
        jmp .halt
