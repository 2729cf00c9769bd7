"""Lines of assembly made from the rows of the instruction table: every row, every operand size, many operands.

A corpus is a list of lines. `slots` gives each line 32 bytes of an image of its own, so that two assemblers'
images can be compared line by line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ringzero.asm.candidates import natural_size, operand_sizes
from ringzero.asm.registers import GENERAL, HIGH, SEGMENTS
from ringzero.isa.form import Form
from ringzero.isa.kinds import Kind
from ringzero.isa.table import FORMS

SLOT = 32
_KEYWORDS = {1: "byte", 2: "word", 4: "dword", 8: "qword", 10: "tword", 16: "oword"}
_ADDRESSES = {
    64: (
        "[rax]", "[rbp]", "[rsp]", "[r12]", "[r13]", "[rbx+0x7f]", "[rbx-0x80]", "[rbx+0x80]", "[r8+r9*8-0x81]",
        "[rax+rbx*4+0x12345678]", "[rbp+rax]", "[rax+rbp*2]", "[rsp+r12]", "[rax*2]", "[rax*4+8]", "[rcx*5]",
        "[nosplit rdx*2]", "[eax+ecx*2]", "[r13d]", "[fs:rax]", "[gs:0x28]", "[abs 0x1000]", "[rel $$]", "[r15+r15*2]",
        "[ebp+esi]", "[rsi+rdi-1]", "[byte rax]", "[dword rax+1]", "[rbx*3+0x100]", "[r12*8-0x80000000]",
    ),
    32: (
        "[eax]", "[ebp]", "[esp]", "[ebx+0x7f]", "[ebx-0x81]", "[eax+ebx*4+0x12345678]", "[ebp+eax]", "[eax*2]",
        "[eax*4+8]", "[nosplit edx*2]", "[fs:eax]", "[0x1000]", "[$$]", "[esi+edi-1]", "[byte eax]", "[es:ebp]",
        "[ebx*3+0x100]", "[esp+ecx*8]", "[0xfee00000]", "[bx+si]", "[word 0x1234]",
    ),
    16: (
        "[bx+si]", "[bx+di]", "[bp+si]", "[bp+di]", "[si]", "[di]", "[bp]", "[bx]", "[bx+0x7f]", "[di+bp-0x81]",
        "[si-0x80]", "[bx+0x80]", "[0x1234]", "[$$]", "[es:bp+1]", "[fs:di]", "[cs:0x10]", "[byte bx]", "[word si+1]",
        "[eax]", "[ebp]", "[esp+ecx*8]", "[ebx*2+0x12345678]", "[dword 0x12345678]", "[si+0xfffe]", "[bx+0xffff]",
    ),
}  # fmt: skip
_NUMBERS = (
    0,
    1,
    5,
    0x7F,
    0x80,
    -1,
    -0x80,
    -0x81,
    0xFF,
    0x100,
    0x7FFF,
    -0x8000,
    0xFFFF,
    0x12345678,
    0x7FFFFFFF,
)
_WIDE = (0x80000000, 0xFFFFFFFF, -0x80000000, -0x80000001, 0x100000000, 0x7FFFFFFFFFFFFFFF, -(1 << 63))


def registers(size: int, mode: int) -> tuple[str, ...]:
    """Names of general registers of `size` bytes, the awkward ones among them."""
    if mode != 64:
        return (*GENERAL[size][:4], *HIGH[:2]) if size == 1 else GENERAL[size][:8] if size < 8 else ()
    some = tuple(GENERAL[size][n] for n in (0, 1, 3, 4, 5, 8, 12, 13, 15))
    return (*some, "ah", "bh") if size == 1 else some


def numbers(size: int, field: int) -> tuple[str, ...]:
    """Numbers for an operand of `size` bytes that is kept in `field` bytes."""
    low = -(1 << field * 8 - 1)
    high = (1 << field * 8) if field == size else -low
    return tuple(str(n) if n < 10 else hex(n) for n in (*_NUMBERS, *_WIDE) if low <= n < high)


def operands(kind: Kind, form: Form, size: int, mode: int) -> tuple[str, ...]:
    """Texts of operands of this kind at this operand size."""
    width = kind.size or size
    match kind.holds:
        case "gpr" if kind.place == "fixed":
            return (GENERAL[width][kind.fixed],)
        case "gpr":
            return registers(width, mode)
        case "gpr/mem":
            return registers(width, mode) + _memory(kind.memory_size or size, mode)
        case "mem" if kind.place == "moffs":
            return tuple(
                f"{_KEYWORDS[width]} {a}"
                for a in (("[qword 0x1122334455667788]",) if mode == 64 else ("[0x1000]",))
            )
        case "mem" if kind.name == "m_far":
            return tuple(f"{_KEYWORDS[size]} far {a}" for a in _ADDRESSES[mode])
        case "mem":
            return _memory(0, mode)
        case "imm" if kind.place == "fixed":
            return ("1",)
        case "imm":
            field = (
                _field(form, size) if kind.size == 0 and kind.name != "simm8" else 1 if kind.size != 2 else 2
            )
            return numbers(width, min(field, width))
        case "sreg" if kind.place == "fixed":
            return (SEGMENTS[kind.fixed],)
        case "sreg":
            return tuple(s for s in SEGMENTS if not (form.operands[0] == "sreg" and s == "cs"))
        case "creg":
            return ("cr0", "cr2", "cr3", "cr4") + (("cr8",) if mode == 64 else ())
        case "dreg":
            return ("dr0", "dr6", "dr7")
        case "rel":
            return ("$", "$+0x7f", "$-0x7e", "$+0x200", "$-0x1000")[
                : 1 if kind.size == 1 and len(form.operands) == 1 else 5
            ]
        case _:
            return ("8:0x1234", "0x10:0x5678" if size == 2 else "0x10:0x12345678")


def _memory(size: int, mode: int) -> tuple[str, ...]:
    keyword = _KEYWORDS[size] + " " if size > 0 else ""
    return tuple(keyword + address for address in _ADDRESSES[mode])


def _field(form: Form, size: int) -> int:
    return size if "iv" in form.immediates else min(size, 4)


def lines_of(form: Form, mode: int, most: int = 60) -> Iterator[str]:
    """Lines that the row can stand for; at most `most` an operand size."""
    if not (form.mode64 if mode == 64 else form.mode32):
        return
    for size in operand_sizes(form, mode):
        other = 4 if mode == 16 else 2
        if size == other and any(kind.holds in ("rel", "far") for kind in form.kinds):
            continue  # nasm puts as many bytes of target as without the prefix, and the processor then reads others
        choices = [operands(kind, form, size, mode) for kind in form.kinds]
        every = list(product(*choices))
        step = max(1, len(every) // most) | 1
        before, between = _size_words(form, size, mode)
        for texts in every[::step]:
            yield f"{before}{form.mnemonic} {between}{', '.join(texts)}".strip()


_OVERRIDES = ("es", "cs", "ss", "ds", "fs", "gs")


def every_operand(form: Form, mode: int) -> Iterator[str]:
    """Every text of every operand of the row at every size, one operand varied at a time; then prefixes."""
    if not (form.mode64 if mode == 64 else form.mode32):
        return
    for size in operand_sizes(form, mode):
        if size == 2 and any(kind.holds in ("rel", "far") for kind in form.kinds):
            continue  # see lines_of
        choices = [operands(kind, form, size, mode) for kind in form.kinds]
        before, between = _size_words(form, size, mode)
        first = [texts[0] for texts in choices]
        for varied, texts in enumerate(choices or [("",)]):
            for text in texts:
                chosen = [*first[:varied], text, *first[varied + 1 :]] if choices else []
                yield f"{before}{form.mnemonic} {between}{', '.join(chosen)}".strip()
        yield from _prefixed(form, mode, choices, f"{form.mnemonic} {between}")


def _prefixed(form: Form, mode: int, choices: list[tuple[str, ...]], name: str) -> Iterator[str]:
    """LOCK, repeats, segment overrides and the other address size, where the row takes them."""
    base, other = ("rbx", "ebx") if mode == 64 else ("ebx", "")
    for place, texts in enumerate(choices):
        plain = next((text for text in texts if text.endswith(("[rax]", "[eax]"))), None)
        if plain is None:
            continue
        head = plain[: plain.index("[")]
        rest = [texts[0] for texts in choices]
        for address in (*(f"[{s}:{base}+8]" for s in _OVERRIDES), *((f"[fs:{other}*4]",) if other else ())):
            yield name + ", ".join([*rest[:place], head + address, *rest[place + 1 :]])
        if form.lock and place == 0:
            yield "lock " + name + ", ".join([plain, *rest[1:]])
    if form.rep and not choices:
        yield from (f"{prefix} {form.mnemonic}" for prefix in ("rep", "repne", "a32 rep"))


def _size_words(form: Form, size: int, mode: int) -> tuple[str, str]:
    """What says the size before and behind the mnemonic, where no operand does."""
    said = any(kind.size == 0 and kind.holds in ("gpr", "gpr/mem", "mem") for kind in form.kinds)
    if (
        said
        or form.need_opsize
        or form.rex_w
        or size == natural_size(form, mode)
        or form.no_prefix
        or form.mnemonic == "fwait"
    ):
        return "", ""
    if form.mnemonic == "push" and form.kinds[0].holds == "imm":
        return "", f"{_KEYWORDS[size]} "  # nasm 2.16 puts four bytes behind `o16 push`
    return f"o{size * 8} ", ""


#: Rows that nasm 2.16 has another name for, or none.
UNKNOWN_TO_NASM = ("sysretq", "sysexitq")

#: And those before which it puts a 66 in 16-bit code that means nothing.
OTHER_IN_16_BITS = ("rdsspd",)


def corpus(mode: int, most: int = 60) -> list[str]:
    """Lines of all rows that the assembler may choose and nasm knows, without repetition."""
    rows = [form for form in FORMS if not form.decode_only and form.mnemonic not in UNKNOWN_TO_NASM]
    if mode == 16:
        rows = [form for form in rows if form.mnemonic not in OTHER_IN_16_BITS]
    return list(dict.fromkeys(line for form in rows for line in lines_of(form, mode, most)))


def full_corpus(mode: int) -> list[str]:
    """`every_operand` of all rows, and products besides; without repetition."""
    rows = [form for form in FORMS if not form.decode_only and form.mnemonic not in UNKNOWN_TO_NASM]
    if mode == 16:
        rows = [form for form in rows if form.mnemonic not in OTHER_IN_16_BITS]
    lines = (line for form in rows for line in (*every_operand(form, mode), *lines_of(form, mode, 20)))
    return list(dict.fromkeys(lines))


def slots(lines: list[str], mode: int) -> str:
    """One source with a slot a line. Line n of the corpus is line 2*n + 2 of the source."""
    body = "".join(f"{line}\nalign {SLOT}, db 0xcc\n" for line in lines)
    return f"bits {mode}\n{body}"
