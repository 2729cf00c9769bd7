"""What a flat segment's type refuses in 32-bit code: base 0 and 4 GiB do not make it writable (SDM 3A 5.5)."""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble
from ringzero.machine.stop import StopReason

#: Without vectors a fault is a shutdown, at the instruction that faults.
GUEST = """
bits 32
org 0x10000
        mov dword [0x528], 0xffff
        mov dword [0x52c], {rights}
        mov eax, 0x28
        mov edi, 0x9000
        {load}
behind:
here:   {access}
        hlt
"""
DATA, CODE = "mov ds, eax\n mov es, eax", "jmp 0x28:behind"
WRITABLE, READ_ONLY, EXPAND_DOWN = 0xCF9300, 0xCF9100, 0xCF9700
READABLE_CODE, CODE_ONLY = 0xCF9B00, 0xCF9900

#: name, rights, how it is loaded, the access, whether it passes
CASES = [
    ("writable data, written", WRITABLE, DATA, "mov [edi], eax", True),
    ("read-only data, read", READ_ONLY, DATA, "mov eax, [edi]", True),
    ("read-only data, written", READ_ONLY, DATA, "mov [edi], eax", False),
    ("read-only data, added to", READ_ONLY, DATA, "add [edi], eax", False),
    ("read-only data, stos", READ_ONLY, DATA, "stosb", False),
    ("data that expands down from 4 GiB", EXPAND_DOWN, DATA, "mov eax, [edi]", False),
    ("readable code as data, read", READABLE_CODE, DATA, "mov eax, [edi]", True),
    ("readable code as data, written", READABLE_CODE, DATA, "mov [edi], eax", False),
    ("readable code, read", READABLE_CODE, CODE, "mov eax, [cs:edi]", True),
    ("readable code, written", READABLE_CODE, CODE, "mov [cs:edi], eax", False),
    ("execute-only code, read", CODE_ONLY, CODE, "mov eax, [cs:edi]", False),
    ("execute-only code, data read", CODE_ONLY, CODE, "mov eax, [edi]", True),
]
NAMES = [case[0] for case in CASES]


@pytest.mark.parametrize(("rights", "load", "access", "passes"), [case[1:] for case in CASES], ids=NAMES)
def test_access(rights: int, load: str, access: str, passes: bool, engine: str) -> None:
    binary = assemble(GUEST.format(rights=rights, load=load, access=access), format="bin")
    machine = Machine.flat(binary.binary, mode=32, engine=engine)
    stop = machine.run(max_steps=100)
    assert stop.reason == (StopReason.HALTED if passes else StopReason.SHUTDOWN)
    assert passes or machine.registers["rip"] == binary.symbols["here"]
