; blocks.asm - the heap's blocks: find, split, melt, and more of them.
;
; Room's rule: called by heap.asm alone, with heap_lock held. The drawing is there.

section .text
pads
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
