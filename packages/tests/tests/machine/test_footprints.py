"""What steps read and wrote: the same on both engines, all of it, at the exact step, and at no change to the run."""

from __future__ import annotations

import pickle
import random
from array import array
from collections.abc import Iterator

import pytest

from ringzero.asm import assemble
from ringzero.cpu.engine.engines import native_available
from ringzero.cpu.engine.log import packed
from ringzero.errors import UsageError
from ringzero.machine.accesses import Access, Accesses, Kind
from ringzero.machine.footprint import Footprint, PythonFootprint, first_read, footprint, python_first_read
from ringzero.machine.machine import Machine
from ringzero.machine.stop import StopReason
from ringzero_kernel import build

needs_native = pytest.mark.skipif(not native_available(), reason="the C core is not in this installation")
ENGINES = [pytest.param("native", marks=needs_native), "python"]
CODE, STACK, DATA, DEVICE = 0x10000, 0xF000, 0x20000, 0x18_0000
MEMORY = "1M"

#: Vectors 20 to 2F through the PICs, all to `handler`; other exceptions end in `fault`, which goes on behind them.
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
        mov esp, {STACK}
        mov ebx, {DATA}
        mov r8d, {DEVICE}
        xor ecx, ecx
ready:
"""
TAIL = """
        cli
        hlt
handler: push rax
        inc dword [0x7000]
        mov al, 0x20
        out 0x20, al
        pop rax
        iretq
"""


def guest(body: str, engine: str) -> tuple[Machine, dict[str, int]]:
    """A machine at `ready`, which comes before the body, and the addresses of the labels."""
    binary = assemble(HEAD + body + ("" if "handler:" in body else TAIL), format="bin", name="guest.asm")
    machine = Machine.flat(binary.binary, engine=engine, memory=MEMORY)
    machine.run(until_symbol=binary.symbols["ready"])
    return machine, binary.symbols


def recorded(machine: Machine, steps: int) -> Accesses:
    machine.record_accesses()
    machine.run(steps=steps)
    return machine.take_accesses()


def line(chance: random.Random, label: int) -> str:
    """One line of a random body: all that stores, strings across pages, flags, ports, devices in memory, own code."""
    at = f"rbx + {chance.choice((0, 8, 0x40, 0xFF9, 0xFFC, 0xFFF, 0x1003))}"
    size, register = chance.choice(
        (("byte", "al"), ("word", "ax"), ("dword", "eax"), ("qword", "rax"), ("qword", "rdx"))
    )
    return chance.choice((
        f"mov {size} [{at}], {register}", f"mov {register}, {size} [{at}]", f"add {size} [{at}], {register}",
        f"xchg {size} [{at}], {register}", f"lock cmpxchg {size} [{at}], {register}", f"inc {size} [{at}]",
        "push rax", "pop rdx", f"call .next{label}\n.next{label}:", "pushfq",
        "popfq\npushfq", "enter 16, 1\nleave",
        f"lea rdi, [{at}]\nmov ecx, {chance.randrange(40)}\nrep stosb",
        f"lea rsi, [{at}]\nlea rdi, [rbx + 0x1ff0]\nmov ecx, {chance.randrange(9)}\nrep movsq",
        f"lea rdi, [{at}]\nmov ecx, 9\nrepe scasb", "sti", "cli", "sti\ncli", "sti\nnop", "mov eax, 0x18\nmov ss, eax",
        "in al, 0x21", "mov al, 65\nout 0xe9, al", "out 0x80, al", "mov edx, 0x20\ninsb", "mov ax, [r8]",
        "mov [r8 + 1], eax", f"mov byte [rel .own{label} + 1], 7\n.own{label}: mov al, 1", "xor eax, ecx",
        "mov rcx, cr3\nmov cr3, rcx", "cpuid", "swapgs\nswapgs", "lgdt [rel .gdt]", "int 0x21", "rdrand rcx", "nop",
    ))  # fmt: skip


def body(seed: int) -> str:
    chance = random.Random(seed)
    return "\n".join(line(chance, n) for n in range(40)) + "\njmp .end\n.gdt: dw 0x1f\ndq 0x6000\n.end:\n"


def edges(machine: Machine, seed: int) -> None:
    """Interrupts at random steps."""
    chance = random.Random(~seed)
    for _ in range(4):
        machine.raise_irq(chance.choice((0, 1, 4)), at_step=machine.step + chance.randrange(150))


def singly(machine: Machine, steps: int) -> Iterator[tuple[int, bytes, bytes, bool]]:
    """The steps one by one: memory before and after each, and whether an interrupt could come in before it."""
    before = machine.memory.read(0, machine.memory.size)
    for _ in range(steps):
        step, open_ = machine.step, machine.interruptible
        machine.run(steps=1)
        if machine.step == step:
            return
        after = machine.memory.read(0, machine.memory.size)
        yield step, before, after, open_
        before = after


def bytes_of(accesses: list[Access], *kinds: Kind) -> set[int]:
    return {access.address + n for access in accesses if access.kind in kinds for n in range(access.size)}


# --- records ---------------------------------------------------------------------------------------------------------


@needs_native
@pytest.mark.parametrize("seed", range(30))
def test_engines_record_the_same(seed: int) -> None:
    taken, hashes = [], []
    for engine in ("native", "python"):
        machine, _ = guest(body(seed), engine)
        edges(machine, seed)
        taken.append(recorded(machine, 400))
        hashes.append(machine.state_hash())
    native, python = taken
    assert list(native) == list(python)
    assert native.walks == python.walks
    assert native.windows == python.windows
    assert native == python
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(12))
def test_recording_changes_nothing_and_misses_no_write(seed: int, engine: str) -> None:
    """Step by step, every byte that changes stands in the record of just that step."""
    machine, _ = guest(body(seed), engine)
    edges(machine, seed)
    start = machine.snapshot()
    machine.run(steps=250)
    steps = machine.step - start.clock[0]
    machine.restore(start)
    accesses = recorded(machine, steps)
    end = machine.state_hash()
    marks = [access for access in accesses.walks if access.kind is Kind.MARK]
    machine.restore(start)
    machine.record_accesses(False)
    changed = 0
    for step, before, after, _ in singly(machine, steps):
        here = [*accesses.at(step), *(mark for mark in marks if mark.step == step)]
        written = bytes_of(here, Kind.WRITE, Kind.MARK)
        found = {n for n in range(0, len(before), 256) if before[n : n + 256] != after[n : n + 256]}
        differing = {n for first in found for n in range(first, first + 256) if before[n] != after[n]}
        assert differing <= written
        changed += len(differing)
    assert changed > 5
    assert machine.step == accesses.end
    assert machine.state_hash() == end


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(12))
def test_windows_are_those_of_single_steps(seed: int, engine: str) -> None:
    machine, _ = guest(body(seed), engine)
    edges(machine, seed)
    start = machine.snapshot()
    accesses = recorded(machine, 250)
    machine.restore(start)
    machine.record_accesses(False)
    expected = [step for step, *_, open_ in singly(machine, accesses.end - accesses.start) if open_]
    assert accesses.boundaries() == expected
    middle = (accesses.start + accesses.end) // 2
    assert accesses.boundaries(middle) == [step for step in expected if step >= middle]
    assert [step for step in range(accesses.start, accesses.end) if accesses.interruptible(step)] == expected


@needs_native
@pytest.mark.parametrize("at", [0, 300_000, 500_000, 900_000])
def test_engines_record_the_kernel_alike(at: int) -> None:
    machine, other = (Machine(build(), engine=engine) for engine in ("native", "python"))
    machine.run(until_step=at)
    other.restore(machine.snapshot())
    plain = machine.snapshot()
    first, second = recorded(machine, 12_000), recorded(other, 12_000)
    assert first == second
    assert len(first) > 2000
    hashed = machine.state_hash()
    assert other.state_hash() == hashed
    machine.record_accesses(False)
    machine.restore(plain)
    machine.run(steps=12_000)
    assert machine.state_hash() == hashed


# What one instruction reads and writes: its text, what stands in the record of its step.
READ, WRITE = Kind.READ, Kind.WRITE
SINGLE = [
    ("mov eax, [rbx]", [(READ, DATA, 4)]),
    ("add [rbx + 4], al", [(READ, DATA + 4, 1), (WRITE, DATA + 4, 1)]),
    ("push rax", [(WRITE, STACK - 8, 8)]),
    ("push qword [rbx]", [(READ, DATA, 8), (WRITE, STACK - 8, 8)]),
    ("mov [rbx + 0xffd], rax", [(WRITE, DATA + 0xFFD, 3), (WRITE, DATA + 0x1000, 5)]),
    ("mov al, [rel ready]", [(READ, "ready", 1)]),
    ("in al, 0x21", [(Kind.DEVICE_READ, 0x21, 1)]),
    ("out 0x20, al", [(Kind.DEVICE_WRITE, 0x20, 1)]),
    ("mov cl, [r8]", [(Kind.DEVICE_READ, DEVICE, 1)]),
    ("mov [r8], rax", [(Kind.DEVICE_WRITE, DEVICE, 8)]),
    ("swapgs", [(Kind.SYSTEM, 0, 0)]),
    ("mov cr3, rax", [(Kind.SYSTEM, 0, 0)]),
    ("mov rax, cr3", []),
    ("rdtsc", [(Kind.SYSTEM, 0, 0)]),
    ("cpuid", []),
    ("xor eax, eax", []),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("text", "expected"), SINGLE, ids=[row[0] for row in SINGLE])
def test_one_instruction(text: str, expected: list[tuple[Kind, int | str, int]], engine: str) -> None:
    machine, symbols = guest("mov rax, cr3\nnop\nhere: " + text + "\n", engine)
    machine.run(steps=2)
    accesses = recorded(machine, 2)
    wanted = [(kind, symbols[at] if isinstance(at, str) else at, size) for kind, at, size in expected]
    assert [(found.kind, found.address, found.size) for found in accesses.at(accesses.start)] == wanted


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delivery_reads_its_gate_and_writes_its_frame(engine: str) -> None:
    machine, _ = guest("sti\nnop\nnop\nnop\n", engine)
    machine.run(steps=2)
    machine.raise_irq(1)
    accesses = recorded(machine, 1)
    assert {access.step for access in accesses} == {accesses.start}
    frame = STACK - 40
    assert bytes_of(list(accesses), WRITE) == set(range(frame, STACK))
    reads = bytes_of(list(accesses), READ)
    assert set(range(0x8000 + 0x21 * 16, 0x8000 + 0x22 * 16)) <= reads
    assert not reads & set(range(frame, STACK))
    pic = [access for access in accesses if access.kind is Kind.DEVICE_WRITE]
    assert [access.address for access in pic] == [0x20]
    assert accesses.boundaries() == [accesses.start]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_restore_begins_the_record_anew(engine: str) -> None:
    machine, _ = guest(body(3), engine)
    start = machine.snapshot()
    first = recorded(machine, 100)
    machine.run(steps=50)
    machine.restore(start)
    machine.run(steps=100)
    assert machine.take_accesses() == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert (first[0], first[-1]) == (first[:1][0], first[len(first) - 1])


def test_what_is_not_recorded_cannot_be_taken() -> None:
    machine = Machine(engine="python", memory=MEMORY)
    with pytest.raises(UsageError, match="record_accesses"):
        machine.take_accesses()
    machine.record_accesses()
    assert list(machine.take_accesses()) == []
    machine.record_accesses(False)
    with pytest.raises(UsageError, match="record_accesses"):
        machine.take_accesses()


# --- footprints ------------------------------------------------------------------------------------------------------


def exposed(accesses: list[Access]) -> tuple[set[int], set[int]]:
    """Bytes read before they were written, and bytes written, told once more."""
    reads: set[int] = set()
    writes: set[int] = set()
    for access in accesses:
        touched = set(range(access.address, access.address + access.size))
        if access.kind is READ:
            reads |= touched - writes
        elif access.kind is WRITE:
            writes |= touched
    return reads, writes


def flat(found: list[tuple[int, int]]) -> set[int]:
    return {n for first, end in found for n in range(first, end)}


def drawn(chance: random.Random, count: int, kinds: tuple[int, ...]) -> Accesses:
    """Random accesses to a few bytes, so that they meet."""
    records, walks = [], []
    for step in range(count):
        kind, size = chance.choice(kinds), chance.choice((1, 2, 4, 8))
        address = min(chance.randrange(3) * 0x1000 + chance.randrange(0x1000 - 200, 0x1000), 0x3000 - size)
        size = min(size, 0x1000 - address % 0x1000)
        what = address << 16 | chance.choice((0, 1, 63)) << 8 | size << 4 | kind
        (walks if kind in (Kind.WALK, Kind.MARK) else records).append((step, what))
    packed = [
        b"".join(word.to_bytes(8, "little") for pair in each for word in pair) for each in (records, walks)
    ]
    return Accesses(*packed, b"", start=0, end=count)


MEMORY_KINDS = (Kind.READ, Kind.READ, Kind.READ, Kind.WRITE)
ALL_KINDS = (*MEMORY_KINDS * 8, Kind.WALK, Kind.MARK, Kind.DEVICE_READ, Kind.DEVICE_WRITE)


def shape(found: Footprint) -> tuple[object, ...]:
    return found.reads, found.writes, found.walked, found.devices, found.system


@needs_native
@pytest.mark.parametrize("seed", range(150))
def test_footprints_are_the_same_in_c(seed: int) -> None:
    chance = random.Random(seed)
    kinds = (*ALL_KINDS, Kind.SYSTEM) if seed % 10 == 0 else ALL_KINDS
    path, other = drawn(chance, 60, kinds), drawn(chance, 20, kinds)
    from ringzero.machine.native_footprint import NativeFootprint

    python, native = PythonFootprint(), NativeFootprint()
    for made in (python, native):
        made.add(other, 0, 7)
        made.add(other, 9)
    assert shape(python) == shape(native)
    for _ in range(20):
        start, dead = chance.randrange(60), chance.randrange(0xF00, 0x1100)
        arguments = (path, start, chance.randrange(start, 61), (dead, dead + chance.randrange(100)))
        assert python.first_conflict(*arguments) == native.first_conflict(*arguments)


@pytest.mark.parametrize("seed", range(60))
def test_a_conflict_is_what_two_sets_share(seed: int) -> None:
    chance = random.Random(seed)
    path, other = drawn(chance, 60, MEMORY_KINDS), drawn(chance, 8, MEMORY_KINDS)
    found = footprint(other)
    reads, writes = exposed(list(other))
    assert flat(found.reads) == reads
    assert flat(found.writes) == writes
    dead = (0xF80, 0xFF0)
    alive = writes - set(range(*dead))
    for start in range(0, 60, 7):
        steps = [
            access.step for access in path
            if access.step >= start and (
                bytes_of([access], READ) & writes or bytes_of([access], WRITE) & (reads | alive)
            )
        ]  # fmt: skip
        assert found.first_conflict(path, start, dead=dead) == min(steps, default=None)


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ((Kind.WALK, 0), (Kind.WRITE, 0), True),
        ((Kind.WALK, 0), (Kind.MARK, 0), False),
        ((Kind.MARK, 0), (Kind.MARK, 0), False),
        ((Kind.MARK, 0), (Kind.READ, 0), True),
        ((Kind.MARK, 0), (Kind.WRITE, 0), True),
        ((Kind.WALK, 0), (Kind.READ, 0), False),
        ((Kind.DEVICE_READ, 1), (Kind.DEVICE_READ, 1), True),
        ((Kind.DEVICE_WRITE, 1), (Kind.DEVICE_READ, 2), False),
        ((Kind.DEVICE_WRITE, 63), (Kind.DEVICE_WRITE, 63), False),
        ((Kind.SYSTEM, 0), (Kind.READ, 0), True),
    ],
)
@pytest.mark.parametrize("made", [pytest.param("native", marks=needs_native), "python"])
def test_what_conflicts(one: tuple[Kind, int], other: tuple[Kind, int], conflict: bool, made: str) -> None:
    """Either way round."""

    def alone(kind: Kind, device: int) -> Accesses:
        what = (0x1000 << 16 | device << 8 | 8 << 4 | kind).to_bytes(8, "little")
        lists = [bytes(8) + what, b""]
        return Accesses(*(lists[::-1] if kind in (Kind.WALK, Kind.MARK) else lists), b"", start=0, end=1)

    for path, against in ((one, other), (other, one)):
        found = PythonFootprint() if made == "python" else footprint()
        found.add(alone(*against))
        assert found.first_conflict(alone(*path)) == (0 if conflict else None)


@pytest.mark.parametrize(
    ("told", "span", "step"),
    [
        ([(1, Kind.READ, 0x100, 8), (1, Kind.WRITE, 0x100, 8)], (0x100, 0x108), None),
        ([(1, Kind.READ, 0x100, 8), (2, Kind.WRITE, 0x100, 8)], (0x100, 0x108), 1),
        ([(1, Kind.WRITE, 0x100, 8), (1, Kind.READ, 0x100, 8)], (0x100, 0x108), 1),
        ([(1, Kind.READ, 0xFC, 4), (2, Kind.READ, 0x108, 1)], (0x100, 0x108), None),
        ([(1, Kind.READ, 0xFC, 8)], (0x100, 0x108), 1),
        ([(3, Kind.READ, 0x107, 1)], (0x100, 0x108), 3),
        ([(1, Kind.WRITE, 0x100, 8), (9, Kind.READ, 0x100, 8)], (0x100, 0x108), None),
    ],
)
def test_counting_up_is_no_reading(
    told: list[tuple[int, Kind, int, int]], span: tuple[int, int], step: int | None
) -> None:
    words = array("Q")
    for when, kind, address, size in told:
        words.extend((when, packed(kind, address, size)))
    path = Accesses(words.tobytes(), b"", b"", start=0, end=8)
    assert first_read(path, span) == python_first_read(path, span, 0, 8) == step


def test_a_walk_counts_for_every_later_step() -> None:
    """Its translation may have been cached."""
    walk = bytes(8) + (0x1000 << 16 | 8 << 4 | Kind.WALK).to_bytes(8, "little")
    write = (5).to_bytes(8, "little") + (0x1004 << 16 | 4 << 4 | Kind.WRITE).to_bytes(8, "little")
    path = Accesses(b"", walk, b"", start=0, end=9)
    assert footprint(Accesses(write, b"", b"", start=0, end=9)).first_conflict(path, 3, 7) == 3
    assert footprint(path, 6, 7).first_conflict(Accesses(write, b"", b"", start=0, end=9)) == 5


# --- returns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("sti\nnop\nnop\nnop", 2),
        ("sti\nmov edi, 0x9000\nmov ecx, 9\nrep stosb", 6),
        ("sti\nhlt\nnop\ncli", 50),
    ],
    ids=["plain", "rep", "hlt"],
)
def test_a_run_until_a_return(text: str, delay: int, engine: str) -> None:
    """It stops where the interrupt came in, before that instruction and before a second interrupt that waits."""
    machine, symbols = guest(text + "\n", engine)
    machine.raise_irq(1, at_step=machine.step + min(delay, 2 if "hlt" in text else delay))
    machine.run(until_symbol=symbols["handler"])
    frame = machine.registers["rsp"]
    back = tuple(int.from_bytes(machine.memory.read(frame + offset, 8), "little") for offset in (0, 24))
    machine.raise_irq(0)
    begin = machine.step
    stop = machine.run(until_return=back)  # type: ignore[arg-type]
    assert stop.reason is StopReason.RETURNED
    assert (machine.registers["rip"], machine.registers["rsp"]) == back
    assert machine.step - begin == 6
    assert machine.interruptible
    machine.run(steps=1)
    assert machine.registers["rip"] == symbols["handler"]
    assert machine.run(until_return=back).reason is StopReason.RETURNED  # type: ignore[arg-type]
    assert machine.run(until_return=back).reason is StopReason.HALTED  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
def test_only_that_return_counts(engine: str) -> None:
    """Another stack pointer is another return; and afterwards nobody waits any more."""
    machine, symbols = guest("sti\nnop\nhere: nop\nnop\nhlt", engine)
    machine.raise_irq(1, at_step=machine.step + 2)
    start = machine.snapshot()
    assert machine.run(until_return=(symbols["here"], STACK - 8), steps=30).reason is not StopReason.RETURNED
    machine.restore(start)
    assert machine.run(until_return=(symbols["here"], STACK), steps=30).reason is StopReason.RETURNED
    machine.restore(start)
    assert machine.run(steps=30).reason is not StopReason.RETURNED
