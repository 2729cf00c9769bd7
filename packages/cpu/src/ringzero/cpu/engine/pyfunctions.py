"""The functions behind the Python engine's µops: printed effects, and the names that they call."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, partial
from types import CodeType
from typing import TYPE_CHECKING, Any

from ringzero.cpu.engine import flags, log
from ringzero.cpu.engine.pystrings import ahead
from ringzero.cpu.exits import ACCESS_SYSTEM, IMPLICIT, WRITE
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.mode import mode_word
from ringzero.cpu.state import SLOT
from ringzero.cpu.uops.effects import PythonPrinter
from ringzero.cpu.uops.table import UOPS
from ringzero.isa import rflags as F

if TYPE_CHECKING:
    from ringzero.cpu.engine.pyengine import PythonEngine

M64 = (1 << 64) - 1
RIP, RFLAGS, RES, AUX, MODE, CPL = (SLOT[n] for n in ("rip", "rflags", "res", "aux", "mode", "cpl"))
LEFT, END_STEP, SHADOW = SLOT["left"], SLOT["end_step"], SLOT["shadow"]
_BYTES = {8: struct.Struct("<B"), 16: struct.Struct("<H"), 32: struct.Struct("<I"), 64: struct.Struct("<Q")}


def _sdiv(width: int) -> tuple[Callable[..., int], Callable[..., int]]:
    """Signed quotient of high:low by a divisor, and whether it faults (SDM 2A, IDIV)."""
    top = 1 << (width - 1)

    def parts(high: int, low: int, divisor: int) -> tuple[int, int]:
        dividend = high << width | low
        if high & top:
            dividend -= 1 << (2 * width)
        return dividend, divisor - (1 << width) if divisor & top else divisor

    def quotient(high: int, low: int, divisor: int) -> int:
        x, y = parts(high, low, divisor)
        q = abs(x) // abs(y)
        return (-q if (x < 0) != (y < 0) else q) & M64

    def faults(high: int, low: int, divisor: int) -> bool:
        x, y = parts(high, low, divisor)
        if y == 0:
            return True
        q = abs(x) // abs(y)
        return q > (top if (x < 0) != (y < 0) else top - 1)

    return quotient, faults


def _mulhs(x: int, y: int) -> int:
    signed = [v - (1 << 64) if v >> 63 else v for v in (x, y)]
    return (signed[0] * signed[1] >> 64) & M64


def _sar(x: int, count: int) -> int:
    return ((x - (1 << 64) if x >> 63 else x) >> count) & M64


def _pdep(x: int, mask: int) -> int:
    result = 0
    while mask:
        lowest = mask & -mask
        result |= lowest if x & 1 else 0
        x, mask = x >> 1, mask ^ lowest
    return result


def _pext(x: int, mask: int) -> int:
    result, bit = 0, 1
    while mask:
        lowest = mask & -mask
        result |= bit if x & lowest else 0
        bit, mask = bit << 1, mask ^ lowest
    return result


def _crc32c(crc: int, data: int, bits: int) -> int:
    crc = crc & 0xFFFF_FFFF ^ data
    for _ in range(bits):
        crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    return crc


def environment(engine: PythonEngine) -> dict[str, Any]:
    """The names that printed effects call."""

    def fault(vector: int, error: int) -> None:
        raise GuestFault(vector, error)

    def set_flags(R: list[int], value: int) -> None:
        R[RFLAGS] = (value & ~F.ARITHMETIC & 0xFFFF_FFFF) | F.FIXED
        R[RES], R[AUX] = flags.lazy(value)
        if R[CPL] == 3:
            R[MODE] = mode_word(R)
        if engine.log is not None:
            engine.log.window(engine.step + 1, 1 if value & F.IF else 0)

    def shade(R: list[int], step: int) -> None:
        R[SHADOW] = step
        if engine.log is not None:
            engine.log.window(step, log.SHADOW)

    def note(R: list[int]) -> None:
        if engine.log is not None:
            engine.log.add(engine.step, ACCESS_SYSTEM)

    names: dict[str, Any] = {
        "RIP": RIP, "FAULT": fault, "SET_FLAGS": set_flags, "SET_MODE": engine.set_mode, "PROBE": engine.probe,
        "SEGMENT": engine.segment, "AHEAD": partial(ahead, engine), "SHADE": shade, "NOTE": note,
        "PARITY_TABLE": flags.PARITY, "MULHS": _mulhs, "SAR": _sar,
        "FLAGS": lambda R: R[RFLAGS] & ~F.ARITHMETIC | flags.arithmetic(R[RES], R[AUX]),
        "STEP": lambda R: R[END_STEP] - R[LEFT] & M64,
        "MULHU": lambda x, y: x * y >> 64, "UDIV": lambda h, l, v: (h << 64 | l) // v,  # noqa: E741
        "BSWAP64": lambda x: int.from_bytes(x.to_bytes(8, "little"), "big"),
        "CTZ": lambda x: (x & -x).bit_length() - 1 if x else 64, "CLZ": lambda x: 64 - x.bit_length(),
        "POPCNT": lambda x: x.bit_count(), "PDEP": _pdep, "PEXT": _pext, "CRC32C": _crc32c,
    }  # fmt: skip
    names["RAM"] = engine.memory.ram
    for width in (8, 16, 32, 64):
        names |= {f"LOAD_RAM{width}": _BYTES[width].unpack_from, f"STORE_RAM{width}": _BYTES[width].pack_into}
        names[f"SDIV{width}"], names[f"SDIV_FAULTS{width}"] = _sdiv(width)
        names |= _memory_functions(engine, width)
    return names


def _memory_functions(engine: PythonEngine, width: int) -> dict[str, Callable[..., Any]]:
    """LOAD, LOADW, STORE and their supervisor twins for one width."""
    ram, unpack, pack = engine.memory.ram, _BYTES[width].unpack_from, _BYTES[width].pack_into
    last, mask = 4096 - (width >> 3), (1 << width) - 1
    readable, writable = engine.readable, engine.writable

    def load(address: int, scale: int) -> int:
        base = readable[engine.user].get(address >> 12)
        if base is None or address & 0xFFF > last:
            return engine.load_slow(address, width, scale)
        return unpack(ram, base + (address & 0xFFF))[0]  # type: ignore[no-any-return]

    def store(address: int, value: int, scale: int) -> None:
        base = writable[engine.user].get(address >> 12)
        if base is None or address & 0xFFF > last:
            engine.store_slow(address, width, value, scale)
        else:
            pack(ram, base + (address & 0xFFF), value & mask)

    return {
        f"LOAD{width}": load,
        f"STORE{width}": store,
        f"LOADW{width}": lambda address, scale: engine.load_slow(address, width, scale, WRITE),
        f"LOADS{width}": lambda address, scale: engine.load_slow(address, width, scale, IMPLICIT),
        f"LOADWS{width}": lambda address, scale: engine.load_slow(address, width, scale, WRITE | IMPLICIT),
        f"STORES{width}": lambda address, value, scale: engine.store_slow(
            address, width, value, scale, WRITE | IMPLICIT
        ),
    }


@cache
def _code() -> CodeType:
    """A function for each µop, `u<number>(R, rd, ra, rb, rs, imm)`."""
    fields = {"A": "R[ra]", "B": "R[rb]", "D": "R[rd]", "S": "R[rs]", "I": "imm", "scale": "rs",
              "RES": f"R[{RES}]", "AUX": f"R[{AUX}]"}  # fmt: skip
    printer = PythonPrinter(fields, lambda name: f"R[{SLOT[name]}]")
    lines = []
    for uop in UOPS:
        lines.append(f"def u{uop.number}(R, rd, ra, rb, rs, imm):")
        lines += printer.lines(uop) or ["    pass"]
    return compile("\n".join(lines), "<effects of the µops>", "exec")


def bind(names: dict[str, Any]) -> list[Callable[..., Any]]:
    """The µops' functions by number, for the engine of that environment."""
    names = dict(names)
    exec(_code(), names)  # our own text, made from the list of µops
    return [names[f"u{uop.number}"] for uop in UOPS]
