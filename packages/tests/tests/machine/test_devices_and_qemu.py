"""The devices beside QEMU's: the same random port accesses, and every value read must be equal.

A guest of twenty instructions plays a table of accesses and sends what it reads to the debug console. What depends on
the host's time in QEMU (counters, the date, time-outs, IRQ 0) is kept out of the table or masked.
"""

from __future__ import annotations

import random
import struct
import subprocess

import pytest

PLAYER = """
bits 32
org 0x100000
header:
    dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)     ; multiboot 1, with addresses
    dd header, header, 0, 0, entry
entry:
    mov esi, table
next:
    lodsd                       ; port, value, operation
    movzx edx, ax
    shr eax, 16
    cmp ah, 1
    je .read
    ja .end
    out dx, al
    jmp next
.read:
    in al, dx
    out 0xE9, al
    jmp next
.end:
    mov al, 0
    out 0xF4, al
    hlt
    align 4
table:
    incbin "table.bin"
"""

OUT, IN, END = 0, 1, 2
SETTLE = [(OUT, 0x43, 0x30), (OUT, 0x40, 1), (OUT, 0x40, 0)]  # channel 0: one edge, then quiet
QUIET = [(OUT, 0x3FB, 3), (OUT, 0x3F9, 0), (OUT, 0x3FA, 1), (OUT, 0x3FA, 0), (OUT, 0x3FC, 0), (OUT, 0x3FC, 8)]
START = [
    *QUIET,  # before ICW1: QEMU takes a line that is high then for a new edge
    *((OUT, port, value) for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 1))),
    *((OUT, port, value) for port, value in ((0xA0, 0x11), (0xA1, 0x28), (0xA1, 2), (0xA1, 1), (0xA1, 0))),
    *((OUT, port, 0) for port in (0x4D0, 0x4D1)),
    *((IN, port, 0) for port in (0x3FD, 0x3FA, 0x3FE, 0x3F8, 0x3FD, 0x3FA)),
    *((OUT, port, value) for port, value in ((0x3FF, 0), (0x61, 0), (0x70, 0x0B), (0x71, 0x82))),
    *(access for register in range(10) for access in ((OUT, 0x70, register), (OUT, 0x71, 1))),
]


def pic_access(draw):
    port = draw.choice([0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1])
    if draw.random() < 0.5:
        return [(IN, port, 0)]
    if port & 1 and port < 0x100:
        return [(OUT, port, draw.randrange(256) | (port == 0x21))]  # IRQ 0 stays masked
    kind = draw.random()
    if port >= 0x100:
        return [(OUT, port, draw.randrange(256))]
    if kind < 0.1:  # a whole initialisation
        icw4 = draw.choice([0x01, 0x03, 0x11, 0x13])
        words = [draw.randrange(256), 4 if port == 0x20 else 2, icw4]
        return [(OUT, port, 0x11), *((OUT, port + 1, word) for word in words), (OUT, port + 1, 1)]
    if kind < 0.5:
        return [(OUT, port, draw.choice([0x08, 0x0A, 0x0B, 0x0C, 0x48, 0x68]))]
    return [(OUT, port, draw.randrange(256) & 0xE7)]


def uart_access(draw):
    port = 0x3F8 + draw.randrange(8)
    if draw.random() < 0.5:
        return [(IN, port, 0)]
    value = draw.randrange(256)
    # No trigger level above 1: a time-out would need the host's time. No break, no divisor of 0.
    # No modem interrupts: the data sheet has them in loop-back, QEMU has not. And QEMU's OUT2 gates nothing.
    limits = {0x3F9: 0x07, 0x3FA: 0x07, 0x3FB: 0x1F, 0x3FC: 0x03}
    return [(OUT, port, value & limits.get(port, 0xFF) | (8 if port == 0x3FC else 0))]


def loop_back(draw):
    sent = [(OUT, 0x3F8, draw.randrange(256)) for _ in range(draw.randrange(1, 20))]
    received = [(IN, port, 0) for port in draw.choices([0x3F8, 0x3FD, 0x3FA, 0x3FE], k=20)]
    switch = [(OUT, 0x3F9, 0), (OUT, 0x3FB, 3), (OUT, 0x3FC, 0x10 | draw.randrange(16))]
    return [*switch, *sent, *received, (OUT, 0x3FC, 8)]


def other_access(draw):
    register = draw.choice([*range(10), 0x0B, 0x40, 0x55])
    value = 0x82 if register == 0x0B else draw.randrange(256)
    access = draw.choice([(OUT, 0x71, value), (IN, 0x71, 0)])
    choices = [
        [(OUT, 0x70, register), access],
        [(OUT, 0x61, draw.randrange(4)), (IN, 0x61, 0)],
        [
            (OUT, 0x43, 0x80 | draw.randrange(1, 4) << 4 | draw.randrange(12)),
            (OUT, 0x43, 0xE8),
            (IN, 0x42, 0),
        ],
        [(IN, 0x1234, 0)],
    ]
    return draw.choice(choices)


def script(seed):
    draw = random.Random(seed)
    accesses = [*START]
    for _ in range(150):
        accesses += draw.choice([*(pic_access, uart_access, other_access) * 3, loop_back])(draw)
    return accesses


MASKS = {0x20: 0xFE, 0x61: 0x03, 0x42: 0x3F, 0x3FE: 0xF0}


def on_qemu(accesses, directory):
    table = b"".join(struct.pack("<HBB", port, value, kind) for kind, port, value in [*accesses, (END, 0, 0)])
    (directory / "table.bin").write_bytes(table)
    (directory / "player.asm").write_text(PLAYER)
    subprocess.run(["nasm", "-f", "bin", "-o", "player", "player.asm"], cwd=directory, check=True)
    subprocess.run(
        [
            *(
                "qemu-system-x86_64",
                "-M",
                "pc",
                "-accel",
                "tcg",
                "-nodefaults",
                "-display",
                "none",
                "-m",
                "16",
            ),
            *("-serial", "null", "-debugcon", "file:out", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
            *("-kernel", "player"),
        ],
        cwd=directory,
        timeout=120,
        check=False,
        capture_output=True,
    )
    # What came before is the BIOS's.
    return (directory / "out").read_bytes()[-sum(kind == IN for kind, _, _ in accesses) :]


def on_board(board, accesses):
    values = []
    for kind, port, value in accesses:
        if kind == OUT:
            board.outb(port, value)
        else:
            values.append(board.inb(port))
        board.advance(1000)  # 10 µs: QEMU's accesses take time too
    return bytes(values)


@pytest.mark.judge("qemu-system-x86_64", "nasm")
def test_random_accesses_read_the_same(make_board, tmp_path):
    seeds = range(40)
    scripts = [script(seed) for seed in seeds]
    whole = [*SETTLE, *(access for accesses in scripts for access in accesses)]
    theirs = on_qemu(whole, tmp_path)
    ours = on_board(make_board(), whole)
    reads = [(index, access[1]) for index, access in enumerate(whole) if access[0] == IN]
    assert len(theirs) == len(ours) == len(reads)
    differences = [
        f"access {index}: port {port:#x} reads {mine:#x}, on QEMU {his:#x}; before: "
        + ", ".join(f"{['out', 'in'][k]} {p:#x} {v:#x}" for k, p, v in whole[max(index - 12, 0) : index])
        for (index, port), mine, his in zip(reads, ours, theirs, strict=True)
        if (mine ^ his) & MASKS.get(port, 0xFF)
    ]
    assert not differences, f"{len(differences)} of {len(reads)}:\n" + "\n".join(differences[:5])
