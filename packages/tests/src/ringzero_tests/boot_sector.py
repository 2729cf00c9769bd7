"""Boot sectors: real-mode programs that run here and, loaded by a BIOS from a floppy, on QEMU.

A program leaves what it found in memory from RESULT on and ends with an OUT to port F4, which ends QEMU, and a HLT.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from ringzero import Machine, assemble
from ringzero.cpu.state import ARCHITECTURAL
from ringzero.machine.stop import StopReason
from ringzero_tests.bochs import Bochs
from ringzero_tests.system import MEMORY_SIZE

RESULT, SIZE = 0x600, 64
SECTOR = 512
END = "\n        out 0xf4, al\n        cli\n        hlt\n"

#: Ticks in real mode, then through 32-bit protected mode into long mode and, by a 16-bit segment, back for more ticks.
SWITCHES = f"""
bits 16
org 0x7c00
start:
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7000
        mov di, {RESULT}
        mov cx, {SIZE // 2}
        cld
        rep stosw
        mov word [0x20*4], tick
        mov [0x20*4+2], ax
        mov si, ports
.setup: lodsw
        test ax, ax
        jz .ready
        xchg ax, dx
        lodsb
        out dx, al
        jmp .setup
.ready: mov bl, 3
        call wait
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected
wait:   sti
        hlt
        cli
        cmp [{RESULT}], bl
        jb wait
        ret
tick:   push ax
        inc byte [cs:{RESULT}]
        mov al, 0x20
        out 0x20, al
        pop ax
        iret
ports:
        dw 0x20
        db 0x11
        dw 0x21
        db 0x20
        dw 0x21
        db 4
        dw 0x21
        db 1
        dw 0x21
        db 0xfe
        dw 0x43
        db 0x34
        dw 0x40
        db 0
        dw 0x40
        db 0x20
        dw 0
bits 32
protected:
        mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov edi, 0x10000
        xor eax, eax
        mov ecx, 0x3000/4
        rep stosd
        mov dword [0x10000], 0x11003
        mov dword [0x11000], 0x12003
        mov dword [0x12000], 0x83
        mov eax, 0x10000
        mov cr3, eax
        mov eax, 0x20
        mov cr4, eax
        mov ecx, 0xc0000080
        mov eax, 0x100
        xor edx, edx
        wrmsr
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        mov [{RESULT + 4}], esp
        jmp 0x18:long
bits 64
long:   mov rax, 0x123456789abcdef0
        mov [{RESULT + 8}], rax
        push 8
        push back
        o64 retf
bits 32
back:   mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        mov ecx, 0xc0000080
        xor eax, eax
        xor edx, edx
        wrmsr
        mov cr4, eax
        jmp 0x20:small
bits 16
small:  mov ax, 0x28
        mov ds, ax
        mov ss, ax
        push cs
        pop word [{RESULT + 16}]
        mov eax, cr0
        mov [{RESULT + 20}], eax
        and al, 0xfe
        mov cr0, eax
        jmp 0x700:real-0x7000
real:   xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov [{RESULT + 24}], cs
        mov [{RESULT + 26}], sp
        mov bl, 5
        call wait
        mov byte [{RESULT + 30}], 1
{END}
        align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff, 0x00009b000000ffff, 0x000093000000ffff
gdtr:   dw gdtr-gdt-1
        dd gdt
"""

#: 16-bit protected mode in segments with a base: ring 3 and back through a 16-bit and a 32-bit gate, by a 16-bit TSS.
GATES = f"""
BASE equ 0x7000
bits 16
org 0x7c00
start:  cli
        cld
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov di, {RESULT}
        mov cx, {SIZE // 2}
        rep stosw
        lgdt [gdtr]
        lidt [idtr]
        mov word [0x8002], 0x6800       ; SP and SS for ring 0
        mov word [0x8004], 0x10
        mov dword [0x9000+0x30*8], inner16-BASE + (8<<16)
        mov dword [0x9000+0x30*8+4], 0xe600
        mov dword [0x9000+0x31*8], inner32-BASE + (8<<16)
        mov dword [0x9000+0x31*8+4], 0xef00
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:zero-BASE
zero:   mov ax, 0x10
        mov ds, ax
        mov ss, ax
        mov sp, 0x6000
        mov ax, 0x28
        ltr ax
        str [{RESULT}]
        call 8:near_by-BASE
        push 0x23
        push 0x5000
        push 2
        push 0x1b
        push three-BASE
        iret
near_by: mov [{RESULT + 2}], sp
        retf
three:  mov ax, 0x23
        mov ds, ax
        mov [{RESULT + 4}], cs
        mov [{RESULT + 6}], sp
        stc
        int 0x30
        sbb ax, ax
        mov [{RESULT + 8}], ax
        int 0x31
inner16: mov [ss:{RESULT + 10}], sp
        mov bp, sp
        mov ax, [bp+2]
        mov [ss:{RESULT + 12}], ax
        mov ax, [bp+6]
        mov [ss:{RESULT + 14}], ax
        mov ax, [bp+8]
        mov [ss:{RESULT + 16}], ax
        iret
inner32: mov [ss:{RESULT + 18}], sp
        mov bp, sp
        mov eax, [bp+4]
        mov [ss:{RESULT + 20}], eax
        mov eax, [bp]
        mov [ss:{RESULT + 24}], eax
        mov [ss:{RESULT + 28}], cs
        mov byte [ss:{RESULT + 30}], 1
{END}
        align 8
gdt:    dq 0, 0x00009b007000ffff, 0x000093000000ffff, 0x0000fb007000ffff, 0x0000f3000000ffff, 0x000081008000002b
gdtr:   dw gdtr-gdt-1
        dd gdt
idtr:   dw 0x32*8-1
        dd 0x9000
"""


def build(source: str) -> bytes:
    """The sector, with its signature."""
    code = assemble(source, format="bin", name="sector.asm").binary
    assert len(code) <= SECTOR - 2, f"{len(code)} bytes"
    return bytes(code.ljust(SECTOR - 2, b"\0")) + b"\x55\xaa"


def run_here(sector: bytes, engine: str) -> bytes:
    """What the program leaves."""
    machine = Machine.flat(sector, mode=16, engine=engine)
    reason = machine.run(max_steps=100_000).reason
    assert reason in (StopReason.EXIT, StopReason.SHUTDOWN), reason
    return bytes(machine.memory.read(RESULT, SIZE))


def run_on_bochs(source: str) -> bytes:
    """What a program leaves on Bochs; zeros where it ends in a shutdown, of which Bochs, as a library, dies."""
    without_port = build(source.replace(END, END.replace("out 0xf4, al", "")))  # bochscpu has no ports
    machine = Machine.flat(without_port, mode=16, engine="python")
    start = {name: machine.cpu.state[name] for name in ARCHITECTURAL}
    try:
        with Bochs() as bochs:
            memory = bochs.run_program(machine.memory.read(0, MEMORY_SIZE), start)
    except EOFError:
        return bytes(SIZE)
    return memory[RESULT : RESULT + SIZE]


def run_on_qemu(sector: bytes, seconds: int = 60) -> bytes:
    """The same on QEMU (TCG), from a floppy."""
    with tempfile.TemporaryDirectory() as folder:
        disk, ram = Path(folder, "floppy"), Path(folder, "ram")
        disk.write_bytes(sector.ljust(1440 << 10, b"\0"))
        command = (
            ["qemu-system-x86_64", "-accel", "tcg", "-m", "16", "-display", "none", "-no-reboot", "-net", "none",
             "-drive", f"file={disk},format=raw,if=floppy", "-boot", "a",
             "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
             "-object", f"memory-backend-file,id=ram,size=16M,mem-path={ram},share=on",
             "-machine", "memory-backend=ram"]
        )  # fmt: skip
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        return ram.read_bytes()[RESULT : RESULT + SIZE]
