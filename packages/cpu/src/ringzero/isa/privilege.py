"""Changes of privilege as microcode: delivery of interrupts, IRETQ, SYSCALL and SYSRET.

Long mode only; their 32-bit and far relatives are rare and done by the driver (`cpu.system`). All checks come in the
manual's order (SDM 3A 6.14, 6.15; SDM 2, IRET, SYSCALL, SYSRET), and nothing is written before the last of them.

A descriptor in one word:   63..56 base   55 G  54 D/B  53 L  52 AVL  51..48 limit   47 P  46..45 DPL  44 S  43..40 type
                            39..16 base   15..0 limit
A segment's `attr` slot is its bits 40-47 and 52-55 side by side: type, S, DPL, P, AVL, L, D/B, G.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.names import GP, NP, R11, RCX, RSP, STACK_FAULT, TS, UD

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder
    from ringzero.cpu.lower.emitter import Value

# Descriptor bits 40-47 that make a 64-bit code segment acceptable, seen from bit 40.
ATTR_CODE64 = 0xA9B  # present, code, readable, accessed, L, G
ATTR_CODE32 = 0xC9B
ATTR_DATA = 0xC93
DPL3 = 3 << 5
FLAT_LIMIT = 0xFFFF_FFFF


def descriptor(b: Builder, selector: int, error: int, vector: int = GP) -> tuple[int, int]:
    """Word and linear address of a selector's descriptor, in the GDT or LDT; `vector`(error) beyond its limit."""
    index = b.bits(selector, b.const(0xFFF8))
    local = b.bits(selector, b.const(4))
    base = b.select(local, b.get("ldtr_base"), b.get("gdtr_base"))
    limit = b.select(local, b.get("ldtr_limit"), b.get("gdtr_limit"))
    b.fault_if(b.below(limit, b.plus(index, b.const(7))), vector, error)
    address = b.plus(base, index)
    return b.load_system(address, 8), address


def mark_accessed(b: Builder, word: int, address: int) -> None:
    """Set the descriptor's accessed bit in its table if it is clear (SDM 3A 3.4.5.1)."""
    with b.unless(b.field(word, 40, 1)):
        b.store_system(address, 4, b.either(b.field(word, 32, 32), b.const(1 << 8)), offset=4)


def attr_of(b: Builder, word: int) -> int:
    """A code or data descriptor's access rights as an `attr` slot holds them: a loaded one has been accessed."""
    return b.either(b.either(b.field(word, 40, 8), b.const(1)), b.left(b.field(word, 52, 4), b.const(8)))


def load_flat(b: Builder, segment: str, selector: Value, attr: Value) -> None:
    """Fill a segment register with base 0 and a limit of 4 GiB - 1."""
    b.set(f"{segment}_selector", selector)
    b.set(f"{segment}_base", b.const(0))
    b.set(f"{segment}_limit", b.const(FLAT_LIMIT))
    b.set(f"{segment}_attr", attr)


def deliver(b: Builder) -> None:
    """The microprogram that delivers int_vector through the IDT in long mode (SDM 3A 6.14).

    In: int_vector, int_error and int_has_error, int_software (INT n, INT3: the gate's DPL counts), int_external (EXT
    in error codes), int_rip (what is pushed), int_flags (what is set in the pushed RFLAGS). Out: the new context, or a
    fault with nothing changed.
    """
    vector, cpl = b.get("int_vector"), b.get("cpl")
    gate_error = b.either(b.plus(b.left(vector, b.const(3)), b.const(2)), b.get("int_external"))
    offset = b.left(vector, b.const(4))
    b.fault_if(b.below(b.get("idtr_limit"), b.plus(offset, b.const(15))), GP, gate_error)
    gate = b.plus(b.get("idtr_base"), offset)
    low, high = b.load_system(gate, 8), b.load_system(gate, 8, offset=8)
    kind = b.field(low, 40, 5)
    b.fault_if(b.unequal(b.bits(kind, b.const(0x1E)), b.const(0x0E)), GP, gate_error)
    too_private = b.below(b.field(low, 45, 2), cpl)
    b.fault_if(b.bits(too_private, b.get("int_software")), GP, gate_error)
    b.fault_if(b.negate(b.field(low, 47, 1)), NP, gate_error)

    selector = b.field(low, 16, 16)
    b.fault_if(b.negate(b.bits(selector, b.const(0xFFFC))), GP, b.get("int_external"))
    error = b.either(b.bits(selector, b.const(0xFFFC)), b.get("int_external"))
    code, code_address = descriptor(b, selector, error)
    dpl = b.field(code, 45, 2)
    # S, code: bits 44 and 43; a 64-bit segment: L set, D clear.
    b.fault_if(b.unequal(b.field(code, 43, 2), b.const(3)), GP, error)
    b.fault_if(b.below(cpl, dpl), GP, error)
    b.fault_if(b.unequal(b.field(code, 53, 2), b.const(1)), GP, error)
    b.fault_if(b.negate(b.field(code, 47, 1)), NP, error)
    new_cpl = b.select(b.field(code, 42, 1), cpl, dpl)  # a conforming segment keeps CPL

    inner = b.below(new_cpl, cpl)
    top = _new_stack(b, b.field(low, 32, 3), inner, new_cpl)
    target = b.either(b.bits(low, b.const(0xFFFF)), b.left(b.field(low, 48, 16), b.const(16)))
    target = b.either(target, b.left(high, b.const(32)))
    b.fault_if(b.noncanonical(target), GP, b.get("int_external"))

    _push_frame(b, top, code, code_address)
    with b.when(inner):
        load_flat(b, "ss", new_cpl, b.const(0))  # SDM 3A 6.14.2: SS becomes a null selector with the new CPL
    b.set("cs_selector", b.either(b.bits(selector, b.const(0xFFFC)), new_cpl))
    b.set("cs_base", b.const(0))
    b.set("cs_limit", b.const(FLAT_LIMIT))
    b.set("cs_attr", attr_of(b, code))
    b.set("cpl", new_cpl)
    b.set("rip", target)
    interrupt_gate = b.negate(b.bits(kind, b.const(1)))
    cleared = b.either(b.const(F.TF | F.NT | F.RF | F.VM), b.left(interrupt_gate, b.const(9)))
    b.set_flags(b.const(0), cleared)
    b.emit("setmode")
    b.emit("stop")
    b.ended = True


def _new_stack(b: Builder, ist: int, inner: int, new_cpl: int) -> int:
    """The stack pointer that the frame goes below: from the IST, from the TSS for an inner level, or the present one.

    The slot `rsp` still holds the old one; the aligned new one is the result (SDM 3A 6.14.2, 6.14.5).
    """
    top = b.copy(RSP)
    tss_error = b.either(b.bits(b.get("tr_selector"), b.const(0xFFFC)), b.get("int_external"))
    with b.when(b.either(ist, inner)):
        # RSP0-2 at byte 4, IST1-7 at byte 36 of the TSS (SDM 3A, figure 8-11).
        of_ist, of_level = (
            b.plus(b.left(ist, b.const(3)), b.const(28)),
            b.plus(b.left(new_cpl, b.const(3)), b.const(4)),
        )
        entry = b.select(ist, of_ist, of_level)
        b.fault_if(b.below(b.get("tr_limit"), b.plus(entry, b.const(7))), TS, tss_error)
        b.emit("mov64", top, b.load_system(b.plus(b.get("tr_base"), entry), 8))
        b.fault_if(b.noncanonical(top), STACK_FAULT, b.get("int_external"))
    return b.bits(top, b.const(-16))


def _push_frame(b: Builder, top: int, code: int, code_address: int) -> None:
    """SS, RSP, RFLAGS, CS, RIP and the error code if there is one, with one look at all of it first.

    The accessed bit of the code segment is set between the two: its store is the last that can fault.
    """
    bottom = b.minus(top, b.left(b.get("int_has_error"), b.const(3)))
    first, last = b.minus(top, b.const(8)), b.minus(bottom, b.const(40))
    b.fault_if(b.either(b.noncanonical(first), b.noncanonical(last)), STACK_FAULT, b.get("int_external"))
    b.load_system(first, 8, write=True)
    b.load_system(last, 8, write=True)
    mark_accessed(b, code, code_address)
    for offset, value in (
        (-8, b.get("ss_selector")), (-16, RSP), (-24, b.either(b.flags(), b.get("int_flags"))),
        (-32, b.get("cs_selector")), (-40, b.get("int_rip")),
    ):  # fmt: skip
        b.store_system(top, 8, value, offset)
    with b.when(b.get("int_has_error")):
        b.store_system(top, 8, b.get("int_error"), -48)
    b.set("rsp", last)


def iretq(b: Builder) -> None:
    """SDM 2A, IRET, 64-bit operand size: always pops five words, to the same level or an outer one."""
    b.fault_if(b.bits(b.get("rflags"), b.const(F.NT)), GP)
    rip, selector, flags, rsp, stack_selector = (b.load(b.stack_pointer(8 * n), 2, 8) for n in range(5))
    selector, stack_selector = b.cut(selector, 2), b.cut(stack_selector, 2)
    b.fault_if(b.negate(b.bits(selector, b.const(0xFFFC))), GP)
    error = b.bits(selector, b.const(0xFFFC))
    rpl = b.bits(selector, b.const(3))
    code, code_address = descriptor(b, selector, error)
    with b.scratch():
        dpl, conforming = b.field(code, 45, 2), b.field(code, 42, 1)
        b.fault_if(b.unequal(b.field(code, 43, 2), b.const(3)), GP, error)
        b.fault_if(b.below(rpl, b.const(b.cpl)), GP, error)
        b.fault_if(b.select(conforming, b.below(rpl, dpl), b.unequal(rpl, dpl)), GP, error)
        b.fault_if(b.equal(b.field(code, 53, 2), b.const(3)), GP, error)
        b.fault_if(b.negate(b.field(code, 47, 1)), NP, error)
    long = b.field(code, 53, 1)
    limit = _limit(b, code)

    stack, stack_address, null = _returned_stack(b, stack_selector, rpl, long)
    b.fault_if(b.select(long, b.noncanonical(rip), b.below(limit, rip)), GP)
    _mark_both(b, code, code_address, stack, stack_address)
    b.set("cs_selector", selector)
    b.set("cs_attr", attr_of(b, code))
    b.set("cs_base", b.select(long, b.const(0), _base(b, code)))
    b.set("cs_limit", limit)
    b.set("ss_selector", stack_selector)
    b.set("ss_attr", b.select(null, b.const(0), attr_of(b, stack)))
    b.set("ss_base", _base(b, stack))
    b.set("ss_limit", _limit(b, stack))
    b.set("rsp", rsp)
    mask = F.USER | F.RF
    if b.cpl == 0:
        b.set_flags(flags, b.const(mask | F.IF | F.IOPL | F.VIF | F.VIP))
    else:
        b.set_flags(flags, b.select(b.io_forbidden(), b.const(mask), b.const(mask | F.IF)))
    b.set("nmi_blocked", b.const(0))
    with b.when(b.unequal(rpl, b.const(b.cpl))):
        b.set("cpl", rpl)
        for segment in ("es", "ds", "fs", "gs"):
            _drop_if_inner(b, segment, rpl)
    b.emit("setmode")
    with b.when(b.bits(flags, b.const(F.RF))):
        b.system("arrive", rip, False)
    b.goto_window(rip)


#: What a null SS stands for: base 0, 4 GiB, accessed.
NULL_STACK = 0x00CF_9300_0000_FFFF


def _returned_stack(b: Builder, selector: int, rpl: int, long: int) -> tuple[int, int, int]:
    """Descriptor and its address of the SS popped by IRETQ, and whether it is null, as it may be inside CPL 3."""
    null = b.negate(b.bits(selector, b.const(0xFFFC)))
    refused = b.either(b.equal(rpl, b.const(3)), b.negate(long))
    b.fault_if(b.bits(null, b.either(refused, b.unequal(b.bits(selector, b.const(3)), rpl))), GP)
    stack, stack_address = b.copy(b.const(NULL_STACK)), b.copy(b.const(0))
    with b.unless(null), b.scratch():
        error = b.bits(selector, b.const(0xFFFC))
        b.fault_if(b.unequal(b.bits(selector, b.const(3)), rpl), GP, error)
        word, address = descriptor(b, selector, error)
        # S, data, writable: bits 44, 43 clear, 41; and the segment's own level.
        b.fault_if(b.unequal(b.bits(b.field(word, 41, 4), b.const(0b1101)), b.const(0b1001)), GP, error)
        b.fault_if(b.unequal(b.field(word, 45, 2), rpl), GP, error)
        b.fault_if(b.negate(b.field(word, 47, 1)), STACK_FAULT, error)
        b.emit("mov64", stack, word)
        b.emit("mov64", stack_address, address)
    return stack, stack_address, null


def _mark_both(b: Builder, code: int, code_address: int, stack: int, stack_address: int) -> None:
    """Set both accessed bits; that of the stack faults, if it does, before that of the code segment is written."""
    with b.unless(b.field(stack, 40, 1)):
        b.load_system(stack_address, 4, offset=4, write=True)
    mark_accessed(b, code, code_address)
    mark_accessed(b, stack, stack_address)


def _base(b: Builder, word: int) -> int:
    return b.either(b.field(word, 16, 24), b.left(b.field(word, 56, 8), b.const(24)))


def _limit(b: Builder, word: int) -> int:
    """A descriptor's limit in bytes."""
    raw = b.either(b.field(word, 0, 16), b.left(b.field(word, 48, 4), b.const(16)))
    pages = b.either(b.left(raw, b.const(12)), b.const(0xFFF))
    return b.select(b.field(word, 55, 1), pages, raw)


def _drop_if_inner(b: Builder, segment: str, cpl: int) -> None:
    """Returning outwards makes data segments of inner levels null (SDM 2A, IRET, RETURN-TO-OUTER-PRIVILEGE-LEVEL)."""
    with b.scratch():
        attr = b.get(f"{segment}_attr")
        conforming_code = b.equal(b.field(attr, 2, 2), b.const(3))
        inner = b.below(b.field(attr, 5, 2), cpl)
        with b.when(b.bits(inner, b.negate(conforming_code))):
            b.set(f"{segment}_selector", b.const(0))
            b.set(f"{segment}_attr", b.const(0))


def refuse(b: Builder, mnemonic: str) -> None:
    """A privileged instruction at an outer level: #GP(0); SYSRET looks at EFER.SCE first (SDM 2B, SYSRET)."""
    if mnemonic.startswith("sysret"):
        b.fault_if(b.negate(b.bits(b.get("efer"), b.const(1))), UD)
    b.fault(GP)


def syscall(b: Builder) -> None:
    """SDM 2B, SYSCALL."""
    b.fault_if(b.negate(b.bits(b.get("efer"), b.const(1))), UD)
    b.emit("mov64", RCX, b.slot(b.const(b.next_rip)))
    flags = b.flags()
    b.emit("mov64", R11, b.bits(flags, b.const(~F.RF)))
    b.set_flags(b.const(0), b.either(b.get("sfmask"), b.const(F.RF)))
    selector = b.bits(b.field(b.get("star"), 32, 16), b.const(0xFFFC))
    load_flat(b, "cs", selector, b.const(ATTR_CODE64))
    load_flat(b, "ss", b.cut(b.plus(selector, b.const(8)), 2), b.const(ATTR_DATA))
    b.set("cpl", b.const(0))
    b.emit("setmode")
    with b.when(b.bits(flags, b.const(F.TF))):
        b.system("arrive", b.get("lstar"), True)
    b.goto_window(b.get("lstar"))


def sysret(b: Builder, long: bool) -> None:
    """SDM 2B, SYSRET: to 64-bit code with REX.W, else to compatibility mode. A bad rcx faults at CPL 0, as on Intel."""
    b.fault_if(b.negate(b.bits(b.get("efer"), b.const(1))), UD)
    if long:
        b.fault_if(b.noncanonical(RCX), GP)
    target = b.copy(RCX) if long else b.cut(RCX, 4)
    base = b.field(b.get("star"), 48, 16)
    stepped = b.bits(b.either(b.get("rflags"), R11), b.const(F.TF))
    b.set_flags(b.bits(R11, b.const(0x3C7FD7)), b.const(0x3C7FD7 | F.RF | F.VM))
    code = b.either(b.cut(b.plus(base, b.const(16)), 2) if long else base, b.const(3))
    load_flat(b, "cs", code, b.const((ATTR_CODE64 if long else ATTR_CODE32) | DPL3))
    load_flat(b, "ss", b.either(b.cut(b.plus(base, b.const(8)), 2), b.const(3)), b.const(ATTR_DATA | DPL3))
    b.set("cpl", b.const(3))
    b.emit("setmode")
    with b.when(stepped):
        b.system("arrive", target, True)
    b.goto_window(target)
