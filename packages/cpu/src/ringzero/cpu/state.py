"""The architectural state: one row of 64-bit slots that both engines share.

Everything a µop can name is a slot, and a slot's number fits a byte. The slots live in one
`bytearray`, little endian, so a snapshot is a copy, and a run may change its engine at any
boundary. The C core gets the same numbers as `#define`s made from `SLOTS`.

Between runs the arithmetic flags stand in `rflags`; the lazy form is an engine's own affair.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

GPRS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
TEMPS = tuple(f"t{n}" for n in range(128))
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
SYSTEM_SEGMENTS = ("ldtr", "tr")


def _segment_slots() -> Iterator[str]:
    """A selector and the descriptor cache behind it: base, limit in bytes, access rights.

    `attr` holds the descriptor's bits 40-47 and 52-55: type, S, DPL, P, then AVL, L, D/B, G from bit 8.
    """
    for field in ("selector", "base", "limit", "attr"):
        for segment in (*SEGMENTS, *SYSTEM_SEGMENTS):
            yield f"{segment}_{field}"


#: Slots that a state hash and a comparison of two machines see.
ARCHITECTURAL = (
    *GPRS,
    "rip",
    "rflags",
    *_segment_slots(),
    *("gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit"),
    *("cr0", "cr2", "cr3", "cr4", "cr8", "xcr0"),
    *("pdpte0", "pdpte1", "pdpte2", "pdpte3"),  # what PAE paging outside long mode has loaded
    *("dr0", "dr1", "dr2", "dr3", "dr6", "dr7"),
    *("efer", "star", "lstar", "cstar", "sfmask", "kernel_gs_base", "tsc_aux", "tsc_offset"),
    *("sysenter_cs", "sysenter_esp", "sysenter_eip", "pat", "apic_base"),
    *("cpl", "halted", "nmi_blocked", "nmi_pending"),
    "rng",  # where the stream of RDRAND and RDSEED stands
    "debug_pending",  # bits of DR6 for which #DB is due at the next boundary; see `breakpoints`
    "shadow",  # the step at whose boundary no interrupt is taken (STI, MOV SS); see `Cpu`
)

#: Slots by which the driver and an engine talk; meaningless between runs.
EXCHANGE = (
    "zero",  # always 0: the absent base, index or error code
    "res",  # lazy flags: the sign-extended result ...
    "aux",  # ... and the carry vector; see `flags`
    "mode",  # how bytes decode and what they may do; see `mode`
    "left",  # steps the engine may still retire
    "end_step",  # `steps` when `left` has come to 0
    "attention",  # what to leave for at the end of a block that says so: `exits.WAITING`, `exits.RETURNING`
    "return_rip",
    "return_rsp",  # the return that is waited for
    "resume",  # this linear address + 1 has had its probe: do not stop there again
    "next_rip",  # where the instruction that left for the driver ends
    "exit_d",
    "exit_a",
    "exit_b",
    "exit_s",
    "exit_imm",  # operands of the µop that left
    "fault_vector",
    "fault_error",
    "fault_address",
    "int_vector",
    "int_error",
    "int_has_error",
    "int_software",
    "int_external",
    "int_rip",
    "int_flags",
)

SLOTS: tuple[str, ...] = (*GPRS, *TEMPS, *(s for s in ARCHITECTURAL if s not in GPRS), *EXCHANGE)
SLOT: dict[str, int] = {name: number for number, name in enumerate(SLOTS)}
STATE_SIZE = 8 * len(SLOTS)
FIRST_TEMP = SLOT["t0"]
assert len(SLOTS) <= 256, "a µop names a slot by one byte"

_ALL = struct.Struct(f"<{len(SLOTS)}Q")


class State:
    """All slots in one `bytearray` (`data`), by number through `words`, by name through `[]`.

    >>> state = State()
    >>> state["rax"] = 5
    >>> state["rax"], state.words[0], len(state.data) == STATE_SIZE
    (5, 5, True)
    """

    __slots__ = ("data", "words")

    def __init__(self) -> None:
        self.data = bytearray(STATE_SIZE)
        self.words = memoryview(self.data).cast("Q")

    def __getitem__(self, name: str) -> int:
        return self.words[SLOT[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self.words[SLOT[name]] = value & 0xFFFF_FFFF_FFFF_FFFF

    def unpack(self) -> list[int]:
        """All slots as a list: what the Python engine works on."""
        return list(_ALL.unpack(self.data))

    def pack(self, words: list[int]) -> None:
        """Put a list of all slots back."""
        _ALL.pack_into(self.data, 0, *words)
