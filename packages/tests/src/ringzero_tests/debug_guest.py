"""A 64-bit guest that tells of every exception it takes: for debug exceptions, on our engines and on Bochs.

The room's rule: a case is a body of text between a head that builds an IDT and a tail that logs; what the log says is
a list of short sentences, `DB here B0 rf`: the vector, the label that the pushed RIP stands at, bits of DR6, whether
RF was pushed. The handler of #DB clears DR6, and sets RF in the frame so that an instruction breakpoint is passed.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from ringzero import Machine, assemble
from ringzero.cpu.state import ARCHITECTURAL

ORIGIN, SIZE = 0x10000, 2 << 20
LOG, DATA = 0x20000, 0x30000
_WITH_ERROR = {8, 10, 11, 12, 13, 14, 17}
NAMES = {0: "DE", 1: "DB", 3: "BP", 4: "OF", 6: "UD", 13: "GP", 12: "SS", 14: "PF", 17: "AC", 10: "TS"}

_HEAD = f"""
bits 64
org {ORIGIN}
start:  mov edi, 0x8000
        mov eax, stubs
        mov ecx, 64
.gate:  mov [rdi], ax
        mov dword [rdi+2], 0xee000010
        mov dword [rdi+6], 1
        mov dword [rdi+10], 0
        add rdi, 16
        add eax, 16
        dec ecx
        jnz .gate
        mov word [0x7f00], 64*16-1
        mov qword [0x7f02], 0x8000
        lidt [0x7f00]
        mov esp, 0x47000
        mov qword [{LOG}], {LOG + 8}
        mov ebx, {DATA}
        mov esi, {DATA}
        mov edi, {DATA}
        xor edx, edx
        mov dr6, rdx
"""
_TAIL = f"""
done:   cli
        hlt
        align 16
stubs:
{{stubs}}
log:    push rax
        push rdi
        mov rdi, [{LOG}]
        mov rax, [rsp+16]
        mov [rdi], rax
        mov rax, [rsp+24]
        mov [rdi+8], rax
        mov rax, [rsp+32]
        mov [rdi+16], rax
        mov rax, [rsp+48]
        mov [rdi+24], rax
        mov rax, dr6
        mov [rdi+32], rax
        add rdi, 40
        mov [{LOG}], rdi
        cmp byte [rsp+16], 1
        jne .other
        or dword [rsp+48], 0x10000
        mov eax, 0xffff0ff0
        mov dr6, rax
        jmp .back
.other: cmp byte [rsp+16], 32
        jae .back
        cmp byte [rsp+16], 3
        je .back
        cli
        hlt
.back:  pop rdi
        pop rax
        add rsp, 16
        iretq
"""


@dataclass(frozen=True)
class Watch:
    """One breakpoint: R/W field, LEN field, what DR0 to DR3 holds, whether it is on."""

    kind: int
    length: int
    address: str
    on: bool = True


def armed(*watches: Watch, more: int = 0) -> str:
    """Text that sets DR0 and on, and DR7, with `more` bits of it."""
    control, lines = 0x400 | more, []
    for number, watch in enumerate(watches):
        control |= int(watch.on) << 2 * number | (watch.kind | watch.length << 2) << 16 + 4 * number
        lines.append(f"mov rax, {watch.address}\nmov dr{number}, rax")
    return "\n".join([*lines, f"mov eax, {control:#x}\nmov dr7, rax\n"])


def _stubs() -> str:
    lines = []
    for vector in range(64):
        lines.append(f"align 16\nstub{vector:x}:")
        if vector not in _WITH_ERROR:
            lines.append("push 0")
        lines.append(f"push {vector}\njmp log")
    return "\n".join(lines)


@dataclass(frozen=True)
class DebugGuest:
    """A body, assembled."""

    binary: bytes
    symbols: dict[str, int]

    @classmethod
    def build(cls, body: str) -> DebugGuest:
        """Assemble a body between head and tail."""
        text = _HEAD + body + _TAIL.replace("{stubs}", _stubs())
        made = assemble(text, format="bin", name="debug.asm")
        return cls(made.binary, dict(made.symbols))

    def machine(self, engine: str) -> Machine:
        """A machine that is about to run it."""
        return Machine.flat(self.binary, engine=engine, memory=SIZE)

    def run_here(self, engine: str) -> list[str]:
        """The log of a run on one of our engines."""
        machine = self.machine(engine)
        stop = machine.run(max_steps=5000)
        if (
            machine.registers["rip"] not in (self.symbols["done"] + 2, self.symbols["log"] + 0)
            and not machine.cpu.halted
        ):
            return [*self.log(machine.memory.read(LOG, 4096)), f"stopped: {stop}"]
        return self.log(machine.memory.read(LOG, 4096))

    def log(self, memory: bytes) -> list[str]:
        """What the handler has written."""
        (end,) = struct.unpack_from("<Q", memory)
        return [self._line(*struct.unpack_from("<5Q", memory, at)) for at in range(8, end - LOG, 40)]

    def _line(self, vector: int, error: int, rip: int, flags: int, dr6: int) -> str:
        labels = {at: name for name, at in self.symbols.items() if re.fullmatch(r"\w+", name)}
        words = [NAMES.get(vector, f"int{vector:#x}") + (f"({error:#x})" if vector in _WITH_ERROR else "")]
        words.append(labels.get(rip, hex(rip)))
        words += [f"B{n}" for n in range(4) if dr6 >> n & 1]
        words += [name for bit, name in ((13, "BD"), (14, "BS"), (15, "BT")) if dr6 >> bit & 1]
        words += ["rf"] if flags >> 16 & 1 else []
        return " ".join(words)

    def start(self) -> tuple[bytes, dict[str, int]]:
        """Memory and registers with which another processor begins the same."""
        machine = self.machine("python")
        state = {name: machine.cpu.state[name] for name in ARCHITECTURAL}
        return bytes(machine.memory.read(0, SIZE)), state
