"""Old workbooks: number formats, hidden rows, and formulas that Excel would calculate again."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import xlwt  # type: ignore[import-untyped]
from sheets import old_workbook
from test_sheets_text import read

from importer.findings import Severity
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import DateCell, ErrorCell


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (417, "00000", "00417"),
        (21333, "#,##0.00", "21,333.00"),
        (919876500001, "\\+0", "+919876500001"),
        (7, '"INV-"0', "INV-7"),
        (0.25, "0%", "0.25"),
    ],
)
def test_numbers_arrive_as_their_formats_show_them(
    tmp_path: Path, value: float, code: str, text: str
) -> None:
    """As from an .xlsx workbook."""
    table: list[list[Any]] = [["A", "B"], ["x", (value, code)]]
    assert read(old_workbook(tmp_path / "visits.xls", {"Visits": table}))[0].cells[1] == text


def test_a_number_in_a_date_format_is_a_date(tmp_path: Path) -> None:
    """Not a count of days."""
    table: list[list[Any]] = [["A", "B"], ["x", (38352, "mmm d, yyyy")]]
    found = read(old_workbook(tmp_path / "visits.xls", {"Visits": table}))[0].cells[1]
    assert (str(found), type(found)) == ("2004-12-31", DateCell)


def test_a_value_in_a_format_that_shows_nothing_is_noticed(tmp_path: Path) -> None:
    """It is sent."""
    (row,) = read(old_workbook(tmp_path / "visits.xls", {"Visits": [["A", "B"], ["x", (5, ";;;")]]}))
    assert (row.cells[1], [each.kind for each in row.findings]) == ("5", ["unseen-value"])


def test_a_row_of_no_height_is_hidden(tmp_path: Path) -> None:
    """A person drew it shut."""
    book = xlwt.Workbook()
    tab = book.add_sheet("Visits")
    for at in range(4):
        tab.write(at, 0, f"v{at}")
    tab.row(2).height_mismatch, tab.row(2).height = True, 0
    book.save(str(tmp_path / "visits.xls"))
    with open_sheet(tmp_path / "visits.xls") as sheet:
        assert sheet.hidden_rows == 1


NO_RESULT = b"\x03\x00\x00\x00\x00\x00\xff\xff\x00\x00"
"""What xlwt stores as the result of a formula, and its flags."""


def formula_workbook(path: Path) -> Path:
    """A formula by xlwt, which stores no result."""
    book = xlwt.Workbook()
    tab = book.add_sheet("Visits")
    for column, value in enumerate(("A", "B")):
        tab.write(0, column, value)
    tab.write(1, 0, 5)
    tab.write(1, 1, xlwt.Formula("A2*2"))
    book.save(str(path))
    return path


def test_a_formula_that_was_never_calculated_is_a_problem(tmp_path: Path) -> None:
    """Its empty text is no result."""
    (row,) = read(formula_workbook(tmp_path / "visits.xls"))
    assert isinstance(row.cells[1], ErrorCell)
    assert "result is not stored" in row.cells[1].reason


@pytest.mark.parametrize(("flags", "found"), [(2, [("not-recalculated", Severity.QUESTION)]), (0, [])])
def test_a_stored_result_is_a_question_where_the_workbook_asks_to_be_calculated(
    tmp_path: Path, flags: int, found: list[tuple[str, Severity]]
) -> None:
    """That no record names the Excel that calculated it, as of most programs, asks for nothing."""
    path = formula_workbook(tmp_path / "visits.xls")
    raw = path.read_bytes()
    assert raw.count(NO_RESULT) == 1
    path.write_bytes(raw.replace(NO_RESULT, struct.pack("<dH", 0.0, flags)))
    (row,) = read(path)
    assert row.cells[1] == "0"
    assert [(each.kind, each.severity) for each in row.findings] == found


def test_merged_cells_are_noticed_as_in_new_workbooks(tmp_path: Path) -> None:
    """A heading merged from above counts; of cells below the headings only the first has the value."""
    book = xlwt.Workbook()
    tab = book.add_sheet("Visits")
    tab.write_merge(0, 1, 0, 0, "Owner")
    tab.write(1, 1, "Amount")
    tab.write_merge(2, 4, 0, 0, "Anna")
    for row in range(2, 5):
        tab.write(row, 1, row)
    book.save(str(tmp_path / "visits.xls"))
    with open_sheet(tmp_path / "visits.xls", SheetOptions(header_row=2)) as sheet:
        assert sheet.header == ("Owner", "Amount")
        (warning,) = sheet.warnings
        assert [row.cells[0] for row in sheet.rows()] == ["Anna", "", ""]
    assert "Cells below the headings are merged (A3:A5)" in warning


def test_formulas_filled_down_below_the_data_are_not_rows(tmp_path: Path) -> None:
    """They give 0 or an error there; a number that a person typed makes a row."""
    book = xlwt.Workbook()
    tab = book.add_sheet("Visits")
    for column, value in enumerate(("A", "B", "C")):
        tab.write(0, column, value)
    tab.write(1, 0, 7)
    tab.write(2, 1, 0)
    for row in range(3, 8):
        tab.write(row, 1, xlwt.Formula(f"A{row + 1}*2"))
    tab.write(7, 2, xlwt.Formula("1/B8"))
    path = tmp_path / "visits.xls"
    book.save(str(path))
    results = path.read_bytes().replace(NO_RESULT, struct.pack("<dH", 0.0, 0), 5)
    path.write_bytes(results.replace(NO_RESULT, b"\x02\x00\x07\x00\x00\x00\xff\xff\x00\x00"))
    with open_sheet(path) as sheet:
        assert [row.number for row in sheet.rows()] == [2, 3]
        ((_, found),) = sheet.closing_findings()
    assert "rows 4 to 8, there is nothing but results of formulas" in found.message
