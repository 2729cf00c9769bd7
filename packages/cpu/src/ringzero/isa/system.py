"""System instructions: segment and system registers, control and debug registers, MSRs, system calls, identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import privilege
from ringzero.isa import rflags as F
from ringzero.isa.control import CR0_MP, CR0_TS, CR4_UMIP
from ringzero.isa.form import Columns, form, lowers
from ringzero.isa.names import GP, NM, UD
from ringzero.isa.operands import Mem, Operand, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("mov", "8C /r", "r_m16, sreg")
form("mov", "8E /r", "sreg, rm16", size="w", note="cs as a destination is #UD")

# mod is not looked at: the operand is always a register (SDM 2B, MOV to and from control registers).
form("mov", "0F 20 /r", "rr, creg", size="n", cpl=0, undefined="oszapc", mod_ignored=True)
form("mov", "0F 21 /r", "rr, dreg", size="n", cpl=0, undefined="oszapc", mod_ignored=True)
form("mov", "0F 22 /r", "creg, rr", size="n", cpl=0, undefined="oszapc", mod_ignored=True)
form("mov", "0F 23 /r", "dreg, rr", size="n", cpl=0, undefined="oszapc", mod_ignored=True)

form("sldt", "0F 00 /0", "r_m16", protected=True)
form("str", "0F 00 /1", "r_m16", protected=True)
form("lldt", "0F 00 /2", "rm16", size="w", cpl=0, protected=True)
form("ltr", "0F 00 /3", "rm16", size="w", cpl=0, protected=True)
form("verr", "0F 00 /4", "rm16", size="w", flags="z", protected=True)
form("verw", "0F 00 /5", "rm16", size="w", flags="z", protected=True)
form("lar", "0F 02 /r", "r, r_m16", flags="z", protected=True)
form("lsl", "0F 03 /r", "r, r_m16", flags="z", protected=True)
form("sgdt", "0F 01 /0", "m", size="f64")
form("sidt", "0F 01 /1", "m", size="f64")
form("lgdt", "0F 01 /2", "m", size="f64", cpl=0)
form("lidt", "0F 01 /3", "m", size="f64", cpl=0)
form("smsw", "0F 01 /4", "r_m16")
form("lmsw", "0F 01 /6", "rm16", size="w", cpl=0)
form("invlpg", "0F 01 /7", "m", cpl=0)
# In 64-bit mode the register has 64 bits whatever REX.W says; nasm writes the prefix.
_CONTEXT: Columns = {"size": "n", "cpl": 0, "feature": "invpcid"}
form("invpcid", "66 0F 38 82 /r", "r, m128", modes="32", **_CONTEXT)
form("invpcid", "66 REX.W 0F 38 82 /r", "r, m128", modes="64", **_CONTEXT)
form("invpcid", "66 REX.W0 0F 38 82 /r", "r, m128", modes="64", decode_only=True, **_CONTEXT)
form("clac", "NP 0F 01 CA", feature="smap", note="#UD at an outer level")
form("stac", "NP 0F 01 CB", feature="smap", note="#UD at an outer level")
form("swapgs", "0F 01 F8", modes="64", cpl=0, feature="lm")
form("rdtscp", "0F 01 F9", feature="rdtscp")

# Intel has syscall in 64-bit mode only, AMD in compatibility mode too (SDM 2B, SYSCALL).
form("syscall", "0F 05", size="q", modes="64", flags="oszapcditnvr", feature="syscall")
form(
    "sysret",
    "0F 07",
    size="y",
    modes="64",
    cpl=0,
    flags="oszapcditn",
    feature="syscall",
    note="to compatibility mode",
)
form(
    "sysretq",
    "REX.W 0F 07",
    size="y",
    modes="64",
    cpl=0,
    flags="oszapcditn",
    feature="syscall",
    note="to 64-bit mode",
)

form("clts", "0F 06", cpl=0)
form("invd", "0F 08", cpl=0)
form("wbinvd", "0F 09", cpl=0)
form("wrmsr", "0F 30", cpl=0, feature="msr")
form("rdtsc", "0F 31", feature="tsc")
form("rdmsr", "0F 32", cpl=0, feature="msr")
form("cpuid", "0F A2")
form("fwait", "9B", aliases="wait")


def _guarded(b: Builder) -> None:
    """CR4.UMIP keeps the instruction from outer levels (SDM 3A 2.5)."""
    if b.cpl:
        b.fault_if(b.bits(b.get("cr4"), b.const(CR4_UMIP)), GP)


def _store_selector(b: Builder, dst: Operand, name: str) -> None:
    _guarded(b)
    b.write(dst, b.bits(b.get(name), b.const(0xFFFF)))


@lowers("sldt")
def sldt(b: Builder, dst: Operand) -> None:
    _store_selector(b, dst, "ldtr_selector")


@lowers("str")
def str_(b: Builder, dst: Operand) -> None:
    _store_selector(b, dst, "tr_selector")


@lowers("smsw")
def smsw(b: Builder, dst: Operand) -> None:
    _guarded(b)
    b.write(dst, b.get("cr0"))


@lowers("lmsw")
def lmsw(b: Builder, src: Operand) -> None:
    b.system("load_machine_status", b.slot(b.read(src)))


@lowers("lldt")
def lldt(b: Builder, src: Operand) -> None:
    b.system("load_ldt", b.slot(b.read(src)))


@lowers("ltr")
def ltr(b: Builder, src: Operand) -> None:
    b.system("load_task", b.slot(b.read(src)))


@lowers("lar")
def lar(b: Builder, dst: Reg, src: Operand) -> None:
    b.system("load_rights", dst.number, b.slot(b.read(src)), b.size)


@lowers("lsl")
def lsl(b: Builder, dst: Reg, src: Operand) -> None:
    b.system("load_limit", dst.number, b.slot(b.read(src)), b.size)


@lowers("verr", "verw")
def verify(b: Builder, src: Operand) -> None:
    b.system("verify", b.slot(b.read(src)), b.form.mnemonic == "verw")


@lowers("sgdt", "sidt")
def store_table(b: Builder, dst: Mem) -> None:
    table, width = b.form.mnemonic[1:] + "r", 8 if b.long else 4
    _guarded(b)
    address = b.effective(dst)
    base = b.cut(b.plus(address, b.const(2)), dst.addrsize)
    b.load(base, dst.seg, width, write=True)
    b.store(address, dst.seg, 2, b.get(f"{table}_limit"))
    b.store(base, dst.seg, width, b.get(f"{table}_base"))


@lowers("lgdt", "lidt")
def load_table(b: Builder, src: Mem) -> None:
    table, width = b.form.mnemonic[1:] + "r", 8 if b.long else 4
    address = b.effective(src)
    limit = b.load(address, src.seg, 2)
    base = b.load(b.cut(b.plus(address, b.const(2)), src.addrsize), src.seg, width)
    if b.long:
        b.fault_if(b.noncanonical(base), GP)
    elif b.size == 2:  # SDM 2A, LGDT: a 16-bit operand size loads 24 bits of base
        base = b.bits(base, b.const(0xFFFFFF))
    b.set(f"{table}_limit", limit)
    b.set(f"{table}_base", base)
    b.emit("note")


@lowers("invlpg")
def invlpg(b: Builder, _: Mem) -> None:
    """Cached translations never outlive the tables they came from, so there is nothing to drop."""


@lowers("invpcid")
def invpcid(b: Builder, kind: Reg, descriptor: Mem) -> None:
    address = b.effective(descriptor)
    low = b.load(address, descriptor.seg, 8)
    linear = b.load(b.cut(b.plus(address, b.const(8)), descriptor.addrsize), descriptor.seg, 8)
    b.system("invalidate_pcid", kind.number, low, linear)


@lowers("stac", "clac")
def set_access(b: Builder) -> None:
    """SDM 2B, STAC: not at CPL 0, #UD. With SMAP, RFLAGS.AC lets the kernel touch user pages."""
    if b.cpl:
        b.fault(UD)
    else:
        b.set_flags(b.const(F.AC if b.form.mnemonic == "stac" else 0), b.const(F.AC))


@lowers("swapgs")
def swapgs(b: Builder) -> None:
    old = b.copy(b.get("gs_base"))
    b.set("gs_base", b.get("kernel_gs_base"))
    b.set("kernel_gs_base", old)
    b.emit("note")


@lowers("clts")
def clts(b: Builder) -> None:
    b.set("cr0", b.bits(b.get("cr0"), b.const(~CR0_TS)))
    b.emit("note")


@lowers("invd", "wbinvd", "wbnoinvd")
def flush_caches(b: Builder) -> None:
    """There are no caches that a guest could see."""


@lowers("fwait")
def fwait(b: Builder) -> None:
    monitored = CR0_MP | CR0_TS
    b.fault_if(b.equal(b.bits(b.get("cr0"), b.const(monitored)), b.const(monitored)), NM)


@lowers("cpuid")
def cpuid(b: Builder) -> None:
    b.system("cpuid")


@lowers("rdtsc")
def rdtsc(b: Builder) -> None:
    b.system("read_tsc", False)


@lowers("rdtscp")
def rdtscp(b: Builder) -> None:
    b.system("read_tsc", True)


@lowers("rdmsr")
def rdmsr(b: Builder) -> None:
    b.system("read_msr")


@lowers("wrmsr")
def wrmsr(b: Builder) -> None:
    b.system("write_msr")


@lowers("syscall")
def syscall(b: Builder) -> None:
    privilege.syscall(b)


@lowers("sysret", "sysretq")
def sysret(b: Builder) -> None:
    privilege.sysret(b, long=b.form.mnemonic == "sysretq")
