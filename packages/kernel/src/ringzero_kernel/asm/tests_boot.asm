; tests_boot.asm - stages of the way from the loader to the first line.
;
; Room's rule: runs before there are interrupts, threads or memory management.

section .text
pads
; test_boot - PVH entry, long mode, both sinks.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine test_boot, "test_boot"
        push rbp
        mov rbp, rsp

        begin "pvh-entry"
        call boot_read
        must e, "the start info has its magic number"
        cmp qword [memory_top], 0x400000
        must ae, "there are 4 MiB of memory or more"
        passed

        begin "long-mode"
        mov ecx, MSR_EFER
        rdmsr
        and eax, EFER_LME + EFER_NXE + EFER_SCE + 0x400
        cmp eax, EFER_LME + EFER_NXE + EFER_SCE + 0x400
        must e, "EFER has LMA, LME, NXE and SCE"
        lea rax, [kernel_main]
        shr rax, 31
        mov rcx, 0x1ffffffff
        cmp rax, rcx
        must e, "the kernel runs in the highest 2 GiB"
        passed

        begin "sinks-agree"
        call check_last_line
        passed
        pop rbp
        ret

; test_format - numbers and text in a line; a line that is too long is cut.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine test_format, "test_format"
        push rbp
        mov rbp, rsp
        sub rsp, LINE+8
        begin "format"
        mov rax, 0x123456789abcdef0
        push rax                ; the array of values, last one first
        push 0xbeef
        push -1
        lea rax, [.name]
        push rax
        lea rdi, [rsp+32]
        lea rsi, [.format]
        mov rdx, rsp
        call format_line
        mov byte [rax], 0
        add rsp, 32
        mov rdi, rsp
        lea rsi, [.expected]
        call string_equal
        must e, "the text is right"

        lea rdi, [rsp]
        lea rsi, [.long]
        call format_line
        lea rcx, [rsp+LINE]
        cmp rax, rcx
        must e, "a line that is too long is cut"
        passed
        leave
        ret
section .rodata
.name:          db "ring", 0
.format:        db "%s 100%% %d %h %x.", 0
.expected:      db "ring 100% 18446744073709551615 beef 123456789abcdef0.", 0
.long:          times LINE+20 db "-"
                db 0
section .text

; check_last_line - what the serial line was sent last must stand on the screen, one row above the bottom.
; in:       nothing
; out:      returns if the two agree, else fails the test
; clobbers: scratch
; interrupts: either
routine check_last_line, "check_last_line"
        mov rcx, [log_tail]
        cmp rcx, [log_head]
        must e, "the log is drained when it returns"
        lea r8, [log_ring]
        dec rcx                 ; the line feed
        mov rdx, rcx
.back:
        mov eax, edx
        dec eax
        and eax, LOG_SIZE-1
        cmp byte [r8+rax], 10
        je .start
        dec rdx
        jnz .back
.start:
        mov rsi, [screen_base]
        add rsi, (ROWS-2)*ROW_BYTES
.compare:
        cmp rdx, rcx
        je .done
        mov eax, edx
        and eax, LOG_SIZE-1
        mov al, [r8+rax]
        cmp al, [rsi]
        must e, "the screen shows what the serial line was sent"
        add rsi, 2
        inc rdx
        jmp .compare
.done:
        ret
