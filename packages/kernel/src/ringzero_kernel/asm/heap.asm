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
                resq 1          ; keeps the payload on 16 bytes
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
