; screen.asm - the text screen, the second sink of the log.
;
; Room's rule: plain memory, no device. 25 rows of 80 cells; a cell is a character and its colour.
;
;   SCREEN  row 0   | 'B' 07 | 'o' 07 | ...  80 cells
;           ...
;           row 24                             the line being written; a new line scrolls everything up by one
;
; A scroll moves 480 quadwords, and interrupts are off for as long. A larger screen would have to do it in pieces:
; holding interrupts off across a whole screen is how a kernel loses its timer.

SCREEN          equ DIRECT_BASE + 0xb8000
SCREEN_EARLY    equ KBASE + 0xb8000     ; the same memory, before there is a direct map
COLUMNS         equ 80
ROWS            equ 25
ROW_BYTES       equ COLUMNS*2
CELL            equ 0x0700              ; grey on black

section .data
screen_base:    dq SCREEN_EARLY

section .bss
screen_column:  resq 1

section .text
pads
; screen_init - blanks the screen.
; in:       nothing
; out:      nothing
; clobbers: rax, rcx, rdi
; interrupts: off
routine screen_init, "screen_init"
        mov rdi, [screen_base]
        mov rax, 0x0720072007200720
        mov ecx, ROWS*ROW_BYTES/8
        rep stosq
        mov qword [screen_column], 0
        ret

; screen_put - writes one character; a line feed scrolls, and so does a line that is full.
; in:       al = character
; out:      nothing
; clobbers: scratch
; interrupts: off (the caller holds the log's lock)
routine screen_put, "screen_put"
        cmp al, 10
        je screen_scroll
        mov rcx, [screen_column]
        cmp rcx, COLUMNS
        jb .room
        push rax
        call screen_scroll
        pop rax
        xor ecx, ecx
.room:
        movzx eax, al
        or eax, CELL
        mov rdx, [screen_base]
        mov [rdx+(ROWS-1)*ROW_BYTES+rcx*2], ax
        inc rcx
        mov [screen_column], rcx
        ret

; screen_scroll - moves every row up by one and blanks the last.
; in:       nothing
; out:      nothing
; clobbers: rax, rcx, rsi, rdi
; interrupts: off
routine screen_scroll, "screen_scroll"
        mov rdi, [screen_base]
        lea rsi, [rdi+ROW_BYTES]
        mov ecx, (ROWS-1)*ROW_BYTES/8
        rep movsq
        mov rax, 0x0720072007200720
        mov ecx, ROW_BYTES/8
        rep stosq
        mov qword [screen_column], 0
        ret
