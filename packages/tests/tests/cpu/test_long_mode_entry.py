"""What CR0.PG asks before it makes long mode of protected mode (SDM 3A 10.8.5; 2B, MOV to control registers)."""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble
from ringzero.machine.stop import StopReason

#: A page of 1 GiB, a TSS of a type, and the bits on the way to long mode, PG the last. There are no vectors: a fault is
#: a shutdown.
GUEST = """
bits 32
org 0x10000
        mov dword [0x1000], 0x2003
        mov dword [0x2000], 0x83
        mov dword [0x528], 0x30000067
        mov dword [0x52c], {rights}
        mov ax, 0x28
        ltr ax
        mov eax, 0x1000
        mov cr3, eax
        mov eax, {cr4}
        mov cr4, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, cr0
        or eax, 0x80000000
here:   mov cr0, eax
        hlt
"""
TSS_16, TSS_32 = 0x8100, 0x8900
PAE = 0x20

#: name, rights of the TSS, CR4, whether long mode is reached
CASES = [
    ("a 32-bit TSS", TSS_32, PAE, True),
    ("a 16-bit TSS", TSS_16, PAE, False),
    ("no PAE", TSS_32, 0, False),
]


@pytest.mark.parametrize(
    ("rights", "cr4", "reached"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_paging_begins_long_mode_or_faults(rights: int, cr4: int, reached: bool, engine: str) -> None:
    binary = assemble(GUEST.format(rights=rights, cr4=cr4), format="bin")
    machine = Machine.flat(binary.binary, mode=32, engine=engine)
    stop = machine.run(max_steps=100)
    active = machine.registers["efer"] & 0x400
    assert (stop.reason != StopReason.SHUTDOWN, bool(active)) == (reached, reached)
    assert machine.registers["rip"] == binary.symbols["here"] + (4 if reached else 0)
