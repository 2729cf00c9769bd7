; tests_memory.asm - stages of page protection, frames and the heap.
;
; Room's rule: what must not be possible is tried.

section .text
pads
; test_protection - W^X, at every address that the kernel's pages can be seen at.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine test_protection, "test_protection"
        push rbp
        mov rbp, rsp
        push rbx
        begin "low-half-empty"
        catch .low
        mov eax, 0x100000
        mov eax, [rax]
.low:
        provoked 14, 0
        passed

        begin "text-not-writable"
        catch .text
        lea rcx, [panic]
        mov byte [rcx], 0xc3
.text:
        provoked 14, 3          ; present, write
        passed

        begin "rodata-not-writable"
        catch .rodata
        mov byte [digits], 'x'
.rodata:
        provoked 14, 3
        passed

        begin "data-not-executable"
        mov byte [scratch_code], 0xc3   ; RET
        catch .data
        call scratch_code
.data:
        provoked 14, 0x11       ; present, instruction fetch
        lea rcx, [scratch_code]
        cmp [rbx+thread.caught_address], rcx
        must e, "CR2 has the address of the instruction"
        passed

        begin "rodata-not-executable"
        catch .constant
        call digits
.constant:
        provoked 14, 0x11
        passed

        begin "direct-map-is-no-back-door"
        mov rdx, DIRECT_BASE - KBASE
        lea rcx, [panic]
        add rdx, rcx
        mov al, [rdx]
        cmp al, [rcx]
        must e, "the direct map shows the same byte"
        catch .alias
        mov byte [rdx], 0xc3
.alias:
        provoked 14, 3
        passed
        pop rbx
        pop rbp
        ret

section .bss
scratch_code:   resq 1
section .text

; test_frames - allocation, refusal of what is wrong, exhaustion.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine test_frames, "test_frames"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        begin "frames-allocate"
        mov r13, [frames_free]
        call frame_alloc
        mov rbx, rax
        call frame_alloc
        mov r12, rax
        test rbx, rbx
        must nz, "there is a frame"
        cmp rbx, r12
        must ne, "no frame is given twice"
        mov rax, image_end - KBASE
        cmp rbx, rax
        must ae, "the image is not given away"
        lea rax, [r13-2]
        cmp [frames_free], rax
        must e, "two frames are gone"
        passed

        begin "frames-refuse"
        mov rdi, rbx
        call frame_free
        test rax, rax
        must z, "a frame can be freed"
        mov rdi, rbx
        call frame_free
        cmp rax, -EINVAL
        must e, "but not twice"
        mov edi, 0x100000
        call frame_free
        cmp rax, -EINVAL
        must e, "the image cannot be freed"
        mov rdi, [memory_top]
        call frame_free
        cmp rax, -EINVAL
        must e, "nor what is no memory"
        lea rdi, [r12+8]
        call frame_free
        cmp rax, -EINVAL
        must e, "nor a part of a frame"
        mov rdi, r12
        call frame_free
        cmp [frames_free], r13
        must e, "all frames are back"
        passed

        begin "frames-exhausted"
        xor ebx, ebx            ; taken frames, chained through their first quadword
        xor r12d, r12d
.take:
        call frame_alloc
        test rax, rax
        jz .empty
        mov rdx, DIRECT_BASE
        mov [rdx+rax], rbx
        mov rbx, rax
        inc r12
        jmp .take
.empty:
        cmp r12, r13
        must e, "every free frame could be had"
        cmp qword [frames_free], 0
        must e, "and none is left"
.give:
        mov rdx, DIRECT_BASE
        mov rdi, rbx
        mov rbx, [rdx+rbx]
        call frame_free
        test rax, rax
        must z, "each goes back"
        test rbx, rbx
        jnz .give
        cmp [frames_free], r13
        must e, "all frames are back"
        passed
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; test_pages - a page appears, cannot be mapped over, and disappears.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
PAGE_TEST       equ HEAP_BASE + HEAP_LIMIT
routine test_pages, "test_pages"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        begin "pages-map-and-unmap"
        mov edi, kernel_pml4 - KBASE
        mov rsi, PAGE_TEST
        xor edx, edx
        call page_map_new
        test rax, rax
        must z, "a page can be mapped"
        mov r12, [frames_free]
        mov rcx, PAGE_TEST
        mov [rcx+8], rcx
        cmp [rcx+8], rcx
        must e, "it holds what is written"
        mov edi, kernel_pml4 - KBASE
        mov rsi, PAGE_TEST
        xor edx, edx
        call page_map_new
        cmp rax, -EINVAL
        must e, "nothing is mapped over it"
        cmp [frames_free], r12
        must e, "and no frame was lost by trying"
        mov edi, kernel_pml4 - KBASE
        mov rsi, PAGE_TEST
        call page_unmap_free
        inc r12
        cmp [frames_free], r12
        must e, "its frame is back"
        catch .gone
        mov rcx, PAGE_TEST
        mov rcx, [rcx+8]
.gone:
        provoked 14, 0
        passed
        pop r12
        pop rbx
        pop rbp
        ret

; test_heap - blocks do not overlap, melt when freed, and misuse is refused.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine test_heap, "test_heap"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        begin "heap-allocate"
        mov r14, [heap_used]
        mov edi, 100
        call kmalloc
        mov rbx, rax
        mov edi, 1
        call kmalloc
        mov r12, rax
        mov edi, 5000
        call kmalloc
        mov r13, rax
        test rbx, rbx
        must nz, "there is memory"
        mov rax, rbx
        or rax, r12
        or rax, r13
        test al, 15
        must z, "blocks are aligned"
        lea rax, [rbx+100]
        cmp rax, r12
        must be, "blocks do not overlap"
        lea rax, [r12+1]
        cmp rax, r13
        must be, "not even small ones"
        mov edi, HEAP_LIMIT+1
        call kmalloc
        test rax, rax
        must z, "too much is refused"
        passed

        begin "heap-melts"
        mov rdi, rbx
        call kfree
        mov rdi, r13
        call kfree
        mov rdi, r12            ; between two free ones: three become one
        call kfree
        mov edi, 5100
        call kmalloc
        cmp rax, rbx
        must e, "neighbours that are free became one"
        mov rdi, rax
        call kfree
        cmp [heap_used], r14
        must e, "nothing is left in use"
        passed

        begin "heap-refuses"
        mov edi, 64
        call kmalloc
        mov rbx, rax
        mov rdi, rax
        call kfree
        mov rdi, rbx
        call heap_release
        cmp rax, -EINVAL
        must e, "nothing is freed twice"
        lea rdi, [rbx+16]
        call heap_release
        cmp rax, -EINVAL
        must e, "nor from its middle"
        lea rdi, [test_name]
        call heap_release
        cmp rax, -EINVAL
        must e, "nor what was never allocated"
        passed
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
