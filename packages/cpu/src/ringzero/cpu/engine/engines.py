"""Which engines there are here, and how one is chosen. Nothing falls back silently."""

from __future__ import annotations

from ringzero.cpu.interfaces import Engine, Memory
from ringzero.cpu.lower.lowering import Decode
from ringzero.cpu.state import State
from ringzero.errors import UsageError

ENGINES = ("native", "python")


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
