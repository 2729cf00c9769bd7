"""The kernel's configurations: one image serves all, the command line given at boot chooses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringzero.errors import UsageError

SOURCES = Path(__file__).parent / "asm"
MAIN_SOURCE = SOURCES / "kernel.asm"
STAGES = Path(__file__).parent / "stages.toml"

SUCCESS_EXIT = 33  # the kernel writes 0x10 to isa-debug-exit, whose status is 2·value + 1
MEMORY = "16M"
LAYOUTS = range(256)


@dataclass(frozen=True)
class Configuration:
    """What one boot is to do, and the most steps it may take for it."""

    name: str
    title: str
    max_steps: int

    @property
    def command_line(self) -> str:
        return f"config={self.name}"


CONFIGURATIONS = {
    configuration.name: configuration
    for configuration in (
        Configuration("boot-stages", "every stage of the list, once", 3_000_000),
        Configuration(
            "kthread-stress", "100 parking threads, rapid stop, 50 rounds of create, stop, join", 10_000_000
        ),
        Configuration("workqueue", "the work queues alone", 3_000_000),
        Configuration("scenarios", "small tests, each the start of an exploration", 3_000_000),
    )
}
DEFAULT = "boot-stages"


def configuration(name: str) -> Configuration:
    """Look one up; UsageError names those there are."""
    if name not in CONFIGURATIONS:
        raise UsageError(f"no configuration {name!r}; there are {', '.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[name]
