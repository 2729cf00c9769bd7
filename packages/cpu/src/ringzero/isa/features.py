"""The features that a processor here can have: CPUID's bit of each, and what is there only with it.

The room's rule: a feature stands here when all that its CPUID bit promises is built, and not before. One line makes it
an option of `--cpu`, sets its bit, and lets the guest set the bits of CR4 and EFER that belong to it; the rows of the
instruction table name it in their `feature` column. Names are QEMU's.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import cache

from ringzero.isa import control as C
from ringzero.isa.form import Form
from ringzero.isa.table import FORMS

REGISTERS = ("eax", "ebx", "ecx", "edx")


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature. `place`: CPUID leaf, subleaf, index of the register in REGISTERS and bit; None: no bit tells of it.

    `cr4`, `efer`: the bits that can be set only with it. `default`: whether the model `ringzero` has it. `needed_in`:
    rows are without it only in 64-bit code (64), or anywhere (0).
    """

    name: str
    place: tuple[int, int, int, int] | None
    cr4: int
    efer: int
    default: bool
    needed_in: int
    note: str


#: All features by name, in CPUID's order.
FEATURES: dict[str, Feature] = {}


def _feature(
    name: str, place: str, note: str, *, cr4: int = 0, efer: int = 0, default: bool = True, needed_in: int = 0
) -> None:
    """Add a line. `place` is "leaf.subleaf register bit" in hexadecimal and decimal: "7.0 ebx 3"."""
    where = None
    if place:
        leaf, register, bit = place.split()
        number, _, subleaf = leaf.partition(".")
        where = (int(number, 16), int(subleaf or "0", 16), REGISTERS.index(register), int(bit))
    FEATURES[name] = Feature(name, where, cr4, efer, default, needed_in, note)


# fmt: off
_feature("monitor", "1 ecx 3", "MONITOR and MWAIT, which does not wait", default=False)
_feature("cx16", "1 ecx 13", "CMPXCHG16B")
_feature("pcid", "1 ecx 17", "process-context identifiers in CR3", cr4=C.CR4_PCIDE)
_feature("sse4.2", "", "CRC32, which is all of SSE4.2 that there is: no bit tells of it", default=False)
_feature("movbe", "1 ecx 22", "MOVBE")
_feature("popcnt", "1 ecx 23", "POPCNT")
_feature("rdrand", "1 ecx 30", "RDRAND, from a stream that --rng-seed begins")
_feature("hypervisor", "1 ecx 31", "the guest is told, and leaf 40000000 names the machine", default=False)

_feature("de", "1 edx 2", "debugging extensions: DR4 and DR5 are no other names of DR6 and DR7", cr4=C.CR4_DE)
_feature("pse", "1 edx 3", "4 MiB pages", cr4=C.CR4_PSE)
_feature("tsc", "1 edx 4", "RDTSC", cr4=C.CR4_TSD)
_feature("msr", "1 edx 5", "RDMSR and WRMSR")
_feature("pae", "1 edx 6", "physical addresses of more than 32 bits", cr4=C.CR4_PAE)
_feature("mce", "1 edx 7", "machine checks, of which there are none", cr4=C.CR4_MCE)
_feature("cx8", "1 edx 8", "CMPXCHG8B")
_feature("sep", "1 edx 11", "SYSENTER and SYSEXIT")
_feature("mtrr", "1 edx 12", "memory type range registers, without effect", default=False)
_feature("pge", "1 edx 13", "global pages", cr4=C.CR4_PGE)
_feature("mca", "1 edx 14", "the registers of machine checks, of no bank")
_feature("cmov", "1 edx 15", "CMOVcc")
_feature("pat", "1 edx 16", "the page attribute table")
_feature("pse36", "1 edx 17", "4 MiB pages anywhere in physical memory; the page walk always has them")
_feature("clflush", "1 edx 19", "CLFLUSH; a cache line has 64 bytes")

_feature("fsgsbase", "7.0 ebx 0", "RDFSBASE, RDGSBASE, WRFSBASE and WRGSBASE", cr4=C.CR4_FSGSBASE)
_feature("bmi1", "7.0 ebx 3", "ANDN, BEXTR, BLSI, BLSMSK, BLSR; TZCNT, which without it is BSF")
_feature("smep", "7.0 ebx 7", "the kernel cannot run user pages", cr4=C.CR4_SMEP)
_feature("bmi2", "7.0 ebx 8", "BZHI, MULX, PDEP, PEXT, RORX, SARX, SHLX, SHRX")
_feature("invpcid", "7.0 ebx 10", "INVPCID")
_feature("rdseed", "7.0 ebx 18", "RDSEED, from the same stream")
_feature("adx", "7.0 ebx 19", "ADCX and ADOX")
_feature("smap", "7.0 ebx 20", "the kernel cannot touch user pages but between STAC and CLAC", cr4=C.CR4_SMAP)
_feature("clflushopt", "7.0 ebx 23", "CLFLUSHOPT")
_feature("clwb", "7.0 ebx 24", "CLWB")
_feature("umip", "7.0 ecx 2", "SGDT, SIDT, SLDT, SMSW and STR can be kept from user code", cr4=C.CR4_UMIP)
_feature("rdpid", "7.0 ecx 22", "RDPID")
_feature("cldemote", "7.0 ecx 25", "CLDEMOTE; without it, too, a NOP", default=False)
_feature("serialize", "7.0 edx 14", "SERIALIZE")

_feature("lahf-lm", "80000001 ecx 0", "LAHF and SAHF in 64-bit code", needed_in=64)
_feature("abm", "80000001 ecx 5", "LZCNT, which without it is BSR")
_feature("3dnowprefetch", "80000001 ecx 8", "PREFETCHW; without it, too, a NOP")
_feature("syscall", "80000001 edx 11", "SYSCALL and SYSRET", efer=C.EFER_SCE)
_feature("nx", "80000001 edx 20", "pages that cannot be executed", efer=C.EFER_NXE)
_feature("pdpe1gb", "80000001 edx 26", "1 GiB pages; the page walk always has them")
_feature("rdtscp", "80000001 edx 27", "RDTSCP")
_feature("lm", "80000001 edx 29", "long mode", efer=C.EFER_LME | C.EFER_LMA)

_feature("invtsc", "80000007 edx 8", "the time stamp counter runs at one rate")
_feature("wbnoinvd", "80000008 ebx 9", "WBNOINVD, which without it is WBINVD")
# fmt: on

#: What a row runs as where its feature is absent and the bytes mean an older instruction (SDM 2, each page).
INSTEAD = {"tzcnt": "bsf", "lzcnt": "bsr", "wbnoinvd": "wbinvd"}


@cache
def rows_with(features: frozenset[str], bits: int) -> tuple[Form | None, ...]:
    """FORMS as a processor with these features runs them in `bits`-bit code, by number: None is #UD."""
    older = {form.mnemonic: form for form in FORMS if form.mnemonic in INSTEAD.values()}

    def row(form: Form) -> Form | None:
        if not form.feature or form.feature in features:
            return form
        if FEATURES[form.feature].needed_in not in (0, bits):
            return form
        return older[INSTEAD[form.mnemonic]] if form.mnemonic in INSTEAD else None

    return tuple(row(form) for form in FORMS)


def cr4_bits(features: Set[str]) -> int:
    """The bits of CR4 that a guest can set; PCE is as old as RDPMC, and no bit of CPUID tells of it."""
    return sum(FEATURES[name].cr4 for name in features) | C.CR4_PCE


def efer_bits(features: Set[str]) -> int:
    """The bits of EFER that are not reserved."""
    return sum(FEATURES[name].efer for name in features)
