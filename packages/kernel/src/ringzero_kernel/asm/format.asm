; format.asm - kprintf: text with values in it.
;
; Room's rule: a line is made in a buffer on the caller's own stack, so that threads and handlers never share one.
;
;   %s text    %d unsigned decimal    %x 16 hexadecimal digits    %h hexadecimal, no leading zeroes    %% a per cent
;
; A line that would not fit the buffer is cut.

LINE            equ 200

section .rodata
digits:         db "0123456789abcdef"

section .text
pads
; kprintf - prints a formatted line; the line feed is added.
; in:       rdi = format, then rsi, rdx, rcx, r8, r9 = values
; out:      nothing
; clobbers: scratch
; interrupts: either
routine kprintf, "kprintf"
        push rbp
        mov rbp, rsp
        push r9                 ; the values become an array: [rsp] is the first
        push r8
        push rcx
        push rdx
        push rsi
        mov rdx, rsp
        sub rsp, LINE+8
        mov rsi, rdi
        mov rdi, rsp
        call format_line
        mov byte [rax], 10
        inc rax
        mov rdi, rsp
        mov rsi, rax
        sub rsi, rsp
        call log_write
        leave
        ret

; format_line - makes text of a format and its values.
; in:       rdi = buffer of LINE bytes, rsi = format, rdx = array of values
; out:      rax = end of the text made (no 0 is written there)
; clobbers: scratch
; interrupts: either
routine format_line, "format_line"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        mov rbx, rsi
        mov r12, rdx
        lea r13, [rdi+LINE]     ; nothing is written from here on
.next:
        mov al, [rbx]
        inc rbx
        test al, al
        jz .done
        cmp al, '%'
        je .value
.plain:
        call put_char
        jmp .next
.value:
        mov al, [rbx]
        inc rbx
        cmp al, '%'
        je .plain
        mov rsi, [r12]
        add r12, 8
        cmp al, 's'
        je .text
        cmp al, 'd'
        je .decimal
        cmp al, 'h'
        je .short
        call put_hex16
        jmp .next
.text:
        call put_text
        jmp .next
.decimal:
        mov ecx, 10
        call put_number
        jmp .next
.short:
        mov ecx, 16
        call put_number
        jmp .next
.done:
        mov rax, rdi
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; put_char - appends one character while there is room.
; in:       al = character, rdi = where, r13 = end of the buffer
; out:      rdi = next place
; clobbers: flags
; interrupts: either
routine put_char, "put_char"
        cmp rdi, r13
        jae .full
        mov [rdi], al
        inc rdi
.full:
        ret

; put_text - appends a text that ends in 0.
; in:       rsi = text, rdi = where, r13 = end of the buffer
; out:      rdi = next place
; clobbers: rax, rsi
; interrupts: either
routine put_text, "put_text"
.next:
        mov al, [rsi]
        test al, al
        jz .done
        call put_char
        inc rsi
        jmp .next
.done:
        ret

; put_number - appends a number in a base.
; in:       rsi = number, ecx = base, rdi = where, r13 = end of the buffer
; out:      rdi = next place
; clobbers: rax, rcx, rdx, rsi, r8, r9
; interrupts: either
routine put_number, "put_number"
        push rbp
        mov rbp, rsp
        mov rax, rsi
        lea r8, [digits]
        xor r9d, r9d            ; digits waiting on the stack, last one on top
.divide:
        xor edx, edx
        div rcx
        movzx edx, byte [r8+rdx]
        push rdx
        inc r9d
        test rax, rax
        jnz .divide
.out:
        pop rax
        call put_char
        dec r9d
        jnz .out
        pop rbp
        ret

; put_hex16 - appends 16 hexadecimal digits.
; in:       rsi = number, rdi = where, r13 = end of the buffer
; out:      rdi = next place
; clobbers: rax, rcx, rdx, rsi, r8
; interrupts: either
routine put_hex16, "put_hex16"
        lea r8, [digits]
        mov ecx, 16
.next:
        rol rsi, 4
        mov eax, esi
        and eax, 15
        mov al, [r8+rax]
        call put_char
        dec ecx
        jnz .next
        ret
