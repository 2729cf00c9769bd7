; end.asm - the ends of the sections.
;
; Room's rule: included last. Each section is filled up to a page, so that no page has two kinds of protection.

section .text
        align 4096
text_end:
section .ksyms
ksyms_end:
        align 4096, db 0
section .rodata
        align 4096, db 0
rodata_end:
section .data
        align 4096, db 0
section .bss
image_end:
section .text
