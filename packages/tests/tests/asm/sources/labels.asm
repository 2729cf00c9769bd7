; Local labels, labels without colons, equ beside labels, quoted names, special labels.
bits 64
first:
.loop: nop
        jmp .loop
limit equ 5
        jmp .loop               ; equ does not end the scope of locals
second nop
.loop   nop
        jmp .loop
        jmp first.loop
..@special:
        jmp .loop
        jmp ..@special
$rax:   jmp $rax
buffer: db 0
other   dq buffer, first.loop, second.loop
.tail:  dw .tail - other
_x?$#@~.y: nop
        jmp _x?$#@~.y
