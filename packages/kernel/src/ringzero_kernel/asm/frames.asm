; frames.asm - the physical frame allocator.
;
; Room's rule: a frame is a 4 KiB page of RAM, named by its physical address. One bit each, set while it is free; the
; bitmap begins all zero, so what nobody declared free can never be handed out.
;
;   frame_bits   | 0000...0000 | 1111...1011 | ...      bit n = frame n = physical n*4096
;                  image, low    ^ taken
;
; The search starts at the quadword where the last one ended and wraps around once.

section .bss
frame_bits:     resb FRAME_LIMIT/8
frame_hint:     resq 1          ; quadword to begin with
frame_words:    resq 1          ; quadwords in use
frames_free:    resq 1
frames_lock:    resd 1
                resd 1

section .text
pads
; frames_init - declares free all RAM between the end of the image and the end of memory.
; in:       the start info, [memory_top]
; out:      nothing
; clobbers: scratch
; interrupts: off
routine frames_init, "frames_init"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        mov rax, [memory_top]
        shr rax, 12+6
        inc rax
        mov [frame_words], rax
        mov rax, [start_info]
        add rax, [physical_base]
        mov rbx, [rax+pvh.map]
        add rbx, [physical_base]
        mov r12d, [rax+pvh.map_entries]
.next:
        test r12d, r12d
        jz .done
        cmp dword [rbx+pvh_range.type], 1
        jne .skip
        mov rdi, [rbx+pvh_range.base]
        mov rsi, rdi
        add rsi, [rbx+pvh_range.length]
        call frames_declare
.skip:
        add rbx, pvh_range_size
        dec r12d
        jmp .next
.done:
        pop r12
        pop rbx
        pop rbp
        ret

; frames_declare - sets the bits of a range of RAM, without the part below the end of the image and above the limit.
; in:       rdi = first byte, rsi = end (physical)
; out:      nothing
; clobbers: scratch
; interrupts: off
routine frames_declare, "frames_declare"
        mov rax, image_end - KBASE
        cmp rdi, rax
        cmovb rdi, rax
        mov rax, [memory_top]
        cmp rsi, rax
        cmova rsi, rax
        add rdi, PAGE-1         ; whole frames only
        shr rdi, 12
        shr rsi, 12
        lea rdx, [frame_bits]
.bits:
        cmp rdi, rsi
        jae .done
        test dil, 63
        jz .words
        bts [rdx], rdi
        inc qword [frames_free]
        inc rdi
        jmp .bits
.words:
        lea rax, [rdi+64]       ; from here on 64 at a time, as long as there are as many
        cmp rax, rsi
        ja .last
        mov rcx, rdi
        shr rcx, 3
        mov qword [rdx+rcx], -1
        add qword [frames_free], 64
        mov rdi, rax
        jmp .words
.last:
        cmp rdi, rsi
        jae .done
        bts [rdx], rdi
        inc qword [frames_free]
        inc rdi
        jmp .last
.done:
        ret

; frame_alloc - takes a free frame. Its contents are whatever they were.
; in:       nothing
; out:      rax = physical address, or 0 when there is none
; clobbers: rcx, rdx, rsi
; interrupts: either
routine frame_alloc, "frame_alloc"
        irq_save
        spin_lock frames_lock
        lea rdx, [frame_bits]
        mov rcx, [frame_hint]
        mov rsi, [frame_words]  ; quadwords still to look at
.next:
        mov rax, [rdx+rcx*8]
        test rax, rax
        jnz .found
        inc rcx
        cmp rcx, [frame_words]
        jb .count
        xor ecx, ecx
.count:
        dec rsi
        jnz .next
        xor eax, eax
        jmp .done
.found:
        mov [frame_hint], rcx
        bsf rax, rax
        shl rcx, 6
        add rax, rcx
        btr [rdx], rax
        dec qword [frames_free]
        shl rax, 12
.done:
        spin_unlock frames_lock
        irq_restore
        ret

; frame_alloc_zeroed - takes a free frame and clears it.
; in:       nothing
; out:      rax = physical address, or 0 when there is none
; clobbers: scratch
; interrupts: either
routine frame_alloc_zeroed, "frame_alloc_zeroed"
        call frame_alloc
        test rax, rax
        jz .done
        push rax
        mov rdi, DIRECT_BASE
        add rdi, rax
        mov esi, PAGE
        call fill_zero
        pop rax
.done:
        ret

; frame_free - gives a frame back.
; in:       rdi = physical address
; out:      rax = 0, or -EINVAL for what is no frame of ours or is free already
; clobbers: rcx, rdx
; interrupts: either
routine frame_free, "frame_free"
        mov rax, image_end - KBASE
        cmp rdi, rax
        jb .refuse
        cmp rdi, [memory_top]
        jae .refuse
        test edi, PAGE-1
        jnz .refuse
        mov rcx, rdi
        shr rcx, 12
        lea rdx, [frame_bits]
        irq_save
        spin_lock frames_lock
        xor eax, eax
        bts [rdx], rcx
        jc .taken
        inc qword [frames_free]
        jmp .unlock
.taken:
        mov rax, -EINVAL
.unlock:
        spin_unlock frames_lock
        irq_restore
        ret
.refuse:
        mov rax, -EINVAL
        ret
