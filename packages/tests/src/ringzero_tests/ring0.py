"""Cases for what only ring 0 may do: system registers, descriptor loads, far transfers, returns, MSRs.

The room's rule: a case here is an ordinary case plus system registers that differ from `system.state_for`; its outcome
is an ordinary outcome plus every system register. It lands on HLT, so that a case may load any table it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ringzero.isa.control import CR4_FSGSBASE
from ringzero.isa.form import Form
from ringzero.isa.record import REX, RecordTuple
from ringzero.isa.table import FORMS
from ringzero_tests.case import (
    CODE,
    CODE_END,
    DATA,
    DATA_END,
    FLAG_BITS,
    PAGE,
    VISIBLE,
    Case,
    Outcome,
    changed_runs,
)
from ringzero_tests.compare import difference
from ringzero_tests.draws import Draws
from ringzero_tests.encode import Draft
from ringzero_tests.generate import case_for
from ringzero_tests.ring0_shape import MSRS, SYSTEM_SHAPERS, kind_of
from ringzero_tests.shape import SHAPERS
from ringzero_tests.system import (
    CR0,
    CR4,
    GDT,
    TSS,
    read_frame,
    read_outcome,
    state_for,
    system_image,
)  # fmt: skip
from ringzero_tests.undefined import Undefined

HLT, INT3 = 0xF4, 0xCC
#: Bochs keeps their ZF back until something asks for it, as a delivery does.
LAZY = frozenset(("lar", "lsl", "verr", "verw"))
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
PLAIN = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "star", "lstar", "cstar", "sfmask", "kernel_gs_base", "dr0", "dr1",
         "dr2", "dr3", "dr6", "dr7", "sysenter_cs", "sysenter_esp", "sysenter_eip", "gdtr_base", "gdtr_limit",
         "idtr_base", "idtr_limit", "pat", "tsc_aux")  # fmt: skip

ROWS = frozenset((
    "cli", "sti", "pushfw", "pushfd", "pushfq", "popfw", "popfd", "popfq", "iretd", "iretq", "retf", "int",
    "int3", "hlt", "sldt", "str", "lldt", "ltr", "sgdt", "sidt", "lgdt", "lidt", "smsw", "lmsw", "invlpg",
    "lar", "lsl", "verr", "verw",
    "swapgs", "syscall", "sysret", "sysretq", "clts", "invd", "wbinvd", "wrmsr", "rdmsr", "fwait",
    "sysenter", "sysexit", "sysexitq", "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase", "xgetbv",
    "xsetbv", "clflush", "clflushopt", "wbnoinvd", "invpcid", "stac", "clac",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class SystemCase:
    """A case at CPL 0 and the registers that it wants besides, by the names of `ringzero.cpu.state`."""

    case: Case
    registers: dict[str, int] = field(default_factory=dict)

    def state(self) -> dict[str, int]:
        """Return all registers as the judge must start with them."""
        start = dict.fromkeys(PLAIN, 0) | {
            "dr6": 0xFFFF0FF0,
            "dr7": 0x400,
            "rflags": 0,
            "pat": 0x0007040600070406,
        }
        start |= state_for(self.case, 0)
        return start | self.registers


@dataclass(frozen=True, slots=True)
class SystemOutcome:
    """What a case left: the ordinary outcome, and every system register in a form that judges share."""

    outcome: Outcome
    system: dict[str, int]


def rows() -> Iterator[tuple[Form, int]]:
    """Yield (row, 64) for the rows that this room judges."""
    for form in FORMS:
        far = form.mnemonic in ("jmp", "call") and ("m_far" in form.operands or "far" in form.operands)
        touches = {"sreg", "creg", "dreg", "es", "ss", "ds", "fs", "gs"} & set(form.operands)
        if form.mode64 and (form.mnemonic in ROWS or far or touches):
            yield form, 64


def system_case(form: Form, bits: int, seed: int) -> SystemCase | None:
    """Return the case that (row, bits, seed) names."""
    draws = Draws("ring 0", form.mnemonic, form.encoding, bits, seed)
    registers = _registers(draws)

    def shape(draft: Draft) -> None:
        draft.address = CODE + 0x800  # cuts and page crossings have been judged by silicon
        shaper = SYSTEM_SHAPERS.get(kind_of(form)) or SHAPERS.get(form.mnemonic)
        if shaper is not None:
            shaper(draft)

    case = case_for(form, bits, seed, shape)
    if case is None:
        return None
    interruptible = 0x200 * draws.bits(1) | 0x3000 * draws.bits(1)
    registers["rflags"] = case.flags | interruptible | 2
    landing = INT3 if form.mnemonic in LAZY else HLT
    return SystemCase(
        Case(case.code, case.registers, case.flags, case.memory, case.address, case.bits, landing), registers
    )


def _registers(draws: Draws) -> dict[str, int]:
    """System registers that instructions read: entry points in CODE, selectors that fit them, some debug registers."""
    return {
        "star": 0x0023_0010_0000_0000 | draws.bits(32),
        "lstar": draws.between(CODE, CODE_END - 1),
        "sfmask": draws.bits(32) & 0x244DD5 | 0x200 * draws.bits(1),
        "kernel_gs_base": draws.pick((DATA, DATA + 0x800, 1 << 46, (1 << 64) - PAGE)),
        "cr0": CR0 | 8 * draws.bits(1) | 4 * draws.chance(4),
        "cr2": draws.bits(47),
        "dr0": draws.bits(64),
        "dr3": draws.bits(64),
        "tsc_aux": draws.bits(32),
        "sysenter_cs": draws.pick((0x10, 0x13, 0, 3, 0x1230, 0xFFF8)),
        "sysenter_esp": draws.pick((DATA + 0x800, 0, (1 << 64) - PAGE)),
        "sysenter_eip": draws.between(CODE, CODE_END - 1),
        "cr4": CR4 ^ CR4_FSGSBASE * draws.chance(4),
    }


# --- what Bochs is not asked -----------------------------------------------------------------------------------------


def disputed(form: Form, wanted: SystemCase, record: RecordTuple) -> str | None:
    """Return why Bochs is no judge of this case, with who is; None where it is one."""
    case = wanted.case
    if form.mnemonic == "mov" and "sreg" in form.operands and record[REX] & 4:
        return "Bochs raises #UD; REX.R is ignored for segment registers (SDM 2A 2.2.1.2), and silicon ignores it"
    if form.mnemonic == "iretd":
        return "Bochs keeps SS:RSP at the same level; 64-bit code always pops it (SDM 2A, IRET), and silicon does"
    if form.mnemonic == "iretq" and _null_stack_of_other_level(case):
        return (
            "Bochs takes a null SS of any RPL; it must be the new CPL (SDM 2A, IRET, 64-bit mode exceptions)"
        )
    if form.mnemonic == "pop" and DATA_END - 8 < case.registers[4] < DATA_END:
        return "Bochs reads two bytes; silicon reads a whole slot"
    if form.mnemonic in ("rdmsr", "wrmsr"):
        number = case.registers[1] & 0xFFFFFFFF
        if number not in MSRS[:-1]:
            return "bochscpu lets unknown MSRs pass; they are #GP(0) (SDM 2B, RDMSR)"
        if number == 0xC0000084 and case.registers[2] & 0xFFFFFFFF:
            return "Bochs drops the upper half; bits 63:32 of IA32_FMASK are reserved (SDM 4, table 2-2)"
    if form.mnemonic == "invpcid" and not record[REX] & 8 and 1 << 32 in case.registers:
        return "Bochs reads 32 bits of the type without REX.W; in 64-bit mode it has 64 (SDM 2A, INVPCID)"
    if form.mnemonic == "sysret":
        return "compatibility mode may keep or drop the upper half of RSP (SDM 1 3.4.1.1)"
    return None


def _null_stack_of_other_level(case: Case) -> bool:
    popped = dict(case.memory).get(case.registers[4], b"")
    code, stack = popped[8:10], popped[32:34]
    return len(stack) == 2 and stack[1] == 0 and stack[0] < 4 and stack[0] & 3 != code[0] & 3


# --- outcomes --------------------------------------------------------------------------------------------------------


def read_system_outcome(
    wanted: SystemCase, register: Callable[[str], int], read: Callable[[int, int], bytes]
) -> SystemOutcome:
    """Make the outcome of a case whose judge has stopped at a HLT.

    System registers come in a form that judges share: what stands behind a null selector is nobody's business but for
    the bases of FS and GS, and after a delivery CS, SS and RFLAGS are what was pushed.
    """
    outcome = read_outcome(wanted.case, register, read)
    frame = read_frame(register, read)
    system = {name: register(name) for name in PLAIN}
    system["rflags"] = (frame.flags if frame else register("rflags")) & ~VISIBLE
    for name in SEGMENTS:
        if frame and name in ("cs", "ss"):
            system[f"{name}_selector"] = frame.cs if name == "cs" else frame.ss
        else:
            system |= _segment(name, register)
    before, after = system_image()[GDT : TSS + PAGE], read(GDT, TSS + PAGE - GDT)
    system |= {
        f"[{address:#x}]": int.from_bytes(run, "little") for address, run in changed_runs(GDT, before, after)
    }
    return SystemOutcome(outcome, system)


def _segment(name: str, register: Callable[[str], int]) -> dict[str, int]:
    selector = register(f"{name}_selector")
    fields = {"selector": selector}
    if selector & 0xFFFC or name in ("fs", "gs"):
        fields["base"] = register(f"{name}_base")
    if selector & 0xFFFC:
        fields |= {"limit": register(f"{name}_limit"), "attr": register(f"{name}_attr")}
    return {f"{name}_{part}": value for part, value in fields.items()}


def system_difference(form: Form, judge: SystemOutcome, ours: SystemOutcome) -> str | None:
    """Return where two outcomes of a case of this row part, or None."""
    flags = sum(FLAG_BITS.get(letter, 0) for letter in form.undefined)
    # Limit and base are two accesses, in no promised order, and of a store that faults the first may have been done.
    table = form.mnemonic in ("sgdt", "sidt", "lgdt", "lidt") and judge.outcome.fault is not None
    parts = [difference(judge.outcome, ours.outcome, Undefined(flags, memory=table, fault=table)) or ""]
    for name in sorted((judge.system.keys() | ours.system.keys()) - ({"cr2"} if table else set())):
        theirs, mine = judge.system.get(name), ours.system.get(name)
        if theirs != mine:
            parts.append(f"{name} {_hex(theirs)}, ours {_hex(mine)}")
    return "; ".join(filter(None, parts)) or None


def _hex(value: int | None) -> str:
    return "absent" if value is None else f"{value:#x}"
