"""What stages.toml tells of the kernel's structures is what the sources say."""

from __future__ import annotations

import pytest

from ringzero import assemble
from ringzero.machine.stages import read_stages
from ringzero_kernel import STAGES, build
from ringzero_kernel.config import SOURCES

THREADS = read_stages(STAGES).threads
CLOCKS = read_stages(STAGES).clocks
WAKERS = {waker: sum(offset) for waker, _, *offset in THREADS["wakers"]}

TOLD = [
    (THREADS["current_offset"], "processor.current"),
    (THREADS["tid_offset"], "thread.tid"),
    (THREADS["name_offset"], "thread.name"),
    (THREADS["name_size"], "thread.state - thread.name"),
    (THREADS["state_offset"], "thread.state"),
    (THREADS["rsp_offset"], "thread.rsp"),
    (THREADS["stack_top_offset"], "thread.stack_top"),
    (THREADS["next_offset"], "thread.next"),
    (THREADS["wait_queue_offset"], "thread.wait_queue"),
    (THREADS["wait_next_offset"], "thread.wait_next"),
    (THREADS["clocks"][0][0], "thread.runs"),
    (THREADS["clocks"][0][1], "thread.serves - thread.runs"),
    (THREADS["size"], "thread_size"),
    (WAKERS["complete"], "completion.waiters"),
    (WAKERS["complete_all"], "completion.waiters"),
    (WAKERS["kthread_unpark"], "thread.parking"),
    (WAKERS["kthread_stop"], "thread.parking"),
    (THREADS["states"].index("new"), "STATE_NEW"),
    (THREADS["states"].index("ready"), "STATE_READY"),
    (THREADS["states"].index("running"), "STATE_RUNNING"),
    (THREADS["states"].index("blocked"), "STATE_BLOCKED"),
    (THREADS["states"].index("dead"), "STATE_DEAD"),
]
ON_THE_PROCESSOR = {
    THREADS["ready_head"]: "processor.ready_head",
    THREADS["ready_tail"]: "processor.ready_tail",
    THREADS["ready_count"]: "processor.ready_count",
    THREADS["idle"]: "processor.idle",
    THREADS["need_resched"]: "processor.need_resched",
    list(CLOCKS)[1]: "processor.switches",
}


def value(expression: str) -> int:
    """What the assembler makes of an expression over the kernel's structures."""
    source = f'%include "structs.asm"\nbits 64\ndq {expression}\n'
    return int.from_bytes(assemble(source, include=[SOURCES], name="told.asm").flat, "little")


@pytest.mark.parametrize(("told", "expression"), TOLD, ids=[expression for _, expression in TOLD])
def test_offsets(told: int, expression: str) -> None:
    assert told == value(expression)


@pytest.mark.parametrize("place", ON_THE_PROCESSOR)
def test_places_on_the_processor(place: str) -> None:
    symbol, _, offset = place.partition("+")
    assert (symbol, int(offset)) == ("cpu0", value(ON_THE_PROCESSOR[place]))


def test_no_entry_is_untested() -> None:
    symbols = {"current", "switch", "table", *("saved_rflags_offset", "saved_rip_offset", "table_entries")}
    numbers = {key for key in THREADS if key.endswith(("_offset", "_size"))} | {"states", "clocks", "size"}
    assert set(THREADS) == symbols | numbers | {
        "ready_head",
        "ready_tail",
        "ready_count",
        "idle",
        "need_resched",
        "wakers",
    }
    assert len(TOLD) == len(numbers - symbols) + 4 + 1 + 4  # five states, two numbers of a clock, four wakers


def test_symbols_are_there() -> None:
    """A symbol that the list names is one of the image's."""
    image = build()
    places = [THREADS[key] for key in ("current", "switch", "table")]
    for place in [*places, *ON_THE_PROCESSOR, *CLOCKS, *WAKERS]:
        assert place.partition("+")[0] in image.symbols, place
