"""Real mode as a table: a name, code, the vector that ends it, and what registers hold then.

The room's rule: expectations are the manual's; QEMU and Bochs judge them, each case a program in a boot sector. What
Bochs left is kept (`python -m ringzero_tests.real_mode_cases` asks it), and every host holds both engines to it.

File: `recorded/sectors.jsonl`, a line a case: its name, the digest of its sector, the bytes at RESULT (zeros where it
ended in a shutdown).
"""

from __future__ import annotations

import hashlib
import json
import sys

from ringzero_tests import bochs, boot_sector
from ringzero_tests.boot_sector import END
from ringzero_tests.vectors import RECORDED

PATH = RECORDED / "sectors.jsonl"

#: Every vector leads to a stub that leaves registers, vector, IP, CS and SP at RESULT, and ends.
HEAD = """
bits 16
org 0x7c00
start:  cli
        cld
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov di, 0x600
        mov cx, 32
        rep stosw
        xor di, di
        mov ax, stubs
.next:  stosw
        mov word [di], 0
        inc di
        inc di
        add ax, 8
        cmp di, 33*4
        jb .next
        mov sp, 0x7000
        xor eax, eax
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
"""
TAIL = """
done:   int 0x20
        align 8
stubs:
%assign n 0
%rep 33
        align 8
        push byte n
        jmp near common
%assign n n+1
%endrep
common: mov [cs:0x620], eax
        mov [cs:0x624], ebx
        mov [cs:0x628], ecx
        mov [cs:0x62c], esi
        mov [cs:0x630], edi
        mov [cs:0x634], ebp
        pop word [cs:0x600]
        pop word [cs:0x602]
        pop word [cs:0x604]
        mov [cs:0x606], sp
"""
TAIL += END
REGISTERS = ("rax", "rbx", "rcx", "rsi", "rdi", "rbp")
DE, DB, BP, OF, BR, UD, DF, SS, GP, DONE = 0, 1, 3, 4, 5, 6, 8, 12, 13, 0x20
SHUTDOWN = -1

# name, code, vector, what registers hold; the interrupted instruction is `here` where there is one, else `done`
CASES = [
    ("16-bit arithmetic", "mov eax, 0x1234ffff\nadd ax, 2", DONE, {"rax": 0x12340001}),
    ("66 makes it 32", "mov eax, 0xffff\nadd eax, 1", DONE, {"rax": 0x10000}),
    ("addresses wrap at 64 KiB", "mov bx, 0xfff0\nmov byte [0x10], 7\nmov al, [bx+0x20]", DONE, {"rax": 7}),
    ("32-bit addresses do not", "mov ebx, 0x10000\nhere: mov al, [ebx]", GP, {}),
    ("a byte at ffff", "mov byte [0xffff], 9\nmov al, [0xffff]", DONE, {"rax": 9}),
    ("a word at ffff", "here: mov ax, [0xffff]", GP, {}),
    ("a word at ffff, stored", "here: mov [0xffff], ax", GP, {}),
    ("a word of the stack at ffff", "mov bp, 0xffff\nhere: mov ax, [bp]", SS, {}),
    ("a dword at fffd", "here: mov eax, [0xfffd]", GP, {}),
    ("pop at ffff", "mov sp, 0xffff\nhere: pop ax", SS, {}),
    ("push at 1, and no room to tell", "mov sp, 1\npush ax", SHUTDOWN, {}),
    ("push at 0 wraps", "mov sp, 0\npush 0x1234\nmov ax, [0xfffe]\nmov bx, sp", DONE,
     {"rax": 0x1234, "rbx": 0xFFFE}),
    ("a segment is 16 times its selector", ("mov ax, 0x1234\nmov es, ax\nmov byte [es:5], 3\nmov ax, 0x1000\n"
     "mov es, ax\nmov al, [es:0x2345]"), DONE, {"rax": 0x1003}),
    ("beyond 1 MiB", "mov ax, -1\nmov es, ax\nmov byte [es:0x10], 5\nmov al, [es:0x10]", DONE, {"rax": 0xFF05}),
    ("code can be written", "mov byte [cs:0x500], 4\nmov al, [0x500]", DONE, {"rax": 4}),
    ("lds and lss", "mov dword [0x500], 0x20001234\nlds si, [0x500]\nmov ax, ds\nmov cx, 0\nmov ds, cx", DONE,
     {"rsi": 0x1234, "rax": 0x2000}),
    ("stos wraps", "mov ax, 0x2000\nmov es, ax\nmov di, 0xfffe\nmov cx, 2\nrep stosw", DONE,
     {"rdi": 2, "rcx": 0}),
    ("stos across the end", "mov di, 0xfffd\nmov cx, 2\nhere: rep stosw", GP, {"rdi": 0xFFFF, "rcx": 1}),
    ("loop counts in cx", "mov ecx, 0x10002\nagain: inc ax\nloop again", DONE, {"rcx": 0x10000, "rax": 2}),
    ("a32 loop counts in ecx", "mov ecx, 2\nagain: inc ax\na32 loop again", DONE, {"rcx": 0, "rax": 2}),
    ("jcxz looks at cx", "mov ecx, 0x10000\njcxz over\ninc ax\nover:", DONE, {"rax": 0}),
    ("a near jump is cut to 16 bits", "mov word [0x0], 0x20cd\nmov bx, 0xfff0\nmov word [bx], 0x0eeb\njmp bx",
     DONE, {"ip": 2}),
    ("code ends at ffff", "mov byte [0xffff], 0x90\nmov bx, 0xffff\njmp bx", GP, {"ip": 0}),
    ("an instruction across ffff", "mov word [0xfffe], 0xb890\nmov bx, 0xfffe\njmp bx", GP, {"ip": 0xFFFF}),
    ("o32 jump beyond the limit", "mov eax, 0x10000\nhere: jmp eax", GP, {}),
    ("o32 far jump beyond the limit", "here: jmp dword 0:0x10000", GP, {}),
    ("o32 call beyond the limit", "mov eax, 0x10000\nhere: call eax", GP, {}),
    ("far jump", "jmp 0x7c0:over-0x7c00\nover: mov ax, cs", DONE, {"rax": 0x7C0, "cs": 0x7C0}),
    ("far call and return", "call 0x700:f-0x7000\nmov bx, sp\njmp done\nf: mov ax, cs\npop cx\npush cx\nretf", DONE,
     {"rax": 0x700, "rbx": 0x7000}),
    ("o32 far call and return", "call dword 0x700:f-0x7000\nmov bx, sp\njmp done\nf: mov cx, sp\no32 retf", DONE,
     {"rcx": 0x6FF8, "rbx": 0x7000}),
    ("near call, ret with bytes", "push ax\ncall f\nmov bx, sp\njmp done\nf: mov cx, sp\nret 2", DONE,
     {"rbx": 0x7000, "rcx": 0x6FFC}),
    ("interrupt and return", ("mov word [0x50*4], f\nmov word [0x50*4+2], 0\nstc\nsti\nint 0x50\nsbb bx, bx\njmp done\n"
     "f: pushf\npop ax\nand ax, 0x201\nclc\niret"), DONE, {"rax": 1, "rbx": 0xFFFF}),
    ("iretd", "push dword 0x3\npush dword 0\npush dword over\niretd\nover: sbb bx, bx\nmov ax, sp", DONE,
     {"rbx": 0xFFFF, "rax": 0x7000}),
    ("iretd beyond the limit", "push dword 2\npush dword 0\npush dword 0x10000\nhere: iretd", GP, {}),
    ("int3", "int3\nhere:", BP, {}),
    ("into", "mov al, 0x7f\ninc al\ninto\nhere:", OF, {"rax": 0x80}),
    ("division by zero", "here: div bl", DE, {}),
    ("bound", "mov ax, 5\nmov dword [0x500], 0x40001\nhere: bound ax, [0x500]", BR, {}),
    ("undefined", "here: ud2", UD, {}),
    ("sldt", "here: sldt ax", UD, {}),
    ("str", "here: str ax", UD, {}),
    ("lldt", "here: lldt ax", UD, {}),
    ("ltr", "here: ltr ax", UD, {}),
    ("arpl", "here: arpl ax, bx", UD, {}),
    ("vex", "here: andn eax, ebx, ecx", UD, {}),
    ("a vector beyond the limit", "mov word [0x500], 0x3f*4\nmov dword [0x502], 0\nlidt [0x500]\nhere: int 0x40",
     GP, {}),
    ("vectors elsewhere", ("mov word [0x500], 0x3ff\nmov dword [0x502], 0x10000\nlidt [0x500]\nmov ax, 0x1000\n"
     "mov es, ax\nmov word [es:4*0x30], done\nmov word [es:4*0x30+2], 0\nmov dword [es:4*0x20], 0x100\n"
     "mov ax, [0x20*4]\n"
     "mov [es:4*0x20], ax\nmov word [es:4*0x20+2], 0\nint 0x30"), DONE, {}),
    ("lidt takes 24 bits of base", ("mov word [0x500], 0x3ff\nmov dword [0x502], 0xff000000\n"
     "lidt [0x500]\nint 0x20\nhere:"), DONE, {"ip": "here"}),
    ("no vectors at all", "mov dword [0x500], 0\nmov word [0x504], 0\nlidt [0x500]\nint 0x20", SHUTDOWN, {}),
    ("single step", "pushf\nor byte [0x6fff], 1\npopf\nnop\nhere: nop", DB, {}),
    ("pushf has 16 bits", "mov bx, sp\npushf\npop ax\nsub bx, sp", DONE, {"rbx": 0, "rax": 0x46}),
    ("pusha and popa", "mov ax, 1\nmov di, 8\npusha\nmov cx, sp\nxor di, di\npopa\nmov bx, sp", DONE,
     {"rcx": 0, "rdi": 8, "rbx": 0x7000}),
    ("enter and leave", "mov bp, 0x1111\nenter 4, 1\nmov ax, bp\nmov bx, sp\nleave\nmov cx, sp", DONE,
     {"rax": 0x6FFE, "rbx": 0x6FF8, "rbp": 0x1111, "rcx": 0x7000}),
    ("o32 enter keeps all of esp", "mov esp, 0xabcd7000\no32 enter 4, 2\nmov eax, [0x6ff4]\nmov ebx, esp", DONE,
     {"rax": 0xABCD6FFC, "rbp": 0xABCD6FFC, "rbx": 0xABCD6FF0}),
    ("smsw and lmsw", "smsw ax\nmov bx, 8\nlmsw bx\nsmsw cx", DONE, {"rax": 0x10, "rcx": 0x18}),
    ("cli, sti and hlt are free", "cli\nsti\ncli", DONE, {}),
    ("a limit stays behind: unreal mode", ("lgdt [table]\nmov eax, cr0\nor al, 1\nmov cr0, eax\nmov bx, 8\nmov ds, bx\n"
     "and al, 0xfe\nmov cr0, eax\nxor bx, bx\nmov ds, bx\nmov esi, 0x123456\nmov dword [esi], 0x11223344\n"
     "mov eax, [esi]\n"
     "jmp done\ngdt: dq 0, 0x00cf93000000ffff\ntable: dw 15\ndd gdt"), DONE, {"rax": 0x11223344}),
]  # fmt: skip

#: QEMU's TCG looks at no segment's limit.
LIMITS = {
    "32-bit addresses do not", "a word at ffff", "a word at ffff, stored", "a word of the stack at ffff",
    "a dword at fffd", "pop at ffff", "push at 1, and no room to tell", "stos across the end", "code ends at ffff",
    "an instruction across ffff", "o32 jump beyond the limit", "o32 far jump beyond the limit",
    "o32 call beyond the limit", "iretd beyond the limit",
}  # fmt: skip

#: Where Bochs is no judge, and why.
DISPUTED = {"vex": "Bochs runs ANDN in real mode; it is #UD there (SDM 2A, ANDN; QEMU agrees)"}


def source_of(body: str) -> str:
    """The program around a case's code."""
    return f"{HEAD}{body}\n{TAIL}"


def digest_of(body: str) -> str:
    """16 digits that change when the case's sector does."""
    return hashlib.sha256(boot_sector.build(source_of(body))).hexdigest()[:16]


def load() -> dict[str, tuple[str, bytes]]:
    """What Bochs left by a case's name: (digest of the sector, the bytes at RESULT)."""
    lines = map(json.loads, PATH.read_text().splitlines())
    return {name: (digest, bytes.fromhex(left)) for name, digest, left in lines}


def main() -> int:
    """Ask Bochs about all cases; return the exit status."""
    if reason := bochs.why_not():
        print(f"real_mode_cases: {reason}", file=sys.stderr)
        return 2
    lines = []
    for name, body, *_ in CASES:
        if name not in DISPUTED:
            left = boot_sector.run_on_bochs(source_of(body))
            lines.append(json.dumps([name, digest_of(body), left.hex()]))
    PATH.write_text("\n".join(lines) + "\n")
    print(f"recorded {len(lines)} sectors, {PATH.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
