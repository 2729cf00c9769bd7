"""What an engine is, which there are here, and how one is chosen. Nothing falls back silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ringzero.cpu.engine.log import Log
from ringzero.cpu.exits import Leave
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.lower.lowering import Decode, Lowerer
from ringzero.cpu.state import State
from ringzero.cpu.uops.block import Block
from ringzero.errors import UsageError

ENGINES = ("native", "python")


class Engine(Protocol):
    """What runs µops: `pyengine.PythonEngine` or `native.NativeEngine`, whose methods say what these do."""

    name: str

    def run(self) -> Leave: ...
    def once(self, block: Block) -> Leave: ...
    def micro(self, block: Block) -> Leave: ...
    def install(self, block: Block) -> None: ...
    def translate_block(
        self, lowerer: Lowerer, rip: int, mode: int, fetch: Callable[[int], int], code_limit: int = ...
    ) -> int: ...
    def invalidate(self, physical: int, length: int) -> None: ...
    def flush_blocks(self) -> None: ...
    def flush_translations(self) -> None: ...
    def protect(self) -> None: ...
    def translate(self, linear: int, access: int) -> int: ...
    def peek(self, linear: int) -> int | None: ...
    def record(self, on: bool) -> Log | None: ...
    def close(self) -> None: ...


def native_available() -> bool:
    """Whether the C core was built into this installation."""
    try:
        import ringzero._native  # noqa: F401
    except ImportError:
        return False
    return True


def make_engine(name: str, state: State, memory: Memory) -> tuple[Engine, Decode]:
    """An engine and the decoder that goes with it. `auto` is native where it is built. Raises UsageError."""
    if name == "auto":
        name = "native" if native_available() else "python"
    if name == "python":
        from ringzero.cpu.engine.pyengine import PythonEngine
        from ringzero.isa.decode import decode

        return PythonEngine(state, memory), decode
    if name != "native":
        raise UsageError(f"engine {name!r}: not one of native, python, auto")
    if not native_available():
        raise UsageError(
            "engine 'native' is not in this installation; install with a C compiler, or use 'python'"
        )
    from ringzero.cpu.engine.native import NativeEngine
    from ringzero.isa.native import decode as decode_in_c

    return NativeEngine(state, memory), decode_in_c
