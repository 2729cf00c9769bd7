"""The list of µops: what each does, written once.

An effect is a few statements in a small common subset of Python and C. `effects` turns it into the
Python engine's functions and into the C core's cases, so the two cannot drift. All values are
unsigned 64-bit words. In an effect:

    A B D S      the slots named by the µop's a, b, d and scale bytes (D is also assigned; S may be)
    I            the immediate, 64 bits        scale   the scale byte itself
    EA           A + (B << (scale & 3)) + I
    RES AUX      the lazy flags, see `flags`   state.x the slot x
    W MASK SIGN  the width in bits, its mask, its sign bit
    SX(x)        x (within MASK) sign-extended to 64 bits
    PUT(x)       D = x (within MASK) as x86 writes a register: 32 bits clear the upper half, 8 and 16 keep the rest
    CARRIES(v)   the lazy carry vector of a vector of carries or borrows
    LOAD(ea) …   memory; LOADW asks for write permission too, LOADS/STORES are supervisor accesses of the system itself
    STEP()       the absolute step once this block has retired (only in its ending)
    FAULT(v, e)  raise vector v with error code e; nothing of the instruction may have been written before
    CALLED()     nothing; an engine may remember that this block will be returned to, as RETURN(rip), a GOTO, may ask
    AHEAD(I)     nothing; an engine may do iterations of the string instruction I (see `exits`) here, at a step each
    SHADE(s)     at step s no interrupt comes in
    NOTE()       nothing; a log of accesses is told that the processor's own state changes
    JUMP(k) BRANCH(c) GOTO(x) …   leave the block; see `ENDINGS`
    r v …        locals, one lower-case letter each: longer names, e and u are the printed code's own

A µop is packed into 16 bytes, `<HBBBBHq`: op, d, a, b, scale, index of its instruction in the block, immediate.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

PACKED = struct.Struct("<HBBBBHq")
PackedUop = tuple[int, int, int, int, int, int, int]  # its fields, in that order
STACK = 0x80  # in `scale` of a memory µop: the access goes through SS, so it faults with #SS

#: Conditions by their number in the opcode map (SDM 2, B.1.4.7), on the lazy flags.
CONDITIONS: dict[str, str] = {
    "o": "((AUX >> 63) ^ (AUX >> 62)) & 1",
    "no": "(((AUX >> 63) ^ (AUX >> 62)) & 1) ^ 1",
    "b": "AUX >> 63",
    "ae": "(AUX >> 63) ^ 1",
    "e": "RES == 0",
    "ne": "RES != 0",
    "be": "(AUX >> 63) | (RES == 0)",
    "a": "((AUX >> 63) | (RES == 0)) ^ 1",
    "s": "(RES >> 63) ^ (AUX & 1)",
    "ns": "(RES >> 63) ^ (AUX & 1) ^ 1",
    "p": "PARITY(RES ^ (AUX >> 8))",
    "np": "PARITY(RES ^ (AUX >> 8)) ^ 1",
    "l": "((RES >> 63) ^ AUX ^ (AUX >> 63) ^ (AUX >> 62)) & 1",
    "ge": "(((RES >> 63) ^ AUX ^ (AUX >> 63) ^ (AUX >> 62)) & 1) ^ 1",
    "le": "(((RES >> 63) ^ AUX ^ (AUX >> 63) ^ (AUX >> 62)) & 1) | (RES == 0)",
    "g": "((((RES >> 63) ^ AUX ^ (AUX >> 63) ^ (AUX >> 62)) & 1) | (RES == 0)) ^ 1",
}

#: How an effect may end a block, and what the engine does then.
ENDINGS = {
    "JUMP": "go to the block's target k (0: the branch's, 1: the next instruction)",
    "BRANCH": "JUMP(0) if the condition holds, else JUMP(1)",
    "GOTO": "go to a computed linear address",
    "GOTO_WINDOW": "GOTO; interrupts may just have become deliverable, or TF set",
    "NEXT_WINDOW": "JUMP(1); interrupts may just have become deliverable, or TF set",
    "SYSTEM": "leave to the driver, which does the instruction in Python",
    "PROBE": "leave before the instruction unless its probe was just taken",
    "STOP": "leave; a truncated block or a microprogram has come to its end",
    "SKIP": "pass over the next I µops",
}

#: How a pair becomes one µop: where the second finds the temporary that the first wrote and nobody reads again, and
#: what stands in the new µop's d. Two immediates share I where each fits half of it: the displacement the upper.
JOINS = {
    "into": "it is B; d is A, and D too",
    "beside": "it is B; d is A",
    "over": "it is A; d is D",
    "with": "it is A; d is D; two immediates",
    "of": "it is the value that the second, a store, writes; two immediates",
}

WIDTHS = (8, 16, 32, 64)

_LOCAL = re.compile(r"^ *([a-z]\w*) = ", re.MULTILINE)
_TAKEN = ("e", "u")  # by the C loop, for its engine and its µop


class Uop(NamedTuple):
    """One µop. `flags` says what it does with the lazy flags: "" nothing, "w" writes all six, "r" reads, "rw" both."""

    name: str
    effect: str
    width: int = 64
    flags: str = ""
    memory: bool = False  # touches guest memory: may fault or leave, a barrier for dropping flags
    leaves: bool = False  # may fault, skip, or end the block: a barrier as well
    quiet: str | None = None  # the same without flags: what it becomes when they are dead ("" = nothing)
    merges: bool = False  # result is PUT by width: D keeps its upper bits at 8 and 16
    fused: tuple[str, str] | None = None  # the µop and the conditional jump that it replaces
    joined: tuple[str, str, str] | None = None  # the pair of µops that it replaces, and how: one of JOINS
    number: int = -1


def _refuse_locals(name: str, effect: str) -> None:
    """A local must not hide what the printed code means by a name: an operand, the engine."""
    for local in _LOCAL.findall(effect):
        if len(local) > 1 or local in _TAKEN:
            raise ValueError(f"µop {name}: local {local!r}: not one lower-case letter other than e and u")


replace = Uop._replace  # a thousand are made on import: a tuple's replacement is ten times a dataclass's
_list: list[Uop] = []


def uop(name: str, effect: str, widths: tuple[int, ...] = (), imm: bool = False, **options: object) -> None:
    """Add a µop, for each width with the width as its name's end, and with `imm` also its twin `…i` with B = I."""
    _refuse_locals(name, effect)
    quiet = options.pop("quiet", None)
    forms = [(name, effect)]
    if imm:
        forms.append((name + "i", effect.replace("B", "I")))
    for form_name, text in forms:
        for width in widths or (64,):
            suffix = str(width) if widths else ""
            new = Uop(form_name + suffix, text, width, **options)  # type: ignore[arg-type]
            if "PUT(" in text:
                new = replace(new, merges=True)
            if quiet is True:
                twin = replace(new, name=f"{form_name}q{suffix}", flags="")
                _list.append(twin)
                new = replace(new, quiet=twin.name)
            elif quiet is not None:
                new = replace(new, quiet=str(quiet))
            _list.append(new)


# --- moves -----------------------------------------------------------------------------------------------------------

uop("nop", "")
uop("mov", "PUT(A & MASK)", WIDTHS)
uop("movi", "PUT(I & MASK)", WIDTHS)
uop("movh", "D = (D & ~0xff00) | ((A & 0xff) << 8)")
uop("exth", "D = (A >> 8) & 0xff")
uop("zx", "D = A & MASK", (8, 16, 32))
uop("sx", "r = A & MASK\nD = SX(r)", (8, 16, 32))
uop("delta", "D = (0 - I) if state.rflags & 0x400 else I")  # what a string instruction adds to its pointers
uop("lea", "D = EA")
uop("lea32", "D = EA & 0xffffffff")
uop("lea16", "D = EA & 0xffff")
uop("bswap32", "r = A\nD = BSWAP64(r) >> 32")
uop("bswap64", "D = BSWAP64(A)")
uop("select", "D = B if A else S")
for _cc, _condition in CONDITIONS.items():
    uop(f"set{_cc}", f"D = {_condition}", flags="r")
for _cc, _condition in CONDITIONS.items():
    uop(f"cmov{_cc}", f"D = B if {_condition} else A", flags="r")

# --- arithmetic and logic --------------------------------------------------------------------------------------------

_SUB = "r = (A - B) & MASK\nv = (~A & B) | (~(A ^ B) & r)\nRES = SX(r)\nAUX = CARRIES(v)\n"
_AND = "r = A & B & MASK\nRES = SX(r)\nAUX = 0\n"
uop("add", "r = (A + B) & MASK\nv = (A & B) | ((A | B) & ~r)\nRES = SX(r)\nAUX = CARRIES(v)\nPUT(r)",
    WIDTHS, imm=True, flags="w", quiet=True)  # fmt: skip
uop("sub", _SUB + "PUT(r)", WIDTHS, imm=True, flags="w", quiet=True)
uop("cmp", _SUB, WIDTHS, imm=True, flags="w", quiet="")
uop("adc", "r = (A + B + (AUX >> 63)) & MASK\nv = (A & B) | ((A | B) & ~r)\nRES = SX(r)\nAUX = CARRIES(v)\nPUT(r)",
    WIDTHS, imm=True, flags="rw")  # fmt: skip
uop("sbb", "r = (A - B - (AUX >> 63)) & MASK\nv = (~A & B) | (~(A ^ B) & r)\nRES = SX(r)\nAUX = CARRIES(v)\nPUT(r)",
    WIDTHS, imm=True, flags="rw")  # fmt: skip
uop("and", _AND + "PUT(r)", WIDTHS, imm=True, flags="w", quiet=True)
uop("test", _AND, WIDTHS, imm=True, flags="w", quiet="")
uop("or", "r = (A | B) & MASK\nRES = SX(r)\nAUX = 0\nPUT(r)", WIDTHS, imm=True, flags="w", quiet=True)
uop("xor", "r = (A ^ B) & MASK\nRES = SX(r)\nAUX = 0\nPUT(r)", WIDTHS, imm=True, flags="w", quiet=True)
uop("not", "PUT(~A & MASK)", WIDTHS)
uop(
    "neg",
    "r = (0 - A) & MASK\nv = A | r\nRES = SX(r)\nAUX = CARRIES(v)\nPUT(r)",
    WIDTHS,
    flags="w",
    quiet=True,
)
# One carry in and out, CF or OF; the other flags are kept (SDM 2A, ADCX and ADOX).
uop("adcx", "c = AUX >> 63\nr = (A + B + c) & MASK\nv = (A & B) | ((A | B) & ~r)\nn = c ^ (v >> (W - 1) & 1)\n"
    "AUX = AUX ^ (n << 63) ^ (n << 62)\nPUT(r)", (32, 64), flags="rw")  # fmt: skip
uop("adox", "c = ((AUX >> 63) ^ (AUX >> 62)) & 1\nr = (A + B + c) & MASK\nv = (A & B) | ((A | B) & ~r)\n"
    "n = c ^ (v >> (W - 1) & 1)\nAUX = AUX ^ (n << 62)\nPUT(r)", (32, 64), flags="rw")  # fmt: skip
# INC and DEC keep CF, so they read what they replace.
uop("inc", "c = AUX >> 63\nr = (A + 1) & MASK\no = c ^ (r == SIGN)\nRES = SX(r)\n"
    "AUX = (c << 63) | (o << 62) | (((r & 15) == 0) << 3)\nPUT(r)", WIDTHS, flags="rw", quiet=True)  # fmt: skip
uop("dec", "c = AUX >> 63\nr = (A - 1) & MASK\no = c ^ (r == SIGN - 1)\nRES = SX(r)\n"
    "AUX = (c << 63) | (o << 62) | (((r & 15) == 15) << 3)\nPUT(r)", WIDTHS, flags="rw", quiet=True)  # fmt: skip

# --- shifts: a count of zero changes no flag (SDM 2, SAL/SAR/SHL/SHR) -------------------------------------------------

_COUNT = "c = B & (63 if W == 64 else 31)\na = A & MASK\n"
_KEEP = "if c == 0:\n    PUT(a)\nelse:\n"


def _shift(name: str, effect: str, flags: str = "w") -> None:
    """By a slot, whose count may come to 0; and by a constant, which the lowering has masked and found not 0."""
    body = "".join(f"    {line}\n" for line in effect.split("\n"))
    uop(name, _COUNT + _KEEP + body, WIDTHS, flags="rw", quiet=True)
    uop(name + "i", "c = I\na = A & MASK\n" + effect, WIDTHS, flags=flags, quiet=True)


_shift("shl", "r = SHL(a, c) & MASK\nf = SHL(a, c - 1) >> (W - 1) & 1\nRES = SX(r)\n"
       "AUX = (f << 63) | ((r >> (W - 1)) << 62)\nPUT(r)")  # fmt: skip
_shift("shr", "r = SHR(a, c)\nf = SHR(a, c - 1) & 1\nRES = SX(r)\n"
       "AUX = (f << 63) | ((f ^ ((r ^ (r << 1)) >> (W - 1) & 1)) << 62)\nPUT(r)")  # fmt: skip
_shift("sar", "x = SX(a)\nr = SAR(x, c) & MASK\nf = SAR(x, c - 1) & 1\nRES = SX(r)\n"
       "AUX = (f << 63) | (f << 62)\nPUT(r)")  # fmt: skip

# Rotates write CF and OF alone: bits 63 and 62 of the carry vector.
_CO = "AUX = (AUX & ~0xc000000000000000) | (f << 63) | ((f ^ o) << 62)\nPUT(r)"
_shift(
    "rol",
    "n = c % W\nr = (SHL(a, n) | SHR(a, W - n)) & MASK\nf = r & 1\no = f ^ (r >> (W - 1))\n" + _CO,
    "rw",
)
_ROR = "n = c % W\nr = (SHR(a, n) | SHL(a, W - n)) & MASK\nf = r >> (W - 1)\no = f ^ (r >> (W - 2) & 1)\n"
_shift("ror", _ROR + _CO, "rw")
_COUNT_CARRY = "c = (B & (63 if W == 64 else 31)) % (W + 1)\na = A & MASK\nk = AUX >> 63\n"
_RCL = (
    "r = (SHL(a, c) | SHL(k, c - 1) | SHR(a, W + 1 - c)) & MASK\nf = SHR(a, W - c) & 1\n"
    "o = f ^ (r >> (W - 1))\n" + _CO
)
_RCR = (
    "r = (SHR(a, c) | SHL(k, W - c) | SHL(a, W + 1 - c)) & MASK\nf = SHR(a, c - 1) & 1\n"
    "o = (r >> (W - 1)) ^ (r >> (W - 2) & 1)\n" + _CO
)
for _name, _effect in (("rcl", _RCL), ("rcr", _RCR)):
    _body = "".join(f"    {line}\n" for line in _effect.split("\n"))
    uop(_name, _COUNT_CARRY + _KEEP + _body, WIDTHS, imm=True, flags="rw")

# Double shifts: A with bits of B, counted by S. Beyond the width (16 bits only) the manual leaves the result
# undefined; the 48-bit value A:B:A shifted is what silicon gives.
_DOUBLE = "c = S & (63 if W == 64 else 31)\na = A & MASK\nb = B & MASK\n"
_SHLD = (
    "r = ((SHL(a, c) | SHR(b, W - c)) if c <= W else (SHL(b, c - W) | SHR(a, 2 * W - c))) & MASK\n"
    "f = (SHR(a, W - c) if c <= W else SHR(b, 2 * W - c)) & 1\nRES = SX(r)\n"
    "o = (r ^ a) >> (W - 1)\nAUX = (f << 63) | ((f ^ o) << 62)\nPUT(r)"
)
_SHRD = (
    "r = ((SHR(a, c) | SHL(b, W - c)) if c <= W else (SHR(b, c - W) | SHL(a, 2 * W - c))) & MASK\n"
    "f = (SHR(a, c - 1) if c <= W else SHR(b, c - W - 1)) & 1\nRES = SX(r)\n"
    "o = (r ^ a) >> (W - 1)\nAUX = (f << 63) | ((f ^ o) << 62)\nPUT(r)"
)
for _name, _effect in (("shld", _SHLD), ("shrd", _SHRD)):
    _body = "".join(f"    {line}\n" for line in _effect.split("\n"))
    uop(_name, _DOUBLE + _KEEP + _body, (16, 32, 64), flags="rw")

# --- bits ------------------------------------------------------------------------------------------------------------

uop("bt", "f = (A >> (B & (W - 1))) & 1\nd = f ^ (AUX >> 63)\nAUX = AUX ^ (d << 63) ^ (d << 62)",
    (16, 32, 64), imm=True, flags="rw", quiet="")  # fmt: skip
uop("bts", "PUT((A | (1 << (B & (W - 1)))) & MASK)", (16, 32, 64), imm=True)
uop("btr", "PUT(A & ~(1 << (B & (W - 1))) & MASK)", (16, 32, 64), imm=True)
uop("btc", "PUT((A ^ (1 << (B & (W - 1)))) & MASK)", (16, 32, 64), imm=True)
uop("ctz", "D = CTZ(A)")  # of zero: 64
uop("clz", "D = CLZ(A)")  # of zero: 64
uop("popcnt", "D = POPCNT(A)")
uop("pdep", "D = PDEP(A, B)")
uop("pext", "D = PEXT(A, B)")
uop("lowbits", "D = A & (SHL(1, B & 255) - 1)")  # counts above 63 leave all of A
uop("shrfar", "D = SHR(A, B & 255)")  # and here nothing
uop("crc", "D = CRC32C(A, B & MASK, W)", WIDTHS)
#: The next number of the machine's stream: SplitMix64, whose state is a counter.
uop("random", "z = state.rng + 0x9e3779b97f4a7c15\nstate.rng = z\nz = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9\n"
    "z = (z ^ (z >> 27)) * 0x94d049bb133111eb\nD = z ^ (z >> 31)")  # fmt: skip
#: ZF alone as A says, the others cleared: what BSF, POPCNT and their like define.
uop("flagz", "RES = A\nAUX = (A >> 63) | (PARITY(A) << 8)", flags="w", quiet="")
#: CF alone as A says (0 or 1), the others kept.
uop("setc", "d = A ^ (AUX >> 63)\nAUX = AUX ^ (d << 63) ^ (d << 62)", flags="rw", quiet="")

# --- multiplication and division -------------------------------------------------------------------------------------

uop("mul", "PUT((A * B) & MASK)", WIDTHS)
_PRODUCT = (
    "a = A & MASK\nb = B & MASK\nr = (a * b) & MASK\nh = MULHS(a, b) if W == 64 else ((SX(a) * SX(b)) >> W) & MASK\n"
    "f = 1 if h != (MASK if r & SIGN else 0) else 0\nRES = SX(r)\nAUX = f << 63\nPUT(r)"
)
uop("imul", _PRODUCT, (16, 32, 64), flags="w", quiet=True)
uop("imuli", _PRODUCT.replace("B &", "I &"), (16, 32, 64), flags="w", quiet=True)
uop("mulhu", "PUT(MULHU(A & MASK, B & MASK) if W == 64 else ((A & MASK) * (B & MASK) >> W) & MASK)", WIDTHS)
uop(
    "mulhs",
    "a = A & MASK\nb = B & MASK\nPUT(MULHS(a, b) if W == 64 else ((SX(a) * SX(b)) >> W) & MASK)",
    WIDTHS,
)
#: Flags of a product, A its low and B its high half: CF = OF = (S says whether signed) the high half matters.
uop("flagmul", "r = A & MASK\nh = B & MASK\nx = (MASK if r & SIGN else 0) if scale else 0\nf = 1 if h != x else 0\n"
    "RES = SX(r)\nAUX = f << 63", WIDTHS, flags="w", quiet="")  # fmt: skip
# Dividend D:S (high, low), divisor A; the remainder goes to D, the quotient to S.
uop("divu", "h = D & MASK\nl = S & MASK\nv = A & MASK\nif h >= v:\n    FAULT(0, 0)\n"
    "q = UDIV(h, l, v) if W == 64 else ((h << W) | l) // v\nD = (l - q * v) & MASK\nS = q",
    WIDTHS, leaves=True)  # fmt: skip
uop("divs", "h = D & MASK\nl = S & MASK\nv = A & MASK\nif SDIV_FAULTS(W, h, l, v):\n    FAULT(0, 0)\n"
    "q = SDIV(W, h, l, v)\nD = (l - q * v) & MASK\nS = q & MASK", WIDTHS, leaves=True)  # fmt: skip

# --- flags as a whole ------------------------------------------------------------------------------------------------

uop("getflags", "D = FLAGS()", flags="r")
uop("setflags", "f = (FLAGS() & ~I) | (A & I)\nSET_FLAGS(f)", flags="rw")
uop("setflagsr", "f = (FLAGS() & ~B) | (A & B)\nSET_FLAGS(f)", flags="rw")

# --- values for microcode --------------------------------------------------------------------------------------------

uop("eq", "D = A == B", imm=True)
uop("ne", "D = A != B", imm=True)
uop("ltu", "D = A < B", imm=True)
uop("noncanonical", "D = ((A + 0x800000000000) >> 48) != 0")
uop("faultif", "if A:\n    FAULT(I, B)", leaves=True)
uop("fault", "FAULT(I, B)", leaves=True)
uop("skipz", "if A == 0:\n    SKIP()", leaves=True)
uop("skipnz", "if A != 0:\n    SKIP()", leaves=True)
uop("skip", "SKIP()", leaves=True)
uop("readslot", "D = R[(I + A) & 255]")
uop("writeslot", "R[(I + A) & 255] = B")
uop("ahead", "AHEAD(I)")
uop("note", "NOTE()")
uop("setmode", "SET_MODE()", leaves=True)
#: Linear address of offset A in segment B (0-5) outside 64-bit mode: I & 15 bytes, I bit 4: a write.
uop("segment", "D = SEGMENT(B, A, I)", leaves=True)
#: Alignment check: A a linear address, I its alignment - 1.
uop("aligned", "if A & I:\n    FAULT(17, 0)", leaves=True)

# --- memory ----------------------------------------------------------------------------------------------------------

uop("ld", "x = LOAD(EA)\nD = x", WIDTHS, memory=True)  # zero-extended
uop("ldm", "x = LOAD(EA)\nPUT(x)", (8, 16), memory=True)
uop("lds", "x = LOAD(EA)\nD = SX(x)", (8, 16, 32), memory=True)
uop("ldw", "x = LOADW(EA)\nD = x", WIDTHS, memory=True)
uop("st", "STORE(EA, D)", WIDTHS, memory=True)
uop("lds_system", "x = LOADS(EA)\nD = x", WIDTHS, memory=True)
uop("ldw_system", "x = LOADWS(EA)\nD = x", WIDTHS, memory=True)
uop("st_system", "STORES(EA, D)", WIDTHS, memory=True)
uop("push64", "x = A\nSTORE(state.rsp - 8, x)\nstate.rsp = state.rsp - 8", memory=True)
uop("pushi64", "STORE(state.rsp - 8, I)\nstate.rsp = state.rsp - 8", memory=True)
uop("pop64", "x = LOAD(state.rsp)\nstate.rsp = state.rsp + 8\nD = x", memory=True)

# --- endings ---------------------------------------------------------------------------------------------------------

uop("jump", "JUMP(0)", leaves=True)
uop("next", "JUMP(1)", leaves=True)
for _cc, _condition in CONDITIONS.items():
    uop(f"j{_cc}", f"BRANCH({_condition})", flags="r", leaves=True)
uop("jumpnz", "BRANCH(A != 0)", leaves=True)
#: The end of an iteration of REP: RF is set exactly while there are more to come (SDM 3B 17.3.1.1).
uop("repeat", "state.rflags = (state.rflags | 0x10000) if A else (state.rflags & ~0x10000)\nBRANCH(A != 0)",
    leaves=True)  # fmt: skip
uop("goto", "if ((A + 0x800000000000) >> 48) != 0:\n    FAULT(13, 0)\nGOTO(A)", leaves=True)
uop(
    "call64",
    "STORE(state.rsp - 8, I)\nstate.rsp = state.rsp - 8\nCALLED()\nJUMP(0)",
    memory=True,
    leaves=True,
)
uop("callr64", "x = A\nif ((x + 0x800000000000) >> 48) != 0:\n    FAULT(13, 0)\nSTORE(state.rsp - 8, I)\n"
    "state.rsp = state.rsp - 8\nCALLED()\nGOTO(x)", memory=True, leaves=True)  # fmt: skip
uop("ret64", "x = LOAD(state.rsp)\nif ((x + 0x800000000000) >> 48) != 0:\n    FAULT(13, 0)\n"
    "state.rsp = state.rsp + 8 + I\nRETURN(x)", memory=True, leaves=True)  # fmt: skip
uop("goto_window", "GOTO_WINDOW(A)", leaves=True)
uop("next_window", "NEXT_WINDOW()", leaves=True)
#: STI: interrupts stay out for one more instruction, unless IF was set before (A).
uop("next_shadow", "if A == 0:\n    SHADE(STEP())\nNEXT_WINDOW()", leaves=True)
uop("system", "SYSTEM()", leaves=True)
uop("probe", "PROBE()", leaves=True)
uop("stop", "STOP()", leaves=True)

# --- fused pairs: what the C core makes when it installs a block -----------------------------------------------------

_DIRECT = {  # CMP's conditions without the flags
    "e": "a == b", "ne": "a != b", "b": "a < b", "ae": "a >= b", "be": "a <= b", "a": "a > b",
    "l": "SLT(SX(a), SX(b))", "ge": "SLT(SX(a), SX(b)) ^ 1", "le": "SLT(SX(b), SX(a)) ^ 1", "g": "SLT(SX(b), SX(a))",
}  # fmt: skip
for _imm, _b in (("", "B"), ("i", "I")):
    for _cc, _condition in CONDITIONS.items():
        _cmp = (
            f"a = A & MASK\nb = {_b} & MASK\nr = (a - b) & MASK\nv = (~a & b) | (~(a ^ b) & r)\nRES = SX(r)\n"
            f"AUX = CARRIES(v)\nBRANCH({_DIRECT.get(_cc, _condition)})"
        )
        for _w in WIDTHS:
            uop(f"cmp{_imm}{_w}+j{_cc}", _cmp, flags="w", leaves=True, fused=(f"cmp{_imm}{_w}", f"j{_cc}"))
            _list[-1] = replace(_list[-1], width=_w)
            uop(f"test{_imm}{_w}+j{_cc}", _AND.replace("B", _b) + f"BRANCH({_condition})",
                flags="w", leaves=True, fused=(f"test{_imm}{_w}", f"j{_cc}"))  # fmt: skip
            _list[-1] = replace(_list[-1], width=_w)
_made = {u.name: u for u in _list}
for _name in ("inc", "dec", "add", "addi", "sub", "subi", "and", "andi"):
    for _cc in ("e", "ne", "s", "ns", "b", "ae", "l", "ge", "le", "g"):
        for _w in (32, 64):
            _first = _made[f"{_name}{_w}"]
            _effect = _first.effect + f"\nBRANCH({CONDITIONS[_cc]})"
            _pair = (_first.name, f"j{_cc}")
            _list.append(
                replace(_first, name="+".join(_pair), effect=_effect, quiet=None, leaves=True, fused=_pair)
            )

# --- joined pairs: loads with what is done to the value, stores of a constant; then their jumps -----------------------

_known = {u.name: u for u in _list}
_NEAR, _LOW = "A + (B << (scale & 3)) + SX32(I >> 32)", "SX32(I & 0xffffffff)"


def _renamed(effect: str, **names: str) -> str:
    return re.sub(rf"\b({'|'.join(names)})\b", lambda found: names[found[0]], effect)


def _join(first: str, second: str, how: str) -> None:
    """Add the µop that does both, its effect made of theirs."""
    one, two = _known[first], _known[second]
    if how == "of":
        effect = _renamed(two.effect, EA=_NEAR, D=_LOW)
    else:
        load = one.effect.split("\n")[0]
        second_names = {"A": "D", "B": "x"} if how in ("into", "beside") else {"A": "x"}
        if how == "with":
            load, second_names["I"] = _renamed(load, EA=_NEAR), _LOW
        effect = f"{load}\n{_renamed(two.effect, **second_names)}"
    new = replace(two, name=f"{first}+{second}", effect=effect, quiet=None, memory=True, fused=None)
    _list.append(replace(new, joined=(first, second, how)))


def _join_jumps(first: str, second: str, conditions: str) -> None:
    """The same µop, joined before, with a conditional jump behind it."""
    joined = _list[-1]
    for cc in conditions.split():
        _join(first, f"{second}+j{cc}", joined.joined[2] if joined.joined else "")
        _list[-1] = replace(_list[-1], joined=None, fused=(joined.name, f"j{cc}"))


for _w in (32, 64):
    for _name in ("add", "sub", "and", "or", "xor"):
        for _quiet in ("", "q"):
            _join(f"ld{_w}", f"{_name}{_quiet}{_w}", "into")
            _join(f"ldw{_w}", f"{_name}i{_quiet}{_w}", "with")
    for _name in ("inc", "incq", "dec", "decq"):
        _join(f"ldw{_w}", f"{_name}{_w}", "over")
for _w in (8, 32, 64):
    for _second, _how in (("cmp", "beside"), ("cmpi", "with"), ("testi", "with")):
        _join(f"ld{_w}", f"{_second}{_w}", _how)
        _join_jumps(f"ld{_w}", f"{_second}{_w}", "e ne" if _second == "testi" else "e ne b ae be a l ge le g")
for _w in WIDTHS:
    _join("movi64", f"st{_w}", "of")

UOPS: tuple[Uop, ...] = tuple(replace(u, number=n) for n, u in enumerate(_list))
BY_NAME: dict[str, Uop] = {u.name: u for u in UOPS}
NUMBER: dict[str, int] = {u.name: u.number for u in UOPS}
assert len(BY_NAME) == len(UOPS) < 65536
