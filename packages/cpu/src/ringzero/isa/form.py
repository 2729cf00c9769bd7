"""A row of the instruction table: its notation, its parser, and the registry that rows and lowerings go into.

Everything that a row can say must be said in this notation; the decoders, the assembler, the disassembler and the
tests read the parsed fields and nothing else. The notation of an encoding is the manual's, with nasm's words for
sizes. Its tokens, in order:

    o16 o32 o64    the row is only for this operand size     a16 a32 a64    ... for this address size
    NP             neither 66, F3 nor F2 may stand before    66 F3 F2       mandatory prefix
    NFx            neither F3 nor F2 may stand before; 66 is the operand size
    REX.W  REX.W0  REX.W must be 1, 0                        REX.B0         REX.B must be 0
    0F, 0F 38, 0F 3A   opcode map                            xx             opcode, xx+r: register in its low three bits
    /r  /0../7     ModRM with a register or a digit          xx             a fixed ModRM byte (0F 01 F8)
    mod=3          ModRM must name a register
    ib iw id iq    immediate of 1, 2, 4, 8 bytes             iz             2 or 4 bytes by operand size, sign-extended
    iv             2, 4 or 8 bytes by operand size           cb cz          relative displacement, 1 byte, 2 or 4 bytes
    moffs          offset of the address size                far            offset of 2 or 4 bytes, then a selector
    VEX.LZ.F2.0F38 a VEX prefix in the place of 66, F3, F2 (NP when it has none of them), REX and the opcode map; L is
                   0, as in all rows on general registers, and W, where a row does not name it, gives the operand size

When two rows fit the same bytes, the one that demands more of the prefixes wins (`F3 90` before `90`); two that demand
equally much are refused by the overlap check.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ringzero.isa.kinds import KINDS, Kind

#: The sixteen conditions by number (the low four bits of jcc, setcc, cmovcc opcodes): first the table's name.
CONDITIONS: tuple[tuple[str, ...], ...] = (
    ("o",), ("no",), ("b", "c", "nae"), ("ae", "nb", "nc"), ("e", "z"), ("ne", "nz"), ("be", "na"), ("a", "nbe"),
    ("s",), ("ns",), ("p", "pe"), ("np", "po"), ("l", "nge"), ("ge", "nl"), ("le", "ng"), ("g", "nle"),
)  # fmt: skip

#: Flags read by each condition.
CONDITION_READS = ("o", "o", "c", "c", "z", "z", "cz", "cz", "s", "s", "p", "p", "so", "so", "zso", "zso")


@dataclass(frozen=True, slots=True)
class Form:
    """One row, parsed. `number` is its index in FORMS and its name in records.

    Encoding: `vex` it has a VEX prefix; `opcode_map` 0 (one byte), 1 (0F), 2 (0F 38), 3 (0F 3A); `opcode` the byte, its
    low three bits 0 when `plus_r`; `modrm` whether a ModRM byte follows; `digit` what its reg field must be, or None;
    `fixed_modrm` the whole byte, or None (never together with digit); `mod3` mod must be 3; `memory_only` mod must not
    be 3; `mod_ignored` mod is not looked at (mov to and from control registers: encode 3);
    `mandatory` None, 0x66, 0xF3 or 0xF2; `no_prefix` NP; `no_repeat` NFx; `rex_w` None, 0, 1; `rex_b` None or 0;
    `need_opsize`, `need_addrsize` None or bytes that the effective size must have (o16.. a64);
    `immediates` tokens behind ModRM and displacement, in order.

    Size: how the operand size (record.OPSIZE) comes about. `W` below is REX.W (64-bit mode only), 66 the prefix
    (never counted when it is the row's mandatory prefix).
        "v"    2 with 66, 8 with W (W beats 66), else 4           "8"    1
        "z"    2 with 66 and no W, else 4 (port I/O)              "y"    8 with W, else 4; 66 ignored
        "d64"  64-bit mode: 2 with 66 and no W, else 8; 32-bit mode: 2 with 66, else 4 (push, pop, enter, leave)
        "f64"  64-bit mode: 8; 32-bit mode: 2 with 66, else 4 (near branches)
        "n"    the mode's: 8 or 4 (mov to cr, sgdt)               "w" "d" "q"   2, 4, 8 whatever the prefixes
    In 16-bit code 66 swaps 2 and 4 the other way round: 4 with it, 2 without.
    Modes: `mode64`, `mode32` whether the row exists in 64-bit code, and in 32- and 16-bit code.

    Flags, letters of "oszapcdi" (also "n" NT, "v" VM, "r" RF, "t" TF): `flags` may be changed in a defined way,
    `reads` are read, `undefined` may be left undefined (in some cases: a shift's OF when the count is not 1).
    `undefined_results` names operands left undefined in some cases. `lock`: LOCK is allowed, with a memory
    destination. `rep`: "rep" (F3 and F2 repeat alike), "repz" (F3 while equal, F2 while not) or None; the source
    segment of string instructions is record.OVERRIDE, or ds. `cpl`: 0 when privileged, 3 otherwise.
    `feature`: the CPUID feature, by QEMU's name ("bmi2"), without which the row raises #UD; "" for what every
    processor of this machine has; isa/features.py lists them. `protected`: #UD in real mode, as all of VEX is.
    `aliases`: other mnemonics that the assembler takes for this row. `decode_only`: the assembler never chooses it
    (another row has the same meaning). `note`: for people.
    """

    number: int
    mnemonic: str
    encoding: str
    operands: tuple[str, ...]
    vex: bool
    opcode_map: int
    opcode: int
    plus_r: bool
    modrm: bool
    digit: int | None
    fixed_modrm: int | None
    mod3: bool
    memory_only: bool
    mod_ignored: bool
    mandatory: int | None
    no_prefix: bool
    no_repeat: bool
    rex_w: int | None
    rex_b: int | None
    need_opsize: int | None
    need_addrsize: int | None
    immediates: tuple[str, ...]
    size: str
    mode64: bool
    mode32: bool
    flags: str
    reads: str
    undefined: str
    undefined_results: tuple[str, ...]
    lock: bool
    rep: str | None
    cpl: int
    feature: str
    protected: bool
    aliases: tuple[str, ...]
    decode_only: bool
    note: str

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The operands' kinds, in Intel order (destination first)."""
        return tuple(KINDS[name] for name in self.operands)

    @property
    def condition(self) -> int:
        """Number of the condition of a jcc, setcc or cmovcc row: index into CONDITIONS."""
        return self.opcode & 15

    def __str__(self) -> str:
        return f"{self.mnemonic} {', '.join(self.operands)}".strip() + f" [{self.encoding}]"


#: Columns that several rows share, for `form(..., **columns)`.
Columns = dict[str, Any]

#: All rows in the order of their numbers; complete once ringzero.isa is imported. Read it as table.FORMS.
ROWS: list[Form] = []

#: Lowering function by mnemonic. They take the builder and the operands: `def add(b, dst, src)`.
LOWERINGS: dict[str, Callable[..., Any]] = {}

SIZES = ("v", "z", "8", "d64", "f64", "y", "n", "w", "d", "q")
IMMEDIATES = ("ib", "iw", "id", "iq", "iz", "iv", "cb", "cz", "moffs", "far")

_NEEDS = {
    "o16": ("need_opsize", 2), "o32": ("need_opsize", 4), "o64": ("need_opsize", 8),
    "a16": ("need_addrsize", 2), "a32": ("need_addrsize", 4), "a64": ("need_addrsize", 8),
    "REX.W": ("rex_w", 1), "REX.W0": ("rex_w", 0), "REX.B0": ("rex_b", 0), "NP": ("no_prefix", True),
    "NFx": ("no_repeat", True),
    "66": ("mandatory", 0x66), "F3": ("mandatory", 0xF3), "F2": ("mandatory", 0xF2), "mod=3": ("mod3", True),
}  # fmt: skip
_BYTE = re.compile(r"[0-9A-F]{2}(\+r)?")
_VEX = re.compile(r"VEX\.LZ(?:\.(66|F3|F2))?\.0F(38|3A)?")


def _opcode_bytes(tokens: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Take the opcode map, the opcode and a fixed ModRM byte from the front of `tokens`."""
    bytes_, rest = [], list(tokens)
    while rest and _BYTE.fullmatch(rest[0]):
        bytes_.append(rest.pop(0))
    opcode_map = 0
    for prefix, number in ((["0F", "38"], 2), (["0F", "3A"], 3), (["0F"], 1)):
        if bytes_[: len(prefix)] == prefix and len(bytes_) > len(prefix):
            opcode_map, bytes_ = number, bytes_[len(prefix) :]
            break
    if not 1 <= len(bytes_) <= 2:
        raise ValueError("one opcode byte and at most a ModRM byte, please")
    fixed = int(bytes_[1], 16) if len(bytes_) == 2 else None
    plus_r = bytes_[0].endswith("+r")
    return {
        "opcode_map": opcode_map, "opcode": int(bytes_[0][:2], 16), "plus_r": plus_r,
        "fixed_modrm": fixed, "modrm": fixed is not None,
    }, rest  # fmt: skip


def _vex_prefix(token: str) -> dict[str, Any]:
    """What a VEX word stands for: mandatory prefix and opcode map."""
    match = _VEX.fullmatch(token)
    if match is None:
        raise ValueError(f"{token!r} is no word of the notation")
    mandatory, escape = match.groups()
    return {
        "vex": True, "opcode_map": {None: 1, "38": 2, "3A": 3}[escape],
        "mandatory": int(mandatory, 16) if mandatory else None, "no_prefix": mandatory is None,
    }  # fmt: skip


def parse_encoding(encoding: str) -> dict[str, Any]:
    """Fields of Form that an encoding's text gives; ValueError on a word that the notation does not know."""
    tokens = encoding.split()
    fields: dict[str, Any] = {
        "vex": False, "digit": None, "mandatory": None, "no_prefix": False, "no_repeat": False,
        "rex_w": None, "rex_b": None, "mod3": False, "need_opsize": None, "need_addrsize": None,
    }  # fmt: skip
    vex = _vex_prefix(tokens.pop(0)) if tokens[0].startswith("VEX") else {}
    while not vex and tokens and tokens[0] in _NEEDS and len(tokens) > 1:
        name, value = _NEEDS[tokens.pop(0)]
        fields[name] = value
    opcode, tokens = _opcode_bytes(tokens)
    fields.update(opcode | vex)
    immediates = []
    for token in tokens:
        if token in IMMEDIATES:
            immediates.append(token)
        elif token == "mod=3":
            fields["mod3"] = True
        elif token == "/r" or (token[0] == "/" and token[1:] in "01234567"):
            fields["modrm"] = True
            fields["digit"] = None if token == "/r" else int(token[1:])
        else:
            raise ValueError(f"{token!r} is no word of the notation")
    fields["immediates"] = tuple(immediates)
    return fields


def _default_size(kinds: list[Kind]) -> str:
    """Rows all of whose operands are bytes have operand size 1 unless they say otherwise."""
    sizes = [kind.size for kind in kinds if kind.holds in ("gpr", "gpr/mem") or kind.place == "moffs"]
    return "8" if sizes and all(size == 1 for size in sizes) else "v"


def form(
    mnemonic: str,
    encoding: str,
    operands: str = "",
    *,
    size: str | None = None,
    modes: str = "both",
    flags: str = "",
    reads: str = "",
    undefined: str = "",
    undefined_results: str = "",
    lock: bool = False,
    rep: str | None = None,
    cpl: int = 3,
    feature: str = "",
    protected: bool = False,
    aliases: str = "",
    mod_ignored: bool = False,
    decode_only: bool = False,
    note: str = "",
) -> None:
    """Add a row to the table. See Form for what each argument means; lists are separated by commas or blanks."""
    names = tuple(operands.replace(",", " ").split())
    if unknown := [name for name in names if name not in KINDS]:
        raise ValueError(f"{mnemonic} {encoding}: {unknown[0]!r} is no operand kind; see isa/kinds.py")
    kinds = [KINDS[name] for name in names]
    try:
        fields = parse_encoding(encoding)
    except ValueError as error:
        raise ValueError(f"{mnemonic} {encoding}: {error}") from None
    in_rm = [kind for kind in kinds if kind.place == "rm"]
    fields["memory_only"] = any(kind.holds == "mem" for kind in in_rm)
    fields["mod3"] = fields["mod3"] or (any(kind.holds == "gpr" for kind in in_rm) and not mod_ignored)
    size = size or _default_size(kinds)
    if size not in SIZES or modes not in ("both", "64", "32"):
        raise ValueError(f"{mnemonic} {encoding}: no size {size!r} or no modes {modes!r}")
    ROWS.append(
        Form(
            number=len(ROWS), mnemonic=mnemonic, encoding=encoding, operands=names, size=size,
            mode64=modes != "32", mode32=modes != "64", flags=flags, reads=reads, undefined=undefined,
            undefined_results=tuple(undefined_results.replace(",", " ").split()), lock=lock, rep=rep, cpl=cpl,
            feature=feature, protected=protected or fields["vex"], aliases=tuple(aliases.replace(",", " ").split()),
            mod_ignored=mod_ignored, decode_only=decode_only, note=note, **fields,
        )
    )  # fmt: skip


Lowering = TypeVar("Lowering", bound=Callable[..., Any])


def lowers(*mnemonics: str) -> Callable[[Lowering], Lowering]:
    """Decorator: the function lowers these mnemonics. A mnemonic has one lowering."""

    def register(function: Lowering) -> Lowering:
        for mnemonic in mnemonics:
            if mnemonic in LOWERINGS:
                first = LOWERINGS[mnemonic].__name__
                raise ValueError(f"{mnemonic}: lowered twice, by {first} and {function.__name__}")
            LOWERINGS[mnemonic] = function
        return function

    return register
