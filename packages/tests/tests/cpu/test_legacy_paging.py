"""Two-level and PAE paging: the 32-bit guest on both engines and on QEMU; `recorded/legacy.txt` keeps each line."""

from __future__ import annotations

import pytest

from ringzero_tests.legacy_guest import CASES, run_here, run_on_qemu
from ringzero_tests.system_vectors import LEGACY, load


def test_each_case_as_recorded(engine: str) -> None:
    recorded = {name: row.line for name, row in load(LEGACY).items()}
    assert run_here(CASES, engine) == recorded


def test_pdptes_are_registers() -> None:
    """SDM 3A 4.4.1, read by hand: what loads them, and which of their bits are reserved."""
    recorded = {name: row.line for name, row in load(LEGACY).items()}
    refused = [
        bit for bit in (1, 2, 3, 4, 5, 8, 9, 40, 51, 52, 62, 63) if recorded[f"pdpte bit {bit}"] == "GP(0x0)"
    ]
    assert refused == [1, 2, 5, 8, 40, 51, 52, 62, 63]
    loads = [
        name.split(", then ")[1] for name, line in recorded.items() if ", then " in name and line[:2] == "PF"
    ]
    assert loads == ["cr4 0x10", "cr4 0x80", "cr0 0x40000000"]
    assert recorded["pdpte stored and not loaded"].startswith("end")


@pytest.mark.judge("qemu-system-x86_64")
def test_qemu_says_what_was_recorded() -> None:
    recorded = load(LEGACY)
    for name, line in run_on_qemu(CASES).items():
        assert line in (recorded[name].line, recorded[name].qemu), name
