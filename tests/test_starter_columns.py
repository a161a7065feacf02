"""Guesses about columns: each names what it saw, and all that it says can be read by the mapping."""

from __future__ import annotations

import csv
import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.activity import Activity, ActivityField
from importer.mapping.mapping import load_mapping
from importer.mapping.yaml_file import Document, scalar
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import DateCell, ErrorCell, NumberCell
from importer.starter.columns import Column, Guess, Holds, guess_column
from importer.starter.date_guesses import guess_dates, readings
from importer.starter.entries import propose
from importer.starter.header import Role, find_header_row, likely_header, likeness
from importer.starter.look import local_zone, look_at_sheet

GUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def _guess(heading: str, *cells: str) -> Guess:
    column = Column(0, heading)
    for row, cell in enumerate(cells, 2):
        column.add(row, cell)
    return guess_column(column, "Asia/Kolkata")


@pytest.mark.parametrize(
    ("heading", "role"),
    [
        ("Account ID", Role.ACCOUNT_ID),
        ("Company Id", Role.ACCOUNT_ID),
        ("AccountGuid", Role.ACCOUNT_ID),
        ("RELATED_COMPANY_ID", Role.ACCOUNT_ID),
        ("Accuont Id", Role.ACCOUNT_ID),
        ("account code", Role.ACCOUNT_CODE),
        ("Customer No.", Role.ACCOUNT_CODE),
        ("Visited by (e-mail)", Role.OWNER),
        ("Remarks:", Role.NOTE),
        ("Activity Type", Role.EVENT),
    ],
)
def test_headings_are_known_in_any_spelling(heading: str, role: Role) -> None:
    """Case, joints, punctuation and small slips do not matter."""
    assert likeness(heading, role) > 0


@pytest.mark.parametrize(
    "heading", ["", "City", "Amount", "Account balance", "परिणाम", "x" * 500, "Discount"]
)
def test_other_headings_are_no_account(heading: str) -> None:
    """Nothing is taken for the account's Id that does not say so."""
    assert likeness(heading, Role.ACCOUNT_ID) == 0


@pytest.mark.parametrize(
    ("heading", "cells", "holds", "said"),
    [
        ("x", [GUID, f"{{{GUID.upper()}}}"], Holds.ID, {"type": "id"}),
        ("x", ["a.b@example.com", "C@Example.org"], Holds.EMAIL, {}),
        ("x", ["yes", "No", "Y"], Holds.BOOLEAN, {"type": "boolean"}),
        ("x", ["1", "0", "1"], Holds.INTEGER, {"type": "integer"}),
        ("x", ["12", "1,250"], Holds.INTEGER, {"type": "integer", "decimal": "."}),
        ("x", ["12,5", "1.250,75"], Holds.NUMBER, {"type": "number", "decimal": ","}),
        ("x", ["1,25,000.50", "3"], Holds.NUMBER, {"type": "number", "decimal": "."}),
        ("x", ["00417", "00418"], Holds.CODE, {}),
        ("Mobile", ["9845012345", "9845012346"], Holds.CODE, {}),
        ("x", ["31/07/2026", "1/8/2026"], Holds.DATE, {"type": "date", "format": "%d/%m/%Y"}),
        ("x", ["07/31/2026", "8/1/2026"], Holds.DATE, {"type": "date", "format": "%m/%d/%Y"}),
        ("x", ["2026-07-31", "2026-08-01"], Holds.DATE, {"type": "date"}),
        ("x", ["31.07.26", "1.8.26"], Holds.DATE, {"type": "date", "format": "%d.%m.%y"}),
        ("x", ["July 31, 2026"], Holds.DATE, {"type": "date", "format": "%b %d, %Y"}),
        ("x", ["Fri, 31 Jul 2026"], Holds.DATE, {"type": "date", "format": "%a, %d %b %Y"}),
        ("Visit date", ["20260731"], Holds.DATE, {"type": "date", "format": "%Y%m%d"}),
        ("Amount", ["20260731"], Holds.INTEGER, {"type": "integer"}),
        (
            "x",
            ["2026/07/31 2:05:33 PM GMT+5:30"],
            Holds.DATETIME,
            {"type": "datetime", "format": "%Y/%m/%d %I:%M:%S %p GMT%z", "timezone": "Asia/Kolkata"},
        ),
        ("x", ["31/07/2026 00:00"], Holds.DATE, {"type": "date", "format": "%d/%m/%Y %H:%M"}),
        ("x", ["₹ 12,500.50", "₹ 300"], Holds.NUMBER, {"type": "number", "decimal": ".", "currency": "true"}),
        (
            "x",
            ["Rs. 1,250/-", "Rs. 2,000/-"],
            Holds.INTEGER,
            {"type": "integer", "decimal": ".", "currency": "true"},
        ),
        ("x", ["10:30", "9:05"], Holds.TIME, {"format": ("%H:%M",)}),
        ("x", ["2:15 PM", "11:05 am"], Holds.TIME, {"format": ("%I:%M %p",)}),
        ("x", ["Won", "Lost"] * 3, Holds.CHOICE, {"one_of": ("Won", "Lost")}),
        ("Outcome", ["Won", "Lost", "Won"], Holds.CHOICE, {"one_of": ("Won", "Lost")}),
        ("x", ["Won", "Lost", "Open"], Holds.TEXT, {}),
        ("Customer", ["Acme", "Beta"] * 9, Holds.TEXT, {}),
        ("x", ["same"] * 9, Holds.TEXT, {}),
        ("x", [], Holds.NOTHING, {}),
    ],
)
def test_values_say_what_a_column_holds(
    heading: str, cells: list[str], holds: Holds, said: dict[str, str]
) -> None:
    """And how a field has to be told."""
    found = _guess(heading, *cells)

    assert (found.holds, found.settings) == (holds, said)


def test_several_words_in_a_cell_are_a_list() -> None:
    """Multi-select: the items are what is listed."""
    cells = ["Red; Blue", "Blue", "Red;Green", "Blue;Green;Red", "Green"]

    assert _guess("Colours", *cells).settings == {
        "type": "list", "separator": ";", "one_of": ("Red", "Blue", "Green"),
    }  # fmt: skip


@pytest.mark.parametrize("cells", [["Met owner; will call", "Closed; come back"], ["Won; late", "Lost"]])
def test_notes_are_no_lists(cells: list[str]) -> None:
    """Sentences with a semicolon hold no few words."""
    assert _guess("x", *cells).holds in {Holds.TEXT, Holds.CHOICE}


def test_times_of_day_make_a_datetime_with_a_zone() -> None:
    """Several ways of writing stand in the order of their number."""
    found = _guess("When", "31/07/2026 10:30", "1/8/2026 9:05", "3 Aug 2026 02:15 PM")

    assert found.settings == {
        "type": "datetime",
        "format": ("%d/%m/%Y %H:%M", "%d %b %Y %I:%M %p"),
        "timezone": "Asia/Kolkata",
    }


def test_an_order_that_cannot_be_told_is_said() -> None:
    """No number above 12: the order in which the days lie close together is taken, and both are named."""
    day, month = _guess("x", "01/07/2026", "02/07/2026"), _guess("x", "07/01/2026", "07/02/2026")

    assert (day.settings["format"], month.settings["format"]) == ("%d/%m/%Y", "%m/%d/%Y")
    assert "cannot be seen" in day.doubts[0]
    assert "1 July 2026, not 7 January" in day.doubts[0]
    assert "%m/%d/%Y" in day.doubts[0]


def test_a_decided_order_is_no_doubt() -> None:
    """One number above 12 is enough, also in another shape of the same column."""
    found = _guess("x", "31/07/2026", "01-08-26")

    assert (found.doubts, found.settings["format"]) == ((), ("%d/%m/%Y", "%d-%m-%y"))


def test_both_orders_in_one_column_are_said() -> None:
    """31/07 and 07/31: whichever is taken, some cells are wrong."""
    found = _guess("x", "31/07/2026", "30/07/2026", "07/31/2026", "01/02/2026")

    assert found.settings["format"] == "%d/%m/%Y"
    assert '"07/31/2026"' in found.doubts[0]


def test_date_cells_need_no_format() -> None:
    """Only texts among them do."""
    cell = DateCell("2026-07-31", dt.date(2026, 7, 31), "dd/mm/yyyy")

    assert _guess("x", cell).settings == {"type": "date"}
    assert _guess("x", cell, "30/07/2026").settings == {"type": "date", "format": "%d/%m/%Y"}


def test_a_number_that_could_be_either_is_said() -> None:
    """45,000 and 45.000 are more likely thousands than decimals."""
    comma, dot = _guess("Amount", "45,000"), _guess("Amount", "45.000", "7")

    assert (comma.settings["decimal"], dot.settings["decimal"]) == (".", ",")
    assert ("cannot be seen" in comma.doubts[0], "45000" in dot.doubts[0]) == (True, True)


def test_a_slip_of_the_finger_is_not_listed() -> None:
    """`Wno` once beside many `Won`; other spellings of a word are the same word."""
    found = _guess("x", *["Won", "Lost"] * 10, "Wno", "won", " LOST ")

    assert found.settings["one_of"] == ("Won", "Lost")
    assert '"Wno" (1 row) looks like a misspelling of "Won"' in found.doubts[0]
    assert '"won"' in found.why


@pytest.mark.parametrize("words", [("Won", "Win"), ("Q1", "Q2"), ("Visit 1", "Visit 2"), ("Paid", "Unpaid")])
def test_words_that_are_alike_on_purpose_stay(words: tuple[str, str]) -> None:
    """Short words and those with digits differ by a letter and mean another thing."""
    assert _guess("x", *[words[0]] * 20, words[1]).settings["one_of"] == words


def test_misfits_are_named() -> None:
    """A few cells that do not fit do not undo the guess."""
    found = _guess("Day", *["31/07/2026"] * 20, "n/a", ErrorCell("#N/A", "no value"))

    assert found.holds is Holds.DATE
    assert '2 cells cannot be read as dates ("n/a" in row 22, "#N/A" in row 23)' in found.doubts[0]


def test_number_cells_of_a_workbook() -> None:
    """As text they are what is seen: leading zeros of a format are no number."""
    assert _guess("x", NumberCell("1.5", 1.5)).settings == {"type": "number"}
    assert _guess("x", NumberCell("00417", 417, "00000")).holds is Holds.CODE


@pytest.mark.parametrize(
    ("top", "row"),
    [
        ([(1, ["Account", "Date"]), (2, [GUID, "1/2/2026"])], 1),
        ([(1, ["Visits"]), (3, ["Account", "Date", "Note"]), (4, [GUID, "1/2/2026", "x"])], 3),
        (
            [
                (1, ["By", "Müller"]),
                (2, ["Account ID", "Remarks"]),
                (3, ["ACC", "good"]),
                (4, ["BCC", "bad"]),
            ],
            2,
        ),
        ([(1, ["Who", "", ""]), (2, ["Account", "Date", "Note"]), (3, [GUID, "1/2/2026", "x"])], 2),
        ([(2, ["परिणाम", "टिप्पणी"]), (3, ["1", "x"])], 2),
    ],
)
def test_the_header_is_the_first_row_that_names_the_columns(
    top: Sequence[tuple[int, list[str]]], row: int
) -> None:
    """Title rows above it name fewer."""
    found = likely_header(top)

    assert (found.row, found.certain) == (row, True)


def test_a_sheet_without_headings_is_doubtful() -> None:
    """Data in the first row is taken for headings, since something must be, but that is said."""
    found = likely_header([(1, [GUID, "12"]), (2, [GUID, "13"])])

    assert (found.row, found.certain) == (1, False)


def test_the_zone_is_found_where_the_system_keeps_it(tmp_path: Path) -> None:
    """TZ, the link, Debian's file; nothing where there is none, or an unknown name."""
    link, file, none = tmp_path / "localtime", tmp_path / "timezone", tmp_path / "none"
    link.symlink_to("/usr/share/zoneinfo/Asia/Kolkata")
    file.write_text("Europe/Dublin\n", encoding="utf-8")

    assert local_zone({"TZ": ":Asia/Tokyo"}, file, link) == "Asia/Tokyo"
    assert local_zone({}, file, link) == "Asia/Kolkata"
    assert local_zone({"TZ": "nonsense"}, file, none) == "Europe/Dublin"
    assert local_zone({}, none, none) is None


@given(st.text(max_size=30))
def test_every_text_is_a_scalar(text: str) -> None:
    """In a block, in a list, and in braces the mapping's own reader gives it back."""
    said = scalar(text)
    document = Document(f"a: {said}\nb: [{said}, {said}]\nc: {{d: {said}}}\n", "m")

    assert document.data == {"a": text, "b": [text, text], "c": {"d": text}}


def test_columns_get_the_schema_names_that_leadsquared_says(tmp_path: Path) -> None:
    """By their display names; a column that sounds like none stays a comment."""
    source = tmp_path / "visits.csv"
    source.write_text(f"Account ID,Visit outcome,Amount,City\n{GUID},Won,12,Pune\n", encoding="utf-8")
    known = [
        ActivityField("mx_Custom_7", "Visit Outcome", mandatory=False),
        ActivityField("mx_Custom_9", "City", mandatory=False),
    ]
    with open_sheet(source) as sheet:
        found = look_at_sheet(sheet, None)
        text = propose(found, sheet, SheetOptions(), "m", 1, schema_at_hand=True, known=known).text

    lines = [line.strip() for line in text.splitlines()]
    assert "mx_Custom_7: Visit outcome" in lines
    assert "mx_Custom_9: City" in lines
    assert any(line.startswith("# mx_Custom_") and "Amount" in line for line in lines)


SHAPES = (
    "%d/%m/%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%B %d, %Y",
    "%Y-%m-%d",
    "%d.%m.%Y %H:%M",
    "%a, %d %B %Y",
    "%Y-%m-%dT%H:%M:%S+05:30",
    "%d%b%Y %I:%M%p",
)


@given(st.dates(dt.date(1990, 1, 1), dt.date(2060, 1, 1)), st.sampled_from(SHAPES))
def test_a_date_is_among_its_readings(day: dt.date, shape: str) -> None:
    """Whatever the format, one of the readings is the day that was written."""
    found = readings(day.strftime(shape))

    assert day in {moment.local.date() for _, moment in found.values()}


@given(st.lists(st.text(max_size=20), max_size=20))
def test_any_texts_can_be_guessed_about(texts: list[str]) -> None:
    """No text is too strange."""
    guess_dates((text, 1) for text in texts)
    found = _guess("x", *texts)

    assert found.holds in Holds


CELLS = {
    "id": st.uuids().map(str),
    "day": st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)).map(lambda day: day.strftime("%d/%m/%Y")),
    "us": st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)).map(lambda day: day.strftime("%m/%d/%y")),
    "when": st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)).map(lambda day: f"{day} 10:{day.day:02}"),
    "number": st.integers(-9999, 9999).map(lambda number: f"{number / 100:.2f}".replace(".", ",")),
    "integer": st.integers(0, 99999).map(str),
    "answer": st.sampled_from(["yes", "no", "Yes", ""]),
    "word": st.sampled_from(["Won", "Lost", "Open", "won ", ""]),
    "mail": st.sampled_from(["a@example.com", "b@example.com", ""]),
    "text": st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=30),
}
HEADINGS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """An account's Id and some other columns with any headings."""
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), max_size=6))
    headings = ["Account ID", *(draw(HEADINGS) for _ in kinds)]
    rows = draw(st.integers(1, 12))
    cells = [[draw(CELLS["id"]), *(draw(CELLS[kind]) for kind in kinds)] for _ in range(rows)]
    return headings, cells


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_every_proposal_fits_its_sheet(table: tuple[list[str], list[list[str]]]) -> None:
    """It loads, binds to the header, and maps every row to an activity or to problems."""
    headings, cells = table
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "t.csv", Path(folder) / "t.yaml"
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([headings, *cells])
        how = SheetOptions(delimiter=",", header_row=find_header_row(source, SheetOptions(delimiter=",")).row)
        with open_sheet(source, how) as sheet:
            found = look_at_sheet(sheet, None)
            made = propose(found, sheet, how, target.name, 10001, schema_at_hand=False)
            target.write_text(made.text, encoding="utf-8", newline="\n")
            mapper = load_mapping(target).bind(sheet.header)
            mapped = [mapper.map(row) for row in sheet.rows()]

    # A row with content beyond the last heading is wrong as a whole, whatever the mapping says.
    named = {None, *(each.column for each in made.look_at)}
    wrong = {each.column for row in mapped if not isinstance(row, Activity) for each in row}
    assert (made.fill_in, wrong - named) == ((), set())
