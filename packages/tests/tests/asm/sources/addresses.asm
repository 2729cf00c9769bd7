; Symbols in addresses and immediates under both defaults, in both modes.
bits 64
org 0x100000
here:   mov eax, [here]
        mov rax, [rel here]
        mov [abs here], ecx
        mov dword [here], 5
        mov dword [rel here], 5
        mov byte [rel here + 3], 5
        imul eax, [rel here], 1000
        shld [rel here], eax, 3
        mov rax, here
        mov eax, here
        mov rax, strict dword here
        mov qword [rax], here
        push here
        cmp rax, here
        test ecx, here
        lea rax, [here]
        lea rax, [rbx * 4 + here]
        lea rax, [here + rbx + 4]
        lea rax, [here - 1 + rbx * 2 + rax]
        lea rax, [rbx + here - $$]
        mov al, [qword here]
        mov [qword here], rax
        mov eax, [fs:here]
        mov eax, [gs:0x30]
        jmp [here]
        call [rel here]
        jmp far [here]
default rel
        mov eax, [here]
        mov dword [here], 5
        mov eax, [abs here]
        mov eax, [fs:here]
        mov eax, [gs:0x30]
        mov eax, [rel fs:here]
        mov eax, [here + rax]
        cmp byte [here], 1
        lea rsi, [table + 8 * 3]
        jmp [table]
default abs
        lea rsi, [table]
value equ 8
        mov eax, [rbx + value]
        mov eax, [rbx + rcx * value]
        mov eax, [rbx + later]
        mov eax, [rbx + rcx * 4 + later * 100]
        mov eax, [rbx - value]
later equ 4
bits 32
        mov eax, [here]
        mov [here], al
        mov ecx, [here]
        mov dword [ebx + here], here
        push here
        lea eax, [ebx * 8 + here]
        jmp [here]
        lgdt [table]
        jmp dword 8:here
table:  dd here, table
        dw table - here
