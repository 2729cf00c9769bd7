"""Which rows silicon may judge, and what to keep out because the host, not the architecture, would answer.

The room's rule: every exclusion has its reason beside it; `why_not_silicon` is the only place that says no.
"""

from __future__ import annotations

from ringzero.isa.form import Form
from ringzero.isa.names import FS, GS, RSI
from ringzero.isa.record import OPSIZE_PREFIX, OVERRIDE, PREFIXES, REX, RecordTuple
from ringzero_tests.case import FS_BASE, GS_BASE, Case

_HOST_ANSWERS = {
    "syscall": "calls the host's kernel",
    "sysenter": "calls the host's kernel",
    "int1": "the virtualised host reports its RIP as a fault's",
    "sgdt": "UMIP: Linux answers in the processor's stead",
    "sidt": "UMIP: Linux answers in the processor's stead",
    "sldt": "UMIP: Linux answers in the processor's stead",
    "str": "UMIP: Linux answers in the processor's stead",
    "smsw": "UMIP: Linux answers in the processor's stead",
    "cpuid": "names the host",
    "rdtsc": "reads the host's clock",
    "rdtscp": "reads the host's clock",
    "rdpid": "reads the host's processor number",
    "rdrand": "is random",
    "rdseed": "is random",
    "xgetbv": "describes the host",
    "serialize": "the processors that recorded do not have it",
    "xsetbv": "is #GP where CR4.OSXSAVE is set, #UD here",
    "sysexit": "AMD has it in legacy mode only",
    "sysexitq": "AMD has it in legacy mode only",
    "wrfsbase": "needs FS and GS, which the worker owns",
    "wrgsbase": "needs FS and GS, which the worker owns",
}

_SEGMENT_LOADS = "loads a segment register from the host's descriptor tables"


def why_not_silicon(form: Form, bits: int) -> str | None:
    """Return why silicon cannot judge this row in `bits`-bit code, or None."""
    if form.mnemonic in _HOST_ANSWERS:
        return _HOST_ANSWERS[form.mnemonic]
    if (
        form.operands
        and form.operands[0] in ("sreg", "es", "ss", "ds", "fs", "gs")
        and form.mnemonic != "push"
    ):
        return _SEGMENT_LOADS
    if form.mnemonic in ("lfs", "lgs", "verr", "verw", "lar", "lsl"):
        return _SEGMENT_LOADS
    return None


def vendors_differ(form: Form, record: RecordTuple, bits: int) -> bool:
    """Tell whether Intel and AMD part ways on this instruction; ours is Intel's."""
    name = form.mnemonic
    if form.size == "f64" and bits == 64 and record[PREFIXES] & OPSIZE_PREFIX:
        return True  # AMD honours 66 before near branches (APM 3 1.2.4)
    if name in ("jmp", "call") and "m_far" in form.operands and record[REX] & 8:
        return True  # AMD ignores REX.W there (APM 3, JMP far)
    if name == "lss" and record[REX] & 8:
        return True  # and here (APM 3, LSS)
    if name == "nop" and form.operands == ("rr",):
        return True  # 0F 0D with a register: AMD raises #UD, Intel has a NOP there (SDM 2D, opcode map)
    return name == "movsxd" and "rm16" in form.operands  # AMD reads 32 bits


def vendors_differ_on(case: Case, form: Form, record: RecordTuple) -> bool:
    """Tell whether they part ways on this string source: AMD wants its address canonical before FS or GS is added."""
    base = {FS: FS_BASE, GS: GS_BASE}.get(record[OVERRIDE], 0)
    if not form.mnemonic.startswith(("lods", "movs", "cmps", "outs")) or case.bits != 64 or not base:
        return False
    return _canonical(case.registers[RSI]) != _canonical(case.registers[RSI] + base)


def _canonical(address: int) -> bool:
    return (address + (1 << 47)) & (1 << 64) - 1 < 1 << 48
