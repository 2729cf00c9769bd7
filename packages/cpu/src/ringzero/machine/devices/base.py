"""What every device is, and how its state is taken and put back.

Rule of this room: a device is a dataclass, and its fields are its whole state. A field is an int, a bool, bytes, a str,
None, or a tuple of those: immutable, so that taking the state copies references and nothing else. A field may also be
another such dataclass, or a tuple of them, as a fixed part of the device. What joins a device to its machine (`host`,
`order`, listeners) is no field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, Protocol

from ringzero.machine.clock import Clock

Values = tuple[Any, ...]


class Host(Protocol):
    """The machine as a device sees it."""

    clock: Clock

    def set_irq(self, irq: int, level: bool) -> None:
        """Drive ISA interrupt line 0 to 15."""

    def stop(self, reason: str, value: int) -> None:
        """End the run at the next instruction boundary: `reason` is "exit" or "reset"."""


class Device:
    """A device on the bus. `order` is its place in the machine's fixed device order."""

    name: str
    host: Host
    order: int

    def attach(self, host: Host, order: int) -> None:
        """Join the machine."""
        self.host = host
        self.order = order

    def read(self, address: int, size: int) -> int:
        """`size` bytes at a port or physical address that the bus gave to this device."""
        raise NotImplementedError

    def write(self, address: int, size: int, value: int) -> None:
        """Write there. `value` has `size` bytes."""
        raise NotImplementedError

    def event(self, tag: int) -> None:
        """What was scheduled under `tag` is due at this cycle."""
        raise NotImplementedError

    def irqs(self) -> tuple[int, ...]:
        """The interrupt lines that its events may raise."""
        return ()

    def schedule(self, when: int, tag: int = 0) -> None:
        """Have `event(tag)` at cycle `when`."""
        self.host.clock.schedule(self.order, when, tag)

    def cancel(self, tag: int = 0) -> None:
        """Have no `event(tag)`."""
        self.host.clock.cancel(self.order, tag)


def derived(default: Any) -> Any:
    """A field that a state hash need not see, because other fields determine it."""
    return dataclasses.field(default=default, metadata={"derived": True})


Part = tuple[str, Any, tuple[str, ...], tuple[str, ...]]


def parts(device: Any, name: str) -> Iterator[Part]:
    """The dataclasses a device is made of, itself first: dotted name, object, plain fields, and those to be hashed."""
    nested: list[tuple[str, Any]] = []
    plain: list[str] = []
    hashed: list[str] = []
    for field in dataclasses.fields(device):
        value = getattr(device, field.name)
        if dataclasses.is_dataclass(value):
            nested.append((f"{name}.{field.name}", value))
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            nested.extend((f"{name}.{field.name}.{index}", part) for index, part in enumerate(value))
        else:
            plain.append(field.name)
            if not field.metadata.get("derived"):
                hashed.append(field.name)
    if plain:
        yield name, device, tuple(plain), tuple(hashed)
    for part_name, part in nested:
        yield from parts(part, part_name)


def _getter(names: tuple[str, ...]) -> Callable[[Any], Values]:
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda part: (only(part),)
    return attrgetter(*names)


class DeviceState:
    """All fields of some devices as tuples of plain values, taken and put back fast."""

    def __init__(self, devices: Iterable[Device]) -> None:
        found = [part for device in devices for part in parts(device, device.name)]
        self.layout = tuple((name, names) for name, _, names, _ in found)
        self._parts = [(part, names) for _, part, names, _ in found]
        self._last: tuple[Any, list[tuple[dict[str, Any], dict[str, Any]]]] = (None, [])
        self._fields = [(part, _getter(names)) for _, part, names, _ in found]
        self._hashed = [(part, _getter(names)) for _, part, _, names in found]

    def save(self) -> tuple[Values, ...]:
        """One tuple of field values for each entry of `layout`."""
        return tuple([getter(part) for part, getter in self._fields])

    def hashed(self) -> tuple[Values, ...]:
        """The same without what other fields determine."""
        return tuple([getter(part) for part, getter in self._hashed])

    def load(self, state: tuple[Values, ...]) -> None:
        """Put the fields from `save()` back. One state is often loaded many times in a row: it is laid out once."""
        if self._last[0] is not state:
            laid_out = [
                (part.__dict__, dict(zip(names, values, strict=True)))
                for (part, names), values in zip(self._parts, state, strict=True)
            ]
            self._last = (state, laid_out)
        for fields, values in self._last[1]:
            fields.update(values)

    def fits(self, state: tuple[Any, ...]) -> bool:
        """Whether a state that came from a file has the shape and the types of this one."""
        return _alike(self.save(), state)


def _alike(mine: Any, theirs: Any) -> bool:
    """Same shape: tuples of tuples at the top, values of one type inside; None may stand for any, and any for None."""
    if mine is None or theirs is None:
        return True
    if not isinstance(mine, tuple):
        return type(mine) is type(theirs)
    if not isinstance(theirs, tuple):
        return False
    if all(isinstance(item, bytes) for item in (*mine, *theirs)):
        return True  # an output log's pieces
    return len(mine) == len(theirs) and all(map(_alike, mine, theirs))
