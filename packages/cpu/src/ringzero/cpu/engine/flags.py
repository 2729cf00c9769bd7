"""RFLAGS, and the lazy form in which the engines carry the arithmetic flags.

Two words say all six. `res` is the result sign-extended to 64 bits, `aux` the carry vector:

    aux bit 63     CF
    aux bit 62     CF ^ OF           (the carry into the sign bit)
    aux bits 15-8  parity delta      PF = even parity of the low byte of res ^ (aux >> 8)
    aux bit 3      AF
    aux bit 0      sign delta        SF = bit 63 of res ^ bit 0 of aux
                                     ZF = (res == 0)

so no flag needs to know which operation made it, and any combination of six flags has a form.
"""

from __future__ import annotations

from ringzero.isa.rflags import AF, PF, ZF

M64 = (1 << 64) - 1

#: 1 for a byte with an even number of ones.
PARITY = bytes(1 - bin(byte).count("1") % 2 for byte in range(256))


def arithmetic(res: int, aux: int) -> int:
    """The six arithmetic flags of a lazy pair, as RFLAGS bits."""
    carry = aux >> 63
    return (
        carry
        | PARITY[(res ^ (aux >> 8)) & 0xFF] << 2
        | (aux & 8) << 1
        | (ZF if res == 0 else 0)
        | ((res >> 63) ^ (aux & 1)) << 7
        | (carry ^ (aux >> 62 & 1)) << 11
    )


def lazy(rflags: int) -> tuple[int, int]:
    """A lazy pair (`res`, `aux`) that has the arithmetic flags of `rflags`.

    >>> all(arithmetic(*lazy(f)) == f & ARITHMETIC for f in range(0x1000))
    True
    """
    carry, sign, overflow = rflags & 1, rflags >> 7 & 1, rflags >> 11 & 1
    res = 0 if rflags & ZF else 1
    delta = (0 if rflags & PF else 1) ^ (res & 1)
    return res, carry << 63 | (carry ^ overflow) << 62 | delta << 8 | (rflags & AF) >> 1 | sign
