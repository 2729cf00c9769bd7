"""Interrupt stubs for guests: sixteen bytes a vector, which make every frame alike and go on at `common`."""

from __future__ import annotations

_STUBS = """
align 16
stubs:
%assign vector 0
%rep {count}
        align 16
        %if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17
        %else
        push 0
        %endif
        push vector
        jmp common
%assign vector vector+1
%endrep
"""


def stubs(count: int) -> str:
    """The text for vectors 0 to count - 1: push an error code where the processor pushes none, then the vector."""
    return _STUBS.format(count=count)
