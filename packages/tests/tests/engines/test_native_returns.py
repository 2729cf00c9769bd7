"""Calls and returns through what the native engine remembers of them: no program can tell.

Whole programs on both engines, and on the native one in slices too small for anything to be remembered; equal state
hashes. Each takes its returns from somewhere a ring of the last calls does not expect, or to what is no longer there.
"""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble

pytest.importorskip("ringzero._native", reason="the C core is not built")

CODE = 0x60_0000  # a 2 MiB page of its own
OTHER = 0x80_0000
ELSEWHERE = 0xA0_0000

PROGRAMS = {
    "deep": """
            mov edi, 100            ; far more calls than are remembered
            call deep
            jmp done
    deep:   inc rax
            dec edi
            jz .back
            call deep
            add rax, rdi
            call leaf
    .back:  ret
    leaf:   inc rbx
            ret
    """,
    "the stack says otherwise": """
            mov ecx, 50
    turn:   call odd
            inc rax                 ; skipped every other time
            inc rax
            inc rax
            inc rbx
            dec ecx
            jnz turn
            jmp done
    odd:    test cl, 1
            jz .back
            add qword [rsp], second - first
    .back:  ret
    first:  inc rax
    second:
    """,
    "calls without returns, returns without calls": """
            mov ecx, 50
    turn:   call forget
    here:   inc rax
            push after
            ret                     ; pairs with no call
            inc rbx
    after:  dec ecx
            jnz turn
            jmp done
    forget: add rsp, 8              ; drops its way back
            call .deeper
            add rax, 3
            jmp here
    .deeper: ret
    """,
    "arguments released, through a register": """
            mov ecx, 50
            mov rdx, two
    turn:   push rcx
            call one
            call rdx
            xchg rdx, rsi
            or rdx, rdx
            jnz .go
            mov rdx, three
    .go:    dec ecx
            jnz turn
            jmp done
    one:    add rax, [rsp+8]
            ret 8
    two:    inc rbx
            ret
    three:  dec rbx
            ret
    """,
    "code behind the call is stored into": """
            mov ecx, 50
    turn:   call change
    site:   add eax, 1
            dec ecx
            jnz turn
            jmp done
    change: mov [rel site+2], cl    ; its immediate
            ret
    """,
}


def machine(engine: str, text: str) -> Machine:
    source = f"bits 64\norg {CODE:#x}\nmov rsp, 0xC00000\n{text}\ndone: hlt\n"
    return Machine.flat(
        assemble(source, format="bin", name="returns.asm").binary, address=CODE, memory="16M", engine=engine
    )


def finish(machine: Machine, slice: int = 10_000) -> str:
    """The state in which it halts, run so many steps at a time."""
    while machine.run(steps=slice).reason.value == "step":
        assert machine.step < 10_000
    return machine.state_hash()


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_programs(text: str) -> None:
    expected = finish(machine("python", text))
    for slice in (10_000, 1, 2, 7):
        assert finish(machine("native", text), slice) == expected


REMAPPED = f"""
            mov rax, cr3            ; find the entry that maps this page
            mov rbx, [rax]
            and rbx, ~0xfff
            mov rbx, [rbx]
            and rbx, ~0xfff
            mov ecx, 50
    turn:   mov rdx, {ELSEWHERE:#x}
            call rdx
    site:   add eax, 1              ; 100 in the other frame
            dec ecx
            jnz turn
"""
REMAPPER = f"""
            xor qword [rbx+{CODE >> 21}*8], {CODE ^ OTHER:#x}
            invlpg [{CODE:#x}]
            ret
"""


def remapped(engine: str) -> Machine:
    made = machine(engine, REMAPPED)
    code = made.memory.read(CODE, 256)
    site = code.index(bytes.fromhex("83c001"))
    made.memory.write(OTHER, code[: site + 2] + b"\x64" + code[site + 3 :])
    away = f"bits 64\norg {ELSEWHERE:#x}\n{REMAPPER}"
    made.memory.write(ELSEWHERE, assemble(away, format="bin", name="away.asm").binary)
    return made


def test_the_frame_behind_the_call_is_another() -> None:
    python = remapped("python")
    expected = finish(python)
    assert python.registers["rax"] - python.registers["cr3"] == 25 * 101
    for slice in (10_000, 1, 5):
        native = remapped("native")
        assert finish(native, slice) == expected


@pytest.mark.parametrize("steps", range(100, 112))
def test_a_snapshot_between_call_and_return(steps: int) -> None:
    """Whatever was remembered before a restore, code changed from outside included, is not believed after it."""
    text = PROGRAMS["the stack says otherwise"]
    native, python = machine("native", text), machine("python", text)
    for one in (native, python):
        one.run(steps=steps)
        before = one.snapshot()
        one.run(steps=40)
        code = one.memory.read(CODE, 64)
        one.memory.write(
            CODE, code.replace(bytes.fromhex("48ffc3"), bytes.fromhex("48ffcb"))
        )  # inc rbx: dec rbx
        one.run(steps=40)
        changed = one.snapshot()
        one.restore(before)
        one.run(steps=33)
        one.restore(changed)
    assert finish(native) == finish(python)
    assert native.registers["rbx"] == python.registers["rbx"] != 50
