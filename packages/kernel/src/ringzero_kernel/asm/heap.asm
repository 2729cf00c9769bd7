; heap.asm - kmalloc and kfree.
;
; Room's rule: blocks lie side by side without gaps; two free neighbours never stay two.
;
;   HEAP_BASE                                                                              heap_end
;   | head | used payload | head | free: next, previous ... | head | used payload | end head |
;      ^-------- prev --------'  ^------------ prev ----------'                       size 0, used
;
;   head:  size    bytes from this head to the next; bit 0 = used
;          prev    the head before, 0 at the first
;          magic   a mark, mixed with the address: what was overwritten or never allocated is found out
;
; Free blocks form a ring through `heap_free`, newest first. First fit; the heap grows by HEAP_STEP when nothing fits.

HEAP_STEP       equ 4           ; pages
HEAP_LIMIT      equ 0x400000    ; bytes, at most
HEAP_MAGIC      equ 0x5a6e6f72
HEAP_MIN        equ 48          ; smallest block: a head and the two links

struc block
.size           resq 1
.prev           resq 1
.magic          resq 1
.owner          resq 1          ; keeps the payload on 16 bytes; unused
.next_free      resq 1          ; payload begins here
.prev_free      resq 1
endstruc
BLOCK_HEAD      equ 32

section .bss
heap_free:      resb block_size ; only the two links are used
heap_end:       resq 1
heap_last:      resq 1          ; the end head, 0 before the first growth
heap_used:      resq 1          ; blocks in use
heap_lock:      resd 1
                resd 1

section .text
pads
; heap_init - an empty heap.
; in:       nothing
; out:      nothing
; clobbers: rax
; interrupts: off
routine heap_init, "heap_init"
        lea rax, [heap_free]
        mov [heap_free+block.next_free], rax
        mov [heap_free+block.prev_free], rax
        mov rax, HEAP_BASE
        mov [heap_end], rax
        ret

; kmalloc - allocates memory; its contents are whatever they were.
; in:       rdi = bytes
; out:      rax = address, on 16 bytes, or 0 when memory is short
; clobbers: scratch
; interrupts: either
routine kmalloc, "kmalloc"
        push rbp
        mov rbp, rsp
        push rbx
        lea rbx, [rdi+BLOCK_HEAD+15]
        and rbx, ~15
        cmp rbx, HEAP_MIN
        jae .size
        mov ebx, HEAP_MIN
.size:
        xor eax, eax
        cmp rdi, HEAP_LIMIT
        ja .done
        irq_save
        spin_lock heap_lock
.again:
        mov rdi, rbx
        call heap_find
        test rax, rax
        jnz .found
        mov rdi, rbx
        call heap_grow
        test rax, rax
        jz .again
        xor eax, eax
        jmp .unlock
.found:
        mov rdi, rax
        mov rsi, rbx
        call heap_take
        inc qword [heap_used]
.unlock:
        spin_unlock heap_lock
        irq_restore
.done:
        pop rbx
        pop rbp
        ret

; kmalloc_zeroed - allocates memory and clears it.
; in:       rdi = bytes
; out:      rax = address, or 0 when memory is short
; clobbers: scratch
; interrupts: either
routine kmalloc_zeroed, "kmalloc_zeroed"
        push rbp
        mov rbp, rsp
        push rbx
        lea rbx, [rdi+7]
        and rbx, ~7
        mov rdi, rbx
        call kmalloc
        test rax, rax
        jz .done
        mov rsi, rbx
        mov rbx, rax
        mov rdi, rax
        call fill_zero
        mov rax, rbx
.done:
        pop rbx
        pop rbp
        ret

; kfree - frees what kmalloc gave. Anything else is a bug of the caller.
; in:       rdi = address, or 0: nothing happens
; out:      nothing
; clobbers: scratch
; interrupts: either
routine kfree, "kfree"
        push rbp
        mov rbp, rsp
        test rdi, rdi
        jz .done
        call heap_release
        test rax, rax
        jz .done
        mov rsi, rdi
        bug "kfree of %x: not an allocated block"
.done:
        pop rbp
        ret

; heap_release - frees a block, if it is one, and melts it with free neighbours.
; in:       rdi = address
; out:      rax = 0, or -EINVAL when there is no such block in use; rdi unchanged
; clobbers: scratch, but not rdi
; interrupts: either
routine heap_release, "heap_release"
        push rbp
        mov rbp, rsp
        push rbx
        push rdi
        mov rax, -EINVAL
        irq_save
        spin_lock heap_lock
        lea rbx, [rdi-BLOCK_HEAD]
        mov rcx, HEAP_BASE
        cmp rbx, rcx
        jb .unlock
        cmp rbx, [heap_last]
        jae .unlock
        test bl, 15
        jnz .unlock
        mov rcx, HEAP_MAGIC
        xor rcx, rbx
        cmp rcx, [rbx+block.magic]
        jne .unlock
        btr qword [rbx+block.size], 0
        jnc .unlock
        dec qword [heap_used]
        mov rdi, rbx
        call heap_melt
        xor eax, eax
.unlock:
        spin_unlock heap_lock
        irq_restore
        pop rdi
        pop rbx
        pop rbp
        ret

; heap_find - the first free block that is large enough.
; in:       rdi = bytes, head included
; out:      rax = head, or 0
; clobbers: rcx
; interrupts: off (heap_lock is held)
routine heap_find, "heap_find"
        lea rcx, [heap_free]
        mov rax, [rcx+block.next_free]
.next:
        cmp rax, rcx
        je .none
        cmp [rax+block.size], rdi
        jae .done
        mov rax, [rax+block.next_free]
        jmp .next
.none:
        xor eax, eax
.done:
        ret

; heap_take - marks a free block used, after splitting off what is not needed.
; in:       rdi = head of a free block, rsi = bytes wanted, head included
; out:      rax = its payload
; clobbers: scratch
; interrupts: off (heap_lock is held)
routine heap_take, "heap_take"
        call free_unlink
        mov rax, [rdi+block.size]
        sub rax, rsi
        cmp rax, HEAP_MIN
        jb .whole
        mov [rdi+block.size], rsi
        lea rdx, [rdi+rsi]      ; the rest becomes a free block of its own
        mov [rdx+block.size], rax
        mov [rdx+block.prev], rdi
        mov [rdx+rax+block.prev], rdx
        push rdi
        mov rdi, rdx
        call free_link
        pop rdi
.whole:
        or qword [rdi+block.size], 1
        mov rax, HEAP_MAGIC
        xor rax, rdi
        mov [rdi+block.magic], rax
        lea rax, [rdi+BLOCK_HEAD]
        ret

; heap_melt - makes a block free: joins it with the free blocks before and behind it, and links the result.
; in:       rdi = head, not marked used
; out:      nothing
; clobbers: rax, rcx, rdx, rdi
; interrupts: off (heap_lock is held)
routine heap_melt, "heap_melt"
        mov rdx, rdi
        mov qword [rdx+block.magic], 0
        mov rdi, [rdx+block.size]
        add rdi, rdx            ; the block behind; there always is one, the end head is used
        test byte [rdi+block.size], 1
        jnz .before
        call free_unlink
        mov rax, [rdi+block.size]
        add [rdx+block.size], rax
.before:
        mov rdi, [rdx+block.prev]
        test rdi, rdi
        jz .link
        test byte [rdi+block.size], 1
        jnz .link
        call free_unlink
        mov rax, [rdx+block.size]
        add [rdi+block.size], rax
        mov rdx, rdi
.link:
        mov rdi, rdx
        add rdx, [rdi+block.size]
        mov [rdx+block.prev], rdi

; free_link - puts a block at the front of the ring of free blocks (heap_melt goes on here).
; in:       rdi = head
; out:      nothing
; clobbers: rax, rcx
; interrupts: off (heap_lock is held)
routine free_link, "free_link"
        lea rcx, [heap_free]
        mov rax, [rcx+block.next_free]
        mov [rdi+block.next_free], rax
        mov [rdi+block.prev_free], rcx
        mov [rax+block.prev_free], rdi
        mov [rcx+block.next_free], rdi
        ret

; free_unlink - takes a block out of the ring of free blocks.
; in:       rdi = head
; out:      nothing
; clobbers: rax, rcx
; interrupts: off (heap_lock is held)
routine free_unlink, "free_unlink"
        mov rax, [rdi+block.next_free]
        mov rcx, [rdi+block.prev_free]
        mov [rax+block.prev_free], rcx
        mov [rcx+block.next_free], rax
        ret

; heap_grow - maps more pages behind the heap and frees them into it.
; in:       rdi = bytes wanted, head included
; out:      rax = 0 or -ENOMEM
; clobbers: scratch
; interrupts: off (heap_lock is held)
routine heap_grow, "heap_grow"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        add rdi, BLOCK_HEAD + HEAP_STEP*PAGE - 1        ; room for the end head; whole steps
        and rdi, ~(HEAP_STEP*PAGE - 1)
        mov rbx, [heap_end]
        lea r12, [rbx+rdi]
        mov rax, HEAP_BASE + HEAP_LIMIT
        cmp r12, rax
        ja .no_memory
.next:
        mov edi, kernel_pml4 - KBASE
        mov rsi, rbx
        xor edx, edx
        call page_map_new
        test rax, rax
        js .undo
        add rbx, PAGE
        cmp rbx, r12
        jb .next
        call heap_extend
        xor eax, eax
        jmp .done
.undo:
        cmp rbx, [heap_end]
        je .no_memory
        sub rbx, PAGE
        mov edi, kernel_pml4 - KBASE
        mov rsi, rbx
        call page_unmap_free
        jmp .undo
.no_memory:
        mov rax, -ENOMEM
.done:
        pop r12
        pop rbx
        pop rbp
        ret

; heap_extend - turns freshly mapped pages into a free block: the old end head becomes its head.
; in:       r12 = new end of the heap; the pages from [heap_end] are mapped
; out:      nothing
; clobbers: scratch
; interrupts: off (heap_lock is held)
routine heap_extend, "heap_extend"
        mov rdi, [heap_last]
        test rdi, rdi
        jnz .head
        mov rdi, [heap_end]     ; the first time there is no end head
        mov qword [rdi+block.prev], 0
.head:
        lea rdx, [r12-BLOCK_HEAD]
        mov rax, rdx
        sub rax, rdi
        mov [rdi+block.size], rax
        mov qword [rdx+block.size], 1
        mov [rdx+block.prev], rdi
        mov qword [rdx+block.magic], 0
        mov [heap_last], rdx
        mov [heap_end], r12
        jmp heap_melt
