"""A kernel of a hundred lines with a lost wake-up: two threads, one wait queue, a timer; 32-bit, without paging.

Thread 0 waits for `flag`, thread 1 sets it and wakes who stands in `queue`. Between "not yet" and "asleep" an interrupt
can come, unless SAFE is defined; COUNT is how often it is all done.
"""

from __future__ import annotations

from typing import Any

from ringzero import assemble
from ringzero.explore.experiment import Experiment

SOURCE = """
bits 32
org 0x100000
section .note start=0x100000 align=4
        dd 4, 8, 18
        db "Xen", 0
        dq _start

struc thread
.esp:   resq 1
.tid:   resq 1
.state: resq 1
.queue: resq 1
.name:  resb 16
endstruc
READY equ 1
RUNNING equ 2
BLOCKED equ 3

section .text start=0x101000
global _start
_start: mov esp, 0x80000
        lgdt [gdtr]
        jmp 8:.flat
.flat:  mov eax, 16
        mov ds, eax
        mov es, eax
        mov ss, eax
%macro gate 2
        mov eax, %2
        mov [idt+%1*8], ax
        mov word [idt+%1*8+2], 8
        mov word [idt+%1*8+4], 0x8e00
        shr eax, 16
        mov [idt+%1*8+6], ax
%endmacro
        gate 2, nmi
        gate 32, tick
        gate 36, serial
        lidt [idtr]
%macro put 2
        mov al, %2
        out %1, al
%endmacro
        put 0x20, 0x11
        put 0x21, 32
        put 0x21, 4
        put 0x21, 1
        put 0x21, 0xee             ; the timer and the serial port
        mov dword [one+thread.esp], 0x90000-40
        mov dword [0x90000-4], setter   ; what `switched` expects there: registers, flags, where to go on
        mov dword [0x90000-8], 2
        sti
global started
started:
        mov ecx, COUNT
.again: push ecx
        call wait_flag
        mov dword [flag], 0
        pop ecx
        dec ecx
        jnz .again
global finished
finished:
        cli
        hlt

global wait_flag
wait_flag:
        mov dword [one+thread.state], READY
%ifdef SAFE
        cli
%endif
        cmp dword [flag], 0
        jne .done
        cli
        mov dword [zero+thread.queue], queue
        mov dword [zero+thread.state], BLOCKED
        call schedule
        sti
        jmp wait_flag
.done:  sti
        ret

setter: sti
        mov dword [flag], 1
        cli
        mov edi, queue
        call wake
        mov dword [one+thread.state], BLOCKED   ; until it is needed again
        call schedule
        jmp setter

global wake
wake:   cmp [zero+thread.queue], edi    ; edi = queue
        jne .none
        mov dword [zero+thread.queue], 0
        mov dword [zero+thread.state], READY
.none:  ret

global schedule                         ; interrupts off: gives the processor to whoever is ready
schedule:
        mov esi, [current]
        mov edi, one
        cmp esi, zero
        je .other
        mov edi, zero
.other: cmp dword [edi+thread.state], READY
        je switch_to
        cmp dword [esi+thread.state], RUNNING
        je .back
        cmp dword [esi+thread.state], READY
        je .run
        sti
        hlt
        cli
        jmp schedule
.run:   mov dword [esi+thread.state], RUNNING
.back:  ret

switch_to:                              ; from esi to edi
        pushfd
        pushad
        mov [esi+thread.esp], esp
        mov dword [edi+thread.state], RUNNING
        mov [current], edi
        mov esp, [edi+thread.esp]
global switched
switched:
        popad
        popfd
        ret

nmi:    iretd

serial: push eax
        mov al, 0x20
        out 0x20, al
        pop eax
        iretd

tick:   pushad
        mov al, 0x20
        out 0x20, al
        mov esi, [current]
        cmp dword [esi+thread.state], RUNNING
        jne .out
        mov dword [esi+thread.state], READY
        call schedule
.out:   popad
        iretd

section .data align=8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   dw 23
        dd gdt
idtr:   dw 37*8-1
        dd idt
align 8
global current
current: dq zero
global table
table:  dq zero, one
global zero
zero:   dq 0, 0, RUNNING, 0
        db "waiter", 0
        times 9 db 0
global one
one:    dq 0, 1, READY, 0
        db "setter", 0
        times 9 db 0
global queue
queue:  dq 0
global flag
flag:   dq 0
idt:    times 37 dq 0
"""

THREADS: dict[str, Any] = {
    "current": "current",
    "table": "table",
    "table_entries": 2,
    "rsp_offset": 0,
    "tid_offset": 8,
    "state_offset": 16,
    "wait_queue_offset": 24,
    "name_offset": 32,
    "name_size": 16,
    "size": 48,
    "states": ["new", "ready", "running", "blocked"],
    "switch": "switched",
    "wakers": [["wake", "rdi"]],
}


def two_threads(
    *, safe: bool = False, count: int = 1, engine: str = "auto", source: str = SOURCE
) -> Experiment:
    """The guest, from `started` to `finished`."""
    defines = {"COUNT": str(count), **({"SAFE": "1"} if safe else {})}
    return Experiment(
        "two threads",
        assemble(source, format="elf64", defines=defines, name="two.asm").binary,
        {"memory": "2M", "engine": engine},
        start="started",
        until="finished",
        threads=THREADS,
    )
