"""RDRAND and RDSEED, whose numbers come from a stream in the machine's state: every run draws the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringzero.isa import rflags as F
from ringzero.isa.form import form, lowers
from ringzero.isa.operands import Reg

if TYPE_CHECKING:
    from ringzero.cpu.lower.builder import Builder

form("rdrand", "NFx 0F C7 /6", "rr", flags="oszapc", feature="rdrand")
form("rdseed", "NFx 0F C7 /7", "rr", flags="oszapc", feature="rdseed")


@lowers("rdrand", "rdseed")
def random_number(b: Builder, dst: Reg) -> None:
    """There is always a number: CF is 1, and the other flags are 0 (SDM 2B, RDRAND)."""
    number = b.temp()
    b.emit("random", number)
    b.emit("note")
    b.set_flags(b.const(F.CF), b.const(F.ARITHMETIC))
    b.write(dst, number)
