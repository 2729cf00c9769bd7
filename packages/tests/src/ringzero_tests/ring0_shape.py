"""Operands for what only ring 0 does, so that its interesting corners are reached.

The room's rule: as in shape.py, inputs are chosen here and nothing is computed.
"""

from __future__ import annotations

from ringzero.isa.form import Form
from ringzero_tests.case import CODE, DATA, PAGE, USER_CS
from ringzero_tests.encode import Draft
from ringzero_tests.shape import SHAPERS, Shaper, poke, set_register, set_rm
from ringzero_tests.system import CR0, CR4, EFER, GDT, IDT, KERNEL, KERNEL_CS, TABLES

#: Selectors of system.DESCRIPTORS and others: null, each kind, wrong privilege, beyond the limit, of the LDT.
SELECTORS = (0, 3, 0x08, 0x10, 0x13, 0x18, 0x1B, 0x20, 0x23, 0x28, 0x2B, 0x30, 0x33, 0x40, 0x50, 0x60, 0x70, 0x78, 0x7B,
             0x80, 0x83, 0x88, 0x8B, 0x90, 0x98, 0x9B, 0xA0, 0xFFF8, 0x0C, 0x14, 0x2F)  # fmt: skip
MSRS = (0xC0000080, 0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084, 0xC0000100, 0xC0000101, 0xC0000102, 0x174, 0x175,
        0x176, 0x277, 0x12345678)  # fmt: skip
_LANDING = CODE + 0x123


def kind_of(form: Form) -> str:
    """Name a shaper: the mnemonic, or for moves which side is the system register."""
    if form.mnemonic in ("mov", "pop", "push") and form.operands:
        system = {"sreg", "creg", "dreg", "es", "ss", "ds", "fs", "gs"}
        if form.operands[0] in system:
            return f"{form.mnemonic} to {form.operands[0] if form.mnemonic == 'mov' else 'sreg'}"
        if len(form.operands) > 1 and form.operands[1] in system:
            return f"{form.mnemonic} from {form.operands[1]}"
    return form.mnemonic


def _load_segment(draft: Draft) -> None:
    draft.reg = draft.draws.pick((0, 2, 3, 4, 5, 1, 7))
    set_rm(draft, draft.draws.pick(SELECTORS), 2)


def _pop_segment(draft: Draft) -> None:
    SHAPERS["pop"](draft)
    poke(draft, draft.registers[4], draft.draws.pick(SELECTORS).to_bytes(2, "little"))


def _to_control(draft: Draft) -> None:
    draws = draft.draws
    draft.reg = draws.pick((0, 2, 3, 4, 8, 0, 4, 8, 1, 5))
    values = {
        0: CR0
        ^ draws.pick(
            (0, 1, 2, 4, 8, 0x20, 1 << 16, 1 << 18, 1 << 29, 1 << 30, 3 << 29, 1 << 31, 1 << 32, 1 << 40)
        ),
        3: draws.pick((TABLES, TABLES | 0x18, TABLES | 1 << 52, TABLES | 1 << 63)),
        4: CR4 ^ draws.pick((0, 4, 8, 0x10, 0x20, 0x80, 0x100, 1 << 31, 1 << 40)),  # what Bochs and ours have
        8: draws.pick((0, 3, 15, 16, 1 << 32)),
    }
    _set_moved(draft, values.get(draft.reg & 15, draws.value()))


def _set_moved(draft: Draft, value: int) -> None:
    """Put a value into the register that ModRM.rm names, whatever mod says."""
    set_register(draft, draft.rm, value)


def _from_control(draft: Draft) -> None:
    draft.reg = draft.draws.pick((0, 2, 3, 4, 8, 1, 7))


def _to_debug(draft: Draft) -> None:
    draws = draft.draws
    draft.reg = draws.pick((0, 1, 2, 3, 4, 5, 6, 7, 8))
    # Breakpoints stay off, or the landing might meet one.
    off = draws.bits(32) & ~0x28FF  # nor RTM, which Bochs has
    _set_moved(
        draft, off | draws.chance(6) << 40 if draft.reg & 7 in (5, 7) else draws.value() >> 32 * draws.bits(1)
    )


def _from_debug(draft: Draft) -> None:
    draft.reg = draft.draws.pick((0, 3, 4, 5, 6, 7, 9))


def _table_operand(draft: Draft) -> None:
    draws = draft.draws
    base = draws.pick((KERNEL + GDT, KERNEL + IDT, DATA, 1 << 47, draws.value()))
    if draft.memory is not None:
        poke(draft, draft.memory.target, draws.bits(16).to_bytes(2, "little") + base.to_bytes(8, "little"))


def _context_operand(draft: Draft) -> None:
    """INVPCID: a type, and a descriptor with PCID 0 most often, since CR4.PCIDE is off."""
    draws = draft.draws
    set_register(draft, draft.reg, draws.pick((0, 1, 2, 3, 3, 4, 1 << 32)))
    low = draws.pick((0, 0, 0, 5, 0xFFF, 0x1000, 1 << 63))
    linear = draws.pick((0, 0x1234, KERNEL, 1 << 47))
    if draft.memory is not None:
        poke(draft, draft.memory.target, low.to_bytes(8, "little") + linear.to_bytes(8, "little"))


def _selector_operand(draft: Draft) -> None:
    set_rm(draft, draft.draws.pick((*SELECTORS, 0x50, 0x50, 0x60, 0x60)), 2)


def _machine_status(draft: Draft) -> None:
    set_rm(draft, CR0 ^ draft.draws.pick((0, 1, 2, 4, 8, 14)), 2)


def _msr(draft: Draft) -> None:
    draws = draft.draws
    number = draws.pick(MSRS)
    set_register(draft, 1, number | draws.bits(32) << 32)
    value = draws.pick((draws.between(0, (1 << 47) - 1), KERNEL + draws.bits(32), draws.value()))
    if number == 0xC0000080:
        value = EFER ^ draws.pick((0, 1, 1 << 8, 1 << 10, 1 << 9, 1 << 16, 1 << 40))
    if number == 0x277:
        value = draws.pick((0x0007040600070406, 0x0606060606060606, 0x0707070702070406, 0x08))
    set_register(draft, 0, value & 0xFFFFFFFF | draws.bits(32) << 32)
    set_register(draft, 2, value >> 32 | draws.bits(32) << 32)


def _return_fast(draft: Draft) -> None:
    draws = draft.draws
    set_register(draft, 1, draws.pick((_LANDING,) * 3 + ((1 << 47) if draft.wide else _LANDING,)))
    set_register(draft, 11, draws.bits(32) & ~0x100)


def _exit_fast(draft: Draft) -> None:
    draws = draft.draws
    set_register(draft, 2, draws.pick((_LANDING,) * 3 + ((1 << 47) if draft.wide else _LANDING,)))
    set_register(draft, 1, draws.pick((DATA + 0x800,) * 3 + (1 << 47,)))


def _base(draft: Draft) -> None:
    set_rm(draft, draft.draws.pick((DATA, 1 << 47, (1 << 64) - PAGE, draft.draws.value())), 8)


def _far_slots(draft: Draft) -> list[int]:
    draws = draft.draws
    code = draws.pick((KERNEL_CS, KERNEL_CS, 0x33, 0x33, 0x23, 0x08, *SELECTORS))
    stack = (
        draws.pick((0x2B, 0x2B, 0x18, 0, 3, *SELECTORS)) if draws.bits(1) else (0x2B if code & 3 else 0x18)
    )
    flags = draws.bits(22) & ~(0x100 | 1 << 17 | 1 << 14 * draws.bits(1))
    rsp = draws.between(DATA + 64, DATA + 0x1F00)
    # Bochs hangs when a fetch faults behind a far transfer, so a bad target only where it faults before.
    bad = draft.operand_size == 8 and code in (KERNEL_CS, USER_CS) and draws.chance(8)
    target = 1 << 47 if bad else _LANDING
    return [target, code, flags, rsp, stack]


def _return_far(draft: Draft) -> None:
    draft.operand_prefix = False  # 16-bit targets are not mapped, and user mode has judged that size
    draws, size = draft.draws, draft.operand_size
    target, code, flags, rsp, stack = _far_slots(draft)
    top = draws.between(DATA + 0x200, DATA + 0x1F00)
    set_register(draft, 4, top)
    draft.immediates["iw"] = draws.pick((0, 8, 16))
    slots = [target, code, flags, rsp, stack]
    if draft.form.mnemonic == "retf":
        slots = [target, code]
        outer = b"".join(slot.to_bytes(8, "little")[:size] for slot in (rsp, stack))
        poke(draft, top + 2 * size + (draft.immediates["iw"] if draft.form.immediates else 0), outer)
    poke(draft, top, b"".join(slot.to_bytes(8, "little")[:size] for slot in slots))


def _jump_far(draft: Draft) -> None:
    draft.operand_prefix = False
    draws, size = draft.draws, draft.operand_size
    selector = draws.pick((KERNEL_CS, KERNEL_CS, 0x78, 0x90, *SELECTORS))
    set_register(draft, 4, draws.between(DATA + 0x200, DATA + 0x1F00))
    if draft.memory is not None:
        pointer = _LANDING.to_bytes(8, "little")[:size] + selector.to_bytes(2, "little")
        poke(draft, draft.memory.target, pointer)


def _interrupt(draft: Draft) -> None:
    draft.immediates["ib"] = draft.draws.bits(8)


SYSTEM_SHAPERS: dict[str, Shaper] = {
    "mov to sreg": _load_segment, "pop to sreg": _pop_segment, "mov to creg": _to_control,
    "mov from creg": _from_control, "mov to dreg": _to_debug, "mov from dreg": _from_debug, "lgdt": _table_operand,
    "lidt": _table_operand, "lldt": _selector_operand, "ltr": _selector_operand, "lar": _selector_operand,
    "lsl": _selector_operand, "verr": _selector_operand, "verw": _selector_operand, "lmsw": _machine_status,
    "rdmsr": _msr, "wrmsr": _msr, "sysret": _return_fast, "sysretq": _return_fast,
    "sysexit": _exit_fast, "sysexitq": _exit_fast, "wrfsbase": _base, "wrgsbase": _base, "retf": _return_far,
    "iretw": _return_far, "iretd": _return_far, "iretq": _return_far, "jmp": _jump_far, "call": _jump_far,
    "int": _interrupt, "invpcid": _context_operand,
}  # fmt: skip
