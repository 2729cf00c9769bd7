"""What all small kernels share: boot, two interrupt lines, a round-robin scheduler. `small_kernels` writes the threads.

Everything lies in the first 2 MiB, mapped to itself; nothing is faster or safer than it must be. One entry into the
kernel serves ticks, yields and blocks: all registers on the thread's own stack, choose, all registers back.

    thread:  0 rsp | 8 tid | 16 state (0 ready, 1 blocked, 2 dead) | 24 waits on | 32 ticks to sleep | 40 wakes at

    thread.rsp -> | return into the entry | rbp | rdi | rsi | rdx | rcx | rbx | rax | rip cs rflags rsp ss |
"""

from __future__ import annotations

SAVED_RIP, SAVED_RFLAGS = 64, 80
TIMER_VECTOR, LINE, LINE_VECTOR, SWITCH_VECTOR = 0x20, 5, 0x25, 0x30
STACK = 2560  # bytes; more than is taken for dead below a stack pointer

#: For an experiment: how the threads are found.
THREADS = {
    "current": "current",
    "current_offset": 0,
    "table": "thread_table",
    "table_entries": 4,
    "tid_offset": 8,
    "state_offset": 16,
    "states": ["ready", "blocked", "dead"],
    "rsp_offset": 0,
    "saved_rip_offset": SAVED_RIP,
    "wait_queue_offset": 24,
}

_BOOT = """
bits 64
org 0x100000
section .note start=0x100000 align=4
        dd 4, 8, 18
        db "Xen", 0
        dq _start
section .text start=0x101000
bits 32
_start: cli
        cld
        mov dword [0x11000], 0x12003            ; page tables: 2 MiB, mapped to itself
        mov dword [0x12000], 0x13003
        mov dword [0x13000], 0x83
        mov eax, 0x20
        mov cr4, eax
        mov eax, 0x11000
        mov cr3, eax
        mov ecx, 0xc0000080
        mov eax, 0x100
        xor edx, edx
        wrmsr
        mov eax, 0x80000011
        mov cr0, eax
        lgdt [gdt_pointer]
        jmp 0x08:long_mode
bits 64
default abs
long_mode:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, idle_stack
        mov edi, idt + TIMER_VECTOR * 16
        mov eax, timer_entry
        call set_gate
        mov edi, idt + LINE_VECTOR * 16
        mov eax, line_entry
        call set_gate
        mov edi, idt + SWITCH_VECTOR * 16
        mov eax, switch_entry
        call set_gate
        lidt [idt_pointer]
        mov al, 0x11                            ; both PICs: vectors 0x20 and 0x28, lines 0 and 5 open
        out 0x20, al
        out 0xa0, al
        mov al, 0x20
        out 0x21, al
        mov al, 0x28
        out 0xa1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xa1, al
        mov al, 1
        out 0x21, al
        out 0xa1, al
        mov al, 0xde
        out 0x21, al
        mov al, 0xff
        out 0xa1, al
        xor eax, eax
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
        sti
        nop
window: int SWITCH_VECTOR
idle:   sti
        hlt
        jmp idle

; set_gate - in: rdi = the gate, eax = the handler, below 4 GiB. clobbers: rax
set_gate:
        mov [rdi], ax
        mov word [rdi+2], 0x08
        mov word [rdi+4], 0x8e00
        shr eax, 16
        mov [rdi+6], ax
        ret
"""

_ENTRIES = """
%macro enter 0
        push rax
        push rbx
        push rcx
        push rdx
        push rsi
        push rdi
        push rbp
%endmacro

%macro leave_ 0
        pop rbp
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rbx
        pop rax
        iretq
%endmacro

switch_entry:
        enter
        call schedule
first_return:                                   ; where a new thread comes from
        leave_

timer_entry:
        enter
        inc qword [jiffies]
{tick}
        mov al, 0x20
        out 0x20, al
        call schedule
        leave_

line_entry:
        enter
{line}
        mov al, 0x20
        out 0x20, al
{line_late}
        leave_

; schedule - the next ready thread behind the current one, else idle. interrupts: off. clobbers: all
schedule:
        mov rbx, [current]
        mov [rbx], rsp
        mov rsi, [rbx+8]
        mov ecx, THREAD_COUNT
.next:  inc esi
        cmp esi, THREAD_COUNT
        jbe .in_range
        mov esi, 1
.in_range:
        mov rdi, [thread_table+rsi*8]
        cmp dword [rdi+16], 0
        je .found
        dec ecx
        jnz .next
        mov edi, thread0
.found: mov [current], rdi
        mov rsp, [rdi]
        ret

; wake_all - in: rdi = what threads wait on. interrupts: off. clobbers: rsi, rcx
wake_all:
        mov ecx, THREAD_COUNT
.next:  mov rsi, [thread_table+rcx*8]
        cmp [rsi+24], rdi
        jne .other
        mov qword [rsi+24], 0
        mov dword [rsi+16], 0
.other: dec ecx
        jnz .next
        ret

; thread_end - a thread's last instruction jumps here. The last thread's end is the end of all.
thread_end:
        cli
        mov rbx, [current]
        mov dword [rbx+16], 2
        dec dword [alive]
        jz all_ended
        int SWITCH_VECTOR
all_ended:
{check}
finished:
        mov al, 16
        out 0xf4, al
wrong:  mov al, 0
        out 0xf4, al
"""

_DATA = """
section .data start=0x104000
        align 16
gdt:    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        dw 23
        dd gdt
idt_pointer:
        dw 0x31 * 16 - 1
        dq idt
        align 8
current:        dq thread0
alive:          dd THREAD_COUNT, 0
thread_table:   dq thread0, thread1, thread2
%if THREAD_COUNT > 2
                dq thread3
%else
                dq 0
%endif
%macro thread_structure 1
        align 8
thread%1:
        dq frame%1, %1, 0, 0, 0, 0
%endmacro
%macro first_frame 1
        align 16
        times STACK dq 0
frame%1:
        dq first_return, 0, 0, 0, 0, 0, 0, 0, thread%1_code, 0x08, 0x202, stack%1, 0x10
stack%1:
%endmacro
        thread_structure 0
        thread_structure 1
        thread_structure 2
        first_frame 1
        first_frame 2
%if THREAD_COUNT > 2
        thread_structure 3
        first_frame 3
%endif
        align 16
frame0:
        times STACK dq 0
idle_stack:
        align 16
idt:    times 0x31 dq 0, 0
jiffies:        dq 0
"""


def kernel_text(
    threads: list[str],
    data: str,
    *,
    tick: str = "",
    line: str = "",
    late: str = "",
    check: str = "",
    stack: int = STACK,
) -> str:
    """A whole kernel: the threads' code, what the handlers do beside their duty (`late`: after the other line's end of
    interrupt), what is asserted at the end, the data's declarations, the bytes of a stack."""
    defines = (
        f"%define TIMER_VECTOR {TIMER_VECTOR}\n%define LINE_VECTOR {LINE_VECTOR}\n"
        f"%define SWITCH_VECTOR {SWITCH_VECTOR}\n%define THREAD_COUNT {len(threads)}\n"
        f"%define STACK {stack // 8}\n"
    )
    entries = _ENTRIES.format(tick=tick, line=line, line_late=late, check=check)
    code = "".join(f"thread{n}_code:\n{text}        jmp thread_end\n" for n, text in enumerate(threads, 1))
    return defines + _BOOT + entries + code + _DATA + data
