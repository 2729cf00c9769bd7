"""What always holds in this kernel while interrupts are on, checked from outside after each new state.

Rule of this room: an invariant gets a `Look`, reads, and returns what is wrong in a line, or "". With interrupts off
the kernel is in the middle of something, and nothing is asked. Offsets are those of the sources' structures; a test
holds them together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ringzero.explore.oracles import Look
from ringzero.explore.threads import Thread

IF = 0x200
USER = 3
PROCESSOR = {"current": 8, "idle": 16, "ready_head": 24, "ready_tail": 32, "ready_count": 40}
THREAD = {"next": 48, "stack_top": 88}
WORKQUEUE = {"head": 8, "worker": 24}
WORK = {"state": 24, "next": 32, "queue": 40}
WORK_SIZE, WORK_COUNT, WORK_PENDING = 88, 8, 1
BLOCK_HEAD, HEAP_BASE, HEAP_MAGIC = 32, 0xFFFF900000000000, 0x5A6E6F72
STACK_BYTES = 2 * 4096
MOST_THREADS, MOST_WORKS = 256, 4096


def settled(look: Look) -> bool:
    """Interrupts are on: the kernel is in the middle of nothing."""
    return bool(look.machine.registers["rflags"] & IF)


def processor(look: Look, field: str) -> int:
    """A word of the processor's structure."""
    return look.u64(look.machine.symbol("cpu0") + PROCESSOR[field])


def ready_once(look: Look) -> str:
    """Each ready thread is in the ready queue, once; the idle thread is not, and nobody who is not ready."""
    if not settled(look):
        return ""
    threads = {thread.address: thread for thread in look.threads}
    idle, seen = processor(look, "idle"), list(ready_queue(look))
    for address in seen:
        if address == idle:
            return "the idle thread is on the ready queue"
        if address not in threads:
            return f"the ready queue leads to {address:#x}, which is no thread"
        if threads[address].state != "ready":
            return f"thread {threads[address]} is {threads[address].state} and on the ready queue"
    if len(seen) != len(set(seen)):
        return "the ready queue leads back into itself"
    for thread in threads.values():
        if thread.state == "ready" and thread.address not in seen:
            return f"thread {thread} is ready and in no queue"
    return queue_ends(look, seen)


def queue_ends(look: Look, seen: list[int]) -> str:
    """The ready queue's count and tail fit its links."""
    count, tail = processor(look, "ready_count"), processor(look, "ready_tail")
    if count != len(seen):
        return f"the ready queue has {len(seen)} threads and counts {count}"
    return (
        ""
        if tail == (seen[-1] if seen else 0)
        else f"the ready queue's tail is {tail:#x}, not its last thread"
    )


def ready_queue(look: Look) -> Iterator[int]:
    """The ready queue's threads, by address; one that never ends is cut."""
    address = processor(look, "ready_head")
    for _ in range(MOST_THREADS + 1):
        if not address:
            return
        yield address
        address = look.u64(address + THREAD["next"])


def current_runs(look: Look) -> str:
    """Who runs is Running: never Blocked, ready or dead; and nobody else says so."""
    if not settled(look):
        return ""
    current, idle = look.current, processor(look, "idle")
    if current is None:
        return "the current thread is none"
    if current.address != idle and current.state != "running":
        return f"thread {current} runs while {current.state}"
    others = [
        one for one in look.threads if one.state == "running" and one.address not in (current.address, idle)
    ]
    return f"thread {others[0]} is marked running, but {current} runs" if others else ""


def own_stack(look: Look) -> str:
    """The stack in use is the recorded current thread's. User programs have one of their own."""
    registers = look.machine.registers
    current: Thread | None = look.current
    if not settled(look) or registers["cs"] & USER or current is None:
        return ""
    top = look.u64(current.address + THREAD["stack_top"])
    if top - STACK_BYTES <= registers["rsp"] <= top:
        return ""
    return f"current is thread {current}, but the stack in use is not its own"


def work_queued(look: Look) -> str:
    """Pending work is in its queue, or in the hands of a worker that is awake."""
    if not settled(look):
        return ""
    first = look.machine.symbol("works")
    for address in range(first, first + WORK_COUNT * WORK_SIZE, WORK_SIZE):
        queue = look.u64(address + WORK["queue"])
        if not look.u32(address + WORK["state"]) & WORK_PENDING or not queue:
            continue
        worker = look.table.read(look.u64(queue + WORKQUEUE["worker"]), 0)
        asleep = worker is None or worker.state in ("blocked", "dead")
        if asleep and address not in queued(look, queue):
            return f"work {(address - first) // WORK_SIZE} is pending, in no queue, and its worker sleeps"
    return ""


def queued(look: Look, queue: int) -> Iterator[int]:
    """The work in a queue, by address."""
    address = look.u64(queue + WORKQUEUE["head"])
    for _ in range(MOST_WORKS):
        if not address:
            return
        yield address
        address = look.u64(address + WORK["next"])


def heap_whole(look: Look) -> str:
    """The heap's blocks lie side by side, each marked, none overwritten, and no two free ones are neighbours."""
    last = look.u64("heap_last")
    if not settled(look) or not last or look.u32("heap_lock"):
        return ""
    heap = look.read(HEAP_BASE, last - HEAP_BASE + BLOCK_HEAD)
    at, before, free, used = 0, 0, False, 0
    while HEAP_BASE + at != last:
        if not 0 <= at <= len(heap) - 2 * BLOCK_HEAD:
            return f"the heap's blocks miss its end: one leads to {HEAP_BASE + at:#x}"
        size, previous, magic = struct.unpack_from("<QQQ", heap, at)
        if previous != before or (size & 1 and magic != HEAP_MAGIC ^ (HEAP_BASE + at)):
            return f"the heap's block at {HEAP_BASE + at:#x} is overwritten"
        if free and not size & 1:
            return f"two free neighbours in the heap at {HEAP_BASE + at:#x}"
        free, used, before = not size & 1, used + (size & 1), HEAP_BASE + at
        at += max(size & ~1, BLOCK_HEAD)
    counted = look.u64("heap_used")
    return "" if counted == used else f"the heap has {used} blocks in use and counts {counted}"
