"""What happens between two instructions: interrupts at exact steps, NMI, shadows, HLT, and probes that meet devices."""

from __future__ import annotations

import pytest

from ringzero import Machine, assemble
from ringzero.machine.stop import StopReason

CODE = 0x10000

#: PICs at vectors 20 and 28, all lines open; an IDT whose gates lead to `handler`, but for NMI: to `nmi`.
HEAD = f"""
bits 64
org {CODE}
start:  mov edi, 0x8000
        mov eax, handler
        mov ecx, 48
.gate:  mov [rdi], ax
        mov dword [rdi+2], 0x8e000010
        mov dword [rdi+6], 1
        mov dword [rdi+10], 0
        add rdi, 16
        dec ecx
        jnz .gate
        mov word [0x8020], nmi-{CODE}
        mov word [0x7f00], 48*16-1
        mov qword [0x7f02], 0x8000
        lidt [0x7f00]
        mov al, 0x11
        out 0x20, al
        mov al, 0x20
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 1
        out 0x21, al
        mov al, 0
        out 0x21, al
        mov esp, 0xf000
        xor ebx, ebx
        xor ecx, ecx
ready:
"""
TAIL = """
        cli
        hlt
handler: cli
        hlt
nmi:    hlt
"""


def boot(body: str, engine: str) -> tuple[Machine, dict[str, int]]:
    """A machine at `ready`, and the addresses of the labels."""
    text = HEAD + body + ("" if "handler:" in body else TAIL)
    binary = assemble(text, format="bin", name="guest.asm")
    machine = Machine.flat(binary.binary, engine=engine)
    machine.run(until_symbol=binary.symbols["ready"])
    return machine, binary.symbols


def frame(machine: Machine) -> tuple[int, int]:
    """rip and rflags of the frame on the stack."""
    words = [
        int.from_bytes(machine.memory.read(machine.registers["rsp"] + 8 * n, 8), "little") for n in range(3)
    ]
    return words[0], words[2]


# body, the step after `ready` at which the line rises, the label of the interrupted instruction
INTERRUPTS = [
    ("at once", "sti\nnop\nhere: nop\nnop", 0, "here"),
    ("in a block", "sti\nnop\nnop\nhere: nop\nnop\nnop", 3, "here"),
    ("in the shadow of sti", "sti\nnop\nhere: nop", 1, "here"),
    ("sti, cli let nothing in", "sti\ncli\nhere: hlt", 0, None),
    ("sti, hlt", "sti\nhlt\nhere: nop", 0, "here"),
    ("mov ss holds it off", "sti\nmov eax, 0x18\nmov ss, eax\nnop\nhere: nop", 3, "here"),
    ("sti when on has no shadow", "sti\nnop\nsti\nhere: nop\nnop", 3, "here"),
    ("popf opens at once", "push 0x202\npopfq\nhere: nop\nnop", 0, "here"),
    ("iret opens", "push 0x18\npush 0xf000\npush 0x202\npush 0x10\npush here\niretq\nhere: nop\nnop", 0, "here"),
    ("a jump", "sti\nnop\njmp here\nnop\nhere: nop", 3, "here"),
    ("a taken loop", "sti\nmov ecx, 9\nhere: loop here\nnop", 4, "here"),
    ("between two iterations", "sti\nmov edi, 0x9000\nmov ecx, 9\nhere: rep stosb\nnop", 5, "here"),
    ("after the last iteration", "sti\nmov edi, 0x9000\nmov ecx, 2\nrep stosb\nhere: nop", 5, "here"),
    ("after a port", "sti\nnop\nin al, 0x60\nhere: nop", 3, "here"),
    ("while it sleeps", "sti\nhlt\nhere: nop", 40, "here"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "delay", "where"), [row[1:] for row in INTERRUPTS], ids=[r[0] for r in INTERRUPTS]
)
def test_an_interrupt_comes_where_it_may(body: str, delay: int, where: str | None, engine: str) -> None:
    machine, at = boot(body, engine)
    machine.raise_irq(0, at_step=machine.step + delay)
    machine.run(max_steps=machine.step + 200)
    if where is None:
        assert machine.registers["rsp"] == 0xF000
        return
    rip, flags = frame(machine)
    assert rip == at[where]
    assert flags & 0x200
    assert machine.registers["rip"] == at["handler"] + 2


def test_each_boundary_of_a_repeated_string(engine: str) -> None:
    """The line rises at each step in turn; whatever is pushed, the string is finished in the end.

    RF is pushed set between two iterations, clear before the first and after the last (SDM 3B 17.3.1.1).
    """
    body = "sti\nmov edi, 0x9000\nmov ecx, 5\nmov eax, 0x5a\nhere: rep stosb\ncli\nhlt\n"
    body += "handler: push rax\nmov al, 0x20\nout 0x20, al\npop rax\ninc ebx\niretq\nnmi: hlt\n"
    seen = set()
    for delay in range(12):
        machine, at = boot(body, engine)
        machine.raise_irq(0, at_step=machine.step + delay)
        machine.run(until_symbol=at["handler"], max_steps=machine.step + 100)
        if machine.registers["rip"] == at["handler"]:
            rip, flags = frame(machine)
            seen.add((rip - at["here"], machine.registers["rcx"], flags >> 16 & 1))
        machine.run(max_steps=machine.step + 100)
        assert machine.memory.read(0x9000, 6) == b"ZZZZZ\0"
        assert machine.registers["rcx"] == 0
    there = {at for at in seen if at[0] in (0, 2)}
    assert there == {(0, 5, 0), *((0, n, 1) for n in range(1, 5)), (2, 0, 0)}


def test_nmi_waits_for_iret(engine: str) -> None:
    """A second NMI during the first's handler comes right after IRET, before the next instruction."""
    body = "nop\nhere: nop\nnop\ncli\nhlt\nhandler: hlt\nnmi: inc ebx\nnop\nnop\nlast: iretq\n"
    machine, at = boot(body, engine)
    machine.nmi(at_step=machine.step + 1)
    machine.run(until_symbol=at["last"])
    machine.nmi()
    machine.run(steps=1)
    assert machine.registers["rip"] == at["here"]
    machine.run(steps=1)
    assert machine.registers["rip"] == at["nmi"]
    assert frame(machine)[0] == at["here"]
    assert machine.run().reason is StopReason.HALTED
    assert machine.registers["rbx"] == 2


def test_nmi_is_held_off_behind_mov_ss(engine: str) -> None:
    machine, at = boot("mov eax, 0x18\nmov ss, eax\nnop\nhere: nop", engine)
    machine.nmi(at_step=machine.step + 2)
    machine.run()
    assert frame(machine)[0] == at["here"]


def test_nmi_wakes_with_interrupts_off(engine: str) -> None:
    machine, at = boot("cli\nhlt\nhere: nop", engine)
    machine.nmi(at_step=machine.step + 50)
    machine.run()
    assert frame(machine)[0] == at["here"]


def test_a_trap_wakes_from_hlt(engine: str) -> None:
    """HLT under TF: the single-step trap comes behind it, and the processor runs on."""
    machine, at = boot("push 0x102\npopfq\nhlt\nhere: nop\nhandler: inc ebx\ncli\nhlt\nnmi: hlt\n", engine)
    machine.run()
    assert machine.registers["rbx"] == 1
    assert frame(machine)[0] == at["here"]
    assert machine.registers["dr6"] & 0x4000


def test_rf_lasts_one_instruction(engine: str) -> None:
    """IRETQ sets RF; an interrupt at once pushes it, one instruction later it is gone (SDM 3B 17.3.1.1)."""
    body = "push 0x18\npush 0xf000\npush 0x10202\npush 0x10\npush here\niretq\nhere: nop\nthere: nop\nnop"
    for delay, rf in ((6, 0x10000), (7, 0)):
        machine, at = boot(body, engine)
        machine.raise_irq(0, at_step=machine.step + delay)
        machine.run()
        rip, flags = frame(machine)
        assert rip == at["here" if rf else "there"]
        assert flags & 0x10000 == rf


def test_a_probe_at_an_instruction_that_leaves(engine: str) -> None:
    """A probe is taken once, also when its instruction stores into code or reaches beyond memory."""
    body = (
        "mov dword [0x3008], 0xc0000083\nhere: mov [0x200000], eax\nmov byte [there], 0x90\nthere: hlt\nnop"
    )
    machine, at = boot(body, engine)
    hits = []
    for name in ("here", "there"):
        machine.add_probe(at[name], lambda _, name=name: hits.append(name))
    machine.add_probe(at["here"] + 7, lambda _: hits.append("store"))
    machine.run()
    assert hits == ["here", "store", "there"]


def test_a_frame_on_translated_code(engine: str) -> None:
    """A frame is pushed over instructions that have run: they are forgotten, and nothing is lost."""
    body = "mov esp, stack+64\ncall stack\nint3\nnop\nhandler: hlt\nnmi: hlt\n"
    body += "align 64\nstack: times 32 nop\nret\ntimes 31 nop\n"
    machine, at = boot(body, engine)
    machine.run()
    assert machine.registers["rip"] == at["handler"] + 1
    assert machine.registers["rsp"] == at["stack"] + 64 - 40


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_stops_at_any_step_change_nothing(steps: int, engine: str) -> None:
    """The same end whether a run is whole or in pieces, with interrupts coming in."""
    body = "sti\nmov edi, 0x9000\nmov ecx, 20\nrep stosb\nmov ecx, 10\nagain: push rcx\npop rdx\nloop again\nhlt\n"
    body += "handler: push rax\nmov al, 0x20\nout 0x20, al\npop rax\ninc ebx\niretq\nnmi: iretq\n"

    def prepared() -> Machine:
        machine, _ = boot(body, engine)
        for delay in (5, 11, 30):
            machine.raise_irq(0, at_step=machine.step + delay)
        machine.nmi(at_step=machine.step + 13)
        return machine

    whole, pieces = prepared(), prepared()
    end = whole.step + 90
    whole.run(until_step=end)
    while pieces.step < end:
        if pieces.run(steps=min(steps, end - pieces.step)).reason is not StopReason.STEP:
            break
    assert pieces.state_hash() == whole.state_hash()


#: A page table among its own code: the entry is the immediate of an instruction that runs before and after the walk
#: that sets its accessed bit.
AMONG_CODE = """
bits 64
org 0x10000
        mov rbx, cr3
        mov rbx, [rbx]
        and rbx, -4096
        mov qword [rbx+8], 0x300003             ; the second GiB, through a directory at 0x300000,
        mov qword [0x300000], 0x10003           ; by a table that is this page
        mov ecx, 2
        align 8
again:  times 6 nop
        mov rax, strict qword 0x301043
        mov [0x302000+rcx*8], rax
        mov rdx, [0x40000000+(again+8-$$)/8*0x1000]
        dec ecx
        jnz again
        hlt
"""


def test_a_walk_marks_an_entry_among_translated_code(engine: str) -> None:
    machine = Machine.flat(assemble(AMONG_CODE, format="bin").binary, engine=engine)
    machine.run(max_steps=1000)
    seen = [int.from_bytes(machine.memory.read(0x302000 + 8 * n, 8), "little") for n in (2, 1)]
    assert seen == [0x301043, 0x301063]
