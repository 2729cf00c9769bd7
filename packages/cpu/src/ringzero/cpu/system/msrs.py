"""Model-specific registers: which there are on a model, what they hold, and what may be written (SDM 4; APM 2, A).

The room's rule: `TABLE` has a line for each register, and a register that is not there for the machine's model (its
feature is absent, or its vendor another) is #GP(0), for reads and for writes. What a register holds is a slot of the
processor's state, a word of `Processor.msrs`, or a value that never changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.exits import PHYSICAL_BITS
from ringzero.cpu.system.model import Model

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
UPPER = M64 ^ M32
BEYOND = M64 & ~((1 << PHYSICAL_BITS) - 1)
APIC_BSP = 1 << 8  # of IA32_APIC_BASE: this processor boots the others (SDM 3A 10.4.4)
INTEL, AMD = "GenuineIntel", "AuthenticAMD"
Check = Callable[[int], bool]


def _anything(value: int) -> bool:
    return True


def _types(value: int) -> bool:
    """Eight memory types of the PAT (SDM 3A 12.12.2)."""
    return all(value >> 8 * n & 0xFF in (0, 1, 4, 5, 6, 7) for n in range(8))


def _ranges(value: int) -> bool:
    """Eight memory types of a fixed-range MTRR (SDM 3A 12.11.2.2)."""
    return all(value >> 8 * n & 0xFF in (0, 1, 4, 5, 6) for n in range(8))


def _range(value: int) -> bool:
    """One memory type in the low byte."""
    return value & 0xFF in (0, 1, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class Msr:
    """One register.

    It is there when the model has one of `features` (none named: always) and is of one of `vendors` (likewise), or,
    `not_intel`, of any but one. `slot`: the state's slot that holds it; else `stored`: `Processor.msrs` does; else it
    always reads as `initial`. A write is #GP(0) when `writable` is false, when it sets a `reserved` bit, or when
    `check` says no; `ignored` bits are dropped.
    """

    number: int
    name: str
    features: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    not_intel: bool = False
    slot: str = ""
    stored: bool = False
    initial: int = 0
    writable: bool = True
    reserved: int = 0
    ignored: int = 0
    check: Check = _anything

    def there(self, model: Model) -> bool:
        """Whether a processor of this model has it."""
        known = not self.features or any(model.has(feature) for feature in self.features)
        ours = (
            model.vendor in self.vendors if self.vendors else not (self.not_intel and model.vendor == INTEL)
        )
        return known and ours


_SEP, _SYSCALL, _LM, _MTRR = ("sep",), ("syscall",), ("lm",), ("mtrr",)
_INTEL, _AMD = (INTEL,), (AMD,)
_FIXED_RANGES = (0x250, 0x258, 0x259, *range(0x268, 0x270))

# fmt: off
TABLE: tuple[Msr, ...] = (
    Msr(0x0, "P5_MC_ADDR", ("mce",), writable=False),
    Msr(0x1, "P5_MC_TYPE", ("mce",), writable=False),
    Msr(0x10, "TIME_STAMP_COUNTER", ("tsc",)),
    Msr(0x17, "PLATFORM_ID", vendors=_INTEL, writable=False),
    Msr(0x1B, "APIC_BASE", slot="apic_base", reserved=BEYOND | 0x6FF),
    Msr(0x3A, "FEATURE_CONTROL", vendors=_INTEL, initial=1, writable=False),  # locked, without VMX
    Msr(0x8B, "BIOS_SIGN_ID", vendors=(INTEL, AMD), stored=True),
    Msr(0xCE, "PLATFORM_INFO", vendors=_INTEL, writable=False),
    Msr(0xFE, "MTRRCAP", _MTRR, initial=0x508, writable=False),  # WC, fixed ranges, eight variable ones
    Msr(0x140, "MISC_FEATURES_ENABLES", vendors=_INTEL, reserved=M64),
    Msr(0x174, "SYSENTER_CS", _SEP, slot="sysenter_cs", ignored=UPPER),
    Msr(0x175, "SYSENTER_ESP", _SEP, slot="sysenter_esp", check=is_canonical),
    Msr(0x176, "SYSENTER_EIP", _SEP, slot="sysenter_eip", check=is_canonical),
    Msr(0x179, "MCG_CAP", ("mca",), writable=False),  # no banks
    Msr(0x17A, "MCG_STATUS", ("mca",), stored=True, reserved=M64 ^ 7),
    # Fast strings; no branch trace and no precise events.
    Msr(0x1A0, "MISC_ENABLE", vendors=_INTEL, stored=True, initial=0x1801, reserved=M64 ^ 0x11801),
    *(Msr(0x200 + n, f"MTRR_PHYSBASE{n // 2}", _MTRR, stored=True, reserved=BEYOND | 0xF00, check=_range)
      for n in range(0, 16, 2)),
    *(Msr(0x201 + n, f"MTRR_PHYSMASK{n // 2}", _MTRR, stored=True, reserved=BEYOND | 0x7FF) for n in range(0, 16, 2)),
    *(Msr(number, f"MTRR_FIX_{number:X}", _MTRR, stored=True, check=_ranges) for number in _FIXED_RANGES),
    Msr(0x277, "PAT", ("pat",), slot="pat", check=_types),
    Msr(0x2FF, "MTRR_DEF_TYPE", _MTRR, stored=True, reserved=M64 ^ 0xCFF, check=_range),
    Msr(0xC000_0080, "EFER", ("syscall", "lm", "nx"), slot="efer"),
    Msr(0xC000_0081, "STAR", _SYSCALL, slot="star"),
    Msr(0xC000_0082, "LSTAR", _SYSCALL, slot="lstar", check=is_canonical),
    Msr(0xC000_0083, "CSTAR", _SYSCALL, slot="cstar", check=is_canonical),
    Msr(0xC000_0084, "FMASK", _SYSCALL, slot="sfmask", reserved=UPPER),
    Msr(0xC000_0100, "FS_BASE", _LM, slot="fs_base", check=is_canonical),
    Msr(0xC000_0101, "GS_BASE", _LM, slot="gs_base", check=is_canonical),
    Msr(0xC000_0102, "KERNEL_GS_BASE", _LM, slot="kernel_gs_base", check=is_canonical),
    Msr(0xC000_0103, "TSC_AUX", ("rdtscp", "rdpid"), slot="tsc_aux", reserved=UPPER),
    # Guests clear the counters of any processor that is not Intel's. There are none, so nothing else can be written.
    *(Msr(0xC001_0000 + n, f"PERF_CTL{n}", not_intel=True, reserved=M64) for n in range(4)),
    *(Msr(0xC001_0004 + n, f"PERF_CTR{n}", not_intel=True, reserved=M64) for n in range(4)),
    Msr(0xC001_0010, "SYSCFG", vendors=_AMD, writable=False),
    Msr(0xC001_0015, "HWCR", vendors=_AMD, stored=True, reserved=UPPER),
    Msr(0xC001_0055, "INT_PENDING", vendors=_AMD, stored=True, reserved=UPPER),
    Msr(0xC001_1029, "DE_CFG", vendors=_AMD, stored=True, initial=2),  # LFENCE waits for what came before
)
# fmt: on

#: The registers that `Processor.msrs` holds, in its order.
STORED: tuple[Msr, ...] = tuple(register for register in TABLE if register.stored)
INITIAL: tuple[int, ...] = tuple(register.initial for register in STORED)
PLACES = {register.number: place for place, register in enumerate(STORED)}


@cache
def registers_of(model: Model) -> dict[int, Msr]:
    """The registers that are there on a model, by number."""
    return {register.number: register for register in TABLE if register.there(model)}
