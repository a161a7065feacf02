"""What a spreadsheet writes for a cell on saving a CSV is no change; what it never writes is an edit."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from importer.results.respelling import is_respelling
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, NumberCell

RESPELT = [
    # numbers
    ("00123", "123"),
    ("0.50", "0.5"),
    ("1.10", "1.1"),
    ("+5", "5"),
    (".5", "0.5"),
    ("5.", "5"),
    (" 00123 ", "123"),
    ("-0", "0"),
    ("12345678901234567890", "1.2E+19"),
    ("12345678901234567890", "1.23457E+19"),
    ("12345678901234567890", "1,23457E+19"),
    ("12345678901234567890", "12345678901234500000"),
    ("12345678901234567890", "12345678901234600000"),
    ("12345678901234567890", "1.23456789012346E+19"),
    ("12345678901234567890", "1.23456789012346E+019"),
    ("123457123456", "1.23457E+11"),
    ("+491701234567", "4.91701E+11"),
    ("1e5", "1.00E+05"),
    ("1E5", "1E+05"),
    ("0.00001234567", "1.23457E-05"),
    ("3.14159265358979", "3.141592654"),
    ("3,14159265358979", "3,141592654"),
    ("1.20000000001", "1.2"),
    ("1,234", "1234"),
    ("125000", "1,25,000"),
    ("1,25,000", "125000"),
    ("12500000.5", "1,25,00,000.50"),
    ("₹125000", "₹1,25,000.00"),
    ("1,234.5", "1,234.50"),
    ("1 234", "1\u202f234"),
    ("(123)", "-123"),
    ("25.5%", "25.50%"),
    ("05%", "5%"),
    ("25.555%", "25.56%"),
    ("$5.5", "$5.50"),
    ("$1234", "$1,234"),
    ("5€", "5,00 €"),
    ("-$5", "-$5.00"),
    # dates and times
    ("2026-07-31", "7/31/2026"),
    ("2026-07-31", "31/07/2026"),
    ("2026-07-31", "31.07.2026"),
    ("2026-07-31", "31-07-26"),
    ("2026-07-31", "31-Jul-26"),
    ("2026-07-31", "2026/7/31"),
    ("2026-02-01", "1/2/2026"),
    ("2026-02-01", "2/1/2026"),
    ("2026-07-31 05:33:50", "7/31/2026 5:33"),
    ("2026-07-31 05:33:50", "31.07.2026 05:33"),
    ("2026-07-31 05:33:50", "31/07/2026 05:33:50"),
    ("2026-07-31 17:33", "7/31/2026 5:33 PM"),
    ("2026-07-31 00:00:00", "7/31/2026 0:00"),
    ("2026-07-31 05:33:50.123", "33:50.1"),
    ("01/02/2026", "1/2/2026"),
    ("31 Jul 2026", "31-Jul-26"),
    ("July 31, 2026", "31-Jul-26"),
    ("31. Juli 2026", "31. Jul 26"),
    ("15 août 2026", "15-août-26"),
    ("Jul 2026", "Jul-26"),
    ("2026-07", "Jul-26"),
    ("1/2", "2-Jan"),
    ("1/2", "01-Feb"),
    ("1.10", "01. Okt"),
    ("Mar-5", "5-Mar"),
    ("MARCH1", "1-Mar"),
    ("1-2-26", "1/2/2026"),
    ("05:33", "5:33"),
    ("5:33:07", "05:33:07"),
    ("17:33", "5:33 PM"),
    ("2026-07-31", "########"),
    # truths
    ("true", "TRUE"),
    ("False", "FALSE"),
    ("true", "WAHR"),
    ("false", "FAUX"),
    # characters
    ("Łódź", "?ód?"),
    ("Łódź", "?ódz"),
    ("naïve 😀", "naïve ??"),
    ("Привет", "??????"),
    ("Привет", "Ïðèâåò"),
    ("Łódź", "£ódŸ"),
    ("café", "cafÃ©"),
    ("café", "cafŽ"),
    ("a\u2011b", "a-b"),
    ("Â¡", "¡"),
    ("e\u0301", "é"),
    ("a\r\nb", "a\nb"),
    ("x" * 40_000, "x" * 32_767),
    # formulas
    ("=foo", "#NAME?"),
    ("-abc", "#NAME?"),
    ("@abc", "#NAME?"),
    ("=A1/0", "#DIV/0!"),
    # what a person types to keep Excel from all that
    ("00123", "'00123"),
    ("", "  "),
]

EDITED = [
    ("Wno", "Won"),
    ("won", "Won"),
    ("12", "13"),
    ("123", "00123"),
    ("0.5", "0.50"),
    ("1.5", "1,5"),
    ("1,5", "1.5"),
    ("1.234", "1,234"),
    ("1234", "1,234"),
    ("125000", "125,000"),
    ("125000", "1,26,000"),
    ("=1+1", "2"),
    ("=A1", "17"),
    ("100000", "1E+05"),
    ("123456", "123457"),
    ("3.14159", "3.14"),
    ("25%", "0.25"),
    ("25%", "25"),
    ("$5", "5"),
    ("$5", "€5"),
    ("$5", "$6"),
    ("12345678901234567890", "1.23458E+19"),
    ("2026-01-02", "2026-02-01"),
    ("01/02/2026", "02/01/2026"),
    ("2026-07-31", "30/07/2026"),
    ("2026-07-31 05:33:50", "7/31/2026 5:34"),
    ("2026-07-31 05:33:50", "2026-07-31"),
    ("31/02/2026", "28/02/2026"),
    ("31-Jul", "31-Aug"),
    ("1.10", "1.2"),
    ("1.10", "01.10"),
    ("05:33", "05:34"),
    ("true", "false"),
    ("true", "yes"),
    ("Lodz", "Łódź"),
    ("Łódź", "Lublin"),
    ("Łódź", "?ód"),
    ("what?", "what!"),
    ("ab", "?b"),
    ("'Won", "Won"),
    ("Won ", "Won"),
    ("Won", ""),
    ("", "Won"),
    ("", "0"),
    ("=1+1", "3"),
    ("=1+1", "Won"),
    ("=foo", "Won"),
    ("-abc", "abc"),
    ("+5+a", "5"),
    ("Won", "#N/A"),
    ("Won", "####"),
    ("a\nb", "a b"),
    ("x" * 100, "x" * 50),
    ("2 apples", "2"),
    ("May be", "May-26"),
]


@pytest.mark.parametrize(("before", "after"), RESPELT)
def test_what_a_spreadsheet_writes_is_no_change(before: str, after: str) -> None:
    """Nobody meant it, so nothing of it is sent."""
    assert is_respelling(before, after)


@pytest.mark.parametrize(("before", "after"), EDITED)
def test_what_no_spreadsheet_writes_is_an_edit(before: str, after: str) -> None:
    """A person mended the cell, and waits for it to be sent."""
    assert not is_respelling(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NumberCell("0.25", 0.25, "0%"), "25%"),
        (NumberCell("0.2555", 0.2555, "0.0%"), "25.6%"),
        (NumberCell("1234.5", 1234.5, '"$"#,##0.00'), "$1,234.50"),
        (NumberCell("3.14159", 3.14159, "0.00"), "3.14"),
        (NumberCell("3.14159", 3.14159, "0.00"), "3,14"),
        (NumberCell("00123", 123.0, "00000"), "123"),
        (NumberCell("1000000", 1e6, "0.00E+00"), "1.00E+06"),
        (DateCell("2026-07-31", dt.date(2026, 7, 31), "mmm-yy"), "Jul-26"),
        (DateCell("2026-07-31", dt.date(2026, 7, 31), "d-mmm"), "31-Jul"),
        (DateCell("2026-07-31 05:33:50", dt.datetime(2026, 7, 31, 5, 33, 50), "mm-dd-yy"), "7/31/2026"),  # noqa: DTZ001
        (DurationCell("25:30:00", 91800.0, "h:mm:ss"), "1:30:00"),
        (DurationCell("25:30:00", 91800.0, "[h]:mm"), "25:30"),
        (BooleanCell("TRUE"), "WAHR"),
    ],
)
def test_a_workbooks_cell_shown_in_its_own_format_is_no_change(before: str, after: str) -> None:
    """Results of a workbook that were saved as CSV show what the cells showed."""
    assert is_respelling(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NumberCell("0.25", 0.25, "0%"), "26%"),
        (NumberCell("3.14159", 3.14159, "0.00"), "3"),
        (NumberCell("3.14159", 3.14159), "3.14"),
        (DateCell("2026-07-31", dt.date(2026, 7, 31), "d-mmm"), "30-Jul"),
        (DateCell("2026-07-31", dt.date(2026, 7, 31), "mmm-yy"), "Jul-27"),
        (DurationCell("25:30:00", 91800.0), "2:30"),
        (BooleanCell("TRUE"), "FALSE"),
    ],
)
def test_another_value_in_a_workbooks_cell_is_an_edit(before: str, after: str) -> None:
    """Whatever its format."""
    assert not is_respelling(before, after)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_compared(before: str, after: str) -> None:
    """Cells hold anything; and a cell is never a change of itself."""
    assert is_respelling(before, after) in {True, False}
    assert is_respelling(before, before)


@given(
    st.text(alphabet="0123456789.,:/-+ eE%$€()#=TapmJulMar", max_size=30),
    st.text(alphabet="0123456789.,:/-+ eE%$€()#=TapmJulMar", max_size=30),
)
def test_shapes_close_to_numbers_dates_and_formulas_never_fail(before: str, after: str) -> None:
    """`99/99`, `1e`, `=1/0`, `(-$` are nothing in particular."""
    assert is_respelling(before, after) in {True, False}


@given(st.integers(0, 10**11 - 1), st.integers(0, 6))
def test_leading_zeros_that_excel_took_are_no_change(number: int, zeros: int) -> None:
    """For every number that General shows whole."""
    assert is_respelling("0" * zeros + str(number), str(number))


@given(st.integers(10**11, 10**30))
def test_long_numbers_in_e_notation_are_no_change(number: int) -> None:
    """As General shows them."""
    assert is_respelling(str(number), f"{Decimal(number):.5E}".replace("E+", "E+"))


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_another_number_is_an_edit(before: int, after: int) -> None:
    """Written out whole, no two numbers are respellings of each other."""
    assume(before != after)
    assert not is_respelling(str(before), str(after))


LOCAL = ["%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%y", "%m/%d/%Y %H:%M"]
FIRST, LAST = dt.datetime(1930, 1, 1), dt.datetime(2029, 12, 31)  # noqa: DTZ001


@given(st.datetimes(FIRST, LAST), st.sampled_from(LOCAL))
def test_local_dates_are_no_change_and_other_days_are(instant: dt.datetime, form: str) -> None:
    """Of any day, in any of the common orders; the day after is an edit."""
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    before = midnight.strftime("%Y-%m-%d %H:%M:%S" if "%H" in form else "%Y-%m-%d")
    assert is_respelling(before, midnight.strftime(form))
    after = (midnight + dt.timedelta(days=1)).strftime(form)
    assume(not (instant.day <= 12 and instant.month <= 12))
    assert not is_respelling(before, after)


@given(st.text(max_size=40))
@example("\x85")
@example("\u2003\u2003")
@example("\ufb2a")
def test_whatever_cp1252_loses_is_no_change(text: str) -> None:
    """Every character that it lacks, a question mark."""
    assume(not any("\ud800" <= char <= "\udfff" for char in text))
    lost = text.encode("cp1252", "replace").decode("cp1252")
    assert is_respelling(text, lost)


def test_hostile_cells_take_no_time() -> None:
    """Long digits, deep sums, and endless texts are compared in well under a second."""
    hostile = [
        "9" * 30_000,
        "=" + "(" * 30_000,
        "=1" + "+1" * 15_000,
        "1," * 15_000,
        "é" * 30_000,
        "1e9999",
        "=9/0",
    ]
    started = time.process_time()
    for before in hostile:
        for after in [*hostile, "1", "1E+99", "1/2/2026"]:
            is_respelling(before, after)
    assert time.process_time() - started < 20
