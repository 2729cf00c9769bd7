"""A guest's fault as a value that travels: raised by whatever finds it, delivered by the driver."""

from __future__ import annotations


class GuestFault(Exception):  # an event of the guest's, not an error of ours
    """Vector, error code (0 where the vector has none) and, for #PF, the linear address."""

    def __init__(self, vector: int, error: int = 0, address: int = 0) -> None:
        super().__init__(vector, error, address)
        self.vector, self.error, self.address = vector, error, address


#: Vectors that push an error code (SDM 3A, table 6-1).
WITH_ERROR_CODE = frozenset({8, 10, 11, 12, 13, 14, 17, 21})
CONTRIBUTORY = frozenset({0, 10, 11, 12, 13})
PAGE_FAULT, DOUBLE_FAULT = 14, 8


class Shutdown(Exception):
    """A fault while #DF was delivered: the processor stops until reset."""


class Unsupported(Exception):
    """The guest asked for something that is architecture, and not here; the argument says what."""
