"""Boot stages: the list a kernel ships, and how far a run got.

A stage is reached when its marker, the whole serial line `[stage] <name>`, is sent after all symbols that the list
names for it have executed. The policy:

- stages count in the list's order: a marker that comes before an earlier stage's is out of order and does not count;
- a second marker of a stage is noted and changes nothing;
- a marker that the list does not know, for this configuration, is noted;
- the verdict is "passed" when every stage was reached, and none came out of order or unknown.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringzero.errors import StagesError

PREFIX = b"[stage] "
LONGEST_LINE = 512
GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))


@dataclass(frozen=True)
class Stage:
    """One row. No `configs` means all; `symbols` must have executed before the marker."""

    name: str
    title: str
    configs: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageList:
    """A whole list.

    `threads` are the file's `[threads]`: symbols and offsets by which threads are told. `clocks` are its `[clocks]`,
    the bytes at each symbol (or symbol+offset) that are counted and never decide.
    """

    stages: tuple[Stage, ...]
    threads: dict[str, Any] = field(default_factory=dict)
    clocks: dict[str, int] = field(default_factory=dict)

    @property
    def configs(self) -> tuple[str, ...]:
        """All configurations that some stage names, in the order of the list."""
        return tuple(dict.fromkeys(config for stage in self.stages for config in stage.configs))

    def of(self, config: str | None) -> tuple[Stage, ...]:
        """The stages of one configuration, or all. Raises StagesError for one that no stage names."""
        if config is None:
            return self.stages
        if self.configs and config not in self.configs:
            raise StagesError(f"no configuration {config!r}; there are {', '.join(self.configs)}")
        return tuple(stage for stage in self.stages if not stage.configs or config in stage.configs)


def _texts(row: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = row.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise StagesError(f"{where}: {key} = {value!r} is not a list of names")
    return tuple(value)


def _row(row: object, where: str) -> Stage:
    if not isinstance(row, dict):
        raise StagesError(f"{where}: not a table; write [[stages]] with name = and title =")
    unknown = sorted(set(row) - {"name", "title", "configs", "symbols"})
    if unknown:
        raise StagesError(f"{where}: unknown key {unknown[0]!r}; name, title, configs and symbols are known")
    name, title = row.get("name"), row.get("title", "")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise StagesError(f"{where}: name = {name!r} is not a line of text")
    if not isinstance(title, str):
        raise StagesError(f"{where}: title = {title!r} is not text")
    return Stage(name, title or name, _texts(row, "configs", where), _texts(row, "symbols", where))


def _threads(table: object, source: str) -> dict[str, Any]:
    """`[threads]`: numbers are sizes and offsets, texts are symbols; `states` are names, `clocks` [offset, size].

    `wakers` are [symbol, register] or [symbol, register, offset].
    """
    if not isinstance(table, dict):
        raise StagesError(f"{source}: threads is not a table")
    for key, value in table.items():
        if key == "states":
            _texts(table, key, f"{source}: threads")
        elif key == "clocks":
            if not isinstance(value, list) or not all(_is_place(item) for item in value):
                raise StagesError(f"{source}: threads: clocks = {value!r} is not a list of [offset, size]")
        elif key == "wakers":
            if not isinstance(value, list) or not all(_is_waker(item) for item in value):
                raise StagesError(
                    f"{source}: threads: wakers = {value!r} is not a list of [symbol, register] or "
                    "[symbol, register, offset]"
                )
        elif not (isinstance(value, str) and value) and not (_is_size(value) and value >= 0):
            raise StagesError(f"{source}: threads: {key} = {value!r} is neither a symbol nor an offset")
    return table


def _clocks(table: object, source: str) -> dict[str, int]:
    """`[clocks]`: so many bytes at each symbol."""
    if not isinstance(table, dict):
        raise StagesError(f"{source}: clocks is not a table")
    for symbol, size in table.items():
        if not _is_size(size) or size < 1:
            raise StagesError(f"{source}: clocks: {symbol} = {size!r} is no number of bytes")
    return table


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_place(item: object) -> bool:
    """[offset, size], of at least one byte."""
    return isinstance(item, list) and len(item) == 2 and all(map(_is_size, item)) and item[0] >= 0 < item[1]


def _is_waker(item: object) -> bool:
    """[symbol, register] of 64 bits, and how far behind what it points to the wait queue lies."""
    if not isinstance(item, list) or len(item) not in (2, 3) or not isinstance(item[0], str):
        return False
    return item[1] in GENERAL and all(map(_is_size, item[2:]))


def parse_stages(text: str, source: str = "stages.toml") -> StageList:
    """A list from TOML text. Raises StagesError: one line with the source and the row."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StagesError(f"{source}: {error}") from None
    unknown = sorted(set(content) - {"stages", "threads", "clocks"})
    if unknown:
        raise StagesError(
            f"{source}: unknown table {unknown[0]!r}; [[stages]], [threads] and [clocks] are known"
        )
    rows = content.get("stages", [])
    threads, clocks = _threads(content.get("threads", {}), source), _clocks(content.get("clocks", {}), source)
    if not isinstance(rows, list) or not (rows or threads or clocks):
        raise StagesError(f"{source}: no [[stages]] in it; each has a name and a title")
    stages = tuple(_row(row, f"{source}: stage {number}") for number, row in enumerate(rows, 1))
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise StagesError(f"{source}: stage {stage.name!r} stands there twice")
        seen.add(stage.name)
    return StageList(stages, threads, clocks)


def read_stages(path: str | Path) -> StageList:
    """A list from a file. Raises StagesError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StagesError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StagesError(f"{path}: is not UTF-8 text") from None
    return parse_stages(text, str(path))


@dataclass(frozen=True)
class Reached:
    """A stage that was reached: at which step, and at how many nanoseconds of virtual time."""

    stage: Stage
    step: int
    nanoseconds: int


class StageTracker:
    """Follows one run. Feed it serial bytes and executed symbols; ask what was reached and what is missing."""

    def __init__(self, stages: StageList, config: str | None = None) -> None:
        self.stages = stages.of(config)
        if not self.stages:
            raise StagesError(f"configuration {config!r} has no stages")
        self.reached: list[Reached] = []
        self.remarks: list[str] = []
        self.on_reached: list[Callable[[Reached], None]] = []
        self.out_of_order = False
        self._executed: set[str] = set()
        self._names = {stage.name: stage for stage in self.stages}
        self._done: set[str] = set()
        self._line = bytearray()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that some stage wants executed, once."""
        return tuple(dict.fromkeys(symbol for stage in self.stages for symbol in stage.symbols))

    def executed(self, symbol: str) -> None:
        """A symbol was executed."""
        self._executed.add(symbol)

    def byte(self, byte: int, step: int, nanoseconds: int) -> None:
        """A byte was sent."""
        if byte != 0x0A:
            if len(self._line) < LONGEST_LINE:
                self._line.append(byte)
            return
        line = bytes(self._line).rstrip(b"\r")
        self._line.clear()
        if line.startswith(PREFIX):
            self._marker(line[len(PREFIX) :].decode("utf-8", "replace"), step, nanoseconds)

    def _marker(self, name: str, step: int, nanoseconds: int) -> None:
        stage = self._names.get(name)
        if stage is None:
            self._remark(f"unknown stage marker {name!r} at step {step}")
            self.out_of_order = True
        elif name in self._done:
            self._remark(f"stage {name} was marked again at step {step}")
        elif stage is not self.missing:
            self._remark(
                f"stage {name} was marked at step {step}, before {self.missing.name if self.missing else ''}"
            )
            self.out_of_order = True
        elif unproved := [symbol for symbol in stage.symbols if symbol not in self._executed]:
            self._remark(
                f"stage {name} was marked at step {step}, but {', '.join(unproved)} had not executed"
            )
        else:
            self._done.add(name)
            self.reached.append(Reached(stage, step, nanoseconds))
            for hook in self.on_reached:
                hook(self.reached[-1])

    def _remark(self, text: str) -> None:
        if len(self.remarks) < 100:
            self.remarks.append(text)

    @property
    def missing(self) -> Stage | None:
        """The first stage that was not reached."""
        return self.stages[len(self.reached)] if len(self.reached) < len(self.stages) else None

    @property
    def passed(self) -> bool:
        """Every stage was reached, in order, and no unknown one."""
        return self.missing is None and not self.out_of_order

    @property
    def verdict(self) -> str:
        """One line."""
        total, missing = len(self.stages), self.missing
        if missing is not None:
            return f"{len(self.reached)} of {total} stages reached; first missing: {missing.name} ({missing.title})"
        if self.out_of_order:
            return f"all {total} stages reached, but {self.remarks[0]}"
        return f"all {total} stages reached"
