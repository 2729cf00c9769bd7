"""Which processor this is: its name, vendor and features, as `--cpu` says them.

The room's rule: a `Model` is a value, part of a machine's configuration. What depends on it (CPUID, which rows are
#UD, which bits of CR4 and EFER and which MSRs exist) reads it from there, and everything else is the same on all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ringzero.errors import UsageError
from ringzero.isa.features import FEATURES

BRAND = "Ringzero deterministic x86-64 processor"


@dataclass(frozen=True)
class Model:
    """A processor. `vendor`: CPUID's twelve characters; `brand`: at most 47. `note`: for people, no part of it."""

    name: str
    vendor: str
    family: int
    model: int
    stepping: int
    features: frozenset[str]
    brand: str = BRAND
    note: str = ""

    def has(self, feature: str) -> bool:
        return feature in self.features

    @property
    def identity(self) -> tuple[str | int | tuple[str, ...], ...]:
        """All that a guest can see of it, as plain values: two models of one identity are the same processor."""
        return self.vendor, self.family, self.model, self.stepping, self.brand, tuple(sorted(self.features))


_DEFAULT = frozenset(name for name, feature in FEATURES.items() if feature.default)
#: The processors of 2003: what 64-bit mode cannot be without, and little more.
_BASE = frozenset((
    "de", "pse", "tsc", "msr", "pae", "cx8", "sep", "pge", "cmov", "pat", "clflush", "cx16", "syscall", "nx", "lm",
    "lahf-lm",
))  # fmt: skip

#: Models by name, the default first.
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("ringzero", "Ringzero CPU", 6, 0, 0, _DEFAULT, note="the default: everything that guests want"),
        Model("max", "Ringzero CPU", 6, 0, 0, frozenset(FEATURES), note="everything that there is"),
        Model("intel", "GenuineIntel", 6, 26, 3, _DEFAULT, note="ringzero, with Intel's name and registers"),
        Model("amd", "AuthenticAMD", 15, 107, 1, _DEFAULT, note="ringzero, with AMD's name and registers"),
        Model(
            "qemu64",
            "AuthenticAMD",
            15,
            107,
            1,
            _BASE,
            note="little more than 64-bit mode; QEMU's name for it",
        ),
    )
}
DEFAULT = "ringzero"

_ON, _OFF = ("on", "yes", "true"), ("off", "no", "false")
_NUMBERS = {"family": 0xFF + 0xF, "model": 0xFF, "stepping": 0xF}  # the most that leaf 1 can tell
_TEXTS = ("vendor", "model-id")
_SHOWN = 60  # characters of the user's own text in a message


def parse_model(text: str | Model) -> Model:
    """A model in QEMU's notation: `NAME[,+feature][,-feature][,feature=on|off][,vendor=TEXT][,family=N]…`.

    The last word about a feature holds. Raises UsageError, one line that names what is unknown and what is near it.

        >>> parse_model("ringzero,-nx").has("nx")
        False
    """
    if isinstance(text, Model):
        return text
    name, *settings = [part.strip() for part in text.split(",")]
    if name not in MODELS:
        raise UsageError(f"cpu: no model {_short(name)!r}{_near(name, MODELS)}")
    model = replace(MODELS[name], note="")
    for setting in settings:
        model = _set(model, setting, text)
    return model


def _set(model: Model, setting: str, text: str) -> Model:
    key, equals, value = setting.partition("=")
    if setting[:1] in ("+", "-") and not equals:
        return _switch(model, key[1:], key[0] == "+", text)
    key = key.replace("_", "-")
    if not equals:
        raise UsageError(f"{_where(text)}: {_short(setting)!r} is no +FEATURE, -FEATURE or KEY=VALUE")
    if key in _NUMBERS:
        number: dict[str, Any] = {key: _number(key, value, text)}
        return replace(model, **number)
    if key in _TEXTS:
        return _named(model, key, value, text)
    if value not in _ON + _OFF:
        _known(key, text, (*FEATURES, *_NUMBERS, *_TEXTS))
        raise UsageError(f"{_where(text)}: {key}={_short(value)}: write on or off")
    return _switch(model, key, value in _ON, text)


def _switch(model: Model, feature: str, on: bool, text: str) -> Model:
    feature = feature.replace("_", "-")
    _known(feature, text, FEATURES)
    return replace(model, features=model.features | {feature} if on else model.features - {feature})


def _known(name: str, text: str, names: Iterable[str]) -> None:
    if name not in names:
        raise UsageError(f"{_where(text)}: no feature {_short(name)!r}{_near(name, names)}")


def _number(key: str, value: str, text: str) -> int:
    try:
        number = int(value, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= _NUMBERS[key]:
        raise UsageError(f"{_where(text)}: {key}={_short(value)}: not a number from 0 to {_NUMBERS[key]}")
    return number


def _named(model: Model, key: str, value: str, text: str) -> Model:
    printable = value.isascii() and value.isprintable()
    if key == "vendor":
        if len(value) != 12 or not printable:
            raise UsageError(f"{_where(text)}: vendor={value}: a vendor is twelve ASCII characters")
        return replace(model, vendor=value)
    if len(value) > 47 or not printable:
        raise UsageError(f"{_where(text)}: model-id={value}: at most 47 ASCII characters")
    return replace(model, brand=value)


def _where(text: str) -> str:
    """The notation that a message is about; of a long one the part that is wrong says enough."""
    return f"cpu {text!r}" if len(text) <= _SHOWN else "cpu"


def _short(part: str) -> str:
    return part if len(part) <= _SHOWN else part[:_SHOWN] + "…"


def _near(name: str, names: Iterable[str]) -> str:
    """What may have been meant, and where the list is."""
    from difflib import get_close_matches

    close = get_close_matches(name[:_SHOWN], list(names), n=3)
    meant = f"; near it: {', '.join(close)}" if close else ""
    return f"{meant}; see --cpu help"


def help_text() -> str:
    """The models and features, for people."""
    lines = ["Models:"]
    lines += [f"  {model.name:14} {model.note}" for model in MODELS.values()]
    lines += ["", f"Features (those of the model {DEFAULT} with a star):"]
    for feature in FEATURES.values():
        star = "*" if feature.default else " "
        lines.append(f"{star} {feature.name:14} {feature.note}")
    lines += ["", "Also: vendor=TWELVE-CHARS, family=N, model=N, stepping=N, model-id=TEXT"]
    return "\n".join(lines)
