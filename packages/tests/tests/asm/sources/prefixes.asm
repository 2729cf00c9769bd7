; Prefixes in every order, and instructions whose text has more than one encoding.
bits 64
        rep movsb
        rep stosq
        repe cmpsw
        repne scasb
        lock inc dword [rax]
        lock add word [fs:eax], 1
        lock cmpxchg [rbx], rcx
        lock xadd [rbx], ecx
        xchg eax, ebx
        xchg rbx, rax
        xchg ecx, edx
        xchg [rax], ecx
        xchg ecx, [rax]
        xchg eax, eax
        xchg rax, rax
        xchg ax, ax
        xchg r8, rax
        test eax, ecx
        test [rax], ecx
        test ecx, [rax]
        test al, 5
        test eax, 5
        test rbx, -1
        mov rax, 5
        mov rax, -1
        mov rax, 0x80000000
        mov rax, 0xffffffff80000000
        mov rax, 0x123456789a
        mov rax, strict dword 5
        mov rax, dword 5
        mov rax, qword 5
        mov rax, strict qword 5
        mov eax, ebx
        mov ds, ax
        mov ds, eax
        mov rax, ds
        mov ax, ds
        mov [rax], ds
        add eax, strict dword 5
        add eax, byte 5
        add ax, 0xfff0
        add eax, 0xfffffff0
        cmp ax, 8
        push 5
        push strict dword 5
        push word 5
        push 1000
        push -1
        imul eax, 5
        imul eax, ebx, 5000
        imul rax, [rbx], 5
        shl eax, 1
        shl eax, cl
        shl eax, 5
        sal qword [rax], 1
        mov [rax], dword 5
        movzx eax, byte [rax]
        movsx rax, ecx
        movsxd rax, ecx
        call [rax]
        jmp rax
        jmp far [rax]
        jmp dword far [rax]
        o64 jmp far [rax]
        retf
        o64 retf
        retfq
        ret
        ret 8
        iretq
        iret
        sysret
        o64 sysret
        a32 lodsb
        a32 rep movsd
        fs lodsb
        rep gs movsb
        in al, dx
        in eax, 0x60
        out dx, ax
        nop
        o16 nop
        pause
        int3
        int 3
        int 0x80
        mov cr3, rax
        mov rax, cr8
        mov dr7, rdx
        bswap r9
        cmova rax, [rbx]
        setc [rax]
        align 16
        jc $
        jnae $
        xlatb
        nop dword [rax + 5]
bits 32
        inc eax
        dec dword [eax]
        push fs
        pop ds
        pusha
        popa
        mov eax, [0x1234]
        mov [0x1234], al
        mov cr0, eax
        xchg eax, eax
        retf
        iret
        pushf
        o16 push eax
        push ax
        mov ax, [eax]
        jmp 8:0x1000
        les_is_no_instruction:
