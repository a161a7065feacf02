"""Rows and cells of workbooks as programs write them: damage, what nobody sees, what is not calculated."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sheets import raw_workbook, sheet_xml, text_rows, written_workbook
from test_sheets_text import cells, read, refusal

from importer.errors import SheetError
from importer.findings import Severity
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import ErrorCell, Row

TABLE = [["Id", "Note"], ["1", "one"], ["2", "two"]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's workbook goes."""
    return tmp_path / "visits.xlsx"


HEAD = '<row r="1"><c r="A1" t="str"><v>A</v></c><c r="B1" t="str"><v>B</v></c></row>'


def rows_below(path: Path, xml: str, **options: Any) -> list[Row]:
    """The rows of a sheet with the headings A and B and these `<row>` elements."""
    return read(raw_workbook(path, sheet_xml(HEAD + xml), **options))


@pytest.mark.parametrize(
    "bad",
    [
        '<c r="B3" t="d"><v>yesterday</v></c>',
        '<c r="B3"><v>one</v></c>',
        '<c r="B3" t="b"><v>maybe</v></c>',
        '<c r="B3"><v>1_0</v></c>',
    ],
)
def test_a_value_that_makes_no_sense_is_a_problem_of_its_row(path: Path, bad: str) -> None:
    """The other rows are read."""
    good = [f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in (2, 4)]
    rows = rows_below(path, f'{good[0]}<row r="3"><c r="A3"><v>3</v></c>{bad}</row>{good[1]}')
    assert [(row.number, row.cells[0], row.problem is None) for row in rows] == [
        (2, "2", True),
        (3, "3", False),
        (4, "4", True),
    ]
    assert "Cell B3" in (rows[1].problem or "")


def test_two_rows_of_one_number_are_refused(path: Path) -> None:
    """Which of them Excel shows is not known."""
    row = '<row r="2"><c r="A2"><v>1</v></c></row>'
    with pytest.raises(SheetError, match="row 2 follows row 2"):
        rows_below(path, f'{row}{row}<row r="3"><c r="A3"><v>1</v></c></row>')


def test_rows_of_no_height_are_hidden(path: Path) -> None:
    """A person drew them shut."""
    row = '<row r="{}" ht="{}" customHeight="1"><c r="A{}"><v>1</v></c></row>'
    xml = "".join(row.format(n, height, n) for n, height in enumerate(("15", "0", "0.0", "0.75"), 2))
    raw_workbook(path, sheet_xml(HEAD + xml))
    with open_sheet(path, SheetOptions(hidden="skip")) as sheet:
        assert sheet.hidden_rows == 2
        assert [row.number for row in sheet.rows()] == [2, 5]


def recalculate(parts: dict[str, str]) -> None:
    """Have Excel calculate the workbook on opening."""
    parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace(
        "</workbook>", '<calcPr calcId="0" fullCalcOnLoad="1"/></workbook>'
    )


def test_formulas_of_a_workbook_to_be_recalculated_are_questions(path: Path) -> None:
    """A report written by a program stores 0 for each of them."""
    xml = '<row r="2"><c r="A2"><v>5</v></c><c r="B2"><f>A2*2</f><v>0</v></c></row>'
    assert rows_below(path, xml)[0].findings == ()
    (row,) = rows_below(path, xml, change=recalculate)
    assert [(each.kind, each.column, each.severity) for each in row.findings] == [
        ("not-recalculated", "B", Severity.QUESTION)
    ]


def test_pictures_and_linked_data_types_are_called_what_they_are(path: Path) -> None:
    """For old readers such a cell is #VALUE!; Excel shows a picture, or a country."""
    (row,) = rows_below(path, '<row r="2"><c r="A2" t="e" vm="1"><v>#VALUE!</v></c></row>')
    assert isinstance(row.cells[0], ErrorCell)
    assert "picture or a linked data type" in row.cells[0].reason
    assert "#VALUE!" not in row.cells[0].reason


def test_booleans_and_styles_in_the_spelling_of_other_programs(path: Path) -> None:
    """`true` for 1, and an empty style."""
    cell = '<c r="{}" t="b" s=""><v>{}</v></c>'
    (row,) = rows_below(path, f'<row r="2">{cell.format("A2", "true")}{cell.format("B2", "0")}</row>')
    assert row.cells == ("TRUE", "FALSE")


@pytest.mark.parametrize("state", ["show", ""])
def test_an_unknown_state_of_a_sheet_is_visible(path: Path, state: str) -> None:
    """As Excel takes it."""
    xml = sheet_xml(text_rows(TABLE))
    assert cells(raw_workbook(path, xml, states={"Visits": state})) == [("1", "one"), ("2", "two")]


def rename_parts(path: Path, rename: Callable[[str], str]) -> None:
    """Pack the workbook again under other names."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            info = zipfile.ZipInfo("x" * len(name))
            info.filename = rename(name)
            archive.writestr(info, part)


@pytest.mark.parametrize("rename", [lambda name: name.replace("/", "\\"), str.lower, str.upper])
def test_parts_are_found_as_excel_finds_them(path: Path, rename: Callable[[str], str]) -> None:
    """With the separators of Windows, and in any case."""
    written_workbook(path, TABLE)
    rename_parts(path, rename)
    assert cells(path) == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize(
    "second", ["xl/worksheets/sheet1.xml", "XL/worksheets/Sheet1.xml", "xl\\worksheets/sheet1.xml"]
)
def test_parts_of_one_name_are_refused(path: Path, second: str) -> None:
    """Programs differ in which of them they read."""
    written_workbook(path, TABLE)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(second, sheet_xml(""))
    assert "two parts of one name" in refusal(path)


def test_values_that_nobody_sees_are_noticed(path: Path) -> None:
    """A format of empty sections hides numbers and texts."""
    xml = '<row r="2"><c r="A2" s="1"><v>5</v></c><c r="B2" t="str" s="1"><v>secret</v></c></row>'
    (row,) = rows_below(path, xml, codes=[0, ";;;"])
    assert row.cells == ("5", "secret")
    assert [(each.kind, each.index) for each in row.findings] == [("unseen-value", 0), ("unseen-value", 1)]


def test_checkboxes_below_the_data_are_not_rows(path: Path) -> None:
    """A column that was filled down to row 1,000 says FALSE where nothing else is."""
    cell = '<c r="B{0}" t="b"><v>{1}</v></c>'
    rows = [f'<row r="2"><c r="A2"><v>7</v></c>{cell.format(2, 1)}</row>']
    rows += [
        f'<row r="3">{cell.format(3, 0)}</row><row r="4"><c r="A4"><v>8</v></c>{cell.format(4, 0)}</row>'
    ]
    rows += [f'<row r="{n}">{cell.format(n, 0)}</row>' for n in range(5, 100)]
    raw_workbook(path, sheet_xml(HEAD + "".join(rows)))
    with open_sheet(path) as sheet:
        assert [row.number for row in sheet.rows()] == [2, 3, 4]
        ((number, found),) = sheet.closing_findings()
    assert (number, found.kind, found.column) == (0, "only-checkboxes", None)
    assert "rows 5 to 99, there is nothing but FALSE" in found.message


def test_formulas_filled_down_below_the_data_are_not_rows(path: Path) -> None:
    """They give 0 or an error there; a number that a person typed makes a row."""
    formulas = '<c r="B{0}"><f>A{0}*2</f><v>0</v></c><c r="C{0}" t="e"><f>1</f><v>#N/A</v></c>'
    head = HEAD.replace("</row>", '<c r="C1" t="str"><v>C</v></c></row>')
    rows = '<row r="2"><c r="A2"><v>7</v></c><c r="B2"><f>A2*2</f><v>14</v></c></row>'
    rows += '<row r="3"><c r="B3"><v>0</v></c></row>'
    rows += "".join(f'<row r="{n}">{formulas.format(n)}</row>' for n in range(4, 9))
    raw_workbook(path, sheet_xml(head + rows))
    with open_sheet(path) as sheet:
        assert [row.number for row in sheet.rows()] == [2, 3]
        ((_, found),) = sheet.closing_findings()
    assert "rows 4 to 8, there is nothing but results of formulas" in found.message
