"""Features hold together: CPUID's bits, the rows that need them, and the bits of CR4 and EFER that belong to them."""

from __future__ import annotations

import pytest

from ringzero.cpu.system.cpuid import cpuid
from ringzero.cpu.system.model import MODELS, parse_model
from ringzero.errors import UsageError
from ringzero.isa.features import FEATURES, INSTEAD, cr4_bits, efer_bits, rows_with
from ringzero.isa.table import FORMS


def test_every_row_names_a_feature_that_there_is() -> None:
    assert {form.feature for form in FORMS if form.feature} <= FEATURES.keys()


def test_no_two_features_share_a_bit() -> None:
    places = [feature.place for feature in FEATURES.values() if feature.place]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_its_bit_its_rows_and_its_control_bits(name: str) -> None:
    """Switching one off takes away its CPUID bit, its rows, its bits of CR4 and EFER, and nothing else."""
    feature, full = FEATURES[name], parse_model("max")
    less = parse_model(f"max,-{name}")
    if feature.place:
        leaf, subleaf, register, bit = feature.place
        assert cpuid(full, leaf, subleaf)[register] >> bit & 1 == 1
        assert cpuid(less, leaf, subleaf)[register] == cpuid(full, leaf, subleaf)[register] ^ 1 << bit
    assert cr4_bits(full.features) ^ cr4_bits(less.features) == feature.cr4
    assert efer_bits(full.features) ^ efer_bits(less.features) == feature.efer
    for bits in (16, 32, 64):
        for form, row in zip(FORMS, rows_with(less.features, bits), strict=True):
            if form.feature != name or feature.needed_in not in (0, bits):
                assert row is form
            elif form.mnemonic in INSTEAD:
                assert row is not None
                assert (row.mnemonic, row.operands) == (INSTEAD[form.mnemonic], form.operands)
            else:
                assert row is None


BAD = [
    ("ringzer", "near it: ringzero"),
    ("", "no model ''"),
    ("max,+bmi", "near it: bmi"),
    ("max,+no_such", "'no-such'"),
    ("max,nx", "'nx' is no +FEATURE"),
    ("max,nx=maybe", "nx=maybe: write on or off"),
    ("max,color=1", "no feature 'color'"),
    ("max,vendor=Intel", "twelve ASCII characters"),
    ("max,family=999", "from 0 to 270"),
    ("max,stepping=x", "from 0 to 15"),
    ("max,", "''"),
]
# (a model, all that is said of it): what is far from every name has nothing near it, what is long is shortened
SAID = [
    ("skylake", "cpu: no model 'skylake'; see --cpu help"),
    ("ringzer", "cpu: no model 'ringzer'; near it: ringzero; see --cpu help"),
    ("max,+avx512f", "cpu 'max,+avx512f': no feature 'avx512f'; see --cpu help"),
    ("x" * 500, f"cpu: no model '{'x' * 60}…'; see --cpu help"),
    ("max" + ",-nx" * 100 + ",+bmi", "cpu: no feature 'bmi'; near it: bmi2, bmi1, abm; see --cpu help"),
    ("max,nx=" + "y" * 99, f"cpu: nx={'y' * 60}…: write on or off"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_bad_models_are_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "said"), SAID)
def test_a_bad_model_is_told_once_and_in_short(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text)
    assert str(caught.value) == said


def test_the_last_word_holds() -> None:
    assert parse_model("max,-nx,nx=on").has("nx")
    assert not parse_model("max,+nx,nx=off").has("nx")
    assert not parse_model("max,lahf_lm=off").has("lahf-lm")
    assert parse_model("intel,family=6,model=0x3c,stepping=3").identity[1:4] == (6, 60, 3)


def test_leaves_name_the_processor() -> None:
    model = MODELS["intel"]
    top, *vendor = cpuid(model, 0, 0)
    assert (
        b"".join(word.to_bytes(4, "little") for word in (vendor[0], vendor[2], vendor[1])) == b"GenuineIntel"
    )
    assert cpuid(model, 1, 0)[0] == 0x106A3
    assert cpuid(MODELS["amd"], 1, 0)[0] == 0x60FB1
    brand = b"".join(
        word.to_bytes(4, "little") for n in (2, 3, 4) for word in cpuid(model, 0x8000_0000 + n, 0)
    )
    assert brand.rstrip(b"\0").decode() == model.brand
    # Beyond the last leaf of a range the last basic one answers (SDM 2A, CPUID).
    for beyond in (top + 1, 0x4000_0000, 0x4FFF_FFFF, 0x8000_0009, 0x8000_000A, 0xC000_0000, 0xFFFF_FFFF):
        assert cpuid(model, beyond, 0) == cpuid(model, top, 0)


def test_osxsave_is_a_mirror_of_cr4() -> None:
    assert cpuid(MODELS["max"], 1, 0)[2] >> 27 & 1 == 0
    assert cpuid(MODELS["max"], 1, 0, 1 << 18)[2] >> 27 & 1 == 1
