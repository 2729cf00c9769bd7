"""A model as a guest meets it, on both engines: what is listed runs, what is not is #UD, and CR4 and CPUID agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringzero import Machine
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.system.cpuid import cpuid
from ringzero.cpu.system.handlers import HANDLERS
from ringzero.cpu.system.model import MODELS, parse_model
from ringzero.errors import SnapshotError, UsageError
from ringzero.isa import record as R
from ringzero.isa.control import CR4_PCIDE
from ringzero.isa.decode import decode
from ringzero.isa.features import FEATURES, INSTEAD, cr4_bits
from ringzero.isa.form import Form
from ringzero.isa.table import FORMS
from ringzero_tests.engines import ENGINES, EngineRunner, missing
from ringzero_tests.generate import case_for
from ringzero_tests.system import CR4

UD = 6


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if reason := missing(request.param):
        pytest.skip(reason)
    name: str = request.param
    return name


#: Leaves and subleaves that Linux reads, and some that are not there.
LEAVES = (
    (0, 0), (1, 0), (2, 0), (4, 0), (6, 0), (7, 0), (7, 1), (7, 2), (0xB, 0), (0xD, 1), (0xE, 0), (0x40000000, 0),
    (0x40000100, 0), (0x80000000, 0), (0x80000001, 0), (0x80000003, 7), (0x80000008, 0), (0x8000000A, 0),
)  # fmt: skip


def rows_of(feature: str) -> list[Form]:
    return [form for form in FORMS if form.feature == feature and form.mode64]


def vectors(runner: EngineRunner, form: Form, seeds: int) -> list[int | None]:
    """The fault, if any, of the row's cases at CPL 0, with all of CR4 that the model has."""
    found = []
    for seed in range(seeds):
        case = case_for(form, 64, seed)
        if case is None or decode(case.code, 64, limit=1)[0][R.FORM] != form.number:
            continue
        runner.load(case, 0, {"cr4": CR4 & runner.cpu.cr4_bits, "efer": 0xD01 & runner.cpu.efer_bits | 0x500})
        fault = runner.finish(case).fault
        found.append(fault.vector if fault else None)
    return found


@pytest.mark.parametrize("feature", [name for name in FEATURES if rows_of(name)])
def test_a_listed_feature_runs_and_an_unlisted_one_is_ud(engine: str, feature: str) -> None:
    full, less = EngineRunner(engine), EngineRunner(engine, f"max,-{feature}")
    for form in rows_of(feature):
        there, gone = vectors(full, form, 6), vectors(less, form, 6)
        assert UD not in there, f"{form}: {there}"
        if form.mnemonic in INSTEAD:
            assert UD not in gone, f"{form}: {gone}"
        else:
            assert set(gone) == {UD}, f"{form}: {gone}"


def test_without_bmi1_and_abm_counts_are_scans(engine: str) -> None:
    code = bytes.fromhex("b860000000f30fbcc8f30fbdd0f4")  # mov eax, 0x60; tzcnt ecx, eax; lzcnt edx, eax; hlt
    for cpu, expected in (("max", (5, 25)), ("max,-bmi1,-abm", (5, 6))):
        machine = Machine.flat(code, engine=engine, cpu=cpu)
        machine.run()
        assert (machine.registers["rcx"], machine.registers["rdx"]) == expected


@pytest.mark.parametrize("cpu", MODELS)
def test_cr4_takes_what_cpuid_lists_and_no_more(cpu: str) -> None:
    machine = Machine(engine="python", memory="1M", cpu=cpu)
    chip = machine.cpu
    allowed = cr4_bits(chip.model.features)
    for bit in range(64):
        chip.state["cr4"], chip.state["rax"] = 0, 1 << bit
        try:
            HANDLERS["write_control"](chip, 4, 0)
        except GuestFault:
            assert not allowed >> bit & 1 or 1 << bit == CR4_PCIDE, (
                f"bit {bit}"
            )  # it needs long mode (SDM 3A 4.10.1)
        else:
            assert bit >= 32 or allowed >> bit & 1, f"bit {bit}"


@pytest.mark.parametrize("cpu", ["ringzero", "max", "intel", "qemu64,+popcnt"])
def test_a_guest_reads_the_models_leaves(engine: str, cpu: str) -> None:
    model = parse_model(cpu)
    for leaf, subleaf in LEAVES:
        code = (
            b"\xb8" + leaf.to_bytes(4, "little") + b"\xb9" + subleaf.to_bytes(4, "little") + b"\x0f\xa2\xf4"
        )
        machine = Machine.flat(code, engine=engine, cpu=cpu, memory="1M")
        machine.run()
        answer = tuple(machine.registers[name] for name in ("rax", "rbx", "rcx", "rdx"))
        assert answer == cpuid(model, leaf, subleaf)


def test_the_command_line_and_python_mean_the_same() -> None:
    assert Machine(memory="1M", cpu="max,-nx").cpu.model.identity == parse_model("max,-nx").identity
    assert Machine(memory="1M", cpu=parse_model("qemu64")).cpu.model.vendor == "AuthenticAMD"
    with pytest.raises(UsageError, match="no model 'i486'"):
        Machine(memory="1M", cpu="i486")
    with pytest.raises(UsageError, match="without lm"):
        Machine.flat(b"\xf4", cpu="max,-lm")


def test_a_snapshot_goes_back_to_the_same_processor_only(tmp_path: Path) -> None:
    kept = Machine(memory="1M").snapshot()
    Machine(memory="1M", cpu="ringzero,+nx").restore(kept)
    for other in ("max", "intel", "ringzero,-nx", "ringzero,stepping=1"):
        with pytest.raises(SnapshotError, match="processor"):
            Machine(memory="1M", cpu=other).restore(kept)
