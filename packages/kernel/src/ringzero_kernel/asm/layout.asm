; layout.asm - where everything stands in memory.
;
; Room's rule: every address that is decided once and for all is decided here.
;
; Physical memory                            Virtual memory (48 bits)
;
;   0x000000 +------------------+            0x0000000000400000  the user program: text, then data and stack
;            | start info, ...  |            0x0000800000000000  end of the user half
;   0x0b8000 | text screen      |            0xffff800000000000  direct map: physical 0 and on, never executable
;   0x100000 +------------------+            0xffff900000000000  heap
;            | .note  .boot     |            0xffffa00000000000  thread stacks, a guard page under each
;   0x102000 | .user            |            0xffffffff80000000  the image: physical 0 and on
;   0x104000 | .text            |
;            | .rodata  .ksyms  |            Image pages are W^X: .text may be executed, .data and .bss written,
;            | .data            |            .rodata and .ksyms neither, and the direct map of .text and .rodata
;            | .bss             |            is read-only as well.
;            +------------------+
;            | free frames      |
;
; Built with `-D LAYOUT=n`, n pads go between the files' code and data: the same kernel at other addresses. What
; depends on an address by mistake then shows. `-D QUANTUM=n` sets the quantum; `-D BUG_B8` and its like each put one
; bug back, right beside the code that does without it (bugs.toml is the list).

KBASE           equ 0xffffffff80000000  ; virtual address of physical 0, as the image is linked
DIRECT_BASE     equ 0xffff800000000000  ; virtual address of physical 0, in the direct map
HEAP_BASE       equ 0xffff900000000000
STACK_BASE      equ 0xffffa00000000000
USER_BASE       equ 0x400000            ; where the user program is linked and mapped
USER_PHYS       equ 0x102000            ; where it stands in the image
USER_TOP        equ 0x0000800000000000  ; first address above the user half

PAGE            equ 4096
FRAME_LIMIT     equ 0x40000             ; frames the allocator can count: 1 GiB
STACK_SLOT      equ 0x4000              ; guard page, two stack pages, one page unused
STACK_PAGES     equ 2
USER_STACK      equ 0x600000            ; top of the user stack, one page
USER_DATA       equ 0x500000            ; one page of zeroes, writable
USER_SHARED     equ 0x580000            ; one page that all programs share, writable

HZ              equ 100                 ; timer interrupts a second
HZ_FAST         equ 2000                ; the same, for the few tests that must really spin
MAX_THREADS     equ 256

%ifndef QUANTUM
%define QUANTUM 2                       ; ticks that a thread may run while others wait
%endif

%ifndef LAYOUT
%define LAYOUT 0
%endif

bits 64
default rel
org 0x100000

; Every section's end is padded to a page in end.asm, so that `follows` and `vfollows` keep in step.
section .note start=0x100000 vstart=0x100000 align=4
section .boot follows=.note align=16
section .user start=0x102000 vstart=0x400000 align=4096
section .text start=0x104000 vstart=0xffffffff80104000 align=4096
section .rodata follows=.text vfollows=.text
section .ksyms follows=.rodata vfollows=.rodata
section .data follows=.ksyms vfollows=.ksyms
section .bss nobits vfollows=.data

section .text
text_start:
section .rodata
rodata_start:
section .ksyms
ksyms_start:
section .data
data_start:
section .bss
bss_start:
section .text
