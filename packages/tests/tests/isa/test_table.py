"""The table itself: its notation, its numbering, and that no two rows fit the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringzero.isa import FORMS, LOWERINGS
from ringzero.isa import form as notation
from ringzero.isa.dectab import Overlap, build_tables
from ringzero.isa.form import Form, parse_encoding

FORM_LIMIT = 0x7FFF  # numbers above are no rows in the decoders' tables

Rows = Callable[..., list[Form]]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Rows of a table of one's own: pairs of mnemonic and encoding, with operands."""

    def make(*texts: tuple[str, ...], **options: str) -> list[Form]:
        monkeypatch.setattr(notation, "ROWS", [])
        for text in texts:
            notation.form(*text, **options)  # type: ignore[arg-type]
        return notation.ROWS

    return make


def test_numbers_are_places() -> None:
    assert [form.number for form in FORMS] == list(range(len(FORMS)))
    assert len(FORMS) < FORM_LIMIT


@pytest.mark.parametrize("mode", [64, 32, 16])
def test_no_two_rows_overlap(mode: int) -> None:
    build_tables(FORMS, mode)


@pytest.mark.parametrize("mode", [64, 32, 16])
def test_every_row_can_be_reached(mode: int) -> None:
    tables = build_tables(FORMS, mode)
    reached = {cell for cells in tables.cells for cell in cells} | {
        cell for _, cells in tables.nodes for cell in cells
    }
    wanted = {form.number for form in FORMS if (form.mode64 if mode == 64 else form.mode32)}
    assert wanted <= reached


def test_every_row_has_a_lowering() -> None:
    assert sorted({form.mnemonic for form in FORMS} - LOWERINGS.keys()) == []


OVERLAPS = (
    (("a", "01 /r", "rm, r"), ("b", "01 /r", "rm, r")),
    (("a", "FF /1", "rm"), ("b", "FF /r", "r, rm")),
    (("a", "50+r", "o"), ("b", "53")),
    (("a", "F3 90"), ("b", "REX.W 90")),
    (("a", "o16 98"), ("b", "REX.W0 98")),
    (("a", "0F 01 F8"), ("b", "0F 01 /7", "rm")),
)  # fmt: skip


@pytest.mark.parametrize("pair", OVERLAPS)
def test_overlap_is_refused(rows: Rows, pair: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(Overlap, match="fit the same bytes in 64-bit mode"):
        build_tables(rows(*pair), 64)


APART = (
    (("a", "90"), ("b", "F3 90")),
    (("a", "98"), ("b", "o16 98"), ("c", "o64 98")),
    (("a", "0F 01 F8"), ("b", "0F 01 /7", "m")),
    (("a", "0F C7 /1", "m64"), ("b", "REX.W 0F C7 /1", "m128")),
)  # fmt: skip


@pytest.mark.parametrize("texts", APART)
def test_a_more_demanding_row_is_no_overlap(rows: Rows, texts: tuple[tuple[str, ...], ...]) -> None:
    made = rows(*texts)
    tables = build_tables(made, 64)
    reached = {cell for cells in tables.cells for cell in cells} | {
        cell for _, cells in tables.nodes for cell in cells
    }
    assert {form.number for form in made} <= reached


BAD = (
    (("a", "01 /r", "rm, rx"), "no operand kind"),
    (("a", "01 /9", "rm"), "no word of the notation"),
    (("a", "01 ix", "imm8"), "no word of the notation"),
    (("a", "0F"), None),
    (("a", "01 02 03"), "one opcode byte"),
    (("a", "/r"), "one opcode byte"),
    (("a", "VEX.L1.0F38 F2 /r"), "no word of the notation"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_rows_are_refused(rows: Rows, text: tuple[str, ...], message: str | None) -> None:
    if message is None:  # 0F alone is the one-byte map's opcode 0F
        assert rows(text)[0].opcode_map == 0
        return
    with pytest.raises(ValueError, match=message):
        rows(text)


def test_unknown_size_is_refused(rows: Rows) -> None:
    with pytest.raises(ValueError, match="no size"):
        rows(("a", "01"), size="x")


ENCODINGS = (
    ("F3 0F B8 /r", {"mandatory": 0xF3, "opcode_map": 1, "opcode": 0xB8, "modrm": True, "digit": None}),
    ("83 /7 ib", {"opcode_map": 0, "opcode": 0x83, "digit": 7, "immediates": ("ib",)}),
    ("B8+r iv", {"opcode": 0xB8, "plus_r": True, "modrm": False}),
    ("0F 38 F0 /r", {"opcode_map": 2, "opcode": 0xF0}),
    ("0F 01 F9", {"opcode_map": 1, "opcode": 1, "fixed_modrm": 0xF9, "modrm": True}),
    ("REX.W 0F C7 /1", {"rex_w": 1}),
    ("NP 0F AE /5 mod=3", {"no_prefix": True, "mod3": True, "digit": 5}),
    ("a32 E3 cb", {"need_addrsize": 4, "immediates": ("cb",)}),
    ("66", {"mandatory": None, "opcode": 0x66}),
    ("VEX.LZ.F2.0F3A F0 /r ib", {"vex": True, "mandatory": 0xF2, "opcode_map": 3, "opcode": 0xF0, "no_prefix": False}),
    ("VEX.LZ.0F38 F3 /1", {"vex": True, "mandatory": None, "opcode_map": 2, "no_prefix": True, "digit": 1}),
    ("NFx 0F C7 /6", {"no_repeat": True, "no_prefix": False, "digit": 6}),
)  # fmt: skip


@pytest.mark.parametrize(("encoding", "fields"), ENCODINGS)
def test_notation(encoding: str, fields: dict[str, object]) -> None:
    parsed = parse_encoding(encoding)
    assert {name: parsed[name] for name in fields} == fields


def test_a_mnemonic_has_one_lowering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notation, "LOWERINGS", {})
    notation.lowers("a", "b")(lambda b: None)
    with pytest.raises(ValueError, match="b: lowered twice"):
        notation.lowers("b")(lambda b: None)
