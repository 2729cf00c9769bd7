"""Guest loops for the engines' benchmarks: 64-bit code, flat, data at 2 MiB, ending in HLT.

Each takes some millions of steps, may use every register but r15, and can be run again and again from its start.
"""

from __future__ import annotations

from functools import cache

import mixed

CODE = 0x100000
DATA = 0x200000
STACK = 0x180000

SOURCES = {
    # Register arithmetic with a dependency chain.
    "alu": """
            mov rcx, 600000
    turn:   add rax, rcx
            xor rdx, rax
            rol rdx, 7
            sub rbx, rdx
            imul rsi, rax, 13
            lea rdi, [rsi+rdx*2+5]
            and rdi, 0xffff
            or rbx, rdi
            dec rcx
            jnz turn
    """,
    # Eratosthenes over 64 Ki bytes, ten times.
    "sieve": """
            mov r9, 10
    again:  mov rdi, DATA
            mov rcx, 8192
            xor eax, eax
    clear:  mov [rdi], rax
            add rdi, 8
            dec rcx
            jnz clear
            mov rbx, 2
    next:   cmp byte [DATA+rbx], 0
            jne composite
            mov rsi, rbx
            imul rsi, rbx
            cmp rsi, 65536
            jae composite
    strike: mov byte [DATA+rsi], 1
            add rsi, rbx
            cmp rsi, 65536
            jb strike
    composite:
            inc rbx
            cmp rbx, 65536
            jb next
            dec r9
            jnz again
    """,
    # CRC-32 bit by bit over 64 KiB.
    "crc": """
            mov rsi, DATA
            mov rcx, 65536
            mov eax, -1
    byte_:  movzx edx, byte [rsi]
            inc rsi
            xor eax, edx
            mov edx, 8
    bit:    shr eax, 1
            jnc even
            xor eax, 0xedb88320
    even:   dec edx
            jnz bit
            dec rcx
            jnz byte_
    """,
    # Recursion: calls, returns, pushes.
    "fib": """
            mov edi, 25
            call fib
            jmp done
    fib:    cmp edi, 2
            jb .small
            push rbx
            push rdi
            dec edi
            call fib
            mov rbx, rax
            pop rdi
            sub edi, 2
            call fib
            add rax, rbx
            pop rbx
            ret
    .small: mov eax, edi
            ret
    done:
    """,
    # 256 KiB by eights, sixteen times; source and destination 1 MiB apart share an index in a naive TLB.
    "memcpy": """
            mov r9, 16
    again:  mov rsi, DATA
            mov rdi, DATA+0x100000
            xor ecx, ecx
    copy:   mov rax, [rsi+rcx*8]
            mov [rdi+rcx*8], rax
            inc rcx
            cmp rcx, 32768
            jne copy
            dec r9
            jnz again
    """,
    # 64 KiB, byte by byte in one instruction, sixty-four times.
    "rep movsb": """
            mov r9, 64
    again:  mov rsi, DATA
            mov rdi, DATA+0x20000
            mov ecx, 65536
            rep movsb
            dec r9
            jnz again
    """,
    # Bubble sort of 1024 words from a linear congruence.
    "sort": """
            mov rdi, DATA
            mov eax, 12345
            xor ecx, ecx
    fill:   imul eax, eax, 1103515245
            add eax, 12345
            mov [rdi+rcx*4], eax
            inc ecx
            cmp ecx, 1024
            jb fill
            mov r8d, 1023
    pass_:  xor ecx, ecx
    pair:   mov eax, [rdi+rcx*4]
            mov edx, [rdi+rcx*4+4]
            cmp eax, edx
            jbe sorted
            mov [rdi+rcx*4], edx
            mov [rdi+rcx*4+4], eax
    sorted: inc ecx
            cmp ecx, r8d
            jb pair
            dec r8d
            jnz pass_
    """,
    # Hundreds of small blocks with branches that no one can foresee, calls, and memory all over 64 pages.
    "mixed": mixed.source(),
}


def source(name: str, turns: int = 1) -> str:
    """The loop as text without its end, to be run `turns` times."""
    return f"""
        DATA equ {DATA:#x}
        mov r15, {turns}
    once_more:
        mov esp, {STACK:#x}
        xor eax, eax
        xor ebx, ebx
        {SOURCES[name]}
        dec r15
        jnz once_more
    """


@cache
def code(name: str, turns: int = 1) -> bytes:
    """The machine code of a loop, to be put at CODE."""
    from ringzero import assemble

    text = f"bits 64\norg {CODE:#x}\n{source(name, turns)}\n        hlt\n"
    return assemble(text, format="bin", name=f"{name}.asm").binary
