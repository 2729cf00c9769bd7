; struc and istruc, nested sizes, offsets in addresses.
bits 64
struc point
.x      resd 1
.y      resd 1
endstruc
struc line, 0x10
.from   resb point_size
.to:    resb point_size
        alignb 16
.name   resq 2
endstruc
        dd point_size, line_size, point.y, line.to, line.name
        mov eax, [rbx + point.y]
        mov eax, [rbx + rcx * point_size + line.to]
        lea rax, [rbx + line_size]
origin: istruc point
        at .x, dd 5
        at .y, dd -6
        iend
        istruc point
        at point.y, dd 7
        iend
after:  dd after - origin
