"""The instruction set as one table of rows, and the decoders made from it.

`ringzero.isa.form` is the notation, the family files hold the rows with their lowerings beneath, `table` is the
whole. Importing anything in this package loads the whole table first, so that a row always has the same number.
"""

from __future__ import annotations

from ringzero.isa.table import FORMS, LOWERINGS

__all__ = ["FORMS", "LOWERINGS"]
