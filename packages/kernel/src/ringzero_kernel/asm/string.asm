; string.asm - bytes and text.
;
; Room's rule: leaf routines that touch nothing but their arguments. All may be called with interrupts on or off.

section .text
pads
; string_starts - does a text start with another?
; in:       rdi = text, rsi = the start wanted, both ending in 0
; out:      zf set if it does, and rdi = what follows; zf clear if not
; clobbers: rax, rdi, rsi
; interrupts: either
routine string_starts, "string_starts"
.next:
        mov al, [rsi]
        test al, al
        jz .done                ; zf set: the wanted start is used up
        cmp al, [rdi]
        jne .done
        inc rsi
        inc rdi
        jmp .next
.done:
        ret

; string_equal - are two texts the same?
; in:       rdi, rsi = texts ending in 0
; out:      zf set if they are
; clobbers: rax, rdi, rsi
; interrupts: either
routine string_equal, "string_equal"
        call string_starts
        jne .done
        cmp byte [rdi], 0
.done:
        ret

; copy_name - copies a text into a field of fixed size, cut if need be, always ending in 0.
; in:       rdi = field, rsi = text, rdx = size of the field
; out:      nothing
; clobbers: scratch
; interrupts: either
routine copy_name, "copy_name"
        mov rcx, rdx
.next:
        dec rcx
        jz .end
        mov al, [rsi]
        mov [rdi], al
        test al, al
        jz .done
        inc rsi
        inc rdi
        jmp .next
.end:
        mov byte [rdi], 0
.done:
        ret

; fill_zero - clears memory, eight bytes a step.
; in:       rdi = start, rsi = bytes, a multiple of 8
; out:      nothing
; clobbers: rax, rcx, rdi
; interrupts: either
routine fill_zero, "fill_zero"
        mov rcx, rsi
        shr rcx, 3
        xor eax, eax
        rep stosq
        ret
