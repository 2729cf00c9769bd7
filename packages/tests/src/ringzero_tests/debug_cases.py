"""Bodies for `debug_guest`, and what each must say (SDM 3B 17.2, 17.3; 3A 6.8.3)."""

from __future__ import annotations

from dataclasses import dataclass

from ringzero_tests.debug_guest import DATA, Watch, armed

X, W, IO, RW = range(4)
L1, L2, L8, L4 = range(4)
GD = 1 << 13
STEP = "push 0x102\npopfq\n"


@dataclass(frozen=True)
class DebugCase:
    """A body and its log, and why Bochs is no judge of it, if it is none."""

    name: str
    body: str
    log: tuple[str, ...]
    disputed: str = ""


def _case(name: str, body: str, *log: str, disputed: str = "") -> DebugCase:
    return DebugCase(name, body, log, disputed)


def _data(kind: int, length: int, body: str, at: int = DATA) -> str:
    return armed(Watch(kind, length, hex(at))) + body + "\nhere: nop\n"


_IO = "mov rax, cr4\nor al, 8\nmov cr4, rax\n"
_HIT = "DB here B0"
_NO_PORTS = "bochscpu has no ports"

CASES: tuple[DebugCase, ...] = (
    # instructions
    _case("execute", armed(Watch(X, L1, "here")) + "nop\nhere: nop\nnop", "DB here B0"),
    _case("execute, off", armed(Watch(X, L1, "here", False)) + "nop\nhere: nop\nnop"),
    _case("execute, not its first byte", armed(Watch(X, L1, "here+1")) + "here: mov ecx, 5\nnop"),
    _case(
        "execute each time",
        armed(Watch(X, L1, "here")) + "mov ecx, 3\nhere: dec ecx\njnz here",
        "DB here B0",
        "DB here B0",
        "DB here B0",
    ),
    _case("execute a jump's target", armed(Watch(X, L1, "here")) + "jmp here\nnop\nhere: nop", "DB here B0"),
    _case("execute two", armed(Watch(X, L1, "here"), Watch(X, L1, "here")) + "here: nop", "DB here B0 B1"),
    _case(
        "execute one that is off beside",
        armed(Watch(X, L1, "here", False), Watch(X, L1, "here")) + "here: nop",
        "DB here B0 B1",
    ),
    _case(
        "execute a repeated string",
        armed(Watch(X, L1, "here")) + "mov ecx, 3\nhere: rep stosb\nnop",
        "DB here B0",
    ),
    _case("execute int3", armed(Watch(X, L1, "here")) + "here: int3\nnext: nop", "DB here B0", "BP next"),
    _case("execute what faults", armed(Watch(X, L1, "here")) + "here: ud2", "DB here B0", "UD here rf"),
    _case("execute behind mov ss", armed(Watch(X, L1, "here")) + "mov eax, 0x18\nmov ss, eax\nhere: nop"),
    _case("execute behind sti", armed(Watch(X, L1, "here")) + "sti\nhere: nop", "DB here B0"),
    _case(
        "execute after a trap",
        armed(Watch(X, L1, "here"), Watch(W, L4, hex(DATA))) + "mov [rbx], eax\nhere: nop",
        "DB here B0 B1",
    ),
    _case(
        "execute an unmapped page",
        armed(Watch(X, L1, "0x40000000")) + "mov eax, 0x40000000\njmp rax",
        "DB 0x40000000 B0",
        "PF(0x0) 0x40000000 rf",
    ),
    # data
    _case("write", _data(W, L4, "mov [rbx], eax"), _HIT),
    _case("write, reading", _data(W, L4, "mov eax, [rbx]")),
    _case("touch, reading", _data(RW, L4, "mov eax, [rbx]"), _HIT),
    _case("touch, writing", _data(RW, L4, "mov [rbx], eax"), _HIT),
    _case("touch, fetching", armed(Watch(RW, L8, "here")) + "here: nop\nnop"),
    _case("write one byte of four", _data(W, L4, "mov [rbx+3], al"), _HIT),
    _case("write below", _data(W, L4, "mov [rbx-1], al", DATA + 8)),
    _case("write beside", _data(W, L4, "mov [rbx+4], eax")),
    _case("write across its start", _data(W, L2, "mov [rbx+5], eax", DATA + 8), _HIT),
    _case("write up to its start", _data(W, L2, "mov [rbx+4], eax", DATA + 8)),
    _case("write eight", _data(W, L8, "mov [rbx+7], al"), _HIT),
    _case("write eight, beside", _data(W, L8, "mov [rbx+8], al")),
    _case("an address is aligned to its length", _data(W, L4, "mov [rbx], al", DATA + 3), _HIT),
    _case("an address is aligned to eight", _data(W, L8, "mov [rbx], al", DATA + 5), _HIT),
    _case("across a page", _data(W, L1, "mov [rbx+0xffd], eax", DATA + 0x1000), _HIT),
    _case("across a page, its end", _data(W, L1, "mov [rbx+0xffd], eax", DATA + 0xFFF), _HIT),
    _case("across a page, beside", _data(W, L1, "mov [rbx+0xffd], eax", DATA + 0x1001)),
    _case("another page alias is not watched", "nop\n" + _data(W, L1, "mov [rbx+0x1000], al")),
    _case("read, modify, write", _data(W, L4, "add [rbx], eax"), _HIT),
    _case("read, modify, write, touched", _data(RW, L4, "inc dword [rbx]"), _HIT),
    _case("compare only", _data(W, L4, "cmp [rbx], eax")),
    _case("cmpxchg that fails writes", _data(W, L4, "mov eax, 5\nlock cmpxchg [rbx], ecx"), _HIT),
    _case("push", _data(W, L8, "push rax", 0x47000 - 8), _HIT),
    _case("pop", _data(RW, L8, f"mov esp, {DATA + 0x800}\npop rax", DATA + 0x800), _HIT),
    _case("call", armed(Watch(W, L8, hex(0x47000 - 8))) + "call here\nhere: nop", _HIT),
    _case(
        "two at once",
        armed(Watch(W, L1, hex(DATA)), Watch(RW, L1, hex(DATA + 1))) + "mov [rbx], ax\nhere: nop",
        "DB here B0 B1",
    ),
    _case(
        "one that is off beside",
        armed(Watch(W, L1, hex(DATA), False), Watch(RW, L1, hex(DATA + 1))) + "mov [rbx], ax\nhere: nop",
        "DB here B0 B1",
    ),
    _case(
        "a block goes on behind",
        _data(W, L4, "nop\nmov [rbx], eax\nhere: mov eax, [rbx]\nnop").replace("\nhere: nop", ""),
        _HIT,
    ),
    _case(
        "a fault is no touch",
        _data(RW, L4, "xor ecx, ecx\nhere: div dword [rbx]").replace("\nhere: nop", ""),
        "DE here rf",
    ),
    _case(
        "each iteration",
        armed(Watch(W, L1, hex(DATA + 1))) + "mov ecx, 3\nhere: rep stosb\nnext: nop",
        "DB here B0 rf",
    ),
    _case(
        "the last iteration", armed(Watch(W, L1, hex(DATA + 2))) + "mov ecx, 3\nrep stosb\nhere: nop", _HIT
    ),
    _case(
        "two iterations",
        armed(Watch(RW, L2, hex(DATA))) + "mov ecx, 3\nhere: rep lodsb\nnext: nop",
        "DB here B0 rf",
        "DB here B0 rf",
    ),
    _case(
        "movs, both sides",
        armed(Watch(RW, L1, hex(DATA)), Watch(W, L1, hex(DATA + 16))) + "lea rdi, [rbx+16]\nmovsb\nhere: nop",
        "DB here B0 B1",
    ),
    _case("a descriptor", armed(Watch(RW, L8, "0x520")) + "mov eax, 0x20\nmov ds, eax\nhere: nop", _HIT),
    _case("lgdt's operand", "sgdt [rbx]\n" + armed(Watch(RW, L2, hex(DATA))) + "lgdt [rbx]\nhere: nop", _HIT),
    # single steps
    _case(
        "step",
        STEP + "nop\na: nop\nb: nop\nc: push 2\nd: popfq",
        "DB a BS",
        "DB b BS",
        "DB c BS",
        "DB d BS",
        "DB done BS",
    ),
    _case(
        "step a repeated string",
        "mov ecx, 3\n" + STEP + "a: rep stosb\nb: push 2\nc: popfq",
        "DB a BS rf",
        "DB a BS rf",
        "DB b BS",
        "DB c BS",
        "DB done BS",
    ),
    _case(
        "step a repeated string of none",
        "xor ecx, ecx\n" + STEP + "a: rep stosb\nb: push 2\nc: popfq",
        "DB b BS",
        "DB c BS",
        "DB done BS",
    ),
    _case(
        "step a repeated port",
        "mov ecx, 2\nmov dx, 0x80\n" + STEP + "a: rep outsb\nb: push 2\nc: popfq",
        "DB a BS rf",
        "DB b BS",
        "DB c BS",
        "DB done BS",
        disputed=_NO_PORTS,
    ),
    _case("step int3", STEP + "int3\na: push 2\nb: popfq", "BP a", "DB b BS", "DB done BS"),
    _case("step int n", STEP + "int 0x30\na: push 2\nb: popfq", "int0x30 a", "DB b BS", "DB done BS"),
    _case("step int1", STEP + "int1\na: push 2\nb: popfq", "DB a", "DB b BS", "DB done BS"),
    _case("int1 tells nothing", "int1\nhere: nop", "DB here"),
    _case("int 1 tells nothing", "int 1\nhere: nop", "DB here"),
    _case("step a fault", STEP + "a: ud2", "UD a rf"),
    _case(
        "step mov ss",
        "mov eax, 0x18\n" + STEP + "mov ss, eax\na: nop\nb: push 2\nc: popfq",
        "DB b BS",
        "DB c BS",
        "DB done BS",
    ),
    _case("step sti", STEP + "sti\na: push 2\nb: popfq", "DB a BS", "DB b BS", "DB done BS"),
    _case(
        "step iret",
        "push 0x18\npush 0x47000\npush 0x102\npush 0x10\npush a\niretq\na: nop\nb: push 2\nc: popfq",
        "DB b BS",
        "DB c BS",
        "DB done BS",
    ),
    _case(
        "step iret out",
        STEP + "a: push 0x18\nb: push 0x47000\nc: push 2\nd: push 0x10\ne: push f\ng: iretq\nf: nop",
        "DB b BS",
        "DB c BS",
        "DB d BS",
        "DB e BS",
        "DB g BS",
        "DB f BS",
    ),
    _case(
        "step and write",
        armed(Watch(W, L4, hex(DATA))) + STEP + "mov [rbx], eax\na: push 2\nb: popfq",
        "DB a B0 BS",
        "DB b BS",
        "DB done BS",
    ),
    _case(
        "step and execute",
        armed(Watch(X, L1, "b")) + STEP + "a: nop\nb: nop\nc: push 2\nd: popfq",
        "DB b B0 BS",
        "DB c BS",
        "DB d BS",
        "DB done BS",
    ),
    # what MOV SS holds off
    _case(
        "mov ss of a watched word",
        "mov word [rbx], 0x18\n" + armed(Watch(RW, L2, hex(DATA))) + "mov ss, [rbx]\nnop\nhere: nop",
        _HIT,
    ),
    _case(
        "pop ss is not in 64-bit code, mov ss then a hit",
        armed(Watch(W, L4, hex(DATA))) + "mov eax, 0x18\nmov ss, eax\nmov [rbx], eax\nhere: nop",
        _HIT,
    ),
    _case(
        "mov ss of a watched word, then int n",
        "mov word [rbx], 0x18\n" + armed(Watch(RW, L2, hex(DATA))) + "mov ss, [rbx]\nint 0x30\nhere: nop",
        "DB stub30 B0",
        "int0x30 here",
        disputed="Bochs loses what waits behind MOV SS when INT n comes; SDM 3A 6.8.3 delivers it in the handler",
    ),
    # DR7.GD, DR4 and DR5
    _case(
        "guarded",
        armed(more=GD) + "here: mov rax, dr0\nnext: mov rax, dr0",
        "DB here BD rf",
        disputed="Bochs pushes RF clear; this #DB is a fault (SDM 3B 17.3.1.3, 17.3.1.1)",
    ),
    _case(
        "guarded write",
        armed(more=GD) + "here: mov dr7, rax",
        "DB here BD rf",
        disputed="Bochs pushes RF clear; this #DB is a fault (SDM 3B 17.3.1.3, 17.3.1.1)",
    ),
    _case(
        "guarded, int1 opens",
        armed(more=GD) + "int1\nhere: mov rax, dr0",
        "DB here",
        disputed="Bochs leaves GD set for INT1; it is a debug exception (SDM 2A, INT n; 3B 17.2.4)",
    ),
    _case("dr4 is dr6", "mov rax, dr4\nmov [rbx], rax\nmov rcx, dr6\ncmp rax, rcx\nje over\nud2\nover: nop"),
    _case(
        "dr5 is dr7",
        armed(Watch(X, L1, "0", False)) + "mov rax, dr5\nmov rcx, dr7\ncmp rax, rcx\nje over\nud2\nover: nop",
    ),
    _case("dr4 with DE", _IO + "here: mov rax, dr4", "UD here rf"),
    _case("dr5 with DE", _IO + "here: mov dr5, rax", "UD here rf"),
    _case("upper half of dr7", "mov rax, 1<<32\nhere: mov dr7, rax", "GP(0x0) here rf"),
    _case("upper half of dr6", "mov rax, 1<<32\nhere: mov dr6, rax", "GP(0x0) here rf"),
    _case(
        "reserved bits of dr6 and dr7",
        "mov eax, 0xf7ff0fff\nmov ecx, 0x0f00\nmov dr7, rcx\nmov rcx, dr7\n"
        "and ecx, ~0x800\ncmp ecx, 0x700\njne bad\nmov ecx, 0\nmov dr6, rcx\nmov rcx, dr6\nmov eax, 0xffff0ff0\n"
        "cmp rcx, rax\nje over\nbad: ud2\nover: nop",
    ),
    # ports
    _case("port", _IO + armed(Watch(IO, L1, "0x80")) + "out 0x80, al\nhere: nop", _HIT, disputed=_NO_PORTS),
    _case("port, without DE", armed(Watch(IO, L1, "0x80")) + "out 0x80, al\nhere: nop", disputed=_NO_PORTS),
    _case(
        "port, reading",
        _IO + armed(Watch(IO, L1, "0x80")) + "in al, 0x80\nhere: nop",
        _HIT,
        disputed=_NO_PORTS,
    ),
    _case(
        "port, overlapping",
        _IO + armed(Watch(IO, L2, "0x82")) + "in eax, 0x80\nhere: nop",
        _HIT,
        disputed=_NO_PORTS,
    ),
    _case("port beside", _IO + armed(Watch(IO, L2, "0x82")) + "in ax, 0x80\nhere: nop", disputed=_NO_PORTS),
    _case(
        "port, repeated",
        _IO + armed(Watch(IO, L1, "0x80")) + "mov ecx, 2\nmov dx, 0x80\na: rep outsb\nb: nop",
        "DB a B0 rf",
        "DB b B0",
        disputed=_NO_PORTS,
    ),
    _case(
        "insb into watched memory",
        armed(Watch(W, L1, hex(DATA))) + "mov dx, 0x80\ninsb\nhere: nop",
        _HIT,
        disputed=_NO_PORTS,
    ),
    _case("memory at a port's number", _IO + armed(Watch(IO, L4, hex(DATA))) + "mov [rbx], eax"),
    # what the processor itself touches
    _case(
        "a frame pushed on watched memory",
        armed(Watch(W, L8, hex(DATA + 0x7F8))) + f"mov esp, {DATA + 0x800}\nint 0x30\nhere: mov esp, 0x47000",
        "DB stub30 B0",
        "int0x30 here",
    ),
    _case(
        "iret from watched memory",
        armed(Watch(RW, L8, hex(DATA + 0x800))) + f"mov esp, {DATA + 0x800}\n"
        f"mov qword [rsp+8], 0x10\nmov qword [rsp+16], 2\nmov qword [rsp+24], 0x47000\nmov qword [rsp+32], 0x18\n"
        "mov qword [rsp], here\na: iretq\nhere: nop",
        "DB a B0",
        _HIT,
    ),
)
