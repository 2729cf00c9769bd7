"""Which two exceptions make a double fault (SDM 3A, table 6-5): each pair, against the table's classes."""

from __future__ import annotations

import pytest

from ringzero.cpu.cpu import Cpu
from ringzero.cpu.faults import GuestFault

#: The first of a pair: a benign one is followed by a second, which is handled alone.
BENIGN, CONTRIBUTORY, PAGE = (1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19), (0, 10, 11, 12, 13), (14,)
DOUBLE = 8
#: What a delivery can fault with.
SECOND = (10, 11, 12, 13, 14)


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", [*BENIGN, *CONTRIBUTORY, *PAGE])
def test_each_pair(first: int, second: int) -> None:
    found = Cpu._combined(GuestFault(first), GuestFault(second, 5)).vector
    if first in BENIGN or (first in CONTRIBUTORY and second in PAGE):
        assert found == second
    else:
        assert found == DOUBLE
