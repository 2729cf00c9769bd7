"""The C core's log of accesses, behind the methods of `log.PythonLog`."""

from __future__ import annotations

from typing import Any

from ringzero._native import ffi, lib
from ringzero.cpu.engine.log import LogOverflow, packed

RECORD = ffi.sizeof("rz_record")


class NativeLog:
    """The log of one engine, which must live as long as this does."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._count = ffi.new("uint64_t *")

    def add(self, step: int, kind: int, address: int = 0, size: int = 0, device: int = 0) -> None:
        lib.rz_log_add(self._engine, step, packed(kind, address, size, device))

    def walk(self, step: int, kind: int, entry: int, size: int) -> None:
        lib.rz_log_walk(self._engine, step, entry, size, kind)

    def window(self, step: int, value: int) -> None:
        lib.rz_log_window(self._engine, step, value)

    def attempt(self) -> None:
        lib.rz_log_attempt(self._engine)

    def drop(self, step: int) -> None:
        lib.rz_log_drop(self._engine, step)

    def lists(self) -> tuple[bytes, bytes, bytes]:
        return self._list(lib.RZ_LOG_ACCESSES), self._list(lib.RZ_LOG_WALKS), self._list(lib.RZ_LOG_WINDOWS)

    def _list(self, number: int) -> bytes:
        records = lib.rz_log_of(self._engine, number, self._count)
        if records == ffi.NULL:
            raise LogOverflow
        return bytes(ffi.buffer(records, self._count[0] * RECORD))
