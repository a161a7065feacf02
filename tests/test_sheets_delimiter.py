"""The delimiter: as told, as the file says, or as the header shows it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sheets import trap
from test_sheets_text import cells, refusal

from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import Row


@pytest.mark.parametrize(
    ("name", "delimiter", "row"),
    [
        ("tabs.tsv", "\t", ("1", "a,b;c|d")),
        ("pipes.psv", "|", ("1", "a,b;c\td")),
        ("semicolons_with_apostrophes.csv", ";", ("1", "it's, 'so', fine", "Köln")),
        ("exact_texts.csv", ",", ("1", "00123")),
    ],
)
def test_the_header_shows_the_delimiter(name: str, delimiter: str, row: tuple[str, ...]) -> None:
    """Whatever stands in the cells below."""
    with open_sheet(trap(name)) as sheet:
        assert sheet.delimiter == delimiter
        assert next(sheet.rows()).cells == row


def test_the_standard_sniffer_is_wrong_where_ours_is_right() -> None:
    """Why it is not asked: apostrophes make it see commas."""
    text = trap("semicolons_with_apostrophes.csv").read_text("utf-8")
    assert csv.Sniffer().sniff(text, ",;\t|").delimiter == ","


def test_a_sep_line_names_the_delimiter_and_is_no_row() -> None:
    """The header after it is row 1, as Excel shows it."""
    with open_sheet(trap("sep_line.csv")) as sheet:
        assert (sheet.delimiter, sheet.header, sheet.header_row) == ("|", ("Id", "Note, with comma"), 1)
        assert list(sheet.rows()) == [Row(2, ("1", "a;b"))]


def test_a_sep_line_may_follow_a_byte_order_mark() -> None:
    """As Excel's own exports have it."""
    assert cells(trap("bom_and_sep_line.csv")) == [("1", "a,b")]


def test_an_option_overrules_the_sep_line_which_stays_no_row() -> None:
    """The person knows better; the line is no record all the same."""
    with open_sheet(trap("bom_and_sep_line.csv"), SheetOptions(delimiter=",")) as sheet:
        assert sheet.header == ("Id;Note",)


@pytest.mark.parametrize(
    ("said", "meant"), [("tab", "\t"), ("\\t", "\t"), ("Semicolon", ";"), ("pipe", "|"), ("^", "^")]
)
def test_a_delimiter_may_be_called_by_name(said: str, meant: str) -> None:
    """A tab is hard to type."""
    with open_sheet(trap("one_column.csv"), SheetOptions(delimiter=said)) as sheet:
        assert sheet.delimiter == meant


@pytest.mark.parametrize("said", ["", ",,", "a", "1", '"', "\n", " ", "comma;"])
def test_what_cannot_divide_columns_is_refused(said: str) -> None:
    """With the ones that can."""
    assert "cannot divide columns" in refusal(trap("one_column.csv"), SheetOptions(delimiter=said))


def test_commas_in_headings_do_not_win_against_semicolons(tmp_path: Path) -> None:
    """The rows below bear out the right one."""
    path = tmp_path / "headings.csv"
    path.write_text("Id;Amount, EUR;City, street\n1;2,50;Bonn\n2;3;Köln\n", encoding="utf-8")
    assert cells(path) == [("1", "2,50", "Bonn"), ("2", "3", "Köln")]


def test_decimal_commas_do_not_win_against_semicolons(tmp_path: Path) -> None:
    """Every row has as many commas as semicolons; the header decides."""
    path = tmp_path / "decimals.csv"
    path.write_text("Amount;Tax\n1,5;2,5\n3,5;4,5\n", encoding="utf-8")
    assert cells(path) == [("1,5", "2,5"), ("3,5", "4,5")]


def test_quoted_headings_may_hold_the_other_delimiters(tmp_path: Path) -> None:
    """What stands in quotation marks divides nothing."""
    path = tmp_path / "quoted.csv"
    path.write_text('"a;b;c;d","e"\n1,2\n', encoding="utf-8")
    assert cells(path) == [("1", "2")]
