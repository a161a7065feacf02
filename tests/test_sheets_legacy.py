"""The other workbooks, .xls, .xlsb and .ods: read by a child within limits, with what is lost told."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from sheets import binary_workbook, old_workbook, open_document
from test_sheets_hostile import read_apart
from test_sheets_text import EXACT, cells, read, refusal

from importer.errors import SheetError
from importer.sheets import SheetOptions, legacy, open_sheet
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, ErrorCell, NumberCell
from importer.sheets.sheet import SheetChoiceError


def ods_row(*cells: str) -> str:
    """A row of texts of an OpenDocument sheet."""
    inner = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
        for cell in cells
    )
    return f"<table:table-row>{inner}</table:table-row>"


def test_texts_of_an_old_workbook_arrive_as_they_stand(tmp_path: Path) -> None:
    """Nothing is taken for a number, a missing value or a date."""
    table = [["Id", "Text"], *[["x", text] for text in EXACT]]
    path = old_workbook(tmp_path / "visits.xls", {"Visits": table})
    with open_sheet(path) as sheet:
        assert (sheet.name, sheet.family, sheet.header) == ("Visits", "workbook", ("Id", "Text"))
        assert tuple(row.cells[1] for row in sheet.rows()) == EXACT
        assert list(sheet.rows()) == list(sheet.rows())


def test_values_of_an_old_workbook_have_their_types(tmp_path: Path) -> None:
    """Numbers, booleans, dates, times and durations."""
    values = [
        0.1 + 0.2,
        5.0,
        True,
        dt.date(2026, 7, 31),
        dt.datetime(2026, 7, 31, 14, 30),  # noqa: DTZ001 - sheets know no time zones
        dt.time(9, 5),
        (1.5, "[h]:mm:ss"),
        1e19,
    ]
    path = old_workbook(tmp_path / "visits.xls", {"Visits": [list("ABCDEFGH"), values]})
    (row,) = cells(path)
    assert row[:7] == ("0.3", "5", "TRUE", "2026-07-31", "2026-07-31 14:30:00", "09:05:00", "36:00:00")
    kinds = [NumberCell, NumberCell, BooleanCell, DateCell, DateCell, DateCell, DurationCell, ErrorCell]
    assert [type(cell) for cell in row] == kinds


@pytest.mark.parametrize("filler", [0, 500])
def test_error_values_and_hidden_rows_of_an_old_workbook(tmp_path: Path, filler: int) -> None:
    """calamine shows neither: they are read from the records, in a stream of any size."""
    table: list[list[Any]] = [["A", "B"], ["1", ValueError(0x2A)], ["2", "x"], [ValueError(0x17), None]]
    table += [["more", f"text {number}"] for number in range(filler)]
    other: list[list[Any]] = [["A", "B"], [ValueError(0x07), "y"]]
    path = old_workbook(tmp_path / "visits.xls", {"Other": other, "Visits": table}, hidden_rows=[3])
    check_marks(path, filler)


def test_error_values_and_hidden_rows_of_a_binary_workbook(tmp_path: Path) -> None:
    """The same in its own records."""
    table: list[list[Any]] = [["A", "B"], ["1", ValueError(0x2A)], ["2", "x"], [ValueError(0x17), ""]]
    check_marks(binary_workbook(tmp_path / "visits.xlsb", table, hidden_rows=[3]), 0)


def test_error_values_and_hidden_rows_of_an_open_document(tmp_path: Path) -> None:
    """As LibreOffice writes them: an error is an empty text with another type beside it."""
    error = '<table:table-cell office:value-type="string" office:string-value="" calcext:value-type="error">'
    rows = (
        ods_row("A", "B"),
        ods_row("1", "").replace(
            '<table:table-cell office:value-type="string"><text:p></text:p>', f"{error}<text:p>#N/A</text:p>"
        ),
        ods_row("2", "x").replace("<table:table-row", '<table:table-row table:visibility="filter"'),
        f"<table:table-row>{error}<text:p>#REF!</text:p></table:table-cell></table:table-row>",
    )
    check_marks(open_document(tmp_path / "visits.ods", "".join(rows)), 0)


def check_marks(path: Path, filler: int) -> None:
    """Two error cells, one hidden row, in the sheet called Visits."""
    with open_sheet(path, SheetOptions(sheet="Visits")) as sheet:
        rows = list(sheet.rows())
        assert sheet.hidden_rows == 1
    assert [row.cells for row in rows[:3]] == [("1", "#N/A"), ("2", "x"), ("#REF!", "")]
    assert [type(cell) for cell in (rows[0].cells[1], rows[2].cells[0])] == [ErrorCell, ErrorCell]
    skipped = read(path, SheetOptions(sheet="Visits", hidden="skip"))
    assert [row.number for row in skipped][:2] == [2, 4]
    assert len(rows) == 3 + filler


def test_row_numbers_and_blank_rows(tmp_path: Path) -> None:
    """Leading blank rows count, in any of the formats."""
    table: list[list[str | None]] = [
        [None, None],
        ["A", "B"],
        [None, None],
        ["1", "2"],
        [" ", None],
        ["3", None],
    ]
    path = old_workbook(tmp_path / "visits.xls", {"Visits": table})
    rows = read(path, SheetOptions(header_row=2))
    assert [(row.number, row.cells) for row in rows] == [(4, ("1", "2")), (6, ("3", ""))]
    assert "`header_row: 2`" in refusal(path)


def test_surplus_content_is_a_problem_of_the_row(tmp_path: Path) -> None:
    """As everywhere."""
    path = old_workbook(tmp_path / "visits.xls", {"Visits": [["A", "B"], list("123"), list("12")]})
    assert [bool(row.problem) for row in read(path)] == [True, False]


def test_sheets_are_chosen_as_in_new_workbooks(tmp_path: Path) -> None:
    """The only visible one, or the named one."""
    one, two = [["A"], ["1"]], [["A"], ["2"]]
    path = old_workbook(tmp_path / "visits.xls", {"Old": one, "Visits": two}, hidden=["Old"])
    assert cells(path) == [("2",)]
    assert cells(path, SheetOptions(sheet="old")) == [("1",)]
    both = old_workbook(tmp_path / "both.xls", {"Calls": one, "Visits": two})
    assert '2 visible sheets: "Calls", "Visits"' in refusal(both)
    assert 'Did you mean "Visits"?' in refusal(both, SheetOptions(sheet="Visit"))
    with pytest.raises(SheetChoiceError) as caught:
        read(both)
    assert caught.value.names == ("Calls", "Visits")


def test_an_open_document_is_read(tmp_path: Path) -> None:
    """Texts, numbers, dates and repeated cells."""
    row = (
        "<table:table-row>"
        '<table:table-cell office:value-type="float" office:value="0.30000000000000004"/>'
        '<table:table-cell office:value-type="date" office:date-value="2026-07-31T14:30:00"/>'
        '<table:table-cell table:number-columns-repeated="2" office:value-type="string">'
        "<text:p>00123</text:p></table:table-cell></table:table-row>"
    )
    path = open_document(tmp_path / "visits.ods", ods_row("A", "B", "C", "D") + row)
    assert cells(path) == [("0.3", "2026-07-31 14:30:00", "00123", "00123")]


def test_a_binary_workbook_is_read(tmp_path: Path) -> None:
    """Texts and numbers."""
    path = binary_workbook(tmp_path / "visits.xlsb", [["Id", "Amount"], ["00123", 0.1 + 0.2], ["NA", 5.0]])
    assert cells(path) == [("00123", "0.3"), ("NA", "5")]


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_old_workbook(tmp_path: Path, share: float) -> None:
    """Refused; whatever calamine does over it happens elsewhere."""
    path = old_workbook(
        tmp_path / "cut.xls", {"Visits": [["A", "B"], *[["1", f"text {at}"] for at in range(900)]]}
    )
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    assert read_apart(path).told


def test_old_workbooks_with_turned_bytes_never_harm_this_process(tmp_path: Path) -> None:
    """An error, or some table: the format has no checksums."""
    path = old_workbook(
        tmp_path / "turned.xls", {"Visits": [["A", "B"], *[["1", f"text {at}"] for at in range(90)]]}
    )
    raw = path.read_bytes()
    randomness = random.Random(4)
    for _ in range(4):
        turned = bytearray(raw)
        for _ in range(20):
            turned[randomness.randrange(8, len(turned))] = randomness.randrange(256)
        path.write_bytes(turned)
        with contextlib.suppress(SheetError):
            read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process limit its memory")
def test_a_far_cell_of_an_old_workbook(tmp_path: Path) -> None:
    """Sixteen million empty cells, from a file of few kilobytes."""
    table: list[list[str | None]] = [["A", "B"], ["1", "2"]]
    path = old_workbook(tmp_path / "far.xls", {"Visits": [*table, *[[]] * 65_533, [*[None] * 255, "far"]]})
    assert read_apart(path).told


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process limit its memory")
@pytest.mark.parametrize("rows", [60_000, 1_048_575])
def test_a_far_cell_of_a_binary_workbook(tmp_path: Path, rows: int) -> None:
    """A dense table of it would take gigabytes."""
    path = binary_workbook(tmp_path / "far.xlsb", [["x"] * 800], first_row=rows)
    assert read_apart(path).told


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process limit its memory")
def test_repeated_cells_of_an_open_document(tmp_path: Path) -> None:
    """One element that stands for seventeen billion cells."""
    cell = (
        '<table:table-cell table:number-columns-repeated="16384" office:value-type="float" office:value="1"/>'
    )
    row = f'<table:table-row table:number-rows-repeated="1048575">{cell}</table:table-row>'
    path = open_document(tmp_path / "far.ods", ods_row("A", "B") + row)
    assert read_apart(path).told


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is told; here it is shorter than a child's start."""
    monkeypatch.setattr(legacy, "TIME_LIMIT_S", 0.01)
    path = old_workbook(tmp_path / "visits.xls", {"Visits": [["A"], ["1"]]})
    assert "could not be read within 0.01 seconds" in refusal(path)


def test_a_module_of_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder with the sheets may hold a pandas.py."""
    (tmp_path / "pandas.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    old_workbook(tmp_path / "visits.xls", {"Visits": [["A"], ["1"]]})
    assert cells(Path("visits.xls")) == [("1",)]
