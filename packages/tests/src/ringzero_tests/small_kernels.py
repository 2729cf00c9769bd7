"""Small kernels from a seed: two or three threads with locks, flags, sleeps and wakes, and one more interrupt line.

What a reduction of the explorer may get wrong is in them on purpose: windows in which an update is lost, checks before
a sleep with interrupts on, locks that a handler takes, code that is patched, repeated strings, handlers that can be
interrupted, and, in some, bytes that decide although a comparison leaves them out (a clock, what lies below a stack).

Rule of this room: a seed is a kernel, for ever; and every kernel comes to an end, or to a state that repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from ringzero import assemble
from ringzero.explore.experiment import Experiment
from ringzero.explore.schedule import TIMER, Source
from ringzero_tests.draws import Draws
from ringzero_tests.small_kernel_text import LINE, STACK, THREADS, kernel_text

#: What the outcome of a run is, beside the verdict and the serial bytes: symbol, bytes.
OUTCOME = {"c0": 4, "c1": 4, "seen": 4, "f0": 4, "f1": 4, "bytes": 8}
# Seeds with more than 1 000 schedules of two preemptions, and with more than 10 000.
WIDE = frozenset({
    1, 5, 13, 15, 17, 18, 27, 35, 38, 48, 53, 54, 60, 69, 78, 79, 84, 85, 87, 88, 89, 91, 94, 97, 98, 104, 107, 109,
    111, 117, 120, 122, 123, 131, 143, 144, 149, 151, 153, 154, 156, 164, 165, 167, 179, 182, 188, 189, 196, 197, 199,
    200, 207, 210, 219, 221, 229, 234, 236, 238, 246, 257, 258, 263, 267, 269, 271, 277, 283, 284, 285, 290, 292, 293,
})  # fmt: skip
HUGE = frozenset({13, 197, 284})
SMALL_STACK = 512  # bytes; what lies below such a stack is data
PATIENCE = 400  # steps: longer than any small kernel runs between two interrupts without spinning

DATA = "        align 8\n" + "".join(
    f"{name}: times {size} db 0\n" for name, size in {**OUTCOME, "l0": 4, "l1": 4}.items()
)
_BLOCK = """        mov rbx, [current]
        mov qword [rbx+24], {queue}
        mov dword [rbx+16], 1
        int SWITCH_VECTOR
"""
COUNT_DOWN = """        mov ecx, THREAD_COUNT
.sleeper:
        mov rsi, [thread_table+rcx*8]
        cmp dword [rsi+32], 0
        je .awake
        dec dword [rsi+32]
        jnz .awake
        mov dword [rsi+16], 0
.awake: dec ecx
        jnz .sleeper
"""
COMPARE = """        mov ecx, THREAD_COUNT
        mov rax, [jiffies]
.sleeper:
        mov rsi, [thread_table+rcx*8]
        cmp [rsi+40], rax
        jne .awake
        mov dword [rsi+16], 0
.awake: dec ecx
        jnz .sleeper
"""


@dataclass
class Sketch:
    """A kernel that is being written. `total`: what each counter must come to if nothing is lost."""

    draws: Draws
    threads: list[list[str]]
    serial: int = 0
    labels: int = 0
    counts_down: bool = False
    compares: bool = False
    total: dict[str, int] = field(default_factory=lambda: {"c0": 0, "c1": 0})

    def label(self) -> str:
        """A fresh label."""
        self.labels += 1
        return f"at{self.labels}"

    def counter(self) -> str:
        """A counter that goes up by one."""
        name = self.draws.pick(("c0", "c0", "c1"))
        self.total[name] += 1
        return name


@dataclass(frozen=True)
class SmallKernel:
    """One of them: its text, and the question about it."""

    seed: int
    text: str
    experiment: Experiment


def _careful(sketch: Sketch) -> str:
    return "        cli\n" + _lossy(sketch) + "        sti\n"


def _nested(sketch: Sketch) -> str:
    return "        pushfq\n        cli\n" + _lossy(sketch) + "        popfq\n"


def _lossy(sketch: Sketch) -> str:
    name = sketch.counter()
    return f"        mov eax, [{name}]\n        inc eax\n        mov [{name}], eax\n"


def _atomic(sketch: Sketch) -> str:
    return f"        inc dword [{sketch.counter()}]\n"


def _fetch_and_add(sketch: Sketch) -> str:
    return f"        mov eax, 1\n        lock xadd [{sketch.counter()}], eax\n        mov [seen], eax\n"


def take(sketch: Sketch, lock: str, yields: bool) -> str:
    """Take a plain lock: spin, or give way to others meanwhile."""
    again, taken = sketch.label(), sketch.label()
    wait = "        int SWITCH_VECTOR\n" if yields else ""
    return f"{again}: lock bts dword [{lock}], 0\n        jnc {taken}\n{wait}        jmp {again}\n{taken}:\n"


def _locked(sketch: Sketch) -> str:
    lock = sketch.draws.pick(("l0", "l0", "l1"))
    entry = take(sketch, lock, not sketch.draws.chance(4))
    return entry + _lossy(sketch) + f"        mov dword [{lock}], 0\n"


def _say(sketch: Sketch) -> str:
    sketch.serial += 1
    return f"        mov edx, 0x3f8\n        mov al, {64 + sketch.serial}\n        out dx, al\n"


def _observe(sketch: Sketch) -> str:
    name = sketch.draws.pick(("c0", "c1", "f0", "bytes"))
    return f"        mov eax, [{name}]\n        mov [seen], eax\n"


def _give_way(_: Sketch) -> str:
    return "        int SWITCH_VECTOR\n"


def _string(sketch: Sketch) -> str:
    count = sketch.draws.between(2, 4)
    if sketch.draws.chance(2):
        return f"        mov ecx, {count}\n        mov edi, bytes\n        mov esi, c0\n        rep movsb\n"
    fill = sketch.draws.between(1, 9)
    return f"        mov ecx, {count}\n        mov edi, bytes+1\n        mov al, {fill}\n        rep stosb\n"


def _patched(sketch: Sketch) -> str:
    """Code that another thread may change: its operand is data."""
    place, writes = sketch.label(), f"        mov byte [{{}}+1], {sketch.draws.between(2, 9)}\n"
    other = sketch.draws.pick(sketch.threads)
    other.append(writes.format(place))
    return f"{place}: mov eax, 1\n        mov [seen], eax\n"


def _nap(sketch: Sketch) -> str:
    sketch.counts_down = True
    ticks = sketch.draws.between(1, 2)
    return (
        "        cli\n        mov rbx, [current]\n"
        f"        mov dword [rbx+32], {ticks}\n        mov dword [rbx+16], 1\n        int SWITCH_VECTOR\n        sti\n"
    )


def _call(sketch: Sketch) -> str:
    """What a subroutine leaves below the stack pointer is dead."""
    return (
        f"        push qword [{sketch.draws.pick(('c0', 'c1'))}]\n        pop rax\n        mov [seen], al\n"
    )


_OPERATIONS: tuple[Callable[[Sketch], str], ...] = (
    _lossy, _lossy, _lossy, _lossy, _careful, _nested, _atomic, _fetch_and_add, _locked, _locked, _say, _observe,
    _give_way, _string, _patched, _nap, _call,
)  # fmt: skip


def _set_and_wake(flag: str) -> str:
    return f"        mov dword [{flag}], 1\n        mov edi, {flag}\n        call wake_all\n"


def _wait(sketch: Sketch, flag: str) -> str:
    """Sleep until a flag is set: rightly, or with interrupts on between the check and the sleep."""
    again, done = sketch.label(), sketch.label()
    block, check = _BLOCK.format(queue=flag), f"{again}: cmp dword [{flag}], 0\n        jne {done}\n"
    if sketch.draws.chance(2):
        return f"        cli\n{check}{block}        jmp {again}\n{done}: sti\n"
    if sketch.draws.chance(2):
        return f"{check}        cli\n{block}        sti\n        jmp {again}\n{done}:\n"
    return f"{check}        int SWITCH_VECTOR\n        jmp {again}\n{done}:\n"


def _signal(sketch: Sketch) -> None:
    """One thread waits for another."""
    flag, draws = draws_flag(sketch), sketch.draws
    sleeper = draws.below(len(sketch.threads))
    waker = (sleeper + 1 + draws.below(len(sketch.threads) - 1)) % len(sketch.threads)
    sketch.threads[sleeper].append(_wait(sketch, flag))
    sketch.threads[waker].append(f"        cli\n{_set_and_wake(flag)}        sti\n")


def draws_flag(sketch: Sketch) -> str:
    """One of the flags."""
    return sketch.draws.pick(("f0", "f1"))


def _until_a_clock(sketch: Sketch) -> str:
    """A clock is left out of comparisons, and decides here."""
    sketch.compares = True
    return (
        "        cli\n        mov rbx, [current]\n        mov rax, [jiffies]\n"
        f"        add rax, {sketch.draws.between(1, 9)}\n        mov [rbx+40], rax\n"
        "        mov dword [rbx+16], 1\n        int SWITCH_VECTOR\n        sti\n"
    )


def _reads_a_clock(sketch: Sketch) -> str:
    name = sketch.draws.pick(("c0", "c1"))
    return f"        mov eax, [jiffies]\n        and eax, 1\n        add [{name}], eax\n"


def _reads_below_the_stack(_: Sketch) -> str:
    """An interrupt overwrites what lies there: how it came to be there decides."""
    return "        mov dword [rsp-8], 7\n        mov eax, [rsp-8]\n        and eax, 15\n        mov [seen], eax\n"


def _line(sketch: Sketch) -> tuple[str, str]:
    """What the other line's handler does, before its end of interrupt and behind it."""
    draws = sketch.draws
    work = draws.below(6)
    if work == 0:
        body = take(sketch, "l0", False) + "        inc dword [c1]\n        mov dword [l0], 0\n"
    elif work == 1:
        body = _set_and_wake(draws_flag(sketch))
    elif work == 2:
        body = "        mov eax, [c0]\n        mov [seen], eax\n"
    elif work == 3:
        body = "        mov dword [c0], 3\n"
    else:
        body = "        inc dword [c1]\n"
    late = draws.below(5)
    if late == 0 and work:  # a lock that is spun for with interrupts on has too many boundaries
        return "", f"        sti\n{body}        cli\n"
    return body, "        call schedule\n" if late <= 2 else ""


def _tick(sketch: Sketch) -> str:
    """What the timer's handler does beside its duty. It counts nothing: an idle kernel's states must repeat."""
    looks = "        mov eax, [c0]\n        mov [seen], eax\n" if sketch.draws.chance(5) else ""
    later = COMPARE.replace("sleeper", "later").replace("awake", "still")
    return looks + COUNT_DOWN * sketch.counts_down + later * sketch.compares


def _check(sketch: Sketch) -> str:
    if sketch.draws.chance(2):
        return ""
    return f"        cmp dword [c0], {sketch.total['c0']}\n        jne wrong\n"


@cache
def small_kernel(seed: int) -> SmallKernel:
    """The kernel of a seed."""
    draws = Draws("small kernel", seed)
    sketch = Sketch(draws, [[] for _ in range(3 if draws.chance(4) else 2)])
    most = 2 if len(sketch.threads) > 2 else 3
    for operations in sketch.threads:
        for _ in range(draws.between(1, most)):
            operations.append(draws.pick(_OPERATIONS)(sketch))
    for _ in range(draws.pick((0, 1, 1))):
        _signal(sketch)
    special = {7: _until_a_clock, 8: _reads_a_clock, 9: _reads_below_the_stack}.get(seed % 10)
    if special is not None:
        draws.pick(sketch.threads).append(special(sketch))
    for operations in sketch.threads:
        operations.sort(key=lambda _: draws.bits(16))
    line, late = _line(sketch)
    threads = ["".join(operations) for operations in sketch.threads]
    text = kernel_text(
        threads,
        DATA,
        tick=_tick(sketch),
        line=line,
        late=late,
        check=_check(sketch),
        stack=SMALL_STACK if seed % 10 == 6 else STACK,
    )
    sources = (Source(TIMER), Source(LINE)) if draws.chance(2) else (Source(TIMER),)
    return SmallKernel(seed, text, experiment(f"small kernel {seed}", text, sources))


def experiment(name: str, text: str, sources: tuple[Source, ...] = (Source(TIMER),)) -> Experiment:
    """The question about a small kernel's text."""
    return Experiment(
        name,
        assemble(text, format="elf64", name="small.asm").binary,
        {"memory": "2M"},
        start="window",
        until="finished",
        sources=sources,
        threads=THREADS,
        clocks={"jiffies": 8},
        patience=PATIENCE,
    )


def bound(seed: int) -> int:
    """How many preemptions: two, and one where the plain way would take seconds."""
    return 1 if seed in WIDE else 2
