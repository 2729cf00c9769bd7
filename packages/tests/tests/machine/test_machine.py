"""The machine with its real processor, on every engine that is here: what the README promises of it."""

from __future__ import annotations

import dataclasses
import random

import pytest

from ringzero.asm import assemble
from ringzero.cpu.engine.engines import native_available
from ringzero.errors import RingzeroError, SnapshotError, UsageError
from ringzero.machine.machine import Machine
from ringzero.machine.snapshot import Snapshot
from ringzero.machine.stop import StopReason

ENGINES = [
    pytest.param(
        "native", marks=pytest.mark.skipif(not native_available(), reason="the C core is not built")
    ),
    "python",
]

#: Counts timer ticks and serial bytes in its handlers while it counts in a loop; then it sleeps.
GUEST = """
    bits 64
    default rel
    org 0x10000
%macro gate 2                           ; vector, handler
    lea rax, [%2]
    mov word [idt + 16 * %1], ax
    mov word [idt + 16 * %1 + 2], 0x10
    mov word [idt + 16 * %1 + 4], 0x8E00
    shr rax, 16
    mov word [idt + 16 * %1 + 6], ax
%endmacro
%macro outb 2
    mov al, %2
    mov dx, %1
    out dx, al
%endmacro
start:
    gate 0x20, on_timer
    gate 0x24, on_serial
    gate 0x23, on_button
    gate 2, on_nmi
    lidt [idt_pointer]
    outb 0x20, 0x11
    outb 0x21, 0x20
    outb 0x21, 0x04
    outb 0x21, 0x01
    outb 0xA0, 0x11
    outb 0xA1, 0x28
    outb 0xA1, 0x02
    outb 0xA1, 0x01
    outb 0x3F9, 1
    outb 0x3FC, 0x0B
    outb 0x43, 0x34
    outb 0x40, 100
    outb 0x40, 0
    call say
    sti
count:
    inc qword [counter]
    cmp qword [counter], 2000
    jb count
sleep:
    hlt
    cmp qword [ticks], 5
    jb sleep
finish:
    outb 0xF4, 0x10
    hlt
say:
    push rbp
    mov rbp, rsp
    outb 0x3F8, 'h'
    outb 0x3F8, 'i'
    outb 0x3F8, 10
    pop rbp
    ret
on_timer:
    inc qword [ticks]
    jmp eoi
on_button:
    mov rax, [counter]
    mov [pressed], rax
    jmp eoi
on_serial:
    push rdx
    mov dx, 0x3F8
    in al, dx
    mov [received], al
    pop rdx
eoi:
    push rax
    mov al, 0x20
    out 0x20, al
    pop rax
    iretq
on_nmi:
    inc qword [nmis]
    iretq
idt_pointer:
    dw 0x3FF
    dq idt
    align 4096
idt:
    times 1024 db 0
counter: dq 0
ticks: dq 0
pressed: dq 0
nmis: dq 0
received: dq 0
"""


@pytest.fixture(scope="module")
def guest():
    return assemble(GUEST, format="bin")


@pytest.fixture(params=ENGINES)
def make(request, guest):
    def build(**options):
        machine = Machine.flat(
            guest.binary, engine=request.param, timer_period=options.pop("timer_period", 3000), **options
        )
        machine.at = guest.symbols
        return machine

    return build


def word(machine, name):
    return int.from_bytes(machine.memory.read(machine.at[name], 8), "little")


def test_a_whole_run(make):
    machine = make()
    stop = machine.run()
    assert (stop.reason, stop.value, stop.exit_status) == (StopReason.EXIT, 0x10, 33)
    assert machine.serial == b"hi\n"
    assert (word(machine, "counter"), word(machine, "ticks")) == (2_000, 5)
    assert machine.clock.idle > 0
    assert machine.run() == stop


def test_run_to_steps_symbols_and_text(make):
    machine = make()
    assert machine.run(steps=10).step == 10
    stop = machine.run(until_symbol=machine.at["say"])
    assert (stop.reason, stop.address) == (StopReason.SYMBOL, machine.at["say"])
    stop = machine.run(until_serial="hi")
    assert stop.reason is StopReason.SERIAL
    assert machine.serial == b"hi"
    assert [place.address for place in machine.backtrace()][1] == machine.at["count"] - 1
    stop = machine.run(until_step=5000)
    assert (stop.reason, stop.step, machine.step) == (StopReason.STEP, 5000, 5000)
    with pytest.raises(UsageError, match="until_step=1 has passed"):
        machine.run(until_step=1)
    assert machine.run(max_steps=5500).reason is StopReason.LIMIT


def test_registers_and_memory_are_read_and_written(make):
    machine = make()
    machine.run(until_symbol=machine.at["count"])
    machine.memory.write(machine.at["counter"], (1_999).to_bytes(8, "little"))
    machine.registers["r15"] = 0xFEED
    machine.run(until_symbol=machine.at["sleep"])
    assert word(machine, "counter") == 2_000
    assert machine.registers["r15"] == 0xFEED
    assert machine.read_virtual(machine.at["counter"], 8) == machine.memory.read(machine.at["counter"], 8)


def test_an_interrupt_at_an_exact_step(make):
    """Whatever the step, it is taken there: the counter tells how many rounds of three instructions have passed."""
    base = make(timer_period=0)
    base.run(until_symbol=base.at["count"])
    start, here = base.step, base.snapshot()
    for distance in range(4, 13):
        base.restore(here)
        base.raise_irq(3, at_step=start + distance)
        base.run(until_symbol=base.at["on_button"])
        assert base.step == start + distance + 1
        base.run(until_symbol=base.at["eoi"])
        assert word(base, "pressed") == (distance + 2) // 3


def test_nmi_and_serial_input(make):
    machine = make(serial_input=[(2000, b"z")])
    machine.nmi(at_step=2500)
    machine.run(until_step=3000)
    assert word(machine, "received") == ord("z")
    assert word(machine, "nmis") == 1


def test_snapshots_give_the_same_future(make, tmp_path):
    machine = make()
    machine.run(until_step=4000)
    here = machine.snapshot()
    machine.run()
    end = machine.state_hash(), machine.step
    machine.restore(here)
    assert machine.step == 4000
    machine.run()
    assert (machine.state_hash(), machine.step) == end
    here.save(tmp_path / "here.snapshot")
    other = make()
    other.load(tmp_path / "here.snapshot")
    other.run()
    assert (other.state_hash(), other.step) == end


def test_any_walk_through_snapshots_finds_the_states_of_the_plain_run(make):
    """Runs, snapshots and restores in any order: at each step the state is that of the run without them."""
    plain, hashes = make(serial_input=[(3000, b"abc")]), {}
    while plain.run(steps=50).reason is StopReason.STEP:
        hashes[plain.step] = plain.state_hash()
    walker, kept, draw = make(serial_input=[(3000, b"abc")]), [], random.Random(1)
    for _ in range(150):
        match draw.randrange(3):
            case 0 if walker.step < max(hashes) - 1000:
                walker.run(steps=50 * draw.randrange(1, 20))
            case 1:
                kept.append(walker.snapshot())
            case 2 if kept:
                walker.restore(draw.choice(kept))
        assert walker.step == 0 or walker.state_hash() == hashes[walker.step]
    assert len({snapshot.step for snapshot in kept}) > 10


def test_a_run_in_pieces_is_the_same_run(make):
    whole, pieces = make(), make()
    stop = whole.run()
    for step in range(0, stop.step, 97):
        pieces.run(until_step=step)
    assert pieces.run() == stop
    assert pieces.state_hash() == whole.state_hash()
    assert pieces.digests() == whole.digests()


@pytest.mark.skipif(not native_available(), reason="the C core is not built")
def test_engines_agree_at_every_500th_step(guest):
    machines = [
        Machine.flat(guest.binary, engine=engine, timer_period=3000) for engine in ("native", "python")
    ]
    for step in range(0, 7000, 500):
        hashes = set()
        for machine in machines:
            machine.run(until_step=step)
            hashes.add(machine.state_hash())
        assert len(hashes) == 1, (step, [machine.digests() for machine in machines])


def test_probes_see_every_arrival_once(make):
    machine = make()
    arrivals = []
    machine.add_probe(machine.at["on_timer"], lambda machine: arrivals.append(machine.step))
    for step in range(0, 6500, 123):
        machine.run(until_step=step)
    machine.run()
    assert len(arrivals) == 5
    assert len(set(arrivals)) == 5


def test_a_probe_may_end_the_run(make):
    machine = make()
    machine.add_probe(machine.at["finish"], lambda machine: True)
    assert machine.run().reason is StopReason.CALLBACK
    assert machine.run().reason is StopReason.EXIT


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("f4", StopReason.HALTED),
        ("0f0b", StopReason.SHUTDOWN),  # ud2 without an IDT
        ("ebfe", StopReason.LIMIT),  # jmp $
        ("66baf400b010ee", StopReason.EXIT),
        ("b0fee664", StopReason.RESET),
        ("48b8000000000000008048a300000000000000" + "80ffe0", StopReason.SHUTDOWN),
        ("f3a4" + "ebfe", StopReason.LIMIT),
    ],
)
def test_guests_that_end_badly_end(engine, code, reason):
    machine = Machine.flat(bytes.fromhex(code), engine=engine)
    stop = machine.run(max_steps=10_000)
    assert stop.reason is reason, stop


@pytest.mark.parametrize("engine", ENGINES)
def test_a_repeat_of_two_to_the_forty_bytes_stops_at_the_limit(engine):
    machine = Machine.flat(bytes.fromhex("48b9000000000001000048c7c700000200fcf3aa"), engine=engine)
    assert machine.run(max_steps=50_000).step == 50_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "5G"}, "memory size"),
        ({"engine": "jit"}, "engine 'jit'"),
        ({"timer_period": -1}, "timer_period"),
        ({"timer_phase": -5, "timer_period": 5}, "timer_phase"),
        ({"hz": 0}, "clock rate"),
        ({"rtc": "now"}, "date 'now'"),
        ({"devices": ["x"]}, "device 'x'"),
        ({"serial_input": [(-1, b"x")]}, "at_step=-1"),
        ({"serial_ports": 5}, "serial_ports"),
        ({"image": "/nonexistent/kernel"}, "cannot be read"),
        ({"image": b""}, "empty"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(RingzeroError, match=message) as error:
        Machine(engine=options.pop("engine", "python"), **options)
    assert "\n" not in str(error.value)


def test_snapshots_of_other_machines_and_damaged_files(make, tmp_path):
    machine = make()
    machine.run(steps=1000)
    snapshot = machine.snapshot()
    with pytest.raises(SnapshotError, match="another machine"):
        make(memory="8M").restore(snapshot)
    content = snapshot.to_bytes()
    assert Snapshot.from_bytes(content).to_bytes() == content
    damaged = [
        b"",
        b"RZSNAP\r\n",
        content[:-1],
        content[:100],
        content + b"x",
        b"X" + content[1:],
        content[:8] + b"\xff" + content[9:],
        content[:20] + bytes([content[20] ^ 1]) + content[21:],
        content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    ]
    path = tmp_path / "damaged"
    before = machine.state_hash()
    for number, piece in enumerate(damaged):
        path.write_bytes(piece)
        with pytest.raises(SnapshotError, match="damaged: ") as error:
            machine.load(path)
        assert "\n" not in str(error.value), number
    with pytest.raises(SnapshotError, match="cannot be read"):
        machine.load(tmp_path / "none")
    with pytest.raises(SnapshotError, match="cannot be written"):
        machine.save(tmp_path / "none" / "x")
    assert machine.state_hash() == before


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("cpu", b"short"),
        ("clock", (1, 2, 3, ((5, 99, 0, 0),))),
        ("clock", (1, 2, -3, ())),
        ("clock", ()),
        ("clock", (1, 2, 3, 4)),
        ("devices", ()),
        ("devices", ((True,),)),
        ("schedule", (1, 2)),
        ("schedule", ((0, ((1,),)), 0, 0)),
        ("unknown", ((1,),)),
        ("end", ("nowhere", 1)),
        ("tree", ()),
    ],
)
def test_files_made_to_deceive(part, value, tmp_path):
    """The digest fits, the content does not."""
    machine = Machine(engine="python", memory="1M")
    forged = dataclasses.replace(machine.snapshot(), **{part: value})
    forged.save(tmp_path / "forged")
    before = machine.state_hash()
    with pytest.raises(SnapshotError, match="damaged"):
        machine.load(tmp_path / "forged")
    assert machine.state_hash() == before


def test_the_report_counts_what_nobody_answered():
    machine = Machine.flat(bytes.fromhex("e580e580e680f4"), engine="python")
    machine.run()
    assert machine.report()["unknown"] == [
        {"space": "port", "address": 0x80, "size": 1, "direction": "write", "count": 1},
        {"space": "port", "address": 0x80, "size": 4, "direction": "read", "count": 2},
    ]


def test_lines_of_a_pc_only():
    machine = Machine(engine="python")
    for irq in (-1, 2, 16):
        with pytest.raises(UsageError, match="no line of a PC"):
            machine.raise_irq(irq)
    with pytest.raises(UsageError, match="no serial port"):
        machine.send_serial(b"x", port=1)
    with pytest.raises(UsageError, match="no symbol 'main' in a machine without an image"):
        machine.symbol("main")
