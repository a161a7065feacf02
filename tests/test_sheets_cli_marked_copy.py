"""`importer check --report`: the marked copy is the sheet, and what is wrong in it is wrong in the copy."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import openpyxl
import pytest
from conftest import Importer, Result
from sheets import raw_workbook, sheet_xml, text_rows, written_workbook
from sheets.sending import ACCOUNT, MAPPING

from importer.sheets import open_sheet


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """Takes any value."""
    path = tmp_path / "exact.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def sheet_with(path: Path, *cells: str) -> Path:
    """A workbook of raw XML, one row for each cell; the first value is a good one."""
    rows = text_rows([["Account ID", "Line", "Value"], [ACCOUNT, "v0", "good"]])
    for number, cell in enumerate(cells, 3):
        row = text_rows([[ACCOUNT, f"v{number}"]], first=number).removesuffix("</row>")
        rows += f"{row}{cell.format(number)}</row>"
    return raw_workbook(path, sheet_xml(rows))


def problems(result: Result) -> list[tuple[str, list[str]]]:
    """Kind and cells of each group."""
    return [(group["kind"], group["cells"]) for group in result.json["problems"]]


BAD_CELLS = (
    '<c r="C{}" t="e"><v>#N/A</v></c>',
    '<c r="C{}" t="e"><v>#DIV/0!</v></c>',
    '<c r="C{}"><v>1234567890123456</v></c>',
    '<c r="C{}"><f>1+1</f></c>',
)


def test_what_is_wrong_in_the_sheet_is_wrong_in_the_copy(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """An error stays an error, and a rounded number a number: in a copy that is sent, neither is a text."""
    source = sheet_with(tmp_path / "bad_cells.xlsx", *BAD_CELLS)
    copy = tmp_path / "marked.xlsx"

    first = importer("check", source, "-m", mapping, "--report", copy, "--json")
    again = importer("check", copy, "-m", mapping, "--json")

    assert (first.exit, first.json["invalid"]) == (1, 4)
    assert (again.exit, again.json["invalid"]) == (1, 4)


def test_a_row_with_content_beyond_the_headings_stays_invalid_in_the_copy(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """The reason stands right of the last heading, coloured, until somebody has looked."""
    source = tmp_path / "surplus_cell.csv"
    source.write_text(f"Account ID,Line,Value\n{ACCOUNT},v0,x,stray\n{ACCOUNT},v1,y\n", encoding="utf-8")
    copy = tmp_path / "marked.xlsx"

    importer("check", source, "-m", mapping, "--report", copy)
    again = importer("check", copy, "-m", mapping, "--json")

    book = openpyxl.load_workbook(copy)
    cell = book.worksheets[0]["D2"]
    assert ("stray" in str(cell.value), cell.fill.fgColor.rgb) == (True, "FFFFC7CE")
    assert cell.comment is not None
    assert problems(again) == [("unreadable-row", ["row 2"])]


def test_the_cells_of_the_copy_are_those_of_the_sheet(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """Texts, numbers, dates and their formats: read again, the copy shows the same in the same rows."""
    table: list[list[object]] = [
        ["Account ID", "Line", "Value"],
        [ACCOUNT, "v0", "00123"],
        [],
        [ACCOUNT, "v1", 0.1 + 0.2],
        [ACCOUNT, "v2", True],
        [ACCOUNT, "v3", "<r>markup</r>"],
        [ACCOUNT, "v4", "=1+1"],
        [ACCOUNT, "v5", "https://example.com/"],
        [ACCOUNT, "v6", "a\nb"],
    ]
    source = written_workbook(tmp_path / "kinds.xlsx", table)
    book = openpyxl.load_workbook(source)
    tab = book.worksheets[0]
    formatted: list[tuple[object, str]] = [
        (123, "00000"),
        (0.25, "0%"),
        (dt.date(2026, 7, 31), "dd/mm/yyyy"),
        (dt.date(1900, 1, 15), "yyyy-mm-dd"),
        (dt.timedelta(hours=30), "[h]:mm:ss"),
    ]
    for number, (value, code) in enumerate(formatted, 10):
        tab.cell(number, 1).value, tab.cell(number, 2).value = ACCOUNT, f"v{number}"
        tab.cell(number, 3).value = value  # type: ignore[assignment]
        tab.cell(number, 3).number_format = code
    tab["C7"].data_type = "s"  # openpyxl would make a formula of `=1+1`
    book.save(source)
    copy = tmp_path / "marked.xlsx"

    result = importer("check", source, "-m", mapping, "--report", copy, "--json")

    with open_sheet(source) as one, open_sheet(copy) as two:
        assert list(two.rows()) == list(one.rows())
    assert (result.exit, result.json["rows"]) == (0, 12)


def test_different_errors_are_told_apart(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Each has its own reason and remedy; one sentence for all of them would be wrong for most."""
    source = sheet_with(tmp_path / "bad_cells.xlsx", *BAD_CELLS)

    result = importer("check", source, "-m", mapping)

    shown = " ".join(result.stdout.split())
    assert "C3: The cell shows #N/A" in shown
    assert "C4: The cell shows #DIV/0!" in shown
    assert "C5: A number of 16 digits or more" in shown
    assert "C6: The cell holds a formula whose result is not stored" in shown
