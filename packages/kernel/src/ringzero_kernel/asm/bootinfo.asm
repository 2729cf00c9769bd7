; bootinfo.asm - what the loader told us: memory map and command line.
;
; Room's rule: the start info is only read, and only through `physical`.
;
;   PVH start info                         memory map entry
;   +0   magic 0x336ec578                  +0   base
;   +4   version                           +8   length
;   +24  command line (physical)           +16  type, 1 = RAM
;   +40  memory map (physical)             +20  reserved
;   +48  its entries

PVH_MAGIC       equ 0x336ec578

struc pvh
.magic          resd 1
.version        resd 1
.flags          resd 1
.modules        resd 1
.module_list    resq 1
.command_line   resq 1
.rsdp           resq 1
.map            resq 1
.map_entries    resd 1
endstruc

struc pvh_range
.base           resq 1
.length         resq 1
.type           resd 1
                resd 1
endstruc

CONFIG_STAGES   equ 0           ; config=boot-stages, the default
CONFIG_STRESS   equ 1           ; config=kthread-stress
CONFIG_WORK     equ 2           ; config=workqueue
CONFIG_TRY      equ 3           ; config=scenarios
CONFIGS         equ 4

OPTION_SIZE     equ 32          ; a value of the command line, cut, with the 0 that ends it

section .rodata
        align 8, db 0
config_names:   dq config_stages, config_stress, config_work, config_try
config_stages:  db "boot-stages", 0
config_stress:  db "kthread-stress", 0
config_work:    db "workqueue", 0
config_try:     db "scenarios", 0
config_key:     db "config=", 0
only_key:       db "only=", 0

section .data
physical_base:  dq KBASE        ; where physical 0 is seen: DIRECT_BASE once paging.asm has been there

section .bss
config:         resq 1          ; an index of config_names
config_text:    resb OPTION_SIZE
scenario_only:  resb OPTION_SIZE ; only=NAME: the one scenario to run; empty for all
memory_top:     resq 1          ; end of the RAM that is used, at most FRAME_LIMIT frames

section .text
pads
; boot_read - checks the start info, notes the end of memory and the configuration.
; in:       nothing
; out:      zf set if there is a PVH start info
; clobbers: scratch
; interrupts: off
routine boot_read, "boot_read"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, [start_info]
        add rbx, [physical_base]
        cmp dword [rbx+pvh.magic], PVH_MAGIC
        jne .done
        call memory_find_top
        mov rdi, [rbx+pvh.command_line]
        test rdi, rdi
        jz .done                ; zf set: no command line is fine
        add rdi, [physical_base]
        call config_parse
        cmp eax, eax
.done:
        pop rbx
        pop rbp
        ret

; memory_find_top - finds the end of the highest RAM range, cut at what the frame allocator can count.
; in:       rbx = start info
; out:      [memory_top]
; clobbers: scratch
; interrupts: off
routine memory_find_top, "memory_find_top"
        mov rsi, [rbx+pvh.map]
        add rsi, [physical_base]
        mov ecx, [rbx+pvh.map_entries]
        xor edx, edx
.next:
        test ecx, ecx
        jz .done
        cmp dword [rsi+pvh_range.type], 1
        jne .skip
        mov rax, [rsi+pvh_range.base]
        add rax, [rsi+pvh_range.length]
        cmp rax, rdx
        cmova rdx, rax
.skip:
        add rsi, pvh_range_size
        dec ecx
        jmp .next
.done:
        mov eax, FRAME_LIMIT
        shl rax, 12
        cmp rdx, rax
        cmova rdx, rax
        mov [memory_top], rdx
        ret

; config_parse - notes config=NAME and only=NAME; a configuration that it does not know leaves boot-stages.
; in:       rdi = command line, ending in 0
; out:      [config], [scenario_only]
; clobbers: scratch
; interrupts: off
routine config_parse, "config_parse"
        push rbp
        mov rbp, rsp
        push rbx
        push rdi
        lea rsi, [only_key]
        lea rdx, [scenario_only]
        call option_copy
        pop rdi
        lea rsi, [config_key]
        lea rdx, [config_text]
        call option_copy
        mov ebx, CONFIGS-1
.next:
        lea rax, [config_names]
        lea rdi, [config_text]
        mov rsi, [rax+rbx*8]
        call string_equal
        je .found
        dec ebx
        jnz .next
.found:
        mov [config], rbx
        pop rbx
        pop rbp
        ret

; option_copy - copies the value of an option, up to the next blank.
; in:       rdi = command line, rsi = key with its =, both ending in 0; rdx = field of OPTION_SIZE bytes, all zeroes
; out:      the field; it stays empty when there is no such option
; clobbers: scratch
; interrupts: either
routine option_copy, "option_copy"
        mov rcx, rdi
        mov r8, rsi
.next:
        cmp byte [rcx], 0
        je .done
        mov rdi, rcx
        mov rsi, r8
        call string_starts
        je .found
        inc rcx
        jmp .next
.found:
        lea rcx, [rdx+OPTION_SIZE-1]
.copy:
        mov al, [rdi]
        cmp al, ' '             ; a blank ends it, and so does the 0 at the end
        jbe .done
        cmp rdx, rcx
        je .done
        mov [rdx], al
        inc rdi
        inc rdx
        jmp .copy
.done:
        ret
