"""Binary workbooks: what calamine leaves out of them is read from their records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sheets import binary_workbook
from test_sheets_text import read

from importer.sheets import open_sheet
from importer.sheets.rows import DateCell, DurationCell, ErrorCell, NumberCell

CODES = ("General", "dd/mm/yyyy", "00000", "[h]:mm", ";;;")


def test_number_formats_are_read(tmp_path: Path) -> None:
    """Dates are dates, not counts of days; zeros of a format belong to the value."""
    values = [(40159.0, 1), (417.0, 2), (1.5, 3), (2.5, 0)]
    (row,) = read(binary_workbook(tmp_path / "visits.xlsb", [list("ABCD"), values], codes=CODES))
    assert row.cells == ("2009-12-12", "00417", "36:00:00", "2.5")
    assert [type(cell) for cell in row.cells] == [DateCell, NumberCell, DurationCell, NumberCell]


def test_error_cells_outside_of_the_range_that_calamine_sees_are_not_lost(tmp_path: Path) -> None:
    """A row below, and a column to the right, with nothing but errors."""
    table: list[list[Any]] = [["A", "B"], ["x", ValueError(0x2A)], [ValueError(0x07)]]
    path = binary_workbook(tmp_path / "visits.xlsb", table, range_to=(1, 0))
    rows = read(path)
    assert [row.cells for row in rows] == [("x", "#N/A"), ("#DIV/0!", "")]
    assert isinstance(rows[0].cells[1], ErrorCell)
    assert isinstance(rows[1].cells[0], ErrorCell)


def test_a_value_in_a_format_that_shows_nothing_is_noticed(tmp_path: Path) -> None:
    """It is sent."""
    (row,) = read(binary_workbook(tmp_path / "visits.xlsb", [["A"], [(5.0, 4)]], codes=CODES))
    assert (row.cells[0], [each.kind for each in row.findings]) == ("5", ["unseen-value"])


def test_cells_merged_below_the_headings_are_noticed(tmp_path: Path) -> None:
    """Their records stand behind the rows."""
    table: list[list[Any]] = [["A", "B"], ["Anna", 1.0], ["", 2.0]]
    path = binary_workbook(tmp_path / "visits.xlsb", table, merges=[(1, 2, 0, 0)])
    with open_sheet(path) as sheet:
        (warning,) = sheet.warnings
    assert "Cells below the headings are merged (A2:A3)" in warning


def test_formulas_filled_down_below_the_data_are_not_rows(tmp_path: Path) -> None:
    """They give 0 there; a number that a person typed makes a row."""
    table: list[list[Any]] = [
        ["A", "B"],
        ["x", (14.0, 0, 9)],
        ["", 0.0],
        ["", (0.0, 0, 9)],
        ["", (0.0, 0, 9)],
    ]
    with open_sheet(binary_workbook(tmp_path / "visits.xlsb", table)) as sheet:
        assert [row.number for row in sheet.rows()] == [2, 3]
        ((_, found),) = sheet.closing_findings()
    assert "rows 4 to 5, there is nothing but results of formulas" in found.message


def test_formulas_whose_result_is_an_empty_text_make_no_row(tmp_path: Path) -> None:
    """As in any other workbook."""
    assert read(binary_workbook(tmp_path / "visits.xlsb", [["A", "B"], ["", ""]])) == []
