"""The ring 0 guest's rows about SMEP, SMAP, UMIP and PCIDs, as `system_cases` has them about everything else.

SMEP and SMAP keep ring 0 from user pages, so a row that sets them first makes the runner's own pages supervisor ones:
only the window still has user pages, and code of ring 3 runs there.
"""

from __future__ import annotations

from ringzero_tests.system_cases import AC, C, cr, msr, pushed
from ringzero_tests.system_runner import Case

UMIP, PCIDE, SMEP, SMAP = (cr(4, 1 << bit) for bit in (11, 17, 20, 21))
KEPT = "mov ecx, 8\n.own: and byte [PD+rcx*8-8], 0xfb\nloop .own\nmov rax, cr3\nmov cr3, rax\n"
#: Registers: begin on the window's first page, which a setup has filled; a local table on its seventh.
IN_WINDOW = "mov qword [frame], 0x40000000"
TABLE = (
    "mov rax, [GDT+0x98]\nmov [FRAMES+0x6008], rax\n"
    "mov rax, 0x4000820060000000 | 0x0f\nmov [GDT+0x50], rax\nmov eax, 0x50\nlldt ax\n"
)
LOAD = "mov dword [FRAMES], 0x80cdd88e\n"  # mov ds, eax; int 0x80

# fmt: off
SMEP_ROWS = [
    C("smep runs user page", "jmp rdi", "PF(0x11) cr2=0x40000000 rip=0x40000000", setup=KEPT + SMEP),
    C("smep runs user page with ac", "jmp rdi", "PF(0x11) cr2=0x40000000 rip=0x40000000",
      flags=AC | 2, setup=KEPT + SMEP),
    C("smep runs user page without nxe", "jmp rdi", "PF(0x11) cr2=0x40000000 rip=0x40000000",
      setup=KEPT + msr(0xC0000080, 0x101) + "\n" + SMEP),
    C("smep runs absent page without nxe", "jmp rax", "PF(0x10) cr2=0x40003000 rip=0x40003000",
      registers="lea rax, [rdi+0x3000]", setup=KEPT + msr(0xC0000080, 0x101) + "\n" + SMEP),
    C("smep runs supervisor page", "jmp rax", "", registers="lea rax, [rdi+0x2000]", setup=KEPT + SMEP),
    C("smep and user bit above", "jmp rdi", "",
      setup=KEPT + "mov qword [WINDOW_PD], WINDOW_PT|0x23\nmov rax, cr3\nmov cr3, rax\n" + SMEP),
    C("smep reads user page", "mov eax, [rdi+0x100]", "end rax=0x0", setup=KEPT + SMEP),
    C("smep at 3", "nop", "", ring=3, registers=IN_WINDOW, setup=KEPT + SMEP),
    C("smep at 3 in a supervisor page", "nop", "PF(0x15) cr2=0x250000", ring=3, setup=KEPT + SMEP),
]
SMAP_ROWS = [
    C("smap reads user page", "mov eax, [rdi+0x100]", "PF(0x1) cr2=0x40000100", setup=KEPT + SMAP),
    C("smap writes user page", "mov [rdi+0x100], eax", "PF(0x3) cr2=0x40000100", setup=KEPT + SMAP),
    C("smap changes user page", "add byte [rdi+0x100], 1", "PF(0x3) cr2=0x40000100", setup=KEPT + SMAP),
    C("smap reads read-only user page", "mov eax, [rdi+0x1100]", "PF(0x1) cr2=0x40001100", setup=KEPT + SMAP),
    C("smap reads supervisor page", "mov eax, [rdi+0x2100]", "end rax=0x0", setup=KEPT + SMAP),
    C("smap reads absent page", "mov eax, [rdi+0x3100]", "PF(0x0) cr2=0x40003100", setup=KEPT + SMAP),
    C("smap with ac reads", "mov eax, [rdi+0x100]", "end rax=0x0", flags=AC | 2, setup=KEPT + SMAP),
    C("smap with ac writes", "mov [rdi+0x100], eax\nmov ecx, [rdi+0x100]", "end rcx=0x11110001", flags=AC | 2,
      setup=KEPT + SMAP),
    C("smap with ac writes read-only", "mov [rdi+0x1100], eax", "PF(0x3) cr2=0x40001100", flags=AC | 2,
      setup=KEPT + SMAP),
    C("smap with ac writes read-only without wp", "mov [rdi+0x1100], eax", "", flags=AC | 2,
      setup=KEPT + SMAP + "\n" + cr(0, 0, 0x10000)),
    C("smap push", "push rax", "PF(0x3) cr2=0x400007f8", setup=KEPT + SMAP,
      registers="mov qword [frame+24], 0x40000800"),
    C("smap runs user page", "jmp rdi", "", setup=KEPT + SMAP),
    C("smap stac", "stac\nmov eax, [rdi+0x100]", "end rax=0x0 flags=0x40002", setup=KEPT + SMAP),
    C("smap stac and clac", "stac\nmov eax, [rdi+0x100]\nclac\nmov ecx, [rdi+0x108]",
      "PF(0x1) cr2=0x40000108 rax=0x0 rip=+12", setup=KEPT + SMAP),
    C("smap stac across a write", "stac\nmov [rdi+0x100], eax\nclac\nmov [rdi+0x100], ecx",
      "PF(0x3) cr2=0x40000100 rip=+12", setup=KEPT + SMAP),
    C("smap popf sets ac", "popfq\nmov eax, [rdi+0x100]", "end rax=0x0 rsp=0x227fc8 flags=0x40002",
      setup=KEPT + SMAP + "\n" + pushed(AC | 2)),
    C("smap movs", "movsb", "PF(0x1) cr2=0x40000000", setup=KEPT + SMAP,
      registers="mov esi, 0x40000000\nmov edi, SCRATCH"),
    C("smap and user bit above", "mov eax, [rdi+0x100]", "end rax=0x0",
      setup=KEPT + "mov qword [WINDOW_PD], WINDOW_PT|0x23\nmov rax, cr3\nmov cr3, rax\n" + SMAP),
    C("smap implicit", "mov ds, eax", "PF(0x1) cr2=0x40006008", registers="mov eax, 15", setup=KEPT + TABLE + SMAP),
    C("smap implicit with ac", "mov ds, eax", "PF(0x1) cr2=0x40006008", flags=AC | 2,
      registers="mov eax, 15", setup=KEPT + TABLE + SMAP,
      why="an implicit access pays no heed to RFLAGS.AC (SDM 3A 4.6.1)"),
    C("smap implicit at 3", "nop", "PF(0x1) cr2=0x40006008 rip=0x40000000", ring=3,
      registers=IN_WINDOW + "\nmov eax, 15", setup=KEPT + TABLE + LOAD + SMAP),
    C("smap implicit at 3 with ac", "nop", "PF(0x1) cr2=0x40006008 rip=0x40000000", ring=3, flags=AC | 2,
      registers=IN_WINDOW + "\nmov eax, 15", setup=KEPT + TABLE + LOAD + SMAP),
    C("smap at 3", "nop", "", ring=3, registers=IN_WINDOW, setup=KEPT + "mov dword [FRAMES], 0x80cd078b\n" + SMAP),
    C("stac", "stac", "end flags=0x40002"),
    C("clac", "clac", "end flags=0x2", flags=AC | 2),
    C("stac at 3", "stac", "UD", ring=3),
    C("clac at 3", "clac", "UD", ring=3, flags=AC | 2),
    C("stac with 66", "db 0x66\nstac", "UD"),
    C("clac with f3", "db 0xf3\nclac", "UD"),
    C("stac with lock", "db 0xf0\nstac", "UD"),
    C("stac in compat at 0", "db 0x0f, 1, 0xcb", "end flags=0x40002", bits=32),
]
_STORES = ("sgdt [rbx]", "sidt [rbx]", "sldt eax", "str eax", "smsw eax")
UMIP_ROWS = [
    *(C(f"umip {code}", code, "GP(0x0)", ring=3, setup=UMIP) for code in _STORES),
    *(C(f"umip {code} at 0", code, "", setup=UMIP) for code in _STORES),
    *(C(f"umip {code} in compat", code.replace("rbx", "ebx"), "GP(0x0)", ring=3, bits=32, setup=UMIP)
      for code in _STORES),
    *(C(f"umip {name} absent", f"{name} [rdi+0x3000]", "GP(0x0)", ring=3, setup=UMIP)
      for name in ("sgdt", "sidt", "sldt", "str", "smsw")),
    C("umip and sgdt of a register", "db 0x0f, 1, 0xc5", "UD", ring=3, setup=UMIP),
]
PCID_ROWS = [
    C("cr4 pcide", "mov cr4, rax\nmov rcx, cr4", "", registers="mov eax, 0x20020"),
    C("cr4 pcide with low bits in cr3", "mov cr4, rax", "GP(0x0)",
      registers="mov eax, 0x201018\nmov cr3, rax\nmov eax, 0x20020"),
    C("cr4 pcide in compat", "mov cr4, eax", "", bits=32, registers="mov eax, 0x20020"),
    C("cr4 pcide off with a pcid", "mov cr3, rcx\nmov cr4, rax\nmov rdx, cr3", "",
      setup=PCIDE, registers="mov ecx, 0x201fff\nmov eax, 0x20"),
    C("cr3 with a pcid", "mov cr3, rax\nmov rcx, cr3", "", setup=PCIDE, registers="mov eax, 0x201fff"),
    C("cr3 no flush", "mov cr3, rax\nmov rcx, cr3", "", setup=PCIDE, registers="mov rax, 0x8000000000201005"),
    C("cr3 no flush and reserved", "mov cr3, rax", "GP(0x0)", setup=PCIDE, registers="mov rax, 0x8000010000201005"),
    C("cr3 bit 62 with pcide", "mov cr3, rax", "GP(0x0)", setup=PCIDE, registers="mov rax, 0x4000000000201005"),
    C("cr0 pg off with pcide", "mov cr0, eax", "GP(0x0)", bits=32, setup=PCIDE, registers="mov eax, 0x10033"),
    C("cr4 pae off with pcide", "mov cr4, rax", "GP(0x0)", setup=PCIDE, registers="mov eax, 0x20000"),
]


def _descriptor(low: int | str, linear: int | str = 0) -> str:
    """Setup: an INVPCID descriptor in the scratch area."""
    return f"mov rax, {low}\nmov [SCRATCH], rax\nmov rax, {linear}\nmov [SCRATCH+8], rax\n"


_INVPCID = "invpcid rax, [rbx]"
INVPCID_ROWS = [
    *(C(f"invpcid {n}", _INVPCID, "end", registers=f"mov eax, {n}", setup=_descriptor(0)) for n in range(4)),
    *(C(f"invpcid {n} of a pcid without pcide", _INVPCID, "GP(0x0)" if n < 2 else "end", registers=f"mov eax, {n}",
        setup=_descriptor(5)) for n in range(4)),
    *(C(f"invpcid {n} of a pcid", _INVPCID, "end", registers=f"mov eax, {n}",
        setup=_descriptor(0xFFF) + PCIDE) for n in range(4)),
    *(C(f"invpcid {n} reserved", _INVPCID, "GP(0x0)", registers=f"mov eax, {n}", setup=_descriptor(0x1000))
      for n in range(4)),
    *(C(f"invpcid {n} not canonical", _INVPCID, "end" if n else "GP(0x0)", registers=f"mov eax, {n}",
        setup=_descriptor(0, "1<<47")) for n in range(4)),
    C("invpcid 4", _INVPCID, "GP(0x0)", registers="mov eax, 4", setup=_descriptor(0)),
    C("invpcid upper half", _INVPCID, "GP(0x0)", registers="mov rax, 1<<32", setup=_descriptor(0)),
    C("invpcid reserved top", _INVPCID, "GP(0x0)", registers="mov eax, 2", setup=_descriptor("1<<63")),
    C("invpcid unmapped", "invpcid rax, [rdi+0x3000]", "PF(0x0) cr2=0x40003000", registers="xor eax, eax"),
    C("invpcid across unmapped", "invpcid rax, [rdi+0x2ff8]", "PF(0x0) cr2=0x40003000", registers="xor eax, eax"),
    C("invpcid address not canonical", "invpcid rax, [rcx]", "GP(0x0)", registers="mov eax, 2\nmov rcx, 1<<47"),
    C("invpcid stack not canonical", "invpcid rax, [rbp]", "SS(0x0)", registers="mov eax, 2\nmov rbp, 1<<47"),
    C("invpcid at 3", "invpcid rax, [rdi+0x3000]", "GP(0x0)", ring=3),
    C("invpcid register", "db 0x66, 0x0f, 0x38, 0x82, 0xc3", "UD"),
    C("invpcid with lock", "db 0xf0, 0x66, 0x0f, 0x38, 0x82, 0x03", "UD"),
    C("invpcid without 66", "db 0x0f, 0x38, 0x82, 0x03", "UD"),
    C("invpcid in compat", "invpcid eax, [ebx]", "end", bits=32, registers="mov rax, 3<<32\nmov al, 2",
      setup=_descriptor(0)),
    *(C(f"invpcid {n} in compat, not canonical", "invpcid eax, [ebx]", "end" if n else "GP(0x0)", bits=32,
        registers=f"mov eax, {n}", setup=_descriptor(0, "1<<47")) for n in range(4)),
]
INVLPG_ROWS = [
    C("invlpg", "invlpg [rdi]", "end"),
    C("invlpg absent", "invlpg [rdi+0x3000]", "end"),
    C("invlpg not canonical", "invlpg [rcx]", "end", registers="mov rcx, 1<<47"),
    C("invlpg in compat", "invlpg [edi]", "end", bits=32),
    C("invlpg at 3", "invlpg [rdi]", "GP(0x0)", ring=3),
    C("invlpg with lock", "db 0xf0, 0x0f, 1, 0x3f", "UD"),
    C("invd", "invd", "end"),
    C("wbinvd", "wbinvd", "end"),
]
# fmt: on

CASES: tuple[Case, ...] = (*SMEP_ROWS, *SMAP_ROWS, *UMIP_ROWS, *PCID_ROWS, *INVPCID_ROWS, *INVLPG_ROWS)
