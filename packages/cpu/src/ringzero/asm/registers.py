"""The registers' names: name → (class, size in bytes, number), and the way back for the disassembler."""

from __future__ import annotations

from typing import NamedTuple


class Register(NamedTuple):
    """`kind` is gpr, high (ah ch dh bh), sreg, creg, dreg, or rip."""

    name: str
    kind: str
    size: int
    number: int

    @property
    def needs_64(self) -> bool:
        """Whether only 64-bit mode has the register."""
        low = self.kind == "gpr" and self.size == 1 and 4 <= self.number <= 7
        return low or self.number > 7 or (self.kind == "gpr" and self.size == 8)


_LOW = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
BYTES = ("al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", *(f"r{n}b" for n in range(8, 16)))
WORDS = (*_LOW, *(f"r{n}w" for n in range(8, 16)))
DWORDS = (*("e" + n for n in _LOW), *(f"r{n}d" for n in range(8, 16)))
QWORDS = (*("r" + n for n in _LOW), *(f"r{n}" for n in range(8, 16)))
HIGH = ("ah", "ch", "dh", "bh")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
GENERAL = {1: BYTES, 2: WORDS, 4: DWORDS, 8: QWORDS}


def _registers() -> dict[str, Register]:
    rows = [Register(name, "gpr", size, n) for size, names in GENERAL.items() for n, name in enumerate(names)]
    rows += [Register(name, "high", 1, n) for n, name in enumerate(HIGH)]
    rows += [Register(name, "sreg", 2, n) for n, name in enumerate(SEGMENTS)]
    rows += [Register(f"{kind[0]}r{n}", kind, 8, n) for kind in ("creg", "dreg") for n in range(16)]
    rows += [Register(name, "rip", size, 0) for name, size in (("rip", 8), ("eip", 4))]
    return {row.name: row for row in rows}


REGISTERS: dict[str, Register] = _registers()
"""Every register that has a name in NASM text and is known to the table."""
