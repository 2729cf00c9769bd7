"""The ring 0 guest's rows about what only some processors have: fast calls, bases, counters, monitors, registers."""

from __future__ import annotations

from ringzero_tests.system_cases import AC, DF, FRAME0, IF, IOPL3, TF, C, cr, msr

FSGSBASE, TSD, PCE = (cr(4, 1 << bit) for bit in (16, 2, 8))
ENTRY = "\n".join((msr(0x174, 0x10), msr(0x175, FRAME0), msr(0x176, 0x250100)))
#: Registers: SYSEXIT goes on behind itself, on the stack of ring 3.
BACK = "lea rdx, [CODE+{}]\nmov ecx, 0x22bf00"

# fmt: off
SYSENTER = [
    C("sysenter", "sysenter", "", ring=3, setup=ENTRY),
    C("sysenter at 0", "sysenter", "", setup=ENTRY),
    C("sysenter in compat", "sysenter", "", ring=3, bits=32, setup=ENTRY),
    C("sysenter null", "sysenter", "GP(0x0)", ring=3, setup=ENTRY + "\n" + msr(0x174, 3)),
    C("sysenter rpl", "sysenter", "", ring=3, setup=ENTRY + "\n" + msr(0x174, 0x13)),
    C("sysenter flags", "sysenter", "", ring=3, setup=ENTRY, flags=IF | DF | AC | IOPL3 | 0x8D7),
    C("sysenter tf", "sysenter", "", ring=3, setup=ENTRY, flags=TF | 2),
    C("sysexit", "sysexit", "", setup=ENTRY, registers=BACK.format(2)),
    C("sysexit 64", "o64 sysexit", "", setup=ENTRY, registers=BACK.format(3)),
    C("sysexit cut", "sysexit", "", setup=ENTRY, registers=BACK.format(2) + "\nbts rdx, 47\nbts rcx, 40"),
    C("sysexit flags", "o64 sysexit", "", setup=ENTRY, registers=BACK.format(3), flags=IF | AC | 0x8D7),
    C("sysexit at 3", "sysexit", "GP(0x0)", ring=3, setup=ENTRY),
    C("sysexit null", "sysexit", "GP(0x0)", setup=msr(0x174, 3), registers=BACK.format(2)),
    C("sysexit rip not canonical", "o64 sysexit", "GP(0x0)", setup=ENTRY, registers="mov rdx, 1<<47\nxor ecx, ecx",
      why="#GP(0) if RCX or RDX is not canonical (SDM 2B, SYSEXIT)"),
    C("sysexit rsp not canonical", "o64 sysexit", "GP(0x0)", setup=ENTRY,
      registers="lea rdx, [CODE+3]\nmov rcx, 1<<47", why="#GP(0) if RCX or RDX is not canonical (SDM 2B, SYSEXIT)"),
    C("sysexit in compat", "sysexit", "GP(0x0)", ring=3, bits=32, setup=ENTRY),
    *(C(f"wrmsr {number:#x} not canonical", "wrmsr", "GP(0x0)",
        registers=f"mov ecx, {number:#x}\nmov edx, 0x8000\nxor eax, eax", why="canonical (SDM 4, table 2-2)")
      for number in (0x175, 0x176)),
    C("wrmsr 0x174 upper", "wrmsr\nrdmsr", "end rdx=0x0", registers="mov ecx, 0x174\nmov edx, 1\nmov eax, 0x10"),
]

BASES = [
    C("rdfsbase closed", "rdfsbase rax", "UD", ring=3),
    C("wrgsbase closed", "wrgsbase rax", "UD"),
    C("rdfsbase", "rdfsbase rax", "", ring=3, setup=FSGSBASE),
    C("rdgsbase 32", "rdgsbase eax", "", ring=3, setup=FSGSBASE, registers="mov rax, -1"),
    C("wrfsbase", "wrfsbase rax", "", ring=3, setup=FSGSBASE, registers="mov rax, 0x7fff12345678"),
    C("wrgsbase", "wrgsbase rax", "", ring=3, setup=FSGSBASE, registers="mov rax, -0x1000"),
    C("wrgsbase 32", "wrgsbase eax", "", setup=FSGSBASE, registers="mov rax, -1"),
    C("wrfsbase not canonical", "wrfsbase rax", "GP(0x0)", setup=FSGSBASE, registers="mov rax, 1<<47"),
    C("rdfsbase in compat", "db 0xf3, 0x0f, 0xae, 0xc0", "UD", ring=3, bits=32, setup=FSGSBASE),
]

OTHERS = [
    C("rdtscp tsd at 3", "rdtscp", "GP(0x0)", ring=3, setup=TSD),
    C("rdtsc tsd at 0", "rdtsc\nmov eax, 5\nmov edx, 6", "end rax=0x5 rdx=0x6", setup=TSD),
    C("rdpmc at 3", "rdpmc", "GP(0x0)", ring=3, why="no counters: #GP(0) (SDM 2B, RDPMC)"),
    C("rdpmc pce at 3", "rdpmc", "GP(0x0)", ring=3, setup=PCE, why="no counters: #GP(0) (SDM 2B, RDPMC)"),
    C("rdpmc at 0", "rdpmc", "GP(0x0)", why="no counters: #GP(0) (SDM 2B, RDPMC)"),
    C("rdpid", "rdpid rax", "end rax=0x1234", ring=3, setup=msr(0xC0000103, 0x1234)),
    C("wrmsr tsc_aux upper", "wrmsr", "GP(0x0)", registers="mov ecx, 0xc0000103\nmov edx, 1\nxor eax, eax",
      why="bits 63:32 are reserved (SDM 4, table 2-2)"),
    C("clflush", "clflush [rbx]", "end", ring=3),
    C("clflush unmapped", "clflush [rdi+0x3000]", "PF(0x4) cr2=0x40003000", ring=3),
    C("clflush supervisor", "clflush [rdi+0x2000]", "PF(0x5) cr2=0x40002000", ring=3),
    C("clflush not canonical", "clflush [rax]", "GP(0x0)", ring=3, registers="mov rax, 1<<47"),
    C("clflush stack not canonical", "clflush [rbp]", "SS(0x0)", ring=3, registers="mov rbp, 1<<47"),
    C("wbnoinvd at 3", "wbnoinvd", "GP(0x0)", ring=3),
    C("wbnoinvd", "wbnoinvd", "end"),
    *(C(f"{name} at {ring}", f"db {code}", "UD", ring=ring)
      for ring in (0, 3)
      for name, code in (
          ("xgetbv", "0x0f, 0x01, 0xd0"), ("xsetbv", "0x0f, 0x01, 0xd1"), ("monitor", "0x0f, 0x01, 0xc8"),
          ("mwait", "0x0f, 0x01, 0xc9"), ("rsm", "0x0f, 0xaa"), ("getsec", "0x0f, 0x37"),
          ("vmcall", "0x0f, 0x01, 0xc1"), ("vmlaunch", "0x0f, 0x01, 0xc2"), ("vmrun", "0x0f, 0x01, 0xd8"),
          ("vmmcall", "0x0f, 0x01, 0xd9"), ("stgi", "0x0f, 0x01, 0xdc"), ("encls", "0x0f, 0x01, 0xcf"),
      )),
    C("cr4 osfxsr", "mov cr4, rax", "GP(0x0)", registers="mov eax, 0x2a0", why="CPUID has no FXSR"),
]
# fmt: on

CASES = (*SYSENTER, *BASES, *OTHERS)
