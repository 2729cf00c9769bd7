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

CF, PF, AF, ZF, SF, TF, IF, DF, OF = (1 << bit for bit in (0, 2, 4, 6, 7, 8, 9, 10, 11))
FIXED = 1 << 1
IOPL = 3 << 12
NT, RF, VM, AC, VIF, VIP, ID = (1 << bit for bit in (14, 16, 17, 18, 19, 20, 21))
ARITHMETIC = CF | PF | AF | ZF | SF | OF
M64 = (1 << 64) - 1
TOP = 1 << 63
TOP2 = 3 << 62

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
