"""Paging outside long mode judged as a whole: one 32-bit guest walks its tables here and on QEMU.

The room's rule is `system_runner`'s: the guest leaves raw facts, and a line of text says what a case did. Physical
memory, mapped to itself by 4 KiB pages of the kernel's (one of them, CODE, is the user's in a case of ring 3)::

    100000 image   201000 page directory or PDPT   202000 PAE directory of the first GiB   204000 WINDOW's page table
    205000 PAE directory of the second GiB   206000 TSS   210000 page tables of the identity     250000 CODE
    300000, 400000, 800000 pages to map            b00000 the reports

A case says which paging, CR4, EFER and CR0, the entries on the way to WINDOW, and one instruction; eax holds WINDOW.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ringzero import Machine, assemble
from ringzero_tests.stubs import stubs

REPORTS, CODE, WINDOW = 0xB00000, 0x250000, 0x40005010
REPORT = struct.Struct("<12I")  # vector, error, eip, cr2, directory and page entry before, and after
PG, WP, PSE, PAE, SMEP, SMAP, AC = 1 << 31, 1 << 16, 0x10, 0x20, 1 << 20, 1 << 21, 1 << 18
NXE = 1 << 11
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64,+smep,+smap", "-m", "16", "-display", "none",
        "-no-reboot", "-nodefaults", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One row. `directory` and `page`: the two entries above WINDOW; `pdpte`: with PAE the one before them."""

    name: str
    code: str
    directory: int = 0x204007
    page: int = 0x300007
    pdpte: int = 0x205001
    ring: int = 0
    cr0: int = PG | WP | 0x33
    cr4: int = 0
    efer: int = 0
    flags: int = 2


_CASE = """
align 16
case{n}: dd code{n}, {cr0:#x}, {cr4:#x}, {efer:#x}, {flags:#x}, {ring}
        dq {pdpte:#x}, {directory:#x}, {page:#x}
code{n}: {code}
        int 0x80
"""

_GUEST = (
    """
TOP equ 0x201000
LOW_PD equ 0x202000
WINDOW_PT equ 0x204000
WINDOW_PD equ 0x205000
TSS equ 0x206000
IDENTITY equ 0x210000
CODE equ 0x250000
STACK equ 0x240000
REPORTS equ 0xb00000
bits 32
org 0x100000
section .note start=0x100000 align=4
        dd 4, 8, 18
        db "Xen", 0
        dq _start
section .text start=0x101000
global _start
_start: cld
        lgdt [gdtr]
        jmp 8:.here
.here:  mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, STACK
        mov dword [TSS+4], STACK
        mov dword [TSS+8], 0x10
        mov eax, 0x28
        ltr ax
        mov edi, idt
        mov eax, stubs
        mov ecx, 0x81
.gate:  mov [edi], ax
        mov dword [edi+2], 0x00000008
        mov dword [edi+4], eax
        mov word [edi+4], 0xee00
        add edi, 8
        add eax, 16
        dec ecx
        jnz .gate
        lidt [idtr]

next_case:
        mov esp, STACK
        mov eax, [current]
        cmp eax, CASES
        jae finished
        inc dword [current]
        mov ebp, [table+eax*4]
        mov edi, TOP            ; clear the tables
        xor eax, eax
        mov ecx, 0x5000/4
        rep stosd
        mov dword [0x300010], 0x80cd80cd
        mov dword [0x400010], 0x80cd80cd
        mov dword [0x405010], 0x80cd80cd
        mov dword [0x500010], 0x80cd80cd
        mov dword [0x600010], 0x80cd80cd
        mov dword [0x605010], 0x80cd80cd
        mov dword [0x805010], 0x80cd80cd
        mov edx, [ebp+20]       ; 4 if ring 3
        add edx, edx
        and edx, 4
        test byte [ebp+8], 0x20
        jnz .pae
        mov edi, IDENTITY       ; two levels
        mov eax, 3
        mov ecx, 4096
.two:   stosd
        add eax, 0x1000
        loop .two
        or [IDENTITY+(CODE>>12)*4], edx
        mov eax, IDENTITY|7
        mov edi, TOP
        mov ecx, 4
.top:   stosd
        add eax, 0x1000
        loop .top
        mov eax, [ebp+32]
        mov [TOP+0x100*4], eax
        mov eax, [ebp+40]
        mov [WINDOW_PT+5*4], eax
        mov dword [where], TOP+0x100*4
        mov dword [where+4], WINDOW_PT+5*4
        jmp .go
.pae:   mov edi, IDENTITY
        mov eax, 3
        mov ecx, 4096
.three: stosd
        mov dword [edi], 0
        add edi, 4
        add eax, 0x1000
        loop .three
        or [IDENTITY+(CODE>>12)*8], edx
        mov eax, IDENTITY|7
        mov edi, LOW_PD
        mov ecx, 8
.low:   stosd
        add edi, 4
        add eax, 0x1000
        loop .low
        mov dword [TOP], LOW_PD|1
        mov eax, [ebp+24]
        mov [TOP+8], eax
        mov eax, [ebp+28]
        mov [TOP+12], eax
        mov esi, ebp
        add esi, 32
        mov edi, WINDOW_PD
        movsd
        movsd
        mov edi, WINDOW_PT+5*8
        movsd
        movsd
        mov dword [where], WINDOW_PD
        mov dword [where+4], WINDOW_PT+5*8
.go:    mov esi, [ebp]
        mov edi, CODE
        mov ecx, 8
        rep movsd
        mov eax, [ebp+12]
        xor edx, edx
        mov ecx, 0xc0000080
        wrmsr
        mov eax, TOP
        mov cr3, eax
        mov ecx, [ebp+8]
        mov cr4, ecx
        mov edi, before
        call entries
        mov ebx, [ebp+4]
        mov cr0, ebx
        cmp dword [ebp+20], 0
        je .ring0
        mov eax, 0x23
        mov ds, eax
        mov es, eax
        push 0x23
        push STACK
        push dword [ebp+16]
        push 0x1b
        jmp .enter
.ring0: push dword [ebp+16]
        push 8
.enter: push CODE
        mov eax, WINDOW
        iretd

; entries: both entries above WINDOW, 8 bytes each, to edi. clobbers: esi
entries:
        mov esi, [where]
        movsd
        movsd
        mov esi, [where+4]
        movsd
        movsd
        ret

; Every gate leads here: vector, error code and frame are on the stack.
common: mov eax, 0x10           ; IRETD to ring 3 has taken them away
        mov ds, eax
        mov es, eax
        mov eax, cr2
        mov [event+12], eax
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        xor eax, eax
        mov cr4, eax
        pop dword [event]
        pop dword [event+4]
        pop dword [event+8]
        mov edi, after
        call entries
        xor eax, eax
        mov cr2, eax
        mov esi, event
        mov edi, [report]
        mov ecx, 12
        rep movsd
        mov [report], edi
        inc dword [REPORTS]
        jmp next_case

finished:
        mov edx, 0xf4
        mov eax, 0x10
        out dx, eax
        hlt

"""
    + stubs(0x81)
    + """
align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
        dq 0x0000890000000067 | (TSS & 0xffffff) << 16
gdtr:   dw 6*8-1
        dd gdt
idtr:   dw 0x81*8-1
        dd idt
align 16
idt:    times 0x81*8 db 0
current: dd 0
where:  dd 0, 0
report: dd REPORTS+4
event:  dd 0, 0, 0, 0
before: dd 0, 0, 0, 0
after:  dd 0, 0, 0, 0
"""
)


def build(cases: Iterable[Case]) -> bytes:
    """The guest with its cases, an ELF file."""
    rows = [_CASE.format(n=n, **vars(case)) for n, case in enumerate(cases)]
    table = "".join(f" dd case{n}\n" for n in range(len(rows)))
    text = _GUEST.replace("bits 32\n", f"WINDOW equ {WINDOW}\nCASES equ {len(rows)}\nbits 32\n", 1)
    text += "\n".join(rows) + "\nalign 4\ntable:\n" + table
    return assemble(text, format="elf64", name="legacy.asm").binary


def lines(cases: Iterable[Case], reports: bytes, exact: bool = True) -> dict[str, str]:
    """A line a case. Not `exact`: as far as QEMU 7.2 can be compared; see `system_runner.describe`."""
    (count,) = struct.unpack_from("<I", reports)
    rows = zip(cases, range(count), strict=False)
    return {case.name: _line(REPORT.unpack_from(reports, 4 + REPORT.size * n), exact) for case, n in rows}


def _line(report: tuple[int, ...], exact: bool) -> str:
    vector, error, eip, cr2 = report[:4]
    if vector == 14 and not exact:
        error |= error >> 3 & 1
    event = {0x80: "end", 13: f"GP({error:#x})", 14: f"PF({error:#x}) cr2={cr2:#x}"}.get(
        vector, f"int{vector:#x}"
    )
    words = [event] + ([f"eip={eip:#x}"] if not CODE <= eip < CODE + 32 else [])
    for name, old, new in (("directory", *report[4:9:4]), ("page", *report[6:11:4])):
        if old != new and (exact or vector != 14):  # QEMU 7.2 sets A on the way to a fault
            words.append(f"{name}={new:#x}")
    return " ".join(words)


def run_here(cases: tuple[Case, ...], engine: str) -> dict[str, str]:
    """The lines of our machine."""
    machine = Machine(build(cases), engine=engine)
    stop = machine.run(max_steps=30_000 * len(cases))
    found = lines(cases, machine.memory.read(REPORTS, machine.memory.size - REPORTS))
    if len(found) < len(cases):
        found[cases[len(found)].name] = f"never reported: {stop}"
    return found


def run_on_qemu(cases: tuple[Case, ...], seconds: int = 30) -> dict[str, str]:
    """The lines of qemu-system-x86_64 (TCG), not `exact`."""
    with tempfile.TemporaryDirectory() as folder:
        image, ram = Path(folder, "guest.elf"), Path(folder, "ram")
        image.write_bytes(build(cases))
        file = f"memory-backend-file,id=ram,size=16M,mem-path={ram},share=on"
        backed = ["-object", file, "-machine", "memory-backend=ram"]
        subprocess.run([*QEMU, *backed, "-kernel", str(image)], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=seconds, check=False)  # fmt: skip
        return lines(cases, ram.read_bytes()[REPORTS:], exact=False)


_ACCESS = (
    ("read", "mov ecx, [eax]"),
    ("write", "mov [eax], ecx"),
    ("run", "jmp eax"),
    ("stac", "stac\nmov ecx, [eax]"),
)
_ODD = (1, 2, 4, 4, 2, 8, 0x100, 1 << 21)
_FAR = (0x80, 0x2000, 1 << 20)  # another page or none: nothing is run there
_ODD_PAE = (1 << 40, 1 << 52, 1 << 62, 1 << 63, 1 << 63)


def _walk(seed: int) -> Case:
    """A random way to one byte: kind of paging, page size, rights, reserved bits, A and D, control bits, ring."""
    random = Random(f"legacy {seed}")
    pae, large, ring = random.random() < 0.5, random.random() < 0.3, random.choice((0, 3))
    verb, code = random.choice(_ACCESS[: 3 if ring else 4])
    entries = [0x400087, 0] if large else [0x204007, 0x400007]
    for level in range(2):
        odd = random.choice(_ODD + _FAR * (verb != "run") + _ODD_PAE * pae) if random.random() < 0.3 else 0
        entries[level] = (entries[level] | random.choice((0, 0x20, 0x60))) ^ odd
    cr4 = (
        (PAE if pae else random.choice((PSE, PSE, 0)))
        | random.choice((0, 0, SMEP))
        | random.choice((0, 0, SMAP))
    )
    return Case(
        f"{'pae' if pae else 'two levels'} {seed} {verb} at {ring}", code, *entries, ring=ring, cr4=cr4,
        cr0=PG | 0x33 | random.choice((0, WP)), efer=random.choice((0, NXE)), flags=2 | random.choice((0, 0, AC)),
    )  # fmt: skip


_PAE: dict[str, int] = {"cr4": PAE}
_RELOAD = "mov ecx, cr3\nmov cr3, ecx\nmov ecx, [eax]"
CASES = (
    Case("pdpte absent", "mov ecx, [eax]", pdpte=0x205000, **_PAE),
    Case("pdpte absent and reserved", "mov ecx, [eax]", pdpte=0x2051E6, **_PAE),
    *(
        Case(f"pdpte bit {bit}", f"or dword [{0x201008 + bit // 32 * 4:#x}], {1 << bit % 32:#x}\n{_RELOAD}", **_PAE)
        for bit in (1, 2, 3, 4, 5, 8, 9, 40, 51, 52, 62, 63)
    ),
    Case("pdpte stored and not loaded", "mov dword [0x201008], 0\ninvlpg [eax]\nmov ecx, [eax]", **_PAE),
    Case("pdpte stored and loaded", f"mov dword [0x201008], 0\n{_RELOAD}", **_PAE),
    *(
        Case(f"pdpte stored, then cr4 {bit:#x}",
             f"mov dword [0x201008], 0\nmov ecx, cr4\nxor ecx, {bit:#x}\nmov cr4, ecx\nmov ecx, [eax]", **_PAE)
        for bit in (0x10, 0x80, 4, 8)
    ),
    *(
        Case(f"pdpte stored, then cr0 {bit:#x}",
             f"mov dword [0x201008], 0\nmov ecx, cr0\nxor ecx, {bit:#x}\nmov cr0, ecx\nmov ecx, [eax]", **_PAE)
        for bit in (1 << 30, 1 << 16, 8)
    ),
    *(_walk(seed) for seed in range(160)),
)  # fmt: skip
