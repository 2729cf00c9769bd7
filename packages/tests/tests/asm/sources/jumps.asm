; Short and near branches, forward and backward, on the edge of their reach and pushing each other over it.
bits 64
start:
%assign i 0
%rep 40
        jz forward %+ i
        jmp near start
        call start
%assign i i + 1
%endrep
%assign i 0
%rep 40
forward %+ i:
        jnz start
        mov eax, [rax + forward %+ i - start]
%assign i i + 1
%endrep
        jmp edge
        times 127 nop
edge:   jmp beyond
        times 128 nop
beyond: loop beyond
        jecxz beyond
        jrcxz beyond
        jmp short beyond
        jmp strict near beyond
        jmp 0x1000
        call 0x1000
        je .local
.local: push edge - start
        push beyond - edge
        add rax, beyond - edge
        add rax, edge - start
        mov rax, beyond - start
        mov rax, beyond
        lea rax, [rbx + beyond - edge]
        lea rax, [rbx + edge - start]
        enter beyond - edge, 0
; A forward symbol in an address is a byte longer in nasm's first pass, and a branch over it may stay near for that.
rel1:   jnz rel2
        times 121 nop
        mov eax, [rel rel2]
rel2:   jnz rel3
        times 120 nop
        mov eax, [rel rel3]
rel3:
bits 32
        jmp start
        call edge
        jcxz there
there:  jecxz there
        jmp 8:start
        call 8:edge
