"""A loop like compiled code: 612 small blocks, drawn once by a fixed rule.

r8 is the guest's own pseudo-random word: every branch asks for one of its bits, so no history foretells it. r12 points
at 64 pages of data, r11 wanders over them. Jumps go forward alone, so each turn ends.
"""

from __future__ import annotations

from collections.abc import Iterator

BLOCKS = 572
FUNCTIONS = 40
TURNS = 1500
_PAGES = 64

_OPERATIONS = (
    "add {0}, {1}", "sub {0}, {1}", "xor {0}, {1}", "and {0}, {1}", "or {0}, {1}", "lea {0}, [{1}+{0}*2+{n}]",
    "mov {0}, {1}", "mov {0}, {n}", "imul {0}, {1}", "shl {0}, 3", "shr {0}, 5", "rol {0}, {bit}", "inc {0}", "neg {0}",
    "movzx {0}, {1:b}", "cmp {0}, {1}", "mov {0}, [r12+r11*8+{n}]", "add {0}, [r12+r11*8+{n}]",
    "mov [r12+r11*8+{n}], {0}", "add qword [r12+r11*8+{n}], {bit}", "mov {0:d}, [r12+{n}]", "mov [r12+{n}], {0:b}",
)  # fmt: skip


class _Register(str):
    """A register whose parts a format can ask for: d its low half, b its low byte."""

    def __format__(self, part: str) -> str:
        letter = str(self)[1]
        halves = {"": str(self), "d": f"e{letter}x", "b": f"{letter}l"}
        return halves[part]


_REGISTERS = tuple(map(_Register, ("rax", "rbx", "rcx", "rdx")))


class _Draw:
    """A linear congruence: the same program on every host, in every version of Python."""

    def __init__(self) -> None:
        self.state = 20260101

    def below(self, limit: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return (self.state >> 33) % limit


def _operations(draw: _Draw, count: int) -> Iterator[str]:
    for _ in range(count):
        form = _OPERATIONS[draw.below(len(_OPERATIONS))]
        first, second = (_REGISTERS[draw.below(4)] for _ in range(2))
        yield form.format(first, second, n=8 * draw.below(256), bit=1 + draw.below(30))


def _blocks(draw: _Draw) -> Iterator[str]:
    for block in range(BLOCKS):
        yield f"b{block}:"
        yield from _operations(draw, 3 + draw.below(3))
        if draw.below(6) == 0:
            yield f"call f{draw.below(FUNCTIONS)}"
        yield f"test r8, {1 << draw.below(30)}"
        yield f"jz b{min(BLOCKS, block + 2 + draw.below(5))}"


def _functions(draw: _Draw) -> Iterator[str]:
    for function in range(FUNCTIONS):
        yield f"f{function}:"
        yield from ("push rbx", *_operations(draw, 5), "pop rbx", "ret")


def source() -> str:
    """The loop's text: `TURNS` ways through the blocks."""
    draw = _Draw()
    lines = [
        "mov r8, 0x9e3779b97f4a7c15", "mov r12, DATA", f"mov r13d, {TURNS}", "xor ecx, ecx", "xor edx, edx",
        "turn:", "mov r9, r8", "shl r9, 13", "xor r8, r9", "mov r9, r8", "shr r9, 7", "xor r8, r9",
        "mov r9, r8", "shl r9, 17", "xor r8, r9", "mov r11, r8", f"and r11d, {_PAGES * 512 - 512}",
        *_blocks(draw), f"b{BLOCKS}:", "dec r13d", "jnz turn", "jmp done", *_functions(draw), "done:",
    ]  # fmt: skip
    return "\n".join(lines)
