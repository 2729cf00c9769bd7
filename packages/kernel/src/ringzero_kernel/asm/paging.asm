; paging.asm - the real page tables.
;
; Room's rule: a page is writable or executable, never both, and that holds for every address it can be seen at.
;
;   kernel_pml4 [  0..255]  the user half: empty here, each user address space has its own
;               [256]       direct map: direct_pdpt -> direct_pd: 2 MiB pages, NX
;                           its first 2 MiB -> direct_pt: 4 KiB pages, read-only where .text and .rodata lie
;               [288]       heap        } made as needed; the two tables below the PML4 are there from the start,
;               [320]       stacks      } so that all address spaces share whatever appears in them
;               [511]       the image: image_pdpt[510] -> image_pd[0] -> image_pt: 4 KiB pages
;
; A user address space is a PML4 whose upper half is copied from kernel_pml4.

PTE_OWNED       equ 0x200       ; available to software: the frame goes back when the address space does
NX_BIT          equ 63
PAGE_RW         equ PTE_P + PTE_W               ; plus NX, set in bit 63

section .bss
paging_lock:    resd 1
                resd 1

section .text
pads
; paging_init - builds the kernel's tables and loads them. Physical memory is then seen at DIRECT_BASE.
; in:       [memory_top]
; out:      nothing
; clobbers: scratch
; interrupts: off
routine paging_init, "paging_init"
        push rbp
        mov rbp, rsp
        mov eax, direct_pdpt - KBASE + PAGE_RW
        mov [kernel_pml4+256*8], rax
        mov eax, heap_pdpt - KBASE + PAGE_RW
        mov [kernel_pml4+288*8], rax
        mov eax, stacks_pdpt - KBASE + PAGE_RW
        mov [kernel_pml4+320*8], rax
        mov eax, image_pdpt - KBASE + PAGE_RW
        mov [kernel_pml4+511*8], rax
        mov eax, direct_pd - KBASE + PAGE_RW
        mov [direct_pdpt], rax
        mov eax, direct_pt - KBASE + PAGE_RW
        mov [direct_pd], rax
        mov eax, image_pd - KBASE + PAGE_RW
        mov [image_pdpt+510*8], rax
        mov eax, image_pt - KBASE + PAGE_RW
        mov [image_pd], rax
        call paging_direct
        call paging_image
        mov eax, kernel_pml4 - KBASE
        mov cr3, rax
        mov rax, DIRECT_BASE
        mov [physical_base], rax
        mov rax, SCREEN
        mov [screen_base], rax
        pop rbp
        ret

; paging_direct - fills direct_pt and direct_pd: all memory, never executable, the image's code not writable.
; in:       [memory_top]
; out:      nothing
; clobbers: rax, rcx, rdx, rsi, rdi
; interrupts: off
routine paging_direct, "paging_direct"
        lea rdi, [direct_pt]
        mov eax, PAGE_RW
        bts rax, NX_BIT
        mov ecx, 512
        mov edx, PAGE
        call fill_entries
        lea rdi, [direct_pt+0x100*8]    ; 0x100000: the image's read-only part begins with the ELF note
        mov ecx, rodata_end - KBASE - 0x100000
        shr ecx, 12
.protect:
        and byte [rdi], ~PTE_W
        add rdi, 8
        dec ecx
        jnz .protect

        lea rdi, [direct_pd+8]
        mov eax, 0x200000 + PAGE_RW + PTE_PS
        bts rax, NX_BIT
        mov rcx, [memory_top]
        add rcx, 0x1fffff
        shr rcx, 21
        dec ecx
        mov edx, 0x200000
        jmp fill_entries

; paging_image - fills image_pt: .text executable, .rodata and .ksyms readable, .data and .bss writable.
; in:       nothing
; out:      nothing
; clobbers: rax, rcx, rdx, rsi, rdi
; interrupts: off
routine paging_image, "paging_image"
        mov rax, text_start - KBASE + PTE_P
        mov rsi, rodata_start - KBASE
        call .part
        mov rax, rodata_start - KBASE + PTE_P
        bts rax, NX_BIT
        mov rsi, data_start - KBASE
        call .part
        mov rax, data_start - KBASE + PAGE_RW
        bts rax, NX_BIT
        mov rsi, image_end - KBASE + PAGE-1
        call .part
        ; A stack that runs over its end must fault, not write into what lies below.
        mov rax, boot_stack_guard - KBASE
        shr eax, 12
        lea rdi, [image_pt]
        mov qword [rdi+rax*8], 0
        ret
.part:                          ; from the page in rax to the one in rsi
        mov ecx, esi
        mov edx, eax
        shr ecx, 12
        shr edx, 12
        sub ecx, edx
        lea rdi, [image_pt]
        lea rdi, [rdi+rdx*8]
        mov edx, PAGE
        jmp fill_entries

; fill_entries - writes consecutive table entries.
; in:       rdi = first entry, rax = its value, ecx = how many, rdx = step from one to the next
; out:      nothing
; clobbers: rax, rcx, rdi
; interrupts: either
routine fill_entries, "fill_entries"
        test ecx, ecx
        jz .done
.next:
        mov [rdi], rax
        add rax, rdx
        add rdi, 8
        dec ecx
        jnz .next
.done:
        ret

; page_entry - finds the lowest-level entry of a linear address.
; in:       rdi = address space (physical address of its PML4), rsi = linear address,
;           rdx = 0 to look only, else the flags that missing tables are made with
; out:      rax = linear address of the entry, or 0: a table is missing, or no frame was left for it
; clobbers: scratch
; interrupts: off (the caller holds paging_lock)
routine page_entry, "page_entry"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        mov rbx, rdi            ; the table's physical address
        mov r12, rsi
        mov r13, rdx
        mov r14d, 39            ; the address bit at which this level's index begins
.level:
        mov rax, r12
        mov ecx, r14d
        shr rax, cl
        and eax, 511
        mov rdx, DIRECT_BASE
        add rdx, rbx
        lea rbx, [rdx+rax*8]    ; the entry
        cmp r14d, 12
        je .found
        mov rax, [rbx]
        test al, PTE_P
        jnz .down
        test r13, r13
        jz .missing
        call frame_alloc_zeroed
        test rax, rax
        jz .missing
        or rax, r13
        mov [rbx], rax
.down:
        mov rbx, 0x000ffffffffff000
        and rbx, rax
        sub r14d, 9
        jmp .level
.missing:
        xor ebx, ebx
.found:
        mov rax, rbx
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; page_map - maps one page that is not mapped yet.
; in:       rdi = address space, rsi = linear address, rdx = entry: physical address, flags and NX
; out:      rax = 0, -EINVAL if something is mapped there, -ENOMEM
; clobbers: scratch
; interrupts: either
routine page_map, "page_map"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdx
        irq_save
        spin_lock paging_lock
        mov edx, PAGE_RW
        mov rax, USER_TOP
        cmp rsi, rax
        jae .kernel
        or edx, PTE_U
.kernel:
        call page_entry
        test rax, rax
        jz .no_memory
        test byte [rax], PTE_P
        jnz .taken
        mov [rax], rbx
        xor ebx, ebx
        jmp .done
.taken:
        mov rbx, -EINVAL
        jmp .done
.no_memory:
        mov rbx, -ENOMEM
.done:
        spin_unlock paging_lock
        irq_restore
        mov rax, rbx
        pop rbx
        pop rbp
        ret

; page_unmap - takes a page out of the tables and out of the TLB of this CPU.
; in:       rdi = address space, rsi = linear address
; out:      rax = the entry that was there, 0 if none
; clobbers: scratch
; interrupts: either
routine page_unmap, "page_unmap"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov r12, rsi
        xor ebx, ebx
        irq_save
        spin_lock paging_lock
        xor edx, edx
        call page_entry
        test rax, rax
        jz .done
        xchg [rax], rbx
        invlpg [r12]
.done:
        spin_unlock paging_lock
        irq_restore
        mov rax, rbx
        pop r12
        pop rbx
        pop rbp
        ret

; page_map_new - maps a fresh frame, writable and not executable.
; in:       rdi = address space, rsi = linear address, rdx = further flags (PTE_U) or 0
; out:      rax = 0 or -ENOMEM, -EINVAL
; clobbers: scratch
; interrupts: either
routine page_map_new, "page_map_new"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        mov rbx, rdi
        mov r12, rsi
        mov r13, rdx
        call frame_alloc
        mov r14, rax
        test rax, rax
        mov rax, -ENOMEM
        jz .done
        mov rdi, rbx
        mov rsi, r12
        lea rdx, [r14+PAGE_RW+PTE_OWNED]
        or rdx, r13
        bts rdx, NX_BIT
        call page_map
        test rax, rax
        jz .done
        mov rbx, rax
        mov rdi, r14
        call frame_free
        mov rax, rbx
.done:
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; page_unmap_free - unmaps a page and gives its frame back.
; in:       rdi = address space, rsi = linear address
; out:      nothing
; clobbers: scratch
; interrupts: either
routine page_unmap_free, "page_unmap_free"
        call page_unmap
        test al, PTE_P
        jz .done
        mov rdi, 0x000ffffffffff000
        and rdi, rax
        jmp frame_free
.done:
        ret
