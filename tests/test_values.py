"""Cells → texts to send: text, numbers, yes and no, Ids, and what Excel shows otherwise."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.mapping.values import (
    BooleanValue,
    EventValue,
    Fault,
    IdValue,
    NumberValue,
    TextValue,
    ValueType,
    trimmed,
)
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, NumberCell
from importer.text import quoted

GUID = "0F8FAD5B-d9cb-469f-a165-70867728950e"


def outcome(value_type: ValueType, cell: str) -> str:
    """What is sent, or the fault's kind behind an exclamation mark."""
    read = value_type.read(cell)
    return f"!{read.kind}" if isinstance(read, Fault) else read


@pytest.mark.parametrize(
    "text",
    [
        "00123",
        "NA",
        "null",
        "1e5",
        "1.10",
        "12345678901234567890",
        "=1+1",
        "TRUE",
        "“smart” €",
        "a\nb\tc",
        "नमस्ते 👍",
    ],
)
def test_a_text_is_sent_exactly_as_it_stands(text: str) -> None:
    assert outcome(TextValue(), text) == text


@pytest.mark.parametrize("text", ["a\x00b", "bell\x07", "\x1b[31m", "\x7f", "\x93smart\x94", "\ud83d"])
def test_characters_that_nobody_sees_are_a_fault(text: str) -> None:
    assert outcome(TextValue(), text) == "!control-character"


def test_a_text_that_is_too_long_says_both_lengths() -> None:
    fault = TextValue(max_length=3).read("four")
    assert isinstance(fault, Fault)
    assert fault.message == '"four" has 4 characters; at most 3 are allowed here.'


@pytest.mark.parametrize(
    ("decimal", "cell", "expected"),
    [
        (None, "1.50", "1.50"),
        (None, "00123", "00123"),
        (None, "-0.5", "-0.5"),
        (None, "+5", "5"),
        (None, ".5", "0.5"),
        (None, "5.", "5"),
        (None, "1,234.5", "1234.5"),
        (None, "1,234,567", "1234567"),
        (None, "12,34,567.89", "1234567.89"),
        (None, "1 234.5", "1234.5"),
        (None, "1\u202f234.5", "1234.5"),
        (None, "1'234.50", "1234.50"),
        (None, "१२३", "123"),
        (None, "−5", "-5"),
        (None, "1e5", "100000"),
        (None, "12345678901234567890", "12345678901234567890"),
        (None, "1,234", "!ambiguous-number"),
        (None, "0,123", "!decimal-mark"),
        (None, "1,5", "!decimal-mark"),
        (None, "1.234,5", "!decimal-mark"),
        (None, "1,2,3", "!not-a-number"),
        (".", "1,234", "1234"),
        (".", "1,5", "!decimal-mark"),
        (",", "1,234", "1.234"),
        (",", "1.234", "1234"),
        (",", "1.234,50", "1234.50"),
        (",", "1.5", "!decimal-mark"),
        (None, "1.23457E+11", "!shortened-number"),
        (",", "1,23457E+11", "!shortened-number"),
        (None, "1e999999999", "!not-a-number"),
        (None, "25%", "!percent"),
        (None, "€ 5", "!currency"),
        (None, "5 EUR", "!currency"),
        (None, "Rs. 500", "!currency"),
        (None, "NA", "!not-a-number"),
        (None, "nan", "!not-a-number"),
        (None, "Infinity", "!not-a-number"),
        (None, "1_000", "!not-a-number"),
        (None, "(5)", "!not-a-number"),
        (None, "-", "!not-a-number"),
        (None, "²", "!not-a-number"),
        (None, "0x10", "!not-a-number"),
    ],
)
def test_numbers_are_sent_as_in_the_sheet_with_a_point(decimal: str | None, cell: str, expected: str) -> None:
    assert outcome(NumberValue(decimal), cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("10001.0", "10001"),
        ("007", "007"),
        ("3.5", "!not-whole"),
        ("1e3", "1000"),
        ("-4", "-4"),
        ("x", "!not-a-number"),
    ],
)
def test_integers_have_no_decimals(cell: str, expected: str) -> None:
    assert outcome(NumberValue(whole=True), cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (NumberCell("0.3", 0.1 + 0.2), "0.3"),
        (NumberCell("00123", 123.0, "00000"), "123"),
        (NumberCell("1,234.50", 1234.5, "#,##0.00"), "1234.5"),
        (DateCell("2026-07-31", dt.date(2026, 7, 31)), "!not-a-number"),
        (BooleanCell("TRUE"), "!not-a-number"),
        (DurationCell("1:30:00", 5400.0), "!not-a-number"),
    ],
)
def test_a_number_cell_is_a_number_whatever_the_decimal_mark(cell: str, expected: str) -> None:
    assert outcome(NumberValue(","), cell) == expected


@pytest.mark.parametrize(
    "word", ["yes", "YES", "y", "true", "TRUE", "1", BooleanCell("TRUE"), NumberCell("1", 1.0)]
)
def test_the_words_for_yes(word: str) -> None:
    assert outcome(BooleanValue(("1", "0")), word) == "1"


@pytest.mark.parametrize("word", ["no", "No", "n", "false", "0", BooleanCell("FALSE")])
def test_the_words_for_no(word: str) -> None:
    assert outcome(BooleanValue(), word) == "false"


@pytest.mark.parametrize("word", ["maybe", "2", "ja", "x", "on", "nope"])
def test_other_words_are_neither_yes_nor_no(word: str) -> None:
    assert outcome(BooleanValue(), word) == "!not-yes-or-no"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (GUID, GUID),
        (f"{{{GUID}}}", GUID),
        (f"{{{GUID}", "!not-an-id"),
        (GUID.replace("-", ""), "!not-an-id"),
        (f"{GUID}0", "!not-an-id"),
        ("ACC-0007", "!not-an-id"),
        (NumberCell("5", 5.0), "!not-an-id"),
    ],
)
def test_an_id_loses_its_braces_and_nothing_else(cell: str, expected: str) -> None:
    assert outcome(IdValue(), cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("10001", "10001"), ("10001.0", "10001"), ("0010001", "10001"), ("0", "!not-an-activity-type"),
     ("-5", "!not-an-activity-type"), ("Visit", "!not-an-activity-type"),
     ("9" * 5000, "!not-an-activity-type")],
)  # fmt: skip
def test_an_activity_type_is_a_positive_whole_number(cell: str, expected: str) -> None:
    assert outcome(EventValue(), cell) == expected


@pytest.mark.parametrize("around", [" ", "\xa0", "\t", "\n", "\u200b", "\ufeff", "\u3000"])
def test_blanks_of_every_kind_are_trimmed(around: str) -> None:
    assert trimmed(f"{around}x{around}") == "x"


def test_an_echoed_value_is_one_short_line() -> None:
    shown = quoted("line one\nline two" + "x" * 500)
    assert (len(shown) <= 65, "\n" in shown, shown.startswith('"line one\\nline two')) == (True, False, True)


@pytest.mark.parametrize(
    ("text", "code", "kind"),
    [
        ("0.25", "0%", "shown-as-percent"),
        ("12.5", "[$€-407] #,##0.00", "shown-with-currency"),
        ("12.5", '_-"£"* #,##0.00_-', "shown-with-currency"),
        ("12.5", "[$-409]0.00", None),
        ("12.5", "General", None),
        ("12.5", "0.00", None),
        ("12.345", "0.00", "shown-rounded"),
        ("12.5", "0", "shown-rounded"),
        ("1250000", "0.0,,", "shown-rounded"),
        ("125000", "0.00E+00", "shown-rounded"),
        ("1234567890.12", "General", "shown-rounded"),
        ("00123", "00000", None),
        ("-12.5", "0.0;[Red]-0", "shown-rounded"),
        ("12.5", "@", None),
    ],
)
def test_a_number_that_excel_shows_otherwise_is_noticed(text: str, code: str, kind: str | None) -> None:
    notice = NumberValue().notice(NumberCell(text, float(text), code))
    assert (notice and notice.kind) == kind


@given(st.text(), st.sampled_from([None, ".", ","]), st.booleans())
def test_any_text_is_a_number_or_a_fault(text: str, decimal: str | None, whole: bool) -> None:
    """What is sent is always a plain decimal number."""
    read = NumberValue(decimal, whole=whole).read(text)
    assert isinstance(read, Fault) or re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", read)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_a_number_survives_either_decimal_mark(number: object) -> None:
    plain = f"{number:.3f}"
    comma = NumberValue(",").read(plain.replace(".", ","))
    assert (NumberValue().read(plain), comma) == (plain, plain)


@given(st.text(min_size=1))
def test_any_text_is_read_or_a_fault_by_every_type(text: str) -> None:
    for value_type in (TextValue(5), BooleanValue(), IdValue(), EventValue()):
        assert isinstance(value_type.read(text), str | Fault)
        assert isinstance(value_type.notice(text), Fault | None)
