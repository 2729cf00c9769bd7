"""The whole table: the families in their order, which gives every row its number."""

from __future__ import annotations

from ringzero.isa import (  # noqa: F401
    alu,
    atomic,
    bits,
    bmi,
    entropy,
    extras,
    fastcalls,
    flagops,
    flow,
    legacy,
    moves,
    muldiv,
    shifts,
    stack,
    strings,
    system,
)
from ringzero.isa.form import LOWERINGS, ROWS, Form

__all__ = ["FORMS", "LOWERINGS"]

#: Every row; FORMS[n].number == n.
FORMS: tuple[Form, ...] = tuple(ROWS)
