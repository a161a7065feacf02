"""OpenDocument spreadsheets: what LibreOffice and others show of a cell is what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest
from sheets import open_document
from test_sheets_text import cells, read, refusal

from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, ErrorCell, NumberCell
from importer.text import quoted

HEAD = (
    "<table:table-row>"
    '<table:table-cell office:value-type="string"><text:p>A</text:p></table:table-cell>'
    '<table:table-cell office:value-type="string"><text:p>B</text:p></table:table-cell>'
    "</table:table-row>"
)


def cell(tmp_path: Path, attributes: str, inside: str = "", *, styles: str = "") -> str:
    """The one cell of a sheet with these attributes and this content."""
    row = (
        '<table:table-row><table:table-cell office:value-type="float" office:value="1"/>'
        f"<table:table-cell {attributes}>{inside}</table:table-cell></table:table-row>"
    )
    ((_, found),) = cells(open_document(tmp_path / "visits.ods", HEAD + row, styles=styles))
    return found


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ('<text:p>a<text:s text:c="3"/>b<text:tab/>c<text:line-break/>d</text:p>', "a   b\tc\nd"),
        ("<text:p>one</text:p><text:p>two</text:p>", "one\ntwo"),
        ("<text:p>a <text:span>bold</text:span> and <text:a>link</text:a></text:p>", "a bold and link"),
        ("\n  <text:p>\n    a\n    b\n  </text:p>\n", "a b"),
        ("<office:annotation><text:p>note</text:p></office:annotation><text:p>Won</text:p>", "Won"),
        ("<text:p><office:annotation><text:p>note</text:p></office:annotation>Won</text:p>", "Won"),
        ("<text:p>007</text:p>", "007"),
    ],
)
def test_texts_arrive_as_they_are_shown(tmp_path: Path, inside: str, text: str) -> None:
    """Blanks, tabs and line breaks are tags; white space between tags is nothing; comments are no text."""
    assert cell(tmp_path, 'office:value-type="string"', inside) == text


@pytest.mark.parametrize(
    ("attributes", "shown", "text", "kind"),
    [
        ('office:value-type="float" office:value="5"', "5", "5", NumberCell),
        ('office:value-type="float" office:value="0.30000000000000004"', "", "0.3", NumberCell),
        ('office:value-type="float" office:value="1234.5"', "1,234.50", "1,234.50", NumberCell),
        ('office:value-type="float" office:value="1234.5"', "1.234,50", "1,234.50", NumberCell),
        ('office:value-type="float" office:value="417"', "00417", "00417", NumberCell),
        ('office:value-type="float" office:value="5.5"', "5.50 kg", "5.50 kg", NumberCell),
        ('office:value-type="percentage" office:value="0.25"', "25%", "0.25", NumberCell),
        (
            'office:value-type="currency" office:currency="EUR" office:value="5.5"',
            "5.50 €",
            "5.5",
            NumberCell,
        ),
        ('office:value-type="boolean" office:boolean-value="true"', "TRUE", "TRUE", BooleanCell),
        ('office:value-type="date" office:date-value="2026-07-31"', "31/07/26", "2026-07-31", DateCell),
        (
            'office:value-type="date" office:date-value="2026-07-31T14:30:00"',
            "31/07/26 14:30",
            "2026-07-31 14:30:00",
            DateCell,
        ),
        ('office:value-type="time" office:time-value="PT10H30M00S"', "10:30", "10:30:00", DateCell),
        ('office:value-type="time" office:time-value="PT36H05M00S"', "36:05", "36:05:00", DurationCell),
        ('office:value-type="time" office:time-value="P1DT1H"', "25:00", "25:00:00", DurationCell),
        ('office:value-type="string" calcext:value-type="error"', "#N/A", "#N/A", ErrorCell),
        (
            'table:formula="of:=1/0" office:value-type="float" office:value="0"',
            "Err:503",
            "Err:503",
            ErrorCell,
        ),
        ('table:formula="of:=1+1"', "", "", ErrorCell),
    ],
)
def test_values_have_their_types(tmp_path: Path, attributes: str, shown: str, text: str, kind: type) -> None:
    """Numbers as shown, percentages and currencies as numbers, times of a day and more as durations."""
    found = cell(tmp_path, attributes, f"<text:p>{shown}</text:p>" if shown else "")
    assert (str(found), type(found)) == (text, kind)


def test_a_format_of_hours_beyond_a_day_makes_a_duration(tmp_path: Path) -> None:
    """8:30 in a column of hours worked is no time of the day."""
    styles = (
        '<number:time-style style:name="N1" number:truncate-on-overflow="false"/>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    found = cell(
        tmp_path, 'table:style-name="ce1" office:value-type="time" office:time-value="PT8H30M"', styles=styles
    )
    assert (str(found), type(found)) == ("8:30:00", DurationCell)


def test_collapsed_groups_and_rows_of_no_height_are_hidden(tmp_path: Path) -> None:
    """As are those that a filter hides."""
    row = (
        '<table:table-row{}><table:table-cell office:value-type="float" office:value="{}"/></table:table-row>'
    )
    flat = '<style:style style:name="ro1"><style:table-row-properties style:row-height="0in"/></style:style>'
    rows = (
        f"<table:table-header-rows>{HEAD}</table:table-header-rows><table:table-row-group>{row.format('', 2)}"
        f'<table:table-row-group table:display="false">{row.format("", 3)}</table:table-row-group>'
        "</table:table-row-group>"
        + row.format(' table:visibility="filter"', 4)
        + row.format(' table:style-name="ro1"', 5)
        + row.format("", 6)
    )
    path = open_document(tmp_path / "visits.ods", rows, styles=flat)
    with open_sheet(path, SheetOptions(hidden="skip")) as sheet:
        assert sheet.hidden_rows == 3
        assert [(row.number, row.cells[0]) for row in sheet.rows()] == [(2, "2"), (6, "6")]


def test_repeated_rows_and_cells_are_written_out(tmp_path: Path) -> None:
    """Blank ones only count."""
    blank = '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
    twice = (
        '<table:table-row table:number-rows-repeated="2"><table:table-cell table:number-columns-repeated="2"'
        ' office:value-type="float" office:value="7"/></table:table-row>'
    )
    end = '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/></table:table-row>'
    rows = read(open_document(tmp_path / "visits.ods", HEAD + blank + twice + end))
    assert [(row.number, row.cells) for row in rows] == [(5, ("7", "7")), (6, ("7", "7"))]


def test_a_file_without_mimetype_is_an_open_document(tmp_path: Path) -> None:
    """Google writes such files."""
    path = open_document(tmp_path / "visits.ods", HEAD + HEAD, mimetype=False)
    assert cells(path) == [("A", "B")]


def test_an_encrypted_document_is_called_so(tmp_path: Path) -> None:
    """Not damaged: its manifest says it."""
    entry = '<m:file-entry m:full-path="content.xml"><m:encryption-data/></m:file-entry>'
    path = open_document(tmp_path / "visits.ods", HEAD, manifest=entry)
    assert "encrypted with a password" in refusal(path)


def test_a_bad_value_refuses_its_row_only(tmp_path: Path) -> None:
    """The others are read."""
    bad = '<table:table-cell office:value-type="date" office:date-value="soon"/>'
    bad = f"<table:table-row>{bad}</table:table-row>"
    rows = read(open_document(tmp_path / "visits.ods", HEAD + bad + HEAD))
    assert [row.problem is None for row in rows] == [False, True]
    assert quoted("soon") not in (rows[1].problem or "")


def test_a_hidden_sheet_is_not_chosen(tmp_path: Path) -> None:
    """Its style says that it is not displayed."""
    styles = '<style:style style:name="ta1"><style:table-properties table:display="false"/></style:style>'
    second = f'{HEAD}</table:table><table:table table:name="Old" table:style-name="ta1">{HEAD}'
    with open_sheet(open_document(tmp_path / "visits.ods", second, styles=styles)) as sheet:
        assert (sheet.name, sheet.sheet_names) == ("Visits", ("Visits",))


def test_a_text_that_few_tags_make_endless_refuses_its_row(tmp_path: Path) -> None:
    """Five hundred tags of 32,767 blanks each."""
    blanks = '<text:s text:c="32767"/>' * 500
    cell = f'<table:table-cell office:value-type="string"><text:p>{blanks}</text:p></table:table-cell>'
    bad = f"<table:table-row>{cell}</table:table-row>"
    (row,) = read(open_document(tmp_path / "visits.ods", HEAD + bad))
    assert row.problem is not None


def test_merged_cells_are_noticed_as_in_new_workbooks(tmp_path: Path) -> None:
    """A heading merged to the right names one column; of cells below only the first has the value."""
    text = '<table:table-cell office:value-type="string"{}><text:p>{}</text:p></table:table-cell>'
    covered = "<table:covered-table-cell/>"
    wide, high = ' table:number-columns-spanned="2"', ' table:number-rows-spanned="2"'
    head = text.format(wide, "Visit") + covered + text.format("", "Note")
    rows = (text.format(high, "Anna"), covered + text.format("", "b"))
    lines = "".join(f"<table:table-row>{cells}</table:table-row>" for cells in (head, *rows))
    with open_sheet(open_document(tmp_path / "visits.ods", lines)) as sheet:
        heading, below = sheet.warnings
    assert "merged over columns A to B" in heading
    assert "Cells below the headings are merged (A2:A3)" in below


def test_formulas_filled_down_below_the_data_are_not_rows(tmp_path: Path) -> None:
    """They give 0 or an error there; a number that a person typed makes a row."""
    number = '<table:table-cell office:value-type="float" office:value="{}"{}/>'
    formula = ' table:formula="of:=[.A2]*2"'
    error = (
        '<table:table-cell table:formula="of:=1/0" office:value-type="string" calcext:value-type="error">'
        "<text:p>#DIV/0!</text:p></table:table-cell>"
    )
    rows = (
        number.format(7, "") + number.format(14, formula),
        "<table:table-cell/>" + number.format(0, ""),
        "<table:table-cell/>" + number.format(0, formula),
        "<table:table-cell/>" + error,
    )
    lines = "".join(f"<table:table-row>{cells}</table:table-row>" for cells in rows)
    with open_sheet(open_document(tmp_path / "visits.ods", HEAD + lines)) as sheet:
        assert [row.number for row in sheet.rows()] == [2, 3]
        ((_, found),) = sheet.closing_findings()
    assert "rows 4 to 5, there is nothing but results of formulas" in found.message
