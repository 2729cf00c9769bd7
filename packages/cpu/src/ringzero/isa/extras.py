"""What only some processors have: bases of FS and GS, monitors, counters, extended state, cache lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import record as R
from ringzero.isa.control import CR4_FSGSBASE
from ringzero.isa.form import form, lowers
from ringzero.isa.names import GP, RAX, RCX, UD
from ringzero.isa.operands import Mem, Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form(
    "rdfsbase", "F3 0F AE /0", "rr", size="y", modes="64", feature="fsgsbase", note="#UD without CR4.FSGSBASE"
)
form(
    "rdgsbase", "F3 0F AE /1", "rr", size="y", modes="64", feature="fsgsbase", note="#UD without CR4.FSGSBASE"
)
form(
    "wrfsbase", "F3 0F AE /2", "rr", size="y", modes="64", feature="fsgsbase", note="#UD without CR4.FSGSBASE"
)
form(
    "wrgsbase", "F3 0F AE /3", "rr", size="y", modes="64", feature="fsgsbase", note="#UD without CR4.FSGSBASE"
)
form("rdpid", "F3 0F C7 /7", "rr", size="n", feature="rdpid")

form("rdpmc", "0F 33", note="there is no counter: always #GP(0)")
form("xgetbv", "NP 0F 01 D0", note="#UD: CR4.OSXSAVE cannot be set")
form("xsetbv", "NP 0F 01 D1", note="#UD: CR4.OSXSAVE cannot be set")
form(
    "monitor",
    "NP 0F 01 C8",
    feature="monitor",
    note="#UD outside CPL 0; the source segment is record.OVERRIDE, or ds",
)
form("mwait", "NP 0F 01 C9", feature="monitor", note="#UD outside CPL 0; does not wait")

form("clflush", "NP 0F AE /7", "m8", feature="clflush")
form("clflushopt", "66 0F AE /7", "m8", feature="clflushopt")
form("clwb", "66 0F AE /6", "m8", feature="clwb")
form("wbnoinvd", "F3 0F 09", cpl=0, feature="wbnoinvd", note="without the feature it is wbinvd")


def _require_base_access(b: Builder) -> None:
    b.fault_if(b.negate(b.bits(b.get("cr4"), b.const(CR4_FSGSBASE))), UD)


@lowers("rdfsbase", "rdgsbase")
def read_base(b: Builder, dst: Reg) -> None:
    _require_base_access(b)
    b.write(dst, b.get(f"{b.form.mnemonic[2:4]}_base"))


@lowers("wrfsbase", "wrgsbase")
def write_base(b: Builder, src: Reg) -> None:
    _require_base_access(b)
    value = b.zero_extended(src)
    if b.size == 8:
        b.fault_if(b.noncanonical(value), GP)
    b.set(f"{b.form.mnemonic[2:4]}_base", value)
    b.emit("note")


@lowers("rdpid")
def rdpid(b: Builder, dst: Reg) -> None:
    b.write(dst, b.get("tsc_aux"))


@lowers("rdpmc")
def rdpmc(b: Builder) -> None:
    """Without counters every ECX names one that is not there (SDM 2B, RDPMC; CPUID leaf 0A has version 0)."""
    b.fault(GP)


@lowers("xgetbv", "xsetbv")
def extended_control(b: Builder) -> None:
    b.fault(UD)


@lowers("monitor")
def monitor(b: Builder) -> None:
    """SDM 2B, MONITOR: a load of a byte, as far as faults go."""
    if b.cpl:
        b.fault(UD)
        return
    _refuse_extensions(b, 0)
    size = b.record[R.ADDRSIZE]
    b.load(b.cut(RAX, size), b.source_segment(), 1)


@lowers("mwait")
def mwait(b: Builder) -> None:
    """A wait may end for reasons of the processor's own (SDM 2B, MWAIT): here it has always ended already."""
    if b.cpl:
        b.fault(UD)
        return
    _refuse_extensions(b, 1)


def _refuse_extensions(b: Builder, known: int) -> None:
    """#GP(0) for bits of RCX that ask for what CPUID leaf 5 does not have."""
    asked = RCX if b.long else b.cut(RCX, 4)
    b.fault_if(b.unequal(b.bits(asked, b.const(~known)), b.const(0)), GP)


@lowers("clflush", "clflushopt", "clwb")
def flush_line(b: Builder, src: Mem) -> None:
    """There are no caches that a guest could see; it faults as a load of the byte does."""
    b.read(src)
