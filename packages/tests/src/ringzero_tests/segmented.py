"""Random 16-bit rows in segments with bases and limits, in real mode and in protected mode at CPL 0; Bochs judges.

The room's rule: code bytes come from `generate`, everything that a segment's end can show is drawn here: operands, code
and stack at the last bytes of a segment, below its start where it expands down, behind a read-only or null descriptor.

Physical memory: vectors at 0, a GDT at 0x1_8000, an IDT of 16-bit gates at 0x1_9000, `system`'s handlers; code at
0x2_0000 among INT3s (Bochs keeps flags back until a delivery asks for them), data from 0x4_0000 on. What a case leaves
is compared whole: registers, segments, memory.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from ringzero.isa import record as R
from ringzero.isa.decode import decode
from ringzero.isa.form import Form
from ringzero.isa.table import FORMS
from ringzero_tests.case import AC, PAGE, REGISTERS, VISIBLE, Case, Fault, Outcome, changed_runs
from ringzero_tests.draws import Draws
from ringzero_tests.generate import case_for
from ringzero_tests.judged import why_not_silicon
from ringzero_tests.ring0 import PLAIN
from ringzero_tests.system import HANDLERS, system_image

CODE, DATA, END = 0x20000, 0x40000, 0x96000
_GDT, _IDT = 0x18000, 0x19000
_HLT, _INT3 = 0xF4, 0xCC
_SHOWN = VISIBLE | 0x3200
_HAS_ERROR = {8, 10, 11, 12, 13, 14, 17}

#: Segments in protected mode: selector, base, limit, access byte (all 16-bit). FS expands down.
_PROTECTED = {
    "cs": (0x10, CODE, 0xFFFF, 0x9B), "ss": (0x18, 0x63210, 0xFFFF, 0x93), "ds": (0x20, DATA, 0x7FFF, 0x93),
    "es": (0x28, 0x52340, 0x1233, 0x91), "fs": (0x30, 0x74440, 0x3FFF, 0x97), "gs": (0, 0, 0, 0),
}  # fmt: skip
_REAL = {"cs": CODE, "ss": 0x63210, "ds": DATA, "es": 0x52340, "fs": 0x74440, "gs": 0x85550}
_DATA_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")

_LEFT_OUT = frozenset((
    "in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd",  # bochscpu has no ports
    "retf", "iretw", "iretd", "hlt", "popfw", "popfd",  # lead away, or trap behind the case
    "rdmsr", "wrmsr", "rdpmc", "clwb", "cldemote",  # bochscpu lets all of the first three pass, and lacks the others
    "invlpg", "monitor", "mwait",  # bochscpu dies of these
    "ud0",  # Bochs raises #UD before it fetches the ModRM byte
    "lidt", "lgdt",  # leave no table to tell by
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class SegmentedCase:
    """An ordinary 16-bit case, whose address is an offset in CS, and what its segments are."""

    case: Case
    protected: bool
    code_limit: int = 0xFFFF
    vectors: int = 256

    def state(self) -> dict[str, int]:
        """Return all registers, by the names of `ringzero.cpu.state`."""
        case = self.case
        state = dict.fromkeys(PLAIN, 0) | {"dr6": 0xFFFF0FF0, "dr7": 0x400, "pat": 0x0007040600070406}
        state |= dict(zip(REGISTERS, case.registers, strict=True))
        state |= {"rip": case.address, "rflags": case.flags | 2, "cpl": 0, "cr0": 0x10 | self.protected}
        for name in _DATA_SEGMENTS:
            plain = (_REAL[name] >> 4, _REAL[name], 0xFFFF, 0x93)
            selector, base, limit, access = _PROTECTED[name] if self.protected else plain
            limit = self.code_limit if name == "cs" else limit
            state |= _fields(name, selector, base, limit, access)
        state |= _fields("ldtr", 0, 0, 0, 0x82) | _fields("tr", 0, 0, 0xFFFF, 0x8B)
        state |= {"gdtr_base": _GDT, "gdtr_limit": 0x3F}
        size = 8 if self.protected else 4
        return state | {"idtr_base": _IDT * self.protected, "idtr_limit": size * self.vectors - 1}

    def memory(self) -> bytes:
        """Return physical memory from 0 to END as the case finds it."""
        memory = bytearray(_background(self.case.landing))
        code = self.case.code[: 0x10000 - self.case.address]
        memory[CODE + self.case.address : CODE + self.case.address + len(code)] = code
        return bytes(memory)


def _fields(name: str, selector: int, base: int, limit: int, access: int) -> dict[str, int]:
    parts = {"selector": selector, "base": base, "limit": limit, "attr": access}
    return {f"{name}_{part}": value for part, value in parts.items()}


@cache
def _background(landing: int) -> bytes:
    image = bytearray(system_image()) + bytes([landing]) * (DATA - CODE)
    for number in range((END - DATA) // 64):
        image += hashlib.sha512(b"ringzero segment %d" % number).digest()
    for vector in range(256):
        struct.pack_into("<HH", image, 4 * vector, 8 * vector, HANDLERS >> 4)
        struct.pack_into("<HHHH", image, _IDT + 8 * vector, 8 * vector, 8, 0x8600, 0)
    table = {8: (HANDLERS, 0xFFFF, 0x9B)} | {s: rest for s, *rest in _PROTECTED.values() if s}  # type: ignore[dict-item]
    for selector, (base, limit, access) in table.items():
        struct.pack_into("<Q", image, _GDT + selector, limit | base << 16 | access << 40)
    return bytes(image)


# --- drawing ---------------------------------------------------------------------------------------------------------


def rows() -> Iterator[Form]:
    """Yield the rows that are asked: all that 16-bit user code may have, and loads of segment registers."""
    for form in FORMS:
        loads = form.operands and form.operands[0] in ("sreg", "es", "ss", "ds", "fs", "gs")
        control = {"creg", "dreg"} & set(form.operands)  # judged by `ring0`: what they take is the model's
        far = "far" in form.operands or "m_far" in form.operands
        user = why_not_silicon(form, 16) is None or loads
        if (
            form.mode32
            and user
            and not control
            and not form.vex
            and form.mnemonic not in _LEFT_OUT
            and not (far and form.mnemonic in ("jmp", "call"))
        ):
            yield form


def segmented_case(form: Form, seed: int) -> SegmentedCase | None:
    """Return the case that (row, seed) names: odd seeds run in protected mode. None where nothing encodes the row."""
    drawn = case_for(form, 16, seed)
    if drawn is None or decode(drawn.code, 16, limit=1)[0][R.FORM] != form.number:
        return None
    draws, protected = (
        Draws("segments", form.mnemonic, form.encoding, ",".join(form.operands), seed),
        bool(seed & 1),
    )
    registers = [_offset(draws) | (draws.bits(16) << 16) * draws.chance(8) for _ in range(8)]
    if not draws.chance(6):
        registers[1] &= 0x1F
    registers[4] = draws.pick((0, 8, 0x10, 0x7000, 0x7001, 0x8000, 0xFFFE, 0xFFFF, 0xFFFD, 0xFFFC))
    _aim(drawn.code, registers, draws)
    size = len(drawn.code)
    address = 0x10000 - draws.between(1, size + 1) if draws.chance(6) else 0x800 + draws.below(64)
    limit = address + size - draws.between(0, 2) if protected and draws.chance(3) else 0xFFFF
    case = Case(drawn.code, (*registers, *(0,) * 8), drawn.flags & ~AC, (), address, 16, _landing(form))
    return SegmentedCase(case, protected, min(limit, 0xFFFF), draws.pick((256, 256, 32)))


def _landing(form: Form) -> int:
    """HLT behind a load of SS, so that nothing is pushed wherever that leads."""
    return _HLT if form.mnemonic == "lss" or form.operands[:1] in (("ss",), ("sreg",)) else _INT3


def disputed(form: Form, wanted: SegmentedCase) -> str | None:
    """Return why Bochs is no judge of this case, or None."""
    wide = decode(wanted.case.code, 16, limit=1)[0][R.OPSIZE] == 4
    if form.operands[:1] in (("es",), ("cs",), ("ss",), ("ds",), ("fs",), ("gs",)) and wide:
        return "Bochs moves two bytes of a segment register's slot; SDM 2B, PUSH allows both, silicon moves the slot"
    return None


def _offset(draws: Draws) -> int:
    """An offset, likely at the end of one of the segments."""
    end = draws.pick((0x10000, 0x10000, 0x8000, 0x1234, 0x4000))
    return (end - draws.between(-2, 9)) & 0xFFFF if not draws.chance(4) else draws.bits(16)


def _aim(code: bytes, registers: list[int], draws: Draws) -> None:
    """Let the memory operand lie where `_offset` says, if a register can bring it there."""
    record = decode(code, 16, limit=1)[0]
    base = record[R.BASE]
    if base >= 8 or base == 4 or record[R.INDEX] == base:
        return
    index = 0 if record[R.INDEX] >= 8 else registers[record[R.INDEX]] << record[R.SCALE]
    mask = 0xFFFF if record[R.ADDRSIZE] == 2 else 0xFFFFFFFF
    target = _offset(draws) + 0x10000 * draws.chance(12)
    registers[base] = (target - record[R.DISP] - index) & mask


# --- outcomes --------------------------------------------------------------------------------------------------------

SegmentedOutcome = tuple[Outcome, dict[str, int]]


def read_segmented(
    wanted: SegmentedCase, register: Callable[[str], int], read: Callable[[int, int], bytes]
) -> SegmentedOutcome:
    """Return what a case has come to when its judge stopped at a HLT: an ordinary outcome, and the segments."""
    before, after = wanted.memory(), bytearray(read(0, END))
    seen = {name: register(name) for name in REGISTERS} | {
        "rip": register("rip"),
        "flags": register("rflags"),
    }
    seen |= {f"{name}_selector": register(f"{name}_selector") for name in _DATA_SEGMENTS}
    fault = None
    if register("cs_base") == HANDLERS:
        fault = _unwind(wanted, seen, register("ss_base"), before, after)
    runs: list[tuple[int, bytes]] = []
    if before != after:
        for at in range(0, END, PAGE):
            runs += changed_runs(at, before[at : at + PAGE], after[at : at + PAGE])
    segments = {name: value for name, value in seen.items() if name.endswith("_selector")}
    for name in ("es", "ss", "ds", "fs", "gs"):
        if segments[f"{name}_selector"] & 0xFFFC or not wanted.protected:
            segments |= {f"{name}_{part}": register(f"{name}_{part}") for part in ("base", "limit")}
    registers = tuple(seen[name] for name in REGISTERS)
    return Outcome(registers, seen["flags"] & _SHOWN, seen["rip"], tuple(runs), fault), segments


def _unwind(
    wanted: SegmentedCase, seen: dict[str, int], stack: int, before: bytes, after: bytearray
) -> Fault:
    """Take a delivery's frame from the stack again: its words are where the case ended, not what it wrote."""
    vector, words = seen["rip"] >> 3, []
    for _ in range(4 if wanted.protected and vector in _HAS_ERROR else 3):
        at = stack + (seen["rsp"] & 0xFFFF)
        words.append(int.from_bytes(after[at : at + 2], "little"))
        after[at : at + 2] = before[at : at + 2]
        seen["rsp"] = seen["rsp"] & ~0xFFFF | (seen["rsp"] + 2) & 0xFFFF
    error = words.pop(0) if len(words) > 3 else 0
    seen["rip"], seen["cs_selector"], seen["flags"] = words
    return Fault(vector, error)
