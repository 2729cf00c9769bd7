; Sections that follow each other, and a nobits one behind them.
bits 64
org 0x7000
section .text
a:      mov rax, b
        mov rbx, d
        mov rcx, u
section .one align=16
b:      db 1
section .two
c:      db 2, 2
section .three follows=.text
d:      db 3, 3, 3
section .four
e:      db 4
section .data
f:      dq a, b, c, d, e, f, u, v
        dd section..text.start, section..text.vstart, section..one.start, section..two.vstart
section .bss
u:      resb 7
alignb 16
v:      resq 2
section .text
        dd d - $, f - $
        lea rax, [rel u]
