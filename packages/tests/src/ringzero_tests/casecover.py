"""What a row's cases reach, held against what its columns allow: sizes, forms, registers, prefixes, places, flags.

The room's rule: only bytes and registers are read, never an engine's answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from ringzero.asm.candidates import operand_sizes
from ringzero.isa import operands as ops
from ringzero.isa import record as R
from ringzero.isa.decode import decode
from ringzero.isa.form import Form
from ringzero_tests.case import DATA, DATA_END, FLAG_BITS, FS_BASE, GS_BASE, PAGE, READONLY, Case

#: Sizes at which Intel and AMD part ways, so that no case is judged.
_PARTED = {"movsxd": {"size 2"}, "lss": {"size 8"}, "lfs": {"size 8"}, "lgs": {"size 8"}}


def reaches(form: Form, case: Case) -> Iterator[str]:
    """Names of what the case has; nothing when its bytes are no instruction."""
    record = decode(case.code, case.bits, limit=1)[0]
    if record[R.FORM] != form.number:
        return
    yield f"size {record[R.OPSIZE]}"
    if record[R.PREFIXES] & R.LOCK:
        yield "lock"
    for letter in form.reads:
        if letter in FLAG_BITS:
            yield f"{letter}={int(bool(case.flags & FLAG_BITS[letter]))}"
    for view in ops.operands_of(record):
        if isinstance(view, ops.Mem):
            yield from _memory(view, case)
        elif isinstance(view, ops.Reg):
            yield "register"
            yield "high byte" if view.high else "r8-r15" if view.number >= 8 else "low register"


def _memory(view: ops.Mem, case: Case) -> Iterator[str]:
    yield "memory"
    if view.base not in (ops.NO_REGISTER, ops.RIP) and view.base >= 8:
        yield "base r8-r15"
    if view.index != ops.NO_REGISTER and view.index >= 8:
        yield "index r8-r15"
    if view.base == ops.RIP or view.addrsize == 2 or not view.size:
        return
    at = view.disp + ({4: FS_BASE, 5: GS_BASE}.get(view.seg, 0) if case.bits == 64 else 0)
    at += case.registers[view.base] if view.base != ops.NO_REGISTER else 0
    at += case.registers[view.index] << view.scale if view.index != ops.NO_REGISTER else 0
    at &= (1 << 64) - 1 if view.addrsize == 8 else 0xFFFFFFFF
    if DATA <= at < DATA_END and at % PAGE + view.size > PAGE:
        yield "on two pages"
    yield (
        "present" if DATA <= at < DATA_END else "read only" if READONLY <= at < READONLY + PAGE else "missing"
    )


def allowed(form: Form, bits: int) -> set[str]:
    """What the row's cases must reach between them."""
    kinds = [kind for kind in form.kinds if kind.place == "rm"]
    sized = any(kind.size == 0 for kind in form.kinds) and not form.need_opsize and not form.no_prefix
    must = {f"size {size}" for size in operand_sizes(form, bits)} if sized else set()
    must |= {f"{letter}={value}" for letter in form.reads if letter in FLAG_BITS for value in (0, 1)}
    if form.lock:
        must.add("lock")
    if kinds and "mem" in kinds[0].holds:
        must |= {"memory"} | ({"base r8-r15", "index r8-r15"} if bits == 64 else set())
        if kinds[0].size >= 0 and form.mnemonic not in ("lea", "bt", "bts", "btr", "btc"):
            must |= {"present", "missing", "read only"}
            must |= (
                {"on two pages"}
                if (kinds[0].memory_size or kinds[0].size or 2) > 1 and form.size != "8"
                else set()
            )
    if kinds and "gpr" in kinds[0].holds:
        must.add("register")
        if bits == 64:
            must.add("r8-r15")
        if form.size == "8" and kinds[0].size in (0, 1):
            must.add("high byte")
    return must - _PARTED.get(form.mnemonic, set())
