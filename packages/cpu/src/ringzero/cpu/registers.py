"""The registers by name, for people and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping

from ringzero.cpu.state import ARCHITECTURAL, GPRS, SEGMENTS, SLOT, State

M64 = (1 << 64) - 1
_NAMES = {name: name for name in ARCHITECTURAL} | {name: f"{name}_selector" for name in SEGMENTS}
_GENERAL = frozenset((*GPRS, "rip"))


class Registers(MutableMapping[str, int]):
    """The architectural slots; a segment's name alone is its selector. eax, ax, al and the like are not listed.

    `on_change` is called when anything but a general register or rip was written. Raises KeyError for other names.
    """

    def __init__(self, state: State, on_change: Callable[[], None]) -> None:
        self._words, self._on_change = state.words, on_change

    def __getitem__(self, name: str) -> int:
        return self._words[SLOT[_NAMES[name]]]

    def __setitem__(self, name: str, value: int) -> None:
        self._words[SLOT[_NAMES[name]]] = value & M64
        if name not in _GENERAL:
            self._on_change()

    def __delitem__(self, name: str) -> None:
        raise TypeError("registers cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)
