"""The whole table: the families in their order, which gives every row its number."""

from __future__ import annotations

from ringzero.isa import alu, flow, moves, stack  # noqa: F401
from ringzero.isa.form import LOWERINGS, ROWS, Form

__all__ = ["FORMS", "LOWERINGS"]

#: Every row; FORMS[n].number == n.
FORMS: tuple[Form, ...] = tuple(ROWS)
