"""What a workbook's cell becomes: the text that Excel shows where that is the value, never a guess."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheets import raw_workbook, sheet_xml
from test_sheets_text import cells

from importer.sheets.numbers import converter, is_shown, is_unseen
from importer.sheets.rows import (
    BooleanCell,
    CellsDigest,
    DateCell,
    DurationCell,
    ErrorCell,
    NumberCell,
    decode_cells,
    encode_cells,
    number_text,
)

naive = dt.datetime  # sheets know no time zones


def cell(tmp_path: Path, stored: str, code: str | int = 0, *, properties: str = "") -> str:
    """The one cell of a workbook whose XML holds `stored` as number with that format, or a whole `<c>`."""
    xml = stored if stored.startswith("<") else f'<c r="A2" s="0"><v>{stored}</v></c>'
    rows = f'<row r="1"><c r="A1" t="str"><v>A</v></c></row><row r="2">{xml}</row>'
    path = raw_workbook(tmp_path / "cell.xlsx", sheet_xml(rows), codes=[code], properties=properties)
    ((found,),) = cells(path)
    return found


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("5", "5"),
        ("5.0", "5"),
        ("-5", "-5"),
        ("0", "0"),
        ("-0", "0"),
        ("007", "7"),
        ("0.30000000000000004", "0.3"),
        ("1.1000000000000001", "1.1"),
        ("1234.5", "1234.5"),
        ("1E-7", "0.0000001"),
        ("1.5E-10", "0.00000000015"),
        ("1e5", "100000"),
        ("1.2345678901234567E+14", "123456789012346"),
        ("123456789012345", "123456789012345"),
        ("-123456789012345", "-123456789012345"),
        ("0.1234567890123456", "0.123456789012346"),
        ("999999999999999.9", "1000000000000000"),
    ],
)
def test_numbers_have_15_digits_and_no_exponent(tmp_path: Path, stored: str, text: str) -> None:
    """As Excel shows them in a wide column."""
    found = cell(tmp_path, stored)
    assert (str(found), type(found)) == (text, NumberCell)


@pytest.mark.parametrize(
    "stored", ["1000000000000000", "1234567890123456", "-1234567890123456", "1E+19", "1.2E+300"]
)
def test_numbers_of_16_digits_have_lost_some(tmp_path: Path, stored: str) -> None:
    """Never sent: the person is told to enter them as text."""
    found = cell(tmp_path, stored)
    assert isinstance(found, ErrorCell)
    assert "16 digits" in found.reason
    assert "e" not in found.lower()


@pytest.mark.parametrize("stored", ["1e999", "-1E+400"])
def test_a_number_beyond_all_numbers_is_an_error(tmp_path: Path, stored: str) -> None:
    """No finite number, though written like one."""
    assert isinstance(cell(tmp_path, stored), ErrorCell)


@pytest.mark.parametrize(
    ("stored", "code", "text"),
    [
        ("123", "00000", "00123"),
        ("123456", "00000", "123456"),
        ("-123", "00000", "-00123"),
        ("0", "000", "000"),
        ("12.5", "00000", "00013"),
        ("123456789", "000-00-0000", "123-45-6789"),
        ("17", '"INV-"0000', "INV-0017"),
        ("17", "0000\\-\\A", "0017-A"),
        ("17", "[Red]0000", "0017"),
        ("17", "0000_)", "0017"),
        ("17", "0000;-0000", "0017"),
        ("-17", "0000;(0000)", "(0017)"),
        ("123", "0", "123"),
        ("1234.5", "#,##0.00", "1,234.50"),
        ("1.5", "0.00", "1.50"),
        ("3.14159", "0.00", "3.14"),
        ("1.005", "0.00", "1.01"),
        ("919876500001", "\\+0", "+919876500001"),
        ("7", '"INV-"0', "INV-7"),
        ("5.5", '0.00" kg"', "5.50 kg"),
        ("1", '"Yes";;"No"', "Yes"),
        ("0", '"Yes";;"No"', "No"),
        ("-1234.5", "#,##0.00_);(#,##0.00)", "(1,234.50)"),
        ("1.25", "0.0#", "1.25"),
        ("5551234", "###-####", "555-1234"),
        ("12345", "#,##0,", "12345"),
        ("0.25", "0%", "0.25"),
        ("0.25", 9, "0.25"),
        ("12.5", '"$"#,##0.00', "$12.50"),
        ("12.5", "[$€-407] #,##0.00", "12.5"),
        ("12345", "0.00E+00", "12345"),
        ("0.5", "# ?/?", "0.5"),
        ("5", '0 "days"', "5 days"),
        ("5", "0\\ \\d", "5 d"),
        ("7", "@", "7"),
        ("7", 49, "7"),
        ("7", 'General" pcs"', "7"),
        ("7", "[<=9999999]000-0000;00000", "7"),
    ],
)
def test_a_number_is_what_its_format_shows_of_digits_and_texts(
    tmp_path: Path, stored: str, code: str | int, text: str
) -> None:
    """Zeros, decimal places, grouping and literal texts are seen; percent and currency give the number."""
    found = cell(tmp_path, stored, code)
    assert (str(found), type(found)) == (text, NumberCell)
    assert isinstance(found, NumberCell)
    assert found.value == float(stored)


def test_a_long_number_in_a_format_of_zeros_is_still_an_error(tmp_path: Path) -> None:
    """A card number in `0000000000000000` has lost its last digit."""
    assert isinstance(cell(tmp_path, "4111111111111111", "0000000000000000"), ErrorCell)


@pytest.mark.parametrize(
    ("stored", "code", "text", "value"),
    [
        ("46234", 14, "2026-07-31", dt.date(2026, 7, 31)),
        ("46234", "dd/mm/yyyy", "2026-07-31", dt.date(2026, 7, 31)),
        ("46234", "mmm-yy", "2026-07-31", dt.date(2026, 7, 31)),
        ("46234", 'yyyy"年"m"月"d"日"', "2026-07-31", dt.date(2026, 7, 31)),
        ("46234", 31, "2026-07-31", dt.date(2026, 7, 31)),
        ("46234", "[$-F800]dddd, mmmm dd, yyyy", "2026-07-31", dt.date(2026, 7, 31)),
        ("46234", "[$-409]d-mmm-yy;@", "2026-07-31", dt.date(2026, 7, 31)),
        ("46234.5", "dd/mm/yyyy", "2026-07-31", naive(2026, 7, 31, 12)),
        ("46234.604166666664", 22, "2026-07-31 14:30:00", naive(2026, 7, 31, 14, 30)),
        ("46234", "d/m/yyyy h:mm", "2026-07-31 00:00:00", naive(2026, 7, 31)),
        ("46234.999999", "d/m/yyyy h:mm", "2026-08-01 00:00:00", naive(2026, 8, 1)),
        ("0.5", "h:mm", "12:00:00", dt.time(12)),
        ("0.604166666664", "h:mm AM/PM", "14:30:00", dt.time(14, 30)),
        ("46234.5", "hh:mm:ss", "12:00:00", naive(2026, 7, 31, 12)),
        ("0.0006944444", "mm:ss", "00:01:00", dt.time(0, 1)),
        ("1", 14, "1900-01-01", dt.date(1900, 1, 1)),
        ("59", 14, "1900-02-28", dt.date(1900, 2, 28)),
        ("61", 14, "1900-03-01", dt.date(1900, 3, 1)),
        ("2958465", 14, "9999-12-31", dt.date(9999, 12, 31)),
    ],
)
def test_dates_and_times_are_iso(
    tmp_path: Path, stored: str, code: str | int, text: str, value: dt.date | dt.time
) -> None:
    """The format says what is seen; the whole moment rides along."""
    found = cell(tmp_path, stored, code)
    assert isinstance(found, DateCell)
    assert (str(found), found.value) == (text, value)


@pytest.mark.parametrize("stored", ["0", "0.5", "60", "-1", "2958466", "1e30"])
def test_days_that_do_not_exist_are_errors(tmp_path: Path, stored: str) -> None:
    """1900-01-00, 29 February 1900 and what Excel shows as #####."""
    assert isinstance(cell(tmp_path, stored, "dd/mm/yyyy hh:mm"), ErrorCell)


def test_dates_that_count_from_1904(tmp_path: Path) -> None:
    """A workbook from an old Mac says so."""
    found = cell(tmp_path, "44772", 14, properties='date1904="1"')
    assert found == "2026-07-31"
    assert cell(tmp_path, "0", 14, properties='date1904="true"') == "1904-01-01"


@pytest.mark.parametrize(
    ("stored", "code", "text"),
    [
        ("1.5", "[h]:mm:ss", "36:00:00"),
        ("1.5", 46, "36:00:00"),
        ("0.0006944444", "[mm]:ss", "0:01:00"),
        ("100", "[h]:mm", "2400:00:00"),
        ("-0.5", "[h]:mm", "-12:00:00"),
        ("0", "[h]:mm", "0:00:00"),
    ],
)
def test_durations_are_hours_minutes_seconds(tmp_path: Path, stored: str, code: str | int, text: str) -> None:
    """Hours beyond a day are hours."""
    found = cell(tmp_path, stored, code)
    assert isinstance(found, DurationCell)
    assert str(found) == text
    assert found.seconds == pytest.approx(float(stored) * 86_400)


@pytest.mark.parametrize(("stored", "text"), [("1", "TRUE"), ("0", "FALSE")])
def test_booleans_are_as_excel_shows_them(tmp_path: Path, stored: str, text: str) -> None:
    """In English, whatever language the Excel had."""
    found = cell(tmp_path, f'<c r="A2" t="b"><v>{stored}</v></c>')
    assert (str(found), type(found)) == (text, BooleanCell)


@pytest.mark.parametrize(
    ("stored", "text", "kind"),
    [
        ("2026-07-31", "2026-07-31", DateCell),
        ("2026-07-31T14:30:00Z", "2026-07-31 14:30:00", DateCell),
        ("2026-07-31T14:30:00.600", "2026-07-31 14:30:01", DateCell),
        ("14:30:00", "14:30:00", DateCell),
    ],
)
def test_dates_stored_as_iso(tmp_path: Path, stored: str, text: str, kind: type) -> None:
    """As the strict variant of the format has them."""
    found = cell(tmp_path, f'<c r="A2" t="d"><v>{stored}</v></c>')
    assert (str(found), type(found)) == (text, kind)


@pytest.mark.parametrize("text", ["#N/A", "#REF!", "#DIV/0!", "#SPILL!"])
def test_error_values_are_errors(tmp_path: Path, text: str) -> None:
    """With what is seen, and what to do."""
    found = cell(tmp_path, f'<c r="A2" t="e"><f>NA()</f><v>{text}</v></c>')
    assert isinstance(found, ErrorCell)
    assert (str(found), "formula" in found.reason) == (text, True)


@pytest.mark.parametrize(
    "xml",
    [
        "<f>1+1</f>",
        "<f>1+1</f><v></v>",
        "<f>1+1</f><v/>",
        '<f t="shared" si="0"/>',
    ],
)
@pytest.mark.parametrize("kind", ["", ' t="b"', ' t="e"', ' t="d"'])
def test_a_formula_that_was_never_calculated_is_an_error(tmp_path: Path, xml: str, kind: str) -> None:
    """openpyxl writes such: the cell looks empty to a reader, and full to a person."""
    found = cell(tmp_path, f'<c r="A2"{kind}>{xml}</c>')
    assert isinstance(found, ErrorCell)
    assert found == ""
    assert "Excel" in found.reason


def test_a_formula_with_a_result_is_its_result(tmp_path: Path) -> None:
    """Number or text."""
    assert cell(tmp_path, '<c r="A2"><f>1+1</f><v>2</v></c>') == "2"
    assert cell(tmp_path, '<c r="A2" t="str"><f>"a"</f><v>a_x000D_</v></c>') == "a\r"


def test_a_formula_whose_result_is_an_empty_text_is_empty(tmp_path: Path) -> None:
    """`=IF(B2="","",B2)`, filled down: these rows are blank, not errors."""
    rows = '<row r="1"><c r="A1" t="str"><v>A</v></c></row>'
    rows += '<row r="2"><c r="A2" t="str"><f>""</f><v></v></c></row>'
    assert cells(raw_workbook(tmp_path / "cell.xlsx", sheet_xml(rows))) == []


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("0.00", 5.0, True),
        ("General", 5.0, True),
        ("General", 1 / 3, False),
        ("0%", 0.5, False),
        (";;;", 5.0, False),
    ],
)
def test_whether_a_number_is_sent_as_it_is_shown(code: str, value: float, shown: bool) -> None:
    """Else the field says that Excel shows it in another way."""
    found = converter(code, epoch_1904=False)(repr(value))
    assert isinstance(found, NumberCell)
    assert (is_shown(found), found.plain) == (shown, number_text(value))


@pytest.mark.parametrize("code", [";;;", "0;-0;;@", '"Yes";;"No"', "#"])
def test_a_format_may_hide_a_number(code: str) -> None:
    """The number in full is sent, and said to be unseen."""
    number = {"0;-0;;@": 0.0, '"Yes";;"No"': -1.0, "#": 0.0}.get(code, 5.0)
    found = converter(code, epoch_1904=False)(repr(number))
    assert isinstance(found, NumberCell)
    assert is_unseen(found)
    assert found == number_text(number)


def test_a_format_longer_than_excel_allows_is_damage_of_its_cells(tmp_path: Path) -> None:
    """Such formats took minutes; the other cells are read."""
    found = cell(tmp_path, "5", "0" * 256)
    assert isinstance(found, ErrorCell)
    assert "number format is longer" in found.reason


@given(st.floats(min_value=-1e15, max_value=1e15, allow_nan=False))
def test_a_number_is_what_its_text_says_to_15_digits(value: float) -> None:
    """Reading the text back gives the number that Excel shows."""
    text = number_text(value)
    assert set(text) <= set("-0123456789.")
    assert float(text) == float(f"{value:.15g}")


CELLS = st.one_of(
    st.text(),
    st.builds(NumberCell, st.text(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    st.builds(DateCell, st.text(), st.dates() | st.datetimes() | st.times(), st.text()),
    st.builds(DurationCell, st.text(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    st.builds(BooleanCell, st.text()),
    st.builds(ErrorCell, st.text(), st.text()),
)


@given(st.lists(CELLS))
def test_cells_can_be_kept_as_a_line_of_text(row: list[str]) -> None:
    """Types, values and every character come back."""
    line = encode_cells(row)
    back = decode_cells(line)
    assert "\n" not in line
    assert list(back) == row
    assert [type(cell) for cell in back] == [type(cell) for cell in row]
    assert [getattr(cell, "value", None) for cell in back] == [getattr(cell, "value", None) for cell in row]


@given(st.lists(st.lists(st.text())), st.lists(st.lists(st.text())))
def test_a_digest_stands_for_the_cells_in_order(one: list[list[str]], two: list[list[str]]) -> None:
    """The same cells give the same digest, other cells another."""
    digests = []
    for table in (one, two):
        digest = CellsDigest()
        for row in table:
            digest.add(row)
        digests.append(digest.hexdigest())
    assert (digests[0] == digests[1]) is (one == two)


@given(st.lists(CELLS))
def test_a_digest_takes_a_line_for_its_cells(row: list[str]) -> None:
    """What was encoded already need not be quoted again."""
    by_cells, by_line = CellsDigest(), CellsDigest()
    by_cells.add(row)
    by_line.add(row, encode_cells(row))
    assert by_line.hexdigest() == by_cells.hexdigest()


def test_a_digest_counts_what_is_seen_not_how_it_is_stored() -> None:
    """A workbook and the CSV saved from it are the same sheet."""
    typed, plain = CellsDigest(), CellsDigest()
    typed.add([NumberCell("00123", 123.0, "00000"), DateCell("2026-07-31", dt.date(2026, 7, 31))])
    plain.add(["00123", "2026-07-31"])
    assert typed.hexdigest() == plain.hexdigest()
