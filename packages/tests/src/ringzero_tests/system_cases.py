"""The rows of the ring 0 guest: each instruction against each fault that its page of the manual lists.

A row is name, code, the whole line expected of it, and what is prepared. The descriptors, gates and pages that the
rows name are those of `system_guest`: selector 60 is data that is not present, gate 85 has a null selector, and so on.
In a setup CODE is the address of the case's code.
"""

from __future__ import annotations

from random import Random

from ringzero_tests.system_runner import Case

C = Case
FRAME0, FRAME3 = 0x227FC0, 0x22BFC0  # rsp when a case begins
TF, IF, DF, IOPL3, NT, RF, AC = 0x100, 0x200, 0x400, 0x3000, 0x4000, 0x10000, 0x40000


def pushed(*words: int | str, ring: int = 0) -> str:
    """Setup: words on the case's stack, topmost first."""
    at = FRAME3 if ring else FRAME0
    return "\n".join(f"mov rax, {word}\nmov [{at + 8 * n:#x}], rax" for n, word in enumerate(words))


def access(selector: int, value: int) -> str:
    """Setup: change a descriptor's access byte."""
    return f"mov byte [GDT+{selector:#x}+5], {value:#x}"


def gate(vector: int, value: int) -> str:
    """Setup: change a gate's byte of type, DPL and P."""
    return f"mov byte [IDT+{vector}*16+5], {value:#x}"


def no_ist(vector: int) -> str:
    """Setup: the gate takes the present stack, or RSP0."""
    return f"mov byte [IDT+{vector}*16+4], 0"


def msr(number: int, low: int, high: int = 0) -> str:
    """Setup: write an MSR."""
    return f"mov ecx, {number:#x}\nmov eax, {low:#x}\nmov edx, {high:#x}\nwrmsr"


def cr(number: int, bits: int, clear: int = 0) -> str:
    """Setup: set and clear bits of a control register."""
    return f"mov rax, cr{number}\nmov ecx, {bits:#x}\nor rax, rcx\nmov ecx, {clear:#x}\nnot rcx\nand rax, rcx\nmov cr{number}, rax"


# fmt: off
DELIVERY = [
    C("int to ist", "int 0x81", ""),
    C("int from ring 3", "int 0x81", "int0x81 rip=+2 frame=0x21ffd8", ring=3),
    C("int 3", "int3", "BP rip=+1", ring=3),
    C("int1", "int1", "DB rip=+1", ring=3),
    C("int n of bp", "int 3", "BP rip=+2", ring=3),
    C("int gate dpl", "int 0x8e", "GP(0x472)", ring=3),
    C("int gate dpl at 0", "int 0x8e", "int0x8e rip=+2"),
    C("int gp without code", "int 13", "GP(0x6a)", ring=3),
    C("int gate absent", "int 0x83", "NP(0x41a)", ring=3),
    C("int gate type", "int 0x84", "GP(0x422)", ring=3),
    C("int null selector", "int 0x85", "GP(0x0)", ring=3),
    C("int selector beyond", "int 0x86", "GP(0x100)", ring=3),
    C("int selector of data", "int 0x87", "GP(0x18)", ring=3),
    C("int selector absent", "int 0x88", "NP(0x70)", ring=3),
    C("int 32-bit selector", "int 0x89", "GP(0x8)", ring=3),
    C("int offset not canonical", "int 0x8a", "GP(0x0)", ring=3),
    C("int outer selector", "int 0x8b", "GP(0x30)"),
    C("int beyond idt", "int 0x90", "GP(0x482)", ring=3),
    C("int conforming", "int 0x8c", ""),
    C("int stack not canonical", "int 0x8d", "SS(0x0)", setup="mov rax, 1<<47\nmov [TSS+44], rax"),
    C("int stack unmapped", "int 0x8d", "PF(0x2) cr2=0x40002ff8",
      setup="mov qword [TSS+44], 0x40003000\nmov byte [WINDOW_PT+16], 0"),
    C("int stack read-only", "int 0x8d", "PF(0x3) cr2=0x40001ff8", setup="mov qword [TSS+44], 0x40002000"),
    C("int stack aligned", "int 0x8d", "int0x8d rip=+2 frame=0x23ffc8", setup="mov qword [TSS+44], 0x23ffff"),
    C("int tss too short", "int 0x8d", "TS(0xb0)", setup="mov byte [GDT+0xb0], 0x32\nmov ax, 0xb0\nltr ax"),
    C("int frame over the border", "int 0x81", "SS(0x0)",
      registers="mov rax, 0xffff800000000010\nmov [frame+24], rax"),
    C("int below the border", "int 0x81", "PF(0x2) cr2=0x7ffffffffff8",
      registers="mov rax, 1<<47\nmov [frame+24], rax", setup=cr(0, 0)),
    C("fault ext", "ud2", "GP(0x33)", setup=gate(6, 0x8C)),
    C("fault gate absent", "ud2", "NP(0x33)", ring=3, setup=gate(6, 0x0E)),
    C("fault selector ext", "ud2", "GP(0x101)", setup="mov word [IDT+6*16+2], 0x100"),
    C("fault null selector ext", "ud2", "GP(0x1)", setup="mov word [IDT+6*16+2], 0"),
    C("fault trap gate", "ud2", "UD", setup=gate(6, 0x8F), flags=IF | 2),
    C("double np", "mov eax, [rdi+0x3000]", "DF(0x0)", ring=3, setup=gate(14, 0x0E)),
    C("double gp", "mov ss, eax", "DF(0x0)", setup=gate(13, 0x0E), registers="mov eax, 0x38"),
    C("gp then pf", "mov [rdi+0x3000], eax", "DF(0x0)", setup=no_ist(14),
      registers="mov qword [frame+24], 0x40003800"),
    C("ud then pf", "ud2", "PF(0x2) cr2=0x400037f8", setup=no_ist(6), registers="mov qword [frame+24], 0x40003800"),
    C("de then pf", "div ecx", "PF(0x2) cr2=0x400037f8", setup=no_ist(0),
      registers="mov qword [frame+24], 0x40003800\nxor ecx, ecx\nxor edx, edx"),
    C("np then gp", "mov ss, eax", "DF(0x0)", setup=gate(12, 0x8C) + "\n" + access(0x60, 0x13),
      registers="mov eax, 0x60"),
    C("accessed set", "int 0x82", "", setup="mov word [IDT+0x82*16+2], 0xe0"),
    C("flags cleared", "int 0x82", "", flags=NT | IF | 2),
]

IRET = [
    C("iretq same level", "iretq", "end rsp=0x227000", setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x18)),
    C("iretq to 3", "iretq", "end ss=0x2b rsp=0x22bf00 cs=0x33", setup=pushed("CODE+2", 0x33, 2, 0x22BF00, 0x2B)),
    C("iretq 3 to 3", "iretq", "end rsp=0x22bf00", ring=3, setup=pushed("CODE+2", 0x33, 2, 0x22BF00, 0x2B, ring=3)),
    C("iretq to compat", "iretq", "end ss=0x2b rsp=0x22bf00 cs=0x23",
      setup=pushed("CODE+2", 0x23, 2, 0x22BF00, 0x2B)),
    C("iretq nt", "iretq", "GP(0x0)", flags=NT | 2, setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x18)),
    C("iretq null cs", "iretq", "GP(0x0)", setup=pushed("CODE+2", 3, 2, 0x227000, 0x18)),
    C("iretq cs beyond", "iretq", "GP(0x100)", setup=pushed("CODE+2", 0x103, 2, 0x227000, 0x18)),
    C("iretq cs in no ldt", "iretq", "GP(0x14)", setup=pushed("CODE+2", 0x14, 2, 0x227000, 0x18)),
    C("iretq cs data", "iretq", "GP(0x18)", setup=pushed("CODE+2", 0x18, 2, 0x227000, 0x18)),
    C("iretq rpl inward", "iretq", "GP(0x10)", ring=3, setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x18, ring=3)),
    C("iretq cs dpl", "iretq", "GP(0x10)", setup=pushed("CODE+2", 0x13, 2, 0x227000, 0x1B)),
    C("iretq cs absent", "iretq", "NP(0x70)", setup=pushed("CODE+2", 0x70, 2, 0x227000, 0x18)),
    C("iretq cs l and d", "iretq", "GP(0x80)", setup=pushed("CODE+2", 0x80, 2, 0x227000, 0x18)),
    C("iretq conforming to 3", "iretq", "end ss=0x2b rsp=0x22bf00 cs=0x7b",
      setup=pushed("CODE+2", 0x7B, 2, 0x22BF00, 0x2B)),
    C("iretq outer conforming", "iretq", "GP(0xe8)", setup=pushed("CODE+2", 0xE8, 2, 0x22BF00, 0x18)),
    C("iretq rip not canonical", "iretq", "GP(0x0)", setup=pushed("1<<47", 0x10, 2, 0x227000, 0x18)),
    C("iretq rip beyond limit", "iretq", "GP(0x0)", setup=pushed("0x1000", 0xAB, 2, 0x22BF00, 0x2B)),
    C("iretq null ss to 3", "iretq", "GP(0x0)", setup=pushed("CODE+2", 0x33, 2, 0x22BF00, 3)),
    C("iretq null ss at 0", "iretq", "end ss=0x0 rsp=0x227000", setup=pushed("CODE+2", 0x10, 2, 0x227000, 0)),
    C("iretq null ss other rpl", "iretq", "GP(0x0)", setup=pushed("CODE+2", 0x10, 2, 0x227000, 1)),
    C("iretq null ss to 32-bit", "iretq", "GP(0x0)", setup=pushed("CODE+2", 0x08, 2, 0x227000, 0)),
    C("iretq ss rpl", "iretq", "GP(0x28)", setup=pushed("CODE+2", 0x33, 2, 0x22BF00, 0x28)),
    C("iretq ss dpl", "iretq", "GP(0x18)", setup=pushed("CODE+2", 0x33, 2, 0x22BF00, 0x1B)),
    C("iretq ss read-only", "iretq", "GP(0x38)", setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x38)),
    C("iretq ss code", "iretq", "GP(0x10)", setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x10)),
    C("iretq ss beyond", "iretq", "GP(0x100)", setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x100)),
    C("iretq ss absent", "iretq", "SS(0x60)", setup=pushed("CODE+2", 0x10, 2, 0x227000, 0x60)),
    C("iretq bad ss and bad rip", "iretq", "GP(0x38)", setup=pushed("1<<47", 0x10, 2, 0x227000, 0x38),
      why="SDM 2A, IRET: SS is checked before the instruction pointer"),
    C("iretq accessed", "iretq", "", setup=pushed("CODE+2", 0xA3, 2, 0x22BF00, 0x9B)),
    C("iretq stack unmapped", "iretq", "PF(0x0) cr2=0x40003000", registers="mov qword [frame+24], 0x40002fe8"),
    C("iretq stack not canonical", "iretq", "SS(0x0)", registers="mov rax, 1<<47\nmov [frame+24], rax"),
    C("iretq rsp odd", "iretq", "", setup=pushed("CODE+2", 0x10, 2, "1<<63", 0x18)),
    C("iretq flags at 3", "iretq", "", ring=3, setup=pushed("CODE+2", 0x33, 0x247FD7 | IF, 0x22BF00, 0x2B, ring=3)),
    C("iretq flags with iopl", "iretq", "", ring=3, flags=IOPL3 | 2,
      setup=pushed("CODE+2", 0x33, 0x244AD7, 0x22BF00, 0x2B, ring=3)),
    C("iretq flags at 0", "iretq", "", setup=pushed("CODE+2", 0x10, 0x246AD7, 0x227000, 0x18)),
    C("iretq vm ignored", "iretq", "", setup=pushed("CODE+2", 0x10, 0x20002, 0x227000, 0x18)),
    C("iretq tf", "iretq\nnop\nnop", "DB dr6=0xffff4ff0 rsp=0x227000 rip=+3 flags=0x102",
      setup=pushed("CODE+2", 0x10, TF | 2, 0x227000, 0x18)),
    C("iretq drops segments", "iretq", "", setup=pushed("CODE+2", 0x33, 2, 0x22BF00, 0x2B),
      registers="push rax\nmov eax, 0x18\nmov ds, eax\nmov fs, eax\npop rax"),
    C("iretd same level", "iretd", "",
      setup="mov dword [0x227fc0], CODE+1\nmov dword [0x227fc4], 0x10\nmov dword [0x227fc8], 2\nmov dword [0x227fcc], 0x227000\nmov dword [0x227fd0], 0x18"),
    C("iretd in compat", "iretd", "", ring=3, bits=32,
      setup="mov dword [0x22bfc0], CODE+1\nmov dword [0x22bfc4], 0x23\nmov dword [0x22bfc8], 2"),
    C("iretd compat to 64", "iretd", "", ring=3, bits=32,
      setup="mov dword [0x22bfc0], CODE+1\nmov dword [0x22bfc4], 0x33\nmov dword [0x22bfc8], 2"),
]

SYSCALL = [
    C("syscall", "syscall", "", ring=3, flags=0x8D7),
    C("syscall without sce", "syscall", "UD", ring=3, setup=msr(0xC0000080, 0x900)),
    C("syscall in compat", "db 0x0f, 5", "UD", ring=3, bits=32, why="Intel: SYSCALL only in 64-bit mode (SDM 2B)"),
    C("syscall fmask", "syscall", "", ring=3, flags=0xCD7 | AC, setup=msr(0xC0000084, 0x47700)),
    C("syscall tf cleared", "syscall", "", ring=3, flags=TF | 2),
    C("syscall tf kept", "syscall", "", ring=3, flags=TF | 2, setup=msr(0xC0000084, 0)),
    C("sysretq", "o64 sysret", "", registers="lea rcx, [CODE+3]\nmov r11d, 0x202"),
    C("sysretd", "sysret", "", registers="lea rcx, [CODE+2]\nmov r11d, 0x202"),
    C("sysret not canonical", "o64 sysret", "GP(0x0)", registers="mov rcx, 1<<47\nmov r11d, 2"),
    C("sysret cut", "sysret", "", registers="lea rcx, [CODE+2]\nbts rcx, 47\nmov r11d, 2"),
    C("sysret at 3", "o64 sysret", "GP(0x0)", ring=3),
    C("sysret without sce", "o64 sysret", "UD", setup=msr(0xC0000080, 0x900)),
    C("sysret without sce at 3", "o64 sysret", "UD", ring=3, setup=msr(0xC0000080, 0x900)),
    C("sysret flags", "o64 sysret", "", registers="lea rcx, [CODE+3]\nmov r11, 0xffffffffffffeeff"),
    C("sysret tf", "o64 sysret", "", registers="lea rcx, [CODE+3]\nmov r11d, 0x102"),
    C("swapgs", "swapgs", "end gs_base=0x333000 kernel_gs=0x222000"),
    C("swapgs at 3", "swapgs", "GP(0x0)", ring=3),
]

_REGISTERS = ("ds", "es", "fs", "gs")
SEGMENTS = [
    *(C(f"mov {r} user", f"mov {r}, eax", "", ring=3, registers="mov eax, 0x2b") for r in _REGISTERS),
    *(C(f"mov {r} null", f"mov {r}, eax", "", ring=3, registers="mov eax, 3") for r in _REGISTERS),
    *(C(f"mov {r} beyond", f"mov {r}, eax", "GP(0x100)", registers="mov eax, 0x100") for r in _REGISTERS),
    C("mov ds rpl and cpl", "mov ds, eax", "GP(0x18)", ring=3, registers="mov eax, 0x18"),
    C("mov ds rpl", "mov ds, eax", "GP(0x18)", registers="mov eax, 0x1b"),
    C("mov ds absent", "mov ds, eax", "NP(0x60)", registers="mov eax, 0x60"),
    C("mov ds execute-only", "mov ds, eax", "GP(0x88)", registers="mov eax, 0x88"),
    C("mov ds code", "mov ds, eax", "", registers="mov eax, 0x10"),
    C("mov ds conforming at 3", "mov ds, eax", "", ring=3, registers="mov eax, 0x7b"),
    C("mov ds tss", "mov ds, eax", "GP(0x40)", registers="mov eax, 0x40"),
    C("mov ds accessed", "mov ds, eax", "", registers="mov eax, 0x90"),
    C("mov ds no ldt", "mov ds, eax", "GP(0x4)", registers="mov eax, 4"),
    C("mov ds ldt", "mov ds, eax", "", registers="mov eax, 4",
      setup="mov rax, [GDT+0x18]\nmov [LDT], rax\nmov eax, 0x50\nlldt ax"),
    C("mov ds ldt unmapped", "mov ds, eax", "PF(0x0) cr2=0x40003008", ring=3, registers="mov eax, 15",
      setup="mov rax, 0x4000820030000000 | 0x0f\nmov [GDT+0x50], rax\nmov eax, 0x50\nlldt ax"),
    C("mov ds ldt read-only", "mov ds, eax", "PF(0x3) cr2=0x4000100c", ring=3, registers="mov eax, 15",
      setup="mov rax, [GDT+0x98]\nmov [FRAMES+0x1008], rax\nmov rax, 0x4000820010000000 | 0x0f\nmov [GDT+0x50], rax\nmov eax, 0x50\nlldt ax"),
    C("mov ss", "mov ss, eax", "end", registers="mov eax, 0x18"),
    C("mov ss null", "mov ss, eax", "end ss=0x0", registers="mov eax, 0"),
    C("mov ss null rpl", "mov ss, eax", "GP(0x0)", registers="mov eax, 3"),
    C("mov ss null at 3", "mov ss, eax", "GP(0x0)", ring=3, registers="mov eax, 3"),
    C("mov ss rpl", "mov ss, eax", "GP(0x18)", registers="mov eax, 0x1b"),
    C("mov ss dpl", "mov ss, eax", "GP(0x28)", registers="mov eax, 0x28"),
    C("mov ss read-only", "mov ss, eax", "GP(0x38)", registers="mov eax, 0x38"),
    C("mov ss code", "mov ss, eax", "GP(0x10)", registers="mov eax, 0x10"),
    C("mov ss absent", "mov ss, eax", "SS(0x60)", registers="mov eax, 0x60"),
    C("mov ss absent at 3", "mov ss, eax", "SS(0x68)", ring=3, registers="mov eax, 0x6b"),
    C("mov ss beyond", "mov ss, eax", "GP(0x100)", registers="mov eax, 0x100"),
    C("mov cs", "db 0x8e, 0xc8", "UD", registers="mov eax, 0x10"),
    C("mov sreg 6", "db 0x8e, 0xf0", "UD"),
    C("mov from sreg 7", "db 0x8c, 0xf8", "UD"),
    C("mov ds from memory", "mov ds, [rdi+0x3000]", "PF(0x4) cr2=0x40003000", ring=3),
    C("pop fs", "pop fs", "", ring=3, setup=pushed(0x2B, ring=3)),
    C("pop fs bad", "pop fs", "GP(0x18)", ring=3, setup=pushed(0x18, ring=3)),
    C("pop ds in compat", "pop ds", "", ring=3, bits=32, setup=pushed(0x2B, ring=3)),
    C("pop ss in compat", "pop ss", "GP(0x28)", ring=3, bits=32, setup=pushed(0x28, ring=3)),
    C("lldt", "lldt ax", "end ldtr=0x50", registers="mov eax, 0x50"),
    C("lldt null", "lldt ax", "end ldtr=0x3", registers="mov eax, 3"),
    C("lldt at 3", "lldt ax", "GP(0x0)", ring=3),
    C("lldt type", "lldt ax", "GP(0x40)", registers="mov eax, 0x40"),
    C("lldt data", "lldt ax", "GP(0x18)", registers="mov eax, 0x18"),
    C("lldt absent", "lldt ax", "NP(0xd0)", registers="mov eax, 0xd0"),
    C("lldt in ldt", "lldt ax", "GP(0x54)", registers="mov eax, 0x54"),
    C("lldt beyond", "lldt ax", "GP(0xf8)", registers="mov eax, 0xf8"),
    C("ltr", "ltr ax", "", registers="mov eax, 0xb0"),
    C("ltr null", "ltr ax", "GP(0x0)", registers="xor eax, eax"),
    C("ltr at 3", "ltr ax", "GP(0x0)", ring=3),
    C("ltr busy", "ltr ax", "GP(0x40)", registers="mov eax, 0x40"),
    C("ltr type", "ltr ax", "GP(0x50)", registers="mov eax, 0x50"),
    C("ltr absent", "ltr ax", "NP(0xc0)", registers="mov eax, 0xc0"),
    C("ltr in ldt", "ltr ax", "GP(0xb4)", registers="mov eax, 0xb4"),
    C("ltr upper type", "ltr ax", "GP(0xb0)", setup="mov byte [GDT+0xb0+13], 1", registers="mov eax, 0xb0"),
]

FAR = [
    C("jmp far", "jmp far qword [rbx]", "",
      setup="lea rax, [CODE+3]\nmov [SCRATCH], rax\nmov word [SCRATCH+8], 0x10", why="REX.W: 16:64 on Intel"),
    C("jmp far dword", "jmp far dword [rbx]", "", setup="mov dword [SCRATCH], CODE+2\nmov word [SCRATCH+4], 0x10"),
    *(
        C(
            f"jmp far {name}",
            "jmp far dword [rbx]",
            expect,
            setup=f"mov dword [SCRATCH], CODE+2\nmov word [SCRATCH+4], {selector:#x}",
            ring=ring,
        )
        for name, selector, expect, ring in (
            ("null", 3, "GP(0x0)", 3),
            ("beyond", 0x103, "GP(0x100)", 3),
            ("data", 0x2B, "GP(0x28)", 3),
            ("inner", 0x10, "GP(0x10)", 3),
            ("outer", 0x33, "GP(0x30)", 0),
            ("rpl", 0x13, "GP(0x10)", 0),
            ("absent", 0x70, "NP(0x70)", 0),
            ("l and d", 0x80, "GP(0x80)", 0),
            ("conforming", 0x78, "", 3),
            ("outer conforming", 0xE8, "GP(0xe8)", 0),
            ("tss", 0x40, "GP(0x40)", 0),
            ("accessed", 0xE0, "", 0),
            ("compat", 0x23, "", 3),
            ("lower rpl", 0x30, "", 3),
        )
    ),
    C("jmp far limit", "jmp far dword [rbx]", "GP(0x0)", ring=3,
      setup="mov dword [SCRATCH], 0x1000\nmov word [SCRATCH+4], 0xab"),
    C("jmp far not canonical", "jmp far qword [rbx]", "GP(0x0)",
      setup="mov rax, 1<<47\nmov [SCRATCH], rax\nmov word [SCRATCH+8], 0x10"),
    C("jmp far unmapped", "jmp far dword [rdi+0x3000]", "PF(0x4) cr2=0x40003000", ring=3),
    C("call far", "call far dword [rbx]", "", ring=3,
      setup="mov dword [SCRATCH], CODE+2\nmov word [SCRATCH+4], 0x33"),
    C("call far stack", "call far dword [rbx]", "PF(0x6) cr2=0x40003ffc", ring=3,
      setup="mov dword [SCRATCH], CODE+2\nmov word [SCRATCH+4], 0x33", registers="mov qword [frame+24], 0x40004000"),
    C("call far stack not canonical", "call far dword [rbx]", "SS(0x0)", ring=3,
      setup="mov dword [SCRATCH], CODE+2\nmov word [SCRATCH+4], 0x33",
      registers="mov rax, 0xffff800000000004\nmov [frame+24], rax"),
    C("call far in compat", "db 0x9a\ndd 0\ndw 0x28", "GP(0x28)", ring=3, bits=32),
    C("retf", "o64 retf", "end rsp=0x227fd0", setup=pushed("CODE+2", 0x10)),
    C("retf to 3", "o64 retf", "", setup=pushed("CODE+2", 0x33, 0x22BF00, 0x2B)),
    C("retf 16 to 3", "o64 retf 16", "", setup=pushed("CODE+4", 0x33, 0, 0, 0x22BF00, 0x2B)),
    C("retf inward", "o64 retf", "GP(0x10)", ring=3, setup=pushed("CODE+2", 0x10, ring=3)),
    C("retf null", "o64 retf", "GP(0x0)", setup=pushed("CODE+2", 0)),
    C("retf absent", "o64 retf", "NP(0x70)", setup=pushed("CODE+2", 0x70)),
    C("retf not canonical", "o64 retf", "GP(0x0)", setup=pushed("1<<47", 0x10)),
    C("retf bad ss", "o64 retf", "GP(0x18)", setup=pushed("CODE+2", 0x33, 0x22BF00, 0x18)),
    C("retf null ss", "o64 retf", "GP(0x0)", setup=pushed("CODE+2", 0x33, 0x22BF00, 0)),
    C("retfd", "retf", "", setup="mov dword [0x227fc0], CODE+1\nmov dword [0x227fc4], 0x10"),
    C("retf stack unmapped", "o64 retf", "PF(0x0) cr2=0x40003000", registers="mov qword [frame+24], 0x40002ff8"),
]

PRIVILEGED = [
    *(
        C(f"{code} at 3", code, "GP(0x0)", ring=3)
        for code in (
            "hlt",
            "cli",
            "sti",
            "clts",
            "invd",
            "wbinvd",
            "lgdt [rbx]",
            "lidt [rbx]",
            "lmsw ax",
            "invlpg [rbx]",
            "rdmsr",
            "wrmsr",
            "mov rax, cr0",
            "mov cr0, rax",
            "mov rax, cr2",
            "mov rax, cr3",
            "mov cr4, rax",
            "mov rax, cr8",
            "mov rax, dr0",
            "mov dr7, rax",
            "in al, 0x80",
            "out 0x80, al",
        )
    ),
    C("lgdt unmapped at 3", "lgdt [rdi+0x3000]", "GP(0x0)", ring=3),
    C("cli iopl", "cli", "end flags=0x3002", ring=3, flags=IOPL3 | IF | 2),
    C("sti iopl", "sti", "end flags=0x3202", ring=3, flags=IOPL3 | 2),
    C("sgdt", "sgdt [rbx]", "", ring=3),
    C("sgdt read-only", "sgdt [rdi+0xffa]", "PF(0x7) cr2=0x40001000", ring=3),
    C("smsw", "smsw rax", "end rax=0x80010033", ring=3),
    C("smsw memory", "smsw [rbx]", "", ring=3),
    C("str", "str eax", "end rax=0x40", ring=3),
    C("sldt", "sldt ax", "end rax=0x1111111111110000", ring=3),
    C("lgdt not canonical", "lgdt [rbx]", "GP(0x0)",
      setup="mov rax, 0x8000000000000fff\nmov [SCRATCH], rax\nmov qword [SCRATCH+2], rax"),
    C("lgdt unmapped", "lgdt [rdi+0x2ffc]", "PF(0x0) cr2=0x40003000"),
    C("lidt not canonical", "lidt [rbx]", "GP(0x0)", setup="mov rax, 0x800000000000\nmov qword [SCRATCH+2], rax"),
    C("lgdt register", "db 0x0f, 1, 0xd0", "UD"),
    C("clts", "clts", "end cr0=0x80010033", setup=cr(0, 8)),
    C("lmsw sets", "lmsw ax", "", registers="mov eax, 0xffff"),
    C("lmsw cannot clear pe", "lmsw ax", "", registers="xor eax, eax"),
    C("fwait nm", "fwait", "NM", setup=cr(0, 10)),
    C("rdtsc tsd", "rdtsc", "GP(0x0)", ring=3, setup=cr(4, 4)),
    C("popf at 3", "popfq", "", ring=3, setup=pushed(0x247FD7 & ~TF, ring=3)),
    C("popf at 3 iopl", "popfq", "", ring=3, flags=IOPL3 | 2, setup=pushed(0x240ED7, ring=3)),
    C("popf at 0", "popfq", "", setup=pushed(0x3F7ED7)),
    C("popf vm rf ignored", "popfq", "", setup=pushed(0x30002)),
    C("popfw at 0", "popfw", "", flags=AC | 2, setup=pushed(0x7ED7)),
    C("popf unmapped", "popfq", "PF(0x4) cr2=0x40003000", ring=3, registers="mov qword [frame+24], 0x40003000"),
    C("pushf hides rf", "pushfq", "", ring=3, flags=RF | 2),
    C("hlt waits for nothing", "nop", "end"),
]

CONTROL = [
    C("cr0 pg without pe", "mov cr0, rax", "GP(0x0)", registers="mov eax, 0x80010032"),
    C("cr0 nw without cd", "mov cr0, rax", "GP(0x0)", registers="mov eax, 0xa0010033"),
    C("cr0 upper", "mov cr0, rax", "GP(0x0)", registers="mov rax, 0x180010033"),
    C("cr0 pg off in 64", "mov cr0, rax", "GP(0x0)", registers="mov eax, 0x10033"),
    C("cr0 reserved ignored", "mov cr0, rax", "", registers="mov eax, 0x8001ffff"),
    C("cr0 cd nw", "mov cr0, rax", "", registers="mov eax, 0xe0010033"),
    C("cr1", "db 0x0f, 0x20, 0xc8", "UD"),
    C("cr1 at 3", "db 0x0f, 0x20, 0xc8", "UD", ring=3),
    C("cr5", "db 0x0f, 0x22, 0xe8", "UD"),
    C("cr2", "mov cr2, rax\nmov rcx, cr2", "end rcx=0x1111111111110001"),
    C("cr3 reserved", "mov cr3, rax", "GP(0x0)", registers="mov rax, 0x10000201000"),
    C("cr3 top", "mov cr3, rax", "GP(0x0)", registers="mov rax, 0x8000000000201000"),
    C("cr3 low bits", "mov cr3, rax\nmov rcx, cr3", "", registers="mov eax, 0x201018"),
    C("cr4 pae off", "mov cr4, rax", "GP(0x0)", registers="xor eax, eax"),
    C("cr4 reserved", "mov cr4, rax", "GP(0x0)", registers="mov eax, 0x80000020"),
    C("cr4 upper", "mov cr4, rax", "GP(0x0)", registers="mov rax, 0x100000020"),
    C("cr4 pge", "mov cr4, rax", "", registers="mov eax, 0xa0"),
    C("cr8", "mov cr8, rax\nmov rcx, cr8\nmov eax, 0\nmov cr8, rax", "", registers="mov eax, 7"),
    C("cr8 reserved", "mov cr8, rax", "GP(0x0)", registers="mov eax, 16"),
    C("dr4 is dr6", "mov rax, dr4", "end rax=0xffff0ff0"),
    C("dr4 with de", "mov rax, dr4", "UD", setup=cr(4, 8)),
    C("dr7 upper", "mov dr7, rax", "GP(0x0)", registers="mov rax, 0x100000400"),
    C("dr6 upper", "mov dr6, rax", "GP(0x0)", registers="mov rax, 0x100000000"),
    C("dr6 bits", "mov dr6, rax", "", registers="mov eax, 0xffffffff"),
    C("dr7 bits", "mov dr7, rax", "", registers="mov eax, 0xffffdf00"),
    C("dr0", "mov dr0, rax\nmov rcx, dr0", "end rcx=0x1111111111110001"),
    C("rdmsr unknown", "rdmsr", "GP(0x0)", registers="mov ecx, 0x12345678",
      why="an MSR that is not there is #GP(0) (SDM 2B, RDMSR)"),
    C("wrmsr unknown", "wrmsr", "GP(0x0)", registers="mov ecx, 0x12345678",
      why="an MSR that is not there is #GP(0) (SDM 2B, WRMSR)"),
    *(
        C(
            f"wrmsr {number:#x} not canonical",
            "wrmsr",
            "GP(0x0)",
            registers=f"mov ecx, {number:#x}\nmov edx, 0x8000\nmov eax, 0",
        )
        for number in (0xC0000082, 0xC0000083, 0xC0000100, 0xC0000101, 0xC0000102)
    ),
    C("wrmsr efer reserved", "wrmsr", "GP(0x0)", registers="mov ecx, 0xc0000080\nmov eax, 0x2d01\nxor edx, edx"),
    C("wrmsr efer lme off", "wrmsr", "GP(0x0)", registers="mov ecx, 0xc0000080\nmov eax, 0xc01\nxor edx, edx"),
    C("wrmsr efer lma ignored", "wrmsr", "end", registers="mov ecx, 0xc0000080\nmov eax, 0x901\nxor edx, edx"),
    C("wrmsr pat", "wrmsr", "GP(0x0)", registers="mov ecx, 0x277\nmov eax, 2\nxor edx, edx"),
    C("wrmsr fs", "wrmsr", "", registers="mov ecx, 0xc0000100\nmov eax, 0x1000\nxor edx, edx"),
    C("mov cr0 with lock", "db 0xf0, 0x0f, 0x20, 0xc0", "UD", why="AMD's spelling of CR8; Intel: #UD"),
    C("lock", "db 0xf0, 0x90", "UD", ring=3),
    C("too long", "times 15 db 0x66\nnop", "GP(0x0)", ring=3),
    C("undefined", "db 0x0f, 0xff, 0xc0", "UD", ring=3),
    C("push es in 64", "db 0x06", "UD", ring=3),
]

PORTS = [
    C("in open", "in al, 0x7f", "", ring=3),
    C("in closed", "in al, 0x80", "GP(0x0)", ring=3),
    C("in across", "in ax, 0x7f", "GP(0x0)", ring=3),
    C("in across dword", "in eax, 0x7d", "GP(0x0)", ring=3),
    C("in last", "in al, dx", "GP(0x0)", ring=3, registers="mov edx, 0xff"),
    C("in beyond map", "in al, dx", "GP(0x0)", ring=3, registers="mov edx, 0x100"),
    C("in iopl", "in al, 0x80", "", ring=3, flags=IOPL3 | 2),
    C("in map beyond tss", "in al, 0x10", "GP(0x0)", ring=3, setup="mov word [TSS+102], 0x88"),
    C("in short tss", "in al, 0x10", "GP(0x0)", ring=3, setup="mov ax, 0xb0\nltr ax"),
    C("ins unmapped", "insb", "PF(0x6) cr2=0x40003000", ring=3, registers="mov edi, 0x40003000\nmov edx, 0x70"),
    C("ins read-only", "insb", "PF(0x7) cr2=0x40001000", ring=3, registers="mov edi, 0x40001000\nmov edx, 0x70"),
    C("ins", "insb", "", ring=3, registers="mov edi, SCRATCH\nmov edx, 0x70"),
    C("rep ins", "rep insb", "", ring=3, registers="mov edi, SCRATCH\nmov edx, 0x70\nmov ecx, 3"),
    C("rep ins none", "rep insb", "end", ring=3, registers="mov edx, 0x70\nxor ecx, ecx"),
    C("rep ins closed none", "rep insb", "GP(0x0)", ring=3, registers="mov edx, 0x80\nxor ecx, ecx"),
    C("rep ins into the end", "rep insb", "", ring=3, registers="mov edi, 0x40006ffe\nmov edx, 0x70\nmov ecx, 8"),
    C("outs unmapped", "outsb", "PF(0x4) cr2=0x40003000", ring=3, registers="mov esi, 0x40003000\nmov edx, 0x70"),
    C("rep outs", "rep outsb", "", ring=3, registers="mov esi, SCRATCH\nmov edx, 0x7e\nmov ecx, 4"),
    C("out dword", "out dx, eax", "end", registers="mov edx, 0xed"),
]

DEBUG = [
    C("tf", "nop\nnop", "DB dr6=0xffff4ff0 rip=+1", flags=TF | 2, ring=3),
    C("tf at 0", "nop\nnop", "DB dr6=0xffff4ff0 rip=+1", flags=TF | 2),
    C("tf over a jump", "jmp $+4\nnop\nnop\nnop", "", flags=TF | 2, ring=3),
    C("tf and int", "int 0x82\nnop", "int0x82 rip=+2 frame=0x21ffd8", flags=TF | 2, ring=3),
    C("tf and int3", "int3\nnop", "BP rip=+1", flags=TF | 2, ring=3),
    C("tf and fault", "ud2\nnop", "UD", flags=TF | 2, ring=3),
    C("tf and mov ss", "mov ss, eax\nnop\nnop", "", flags=TF | 2, registers="mov eax, 0x18"),
    C("tf and sti", "sti\nnop", "", flags=TF | 2),
    C("tf and popf", "popfq\nnop\nnop", "", flags=TF | 2, setup=pushed(2)),
    C("popf sets tf", "popfq\nnop\nnop", "", setup=pushed(TF | 2)),
    C("tf and rep", "rep stosb\nnop", "", flags=TF | 2, ring=3, registers="mov edi, SCRATCH\nmov ecx, 3"),
    C("tf and last rep", "rep stosb\nnop", "", flags=TF | 2, ring=3, registers="mov edi, SCRATCH\nmov ecx, 1"),
    C("tf and pushf", "pushfq\nnop", "", flags=TF | 2, ring=3),
    C("dr6 tells anew", "nop", "", flags=TF | 2, setup="mov eax, 0xffff0ff5\nmov dr6, rax"),
]

_PAGES = (
    ("user", 0),
    ("read-only", 0x1000),
    ("supervisor", 0x2000),
    ("absent", 0x3000),
    ("nx", 0x4000),
    ("reserved", 0x5000),
)
_ACCESS = (
    ("read", "mov eax, [rdi+{:#x}]"),
    ("write", "mov [rdi+{:#x}], eax"),
    ("add", "add byte [rdi+{:#x}], 1"),
)
PAGING = [
    *(
        C(f"{verb} {page} at {ring}", code.format(offset + 0x100), "", ring=ring)
        for ring in (0, 3)
        for page, offset in _PAGES
        for verb, code in _ACCESS
    ),
    *(
        C(f"run {page} at {ring}", "jmp rax", "", ring=ring, registers=f"lea rax, [rdi+{offset:#x}]")
        for ring in (0, 3)
        for page, offset in _PAGES
    ),
    C("write read-only without wp", "mov [rdi+0x1100], eax", "", setup=cr(0, 0, 0x10000)),
    C("write read-only without wp at 3", "mov [rdi+0x1100], eax", "PF(0x7) cr2=0x40001100", ring=3,
      setup=cr(0, 0, 0x10000)),
    C("nx without nxe", "mov eax, [rdi+0x4000]", "PF(0x9) cr2=0x40004000", setup=msr(0xC0000080, 0x101)),
    C("run absent without nxe", "jmp rax", "PF(0x4) cr2=0x40003000 rip=0x40003000", ring=3,
      registers="lea rax, [rdi+0x3000]", setup=msr(0xC0000080, 0x101)),
    C("run into the end", "jmp rax", "", ring=3, registers="mov word [0x306ffe], 0x9090\nlea rax, [rdi+0x6ffe]"),
    C("straddle unmapped", "jmp rax", "PF(0x14) cr2=0x40007000 rip=0x40006fff", ring=3,
      registers="mov byte [0x306fff], 0x48\nlea rax, [rdi+0x6fff]"),
    C("straddle two bytes", "jmp rax", "", ring=3, registers="lea rax, [rdi+0x6ffe]"),
    C("read across absent", "mov rax, [rdi+0x6ffc]", "PF(0x4) cr2=0x40007000", ring=3),
    C("write across absent", "mov [rdi+0x6ffc], rax", "PF(0x6) cr2=0x40007000", ring=3),
    C("write across read-only", "mov [rdi+0xffc], rax", "PF(0x7) cr2=0x40001000", ring=3),
    C("write from read-only", "mov [rdi+0x1ffc], rax", "PF(0x7) cr2=0x40001ffc", ring=3),
    C("push absent", "push rax", "PF(0x6) cr2=0x40003ff8", ring=3, registers="mov qword [frame+24], 0x40004000"),
    C("pop to absent", "pop qword [rdi+0x3000]", "PF(0x6) cr2=0x40003000", ring=3),
    C("call absent stack", "call $+5", "PF(0x6) cr2=0x40003ff8", ring=3,
      registers="mov qword [frame+24], 0x40004000"),
    C("xchg read-only", "xchg [rdi+0x1000], eax", "PF(0x7) cr2=0x40001000", ring=3),
    C("cmpxchg read-only", "cmpxchg [rdi+0x1000], ecx", "PF(0x7) cr2=0x40001000", ring=3),
    C("bt read-only", "bt dword [rdi+0x1000], 1", "", ring=3),
    C("movs dest absent", "movsb", "PF(0x6) cr2=0x40003000", ring=3,
      registers="mov esi, SCRATCH\nmov edi, 0x40003000"),
    C("movs both absent", "movsb", "PF(0x4) cr2=0x40007000", ring=3,
      registers="mov esi, 0x40007000\nmov edi, 0x40003000"),
    C("rep movs to the end", "rep movsb", "", ring=3, registers="mov esi, SCRATCH\nmov edi, 0x40006ffd\nmov ecx, 8"),
    C("not canonical read", "mov eax, [rax]", "GP(0x0)", ring=3, registers="mov rax, 1<<47"),
    C("not canonical across", "mov rax, [rax]", "GP(0x0)", ring=3, registers="mov rax, 0x7ffffffffffc"),
    C("not canonical rsp", "mov eax, [rsp]", "SS(0x0)", ring=3, registers="mov rax, 1<<47\nmov [frame+24], rax"),
    C("not canonical rbp", "mov eax, [rbp+8]", "SS(0x0)", ring=3, registers="mov rbp, 1<<47"),
    C("not canonical push", "push rax", "SS(0x0)", ring=3,
      registers="mov rax, 0xffff800000000004\nmov [frame+24], rax"),
    C("not canonical jump", "jmp rax", "GP(0x0)", ring=3, registers="mov rax, 1<<47"),
    C("not canonical call", "call rax", "GP(0x0)", ring=3, registers="mov rax, 1<<47"),
    C("not canonical ret", "ret", "GP(0x0)", ring=3, setup=pushed("1<<47", ring=3)),
    C("alignment", "mov eax, [rbx+1]", "AC(0x0)", ring=3, flags=AC | 2, setup=cr(0, 0x40000)),
    C("alignment without am", "mov eax, [rbx+1]", "", ring=3, flags=AC | 2),
    C("alignment at 0", "mov eax, [rbx+1]", "", flags=AC | 2, setup=cr(0, 0x40000)),
    C("alignment and page", "mov eax, [rdi+0x3001]", "AC(0x0)", ring=3, flags=AC | 2, setup=cr(0, 0x40000)),
    C("implicit ldt", "mov ds, eax", "", ring=3, registers="mov eax, 15",
      setup="mov rax, [GDT+0x28]\nmov [FRAMES+0x2008], rax\nmov rax, 0x4000820020000000 | 0x0f\nmov [GDT+0x50], rax\nmov eax, 0x50\nlldt ax"),
    C("user bit above", "mov eax, [rdi]", "PF(0x5) cr2=0x40000000", ring=3,
      setup="mov qword [WINDOW_PD], WINDOW_PT|0x23\nmov rax, cr3\nmov cr3, rax"),
    C("write bit above", "mov [rdi], eax", "PF(0x7) cr2=0x40000000", ring=3,
      setup="mov qword [WINDOW_PD], WINDOW_PT|0x25\nmov rax, cr3\nmov cr3, rax"),
    C("nx above", "jmp rdi", "", ring=3,
      setup="mov rax, WINDOW_PT|0x27|1<<63\nmov [WINDOW_PD], rax\nmov rax, cr3\nmov cr3, rax"),
    C("accessed and dirty", "mov [rdi+0x6100], eax", "", ring=3,
      setup="and byte [WINDOW_PT+6*8], 0x9f\nmov rax, cr3\nmov cr3, rax"),
    C("accessed alone", "mov eax, [rdi+0x6100]", "", ring=3,
      setup="and byte [WINDOW_PT+6*8], 0x9f\nmov rax, cr3\nmov cr3, rax"),
]
# fmt: on

LINKED = (0x206000, 0x207000, 0x208000)
LARGE, FRAME4K, FRAME2M, FRAME1G = 0x80, 0x300000, 0x400000, 0
WALK_ENTRIES = ("PML4+8", "WALK_PDPT+40", "WALK_PD+40", "WALK_PT+40")
ODD_BITS = (1, 2, 2, 4, 4, 8, 16, 1 << 8, 1 << 9, 0x2000, 1 << 40, 1 << 51, 1 << 62, 1 << 63, 1 << 63)


def _walk(seed: int) -> Case:
    """A random way down four levels to one byte: rights, reserved bits, page sizes, A and D, WP, NXE, ring, access."""
    random = Random(f"walk {seed}")
    size = random.choice((12, 12, 21, 30))
    entries = [
        *LINKED[: {12: 3, 21: 2, 30: 1}[size]],
        {12: FRAME4K, 21: FRAME2M | LARGE, 30: FRAME1G | LARGE}[size],
    ]
    for level, entry in enumerate(entries):
        odd = random.choice(ODD_BITS) if random.random() < 0.3 else 0
        odd |= LARGE if random.random() < 0.03 else 0
        entries[level] = (entry | 7 | random.choice((0, 0, 0x20, 0x60))) ^ odd
    verb, code = random.choice((*_ACCESS, ("run", "jmp rax")))
    ring, wp, nxe = random.choice((0, 3, 3)), random.random() < 0.7, random.random() < 0.8
    setup = [f"mov rax, {e:#x}\nmov [{at}], rax" for e, at in zip(entries, WALK_ENTRIES, strict=False)]
    if not wp:
        setup.append(cr(0, 0, 0x10000))
    if not nxe:
        setup.append(msr(0xC0000080, 0x101))
    setup.append("mov rax, cr3\nmov cr3, rax")
    return C(f"walk {seed} {verb} at {ring}", code.replace("rdi+{:#x}", "rax"), "", ring=ring,
             setup="\n".join(setup), registers="mov rax, WALK")  # fmt: skip


WALKS = [_walk(seed) for seed in range(160)]

CASES = (*DELIVERY, *IRET, *SYSCALL, *SEGMENTS, *FAR, *PRIVILEGED, *CONTROL, *PORTS, *DEBUG, *PAGING, *WALKS)
assert len({case.name for case in CASES}) == len(CASES), "two rows have one name"
