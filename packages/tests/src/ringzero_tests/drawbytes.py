"""Random byte strings that mostly fit a row: every row, any prefixes, any ModRM, SIB, displacement and immediate."""

from __future__ import annotations

import random

from ringzero.isa.form import Form

_LEGACY = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x66, 0x67, 0xF0, 0xF2, 0xF3)
_MAPS = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
_PP = {None: 0, 0x66: 1, 0xF3: 2, 0xF2: 3}


def _modrm(form: Form, rng: random.Random) -> int:
    if form.fixed_modrm is not None:
        return form.fixed_modrm
    byte = rng.randrange(256)
    if form.digit is not None:
        byte = byte & 0xC7 | form.digit << 3
    if form.mod3:
        byte |= 0xC0
    elif form.memory_only and byte >= 0xC0:
        byte &= 0x7F
    return byte


def _prefixes(form: Form, rng: random.Random, mode: int) -> bytes:
    count = rng.randrange(15) if rng.random() < 0.03 else rng.choice((0, 0, 0, 0, 1, 1, 2, 3))
    prefixes = [rng.choice(_LEGACY) for _ in range(count)]
    if form.lock and rng.random() < 0.2:
        prefixes.append(0xF0)
    if form.vex:
        return bytes(prefixes) + _vex(form, rng)
    if form.mandatory is not None:
        prefixes.insert(rng.randrange(len(prefixes) + 1), form.mandatory)
    if mode == 64 and (rng.random() < 0.4 or form.rex_w):
        rex = 0x40 | rng.randrange(16) | (8 if form.rex_w or form.need_opsize == 8 else 0)
        prefixes.insert(len(prefixes) if rng.random() < 0.95 else 0, rex)
    return bytes(prefixes)


def _vex(form: Form, rng: random.Random) -> bytes:
    """A VEX prefix of the row's map and pp; R, X, B, W and vvvv as it comes, and L at times."""
    vvvv = rng.randrange(16) if "v" in form.operands or rng.random() < 0.1 else 15
    last = rng.randrange(2) << 7 | vvvv << 3 | (rng.random() < 0.05) << 2 | _PP[form.mandatory]
    return bytes([0xC4, rng.randrange(8) << 5 | form.opcode_map, last])


def draw(form: Form, rng: random.Random, mode: int) -> bytes:
    """At least 16 bytes that begin with an instruction which mostly fits `form` in `mode`."""
    opcode = form.opcode + (rng.randrange(8) if form.plus_r else 0)
    escape = b"" if form.vex else _MAPS[form.opcode_map]
    code = bytearray(_prefixes(form, rng, mode) + escape + bytes([opcode]))
    if form.modrm:
        code.append(_modrm(form, rng))
    if rng.random() < 0.02:
        code[rng.randrange(len(code))] = rng.randrange(256)
    return bytes(code) + rng.randbytes(16)


_VEX_MAPS = (0xE1, 0xE2, 0xE3, 0x61, 0x62, 0x63, 0xC1, 0xC2, 0xC3)


def heads(rng: random.Random, mode: int, count: int = 4096) -> list[bytes]:
    """Beginnings for `draw_any`: prefixes, REX, escapes and VEX, each far more often than in noise."""
    made = []
    for _ in range(count):
        prefixes = bytes(rng.choice(_LEGACY) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))))
        rex = bytes([0x40 | rng.randrange(16)]) if mode == 64 and rng.random() < 0.3 else b""
        kind = rng.random()
        if kind < 0.75:
            made.append(prefixes + rex + rng.choice((b"", b"", *_MAPS)))
        elif kind < 0.85:
            made.append(prefixes + b"\xc5" + bytes([rng.randrange(256)]))
        else:
            made.append(prefixes + b"\xc4" + bytes([rng.choice(_VEX_MAPS), rng.randrange(256)]))
    return made


def draw_any(starts: list[bytes], rng: random.Random, size: int) -> bytes:
    """`size` bytes: one of `starts`, then noise."""
    return (starts[rng.getrandbits(12) % len(starts)] + rng.randbytes(size))[:size]
