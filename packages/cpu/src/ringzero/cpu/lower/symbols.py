"""Numbers that an instruction brings along, as unknowns: what a lowering may do with them before it must know them.

A lowering that is run on symbols says what it makes of *every* immediate, displacement and address. A `Symbol` is no
int, so nothing can take it for one behind our back: sums and cuts to a width stay symbols, a comparison with 0 is
answered and noted, and whatever else is asked of it raises `NotExpressible`, naming what has to be known first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

M64 = (1 << 64) - 1

#: What a symbol is made of: a record's immediate, displacement and length, the next instruction's address, its own.
ATOMS = ("imm", "disp", "next", "rip", "length")
IMM, DISP, NEXT, RIP, LENGTH = range(len(ATOMS))

#: Masks that a patched value may be cut to, and their widths.
WIDTHS = {M64: 64, 0xFFFF_FFFF: 32, 0xFFFF: 16}

Terms = tuple[int, ...]


class NotExpressible(Exception):
    """A lowering asks for more than a symbol can say. `atoms`: whose values it hangs on."""

    def __init__(self, atoms: frozenset[int], what: str) -> None:
        super().__init__(f"{what} of {', '.join(ATOMS[atom] for atom in sorted(atoms))}")
        self.atoms = atoms


class Symbol:
    """constant + the sum of terms[k] * atom k, cut to `bits`, modulo 2**64.

    ask: called with an atom, says whether it is 0 in the instruction at hand (and notes that it was asked).
    """

    __slots__ = ("ask", "bits", "constant", "terms")

    def __init__(self, terms: Terms, constant: int, ask: Callable[[int], bool], bits: int = 64) -> None:
        self.terms, self.constant, self.ask, self.bits = terms, constant, ask, bits

    @property
    def atoms(self) -> frozenset[int]:
        return frozenset(atom for atom, factor in enumerate(self.terms) if factor)

    def _sum(self, other: object, sign: int) -> Symbol:
        if isinstance(other, Symbol):
            if self.bits != 64 or other.bits != 64:
                raise NotExpressible(self.atoms | other.atoms, "a sum behind a cut")
            terms = tuple(mine + sign * its for mine, its in zip(self.terms, other.terms, strict=True))
            return Symbol(terms, self.constant + sign * other.constant, self.ask)
        if not isinstance(other, int) or self.bits != 64:
            raise NotExpressible(self.atoms, "a sum behind a cut")
        return Symbol(self.terms, self.constant + sign * other, self.ask)

    def __add__(self, other: object) -> Symbol:
        return self._sum(other, 1)

    __radd__ = __add__

    def __sub__(self, other: object) -> Symbol:
        return self._sum(other, -1)

    def __neg__(self) -> Symbol:
        if self.bits != 64:
            raise NotExpressible(self.atoms, "the negative of a cut")
        return Symbol(tuple(-factor for factor in self.terms), -self.constant, self.ask)

    def __rsub__(self, other: object) -> Symbol:
        return -self + other

    def __and__(self, mask: object) -> Symbol:
        width = WIDTHS.get(mask) if isinstance(mask, int) else None
        if width is None:
            raise NotExpressible(self.atoms, "bits")
        return Symbol(self.terms, self.constant, self.ask, min(width, self.bits))

    __rand__ = __and__

    def __eq__(self, other: object) -> bool:
        """Only whether a number of the instruction itself is 0."""
        if type(other) is not int or other != 0 or self.constant or self.bits != 64 or sum(self.terms) != 1:
            raise NotExpressible(self.atoms, "a comparison")
        if len(self.atoms) != 1:
            raise NotExpressible(self.atoms, "a comparison")
        return self.ask(self.terms.index(1))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotExpressible(self.atoms, "the value")

    __hash__ = __index__ = __int__ = __float__ = __str__ = __format__ = __invert__ = __abs__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __mul__ = __rmul__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __pow__ = __truediv__ = _refuse
