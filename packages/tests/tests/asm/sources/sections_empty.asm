; .text stays empty, the first bytes are elsewhere; valign and absolute; fills.
bits 64
section .data start=0x2000
a:      db 1
align 8, db 0xaa
b:      dw 2
        align 32
        db 3
section .late vstart=0x9000 valign=16
c:      dq a, b, c
absolute 0x500
ram:    resb 3
.word:  resw 2
top:
section .data
        dd ram, ram.word, top, top - ram
        times 3 dq c
        resb 5
        alignb 16
        db 0xff
