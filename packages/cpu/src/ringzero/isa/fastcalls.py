"""SYSENTER and SYSEXIT as microcode (SDM 2B, each page).

Intel's rules: they work in every mode with protection, and in long mode SYSENTER always arrives in 64-bit code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.form import form, lowers
from ringzero.isa.names import GP, RCX, RDX
from ringzero.isa.privilege import ATTR_CODE32, ATTR_CODE64, ATTR_DATA, DPL3, load_flat

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder
    from ringzero.cpu.lower.emitter import Value

form("sysenter", "0F 34", size="q", flags="iv", feature="sep", note="AMD: #UD in long mode")
form("sysexit", "0F 35", size="y", cpl=0, feature="sep", note="to 32-bit code")
form("sysexitq", "REX.W 0F 35", size="y", modes="64", cpl=0, feature="sep", note="to 64-bit code")


def _base_selector(b: Builder) -> int:
    """IA32_SYSENTER_CS without its RPL; #GP(0) if it is null, and in real mode."""
    selector = b.bits(b.get("sysenter_cs"), b.const(0xFFFC))
    b.fault_if(b.negate(selector), GP)
    return selector


def _arrive(b: Builder, code: Value, code_attr: int, dpl: int, target: int) -> None:
    """Flat code and stack segments, the new CPL, and on."""
    load_flat(b, "cs", code, b.const(code_attr | dpl))
    load_flat(b, "ss", b.cut(b.plus(code, b.const(8)), 2), b.const(ATTR_DATA | dpl))
    b.set("cpl", b.const(3 if dpl else 0))
    b.emit("setmode")
    b.goto_window(target)


@lowers("sysenter")
def sysenter(b: Builder) -> None:
    if not b.protected:
        b.fault(GP)
        return
    long = b.long_active
    code = _base_selector(b)
    rsp, rip = b.get("sysenter_esp"), b.get("sysenter_eip")
    b.set_flags(b.const(0), b.const(F.VM | F.IF))
    b.set("rsp", rsp if long else b.cut(rsp, 4))
    _arrive(b, code, ATTR_CODE64 if long else ATTR_CODE32, 0, b.copy(rip) if long else b.cut(rip, 4))


@lowers("sysexit", "sysexitq")
def sysexit(b: Builder) -> None:
    if not b.protected:
        b.fault(GP)
        return
    wide = b.form.mnemonic == "sysexitq"
    base = _base_selector(b)
    if wide:
        b.fault_if(b.either(b.noncanonical(RCX), b.noncanonical(RDX)), GP)
    rsp, target = (b.copy(value) if wide else b.cut(value, 4) for value in (RCX, RDX))
    b.set("rsp", rsp)
    code = b.cut(b.either(b.plus(base, b.const(32 if wide else 16)), b.const(3)), 2)
    _arrive(b, code, ATTR_CODE64 if wide else ATTR_CODE32, DPL3, target)
