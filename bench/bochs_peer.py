"""bochscpu in a process of its own (its wheel may need a library preloaded): runs a loop each time a line comes in."""

from __future__ import annotations

import os
import sys
from typing import Any

PAGE = 4096


def serve(name: str) -> None:
    """Prepare the loop, then run it whole for every line of standard input and answer with a line."""
    import bochscpu
    import loops
    from cffi import FFI

    from ringzero import Machine
    from ringzero.cpu.state import ARCHITECTURAL
    from ringzero_tests.bochs import bochs_state

    machine = Machine.flat(loops.code(name), address=loops.CODE, engine="python")
    memory: Any = bochscpu._bochscpu.memory
    ffi = FFI()
    for address in range(0, machine.memory.size, PAGE):
        host = memory.allocate_host_page()
        memory.page_insert(address, host)
        ffi.buffer(ffi.cast("char *", host), PAGE)[:] = machine.memory.ram[address : address + PAGE]
    session: Any = bochscpu.Session()
    session.missing_page_handler = lambda address: session.stop()
    hook: Any = bochscpu.Hook()
    hook.hlt = lambda session, number: session.stop()
    start = bochs_state({name: machine.cpu.state[name] for name in ARCHITECTURAL})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for _ in sys.stdin:
        session.cpu.set_state(start)
        session.run([hook])
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
