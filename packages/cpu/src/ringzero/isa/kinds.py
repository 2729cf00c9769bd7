"""The operand kinds that a row may name, and where each finds its value.

A kind says three things: the *place* in the encoding that holds the operand, the *class* of operand, and its size.
Everything else about operands (views, encoding, text) is derived from these, here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Size of an operand that follows the instruction's operand size.
OPERAND_SIZE = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One operand kind.

    place: "rm" (ModRM.rm), "reg" (ModRM.reg), "opcode" (low three bits, +r), "vvvv" (of a VEX prefix), "imm", "rel",
        "moffs", "far", "fixed" (named by the row itself).
    holds: "gpr" (general register), "mem", "gpr/mem" (mod decides), "sreg", "creg", "dreg", "imm", "rel", "far".
    size: bytes of a register, memory or immediate operand; 0 means the operand size of the instruction.
    memory_size: bytes when a "gpr/mem" operand is memory, where that differs from `size`; else equal to it.
        -1 means that memory is only addressed or has a structure of its own (lea, invlpg, lgdt, far pointers).
    fixed: register number (or the constant 1) of a "fixed" operand.
    signed: an immediate is sign-extended to 64 bits in the record; otherwise zero-extended.
    """

    name: str
    place: str
    holds: str
    size: int = 0
    memory_size: int = 0
    fixed: int = 0
    signed: bool = False


def _kinds() -> dict[str, Kind]:
    kinds: list[Kind] = []
    for suffix, size in (("", OPERAND_SIZE), ("8", 1), ("16", 2), ("32", 4), ("64", 8)):
        kinds.append(Kind("rm" + suffix, "rm", "gpr/mem", size, size))
        kinds.append(Kind("r" + suffix, "reg", "gpr", size))
        kinds.append(Kind("o" + suffix, "opcode", "gpr", size))
        kinds.append(Kind("rr" + suffix, "rm", "gpr", size))
    kinds.append(Kind("v", "vvvv", "gpr"))
    memories = (("8", 1), ("16", 2), ("32", 4), ("64", 8), ("128", 16), ("", -1), ("_far", -1))
    for suffix, size in memories:
        kinds.append(Kind("m" + suffix, "rm", "mem", size, size))
    kinds.append(Kind("mem", "rm", "mem", OPERAND_SIZE, OPERAND_SIZE))
    # A register of the operand size, but only 16 bits of memory: mov from sreg, sldt, str, smsw.
    kinds.append(Kind("r_m16", "rm", "gpr/mem", OPERAND_SIZE, 2))
    kinds += [Kind("imm8", "imm", "imm", 1), Kind("imm16", "imm", "imm", 2)]
    kinds += [Kind("imm", "imm", "imm", signed=True), Kind("simm8", "imm", "imm", signed=True)]
    # enter's second immediate, the nesting level, travels in the record's disp.
    kinds.append(Kind("level8", "level", "imm", 1))
    kinds.append(Kind("1", "fixed", "imm", 1, fixed=1))
    kinds += [Kind("rel8", "rel", "rel", 1), Kind("rel", "rel", "rel")]
    kinds += [Kind("moffs8", "moffs", "mem", 1, 1), Kind("moffs", "moffs", "mem")]
    kinds.append(Kind("far", "far", "far"))
    kinds += [Kind(name, "reg", name) for name in ("sreg", "creg", "dreg")]
    for name, size in (("al", 1), ("ax", 2), ("eax", 4), ("rax", 8), ("acc", OPERAND_SIZE)):
        kinds.append(Kind(name, "fixed", "gpr", size))
    kinds += [Kind("cl", "fixed", "gpr", 1, fixed=1), Kind("dx", "fixed", "gpr", 2, fixed=2)]
    kinds += [
        Kind(name, "fixed", "sreg", 2, fixed=n) for n, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs"))
    ]
    return {kind.name: kind for kind in kinds}


#: Every operand kind by the name that rows use.
KINDS: dict[str, Kind] = _kinds()
