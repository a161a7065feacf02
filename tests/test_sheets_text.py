"""Delimited text arrives as it stands, with Excel's row numbers, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from sheets import trap

from importer.errors import SheetError
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import ErrorCell, Row

EXACT = (
    "00123",
    "NA",
    "null",
    "1e5",
    "1.10",
    "12345678901234567890",
    "=1+1",
    "TRUE",
    "“smart” €",
    "line\nbreak",
    " spaced ",
    'say "hi"',
    "日本語 العربية 😀",
)


def read(path: Path, how: SheetOptions | None = None) -> list[Row]:
    """Every row of the sheet."""
    with open_sheet(path, how) as sheet:
        return list(sheet.rows())


def cells(path: Path, how: SheetOptions | None = None) -> list[tuple[str, ...]]:
    """The cells of every row."""
    return [row.cells for row in read(path, how)]


def refusal(path: Path, how: SheetOptions | None = None) -> str:
    """What a person is told when the sheet cannot be read to its end."""
    with pytest.raises(SheetError) as caught:
        read(path, how)
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize("name", ["exact_texts.csv", "utf8_bom.csv", "utf16_le_bom.csv", "utf16_be_bom.csv"])
def test_what_stands_in_the_file_arrives(name: str) -> None:
    """Leading zeros, NA, null, exponents, formulas, quotes, line breaks and any script stay what they are."""
    with open_sheet(trap(name)) as sheet:
        assert sheet.header == ("Id", "Text")
        assert tuple(row.cells[1] for row in sheet.rows()) == EXACT


def test_cells_of_text_are_plain_texts() -> None:
    """No cell of a text file pretends to be a number or a date."""
    assert {type(cell) for row in cells(trap("exact_texts.csv")) for cell in row} == {str}


def test_rows_can_be_read_again_and_side_by_side() -> None:
    """Each call of `rows` begins anew, also while another is under way."""
    with open_sheet(trap("exact_texts.csv")) as sheet:
        first = sheet.rows()
        next(first)
        again = list(sheet.rows())
        assert list(first) == again[1:]


def test_a_sheet_that_is_closed_half_way_holds_no_file() -> None:
    """Closing the sheet ends the reading; nothing is left to a garbage collector to warn about."""
    sheet = open_sheet(trap("exact_texts.csv"))
    rows = sheet.rows()
    next(rows)
    sheet.close()
    sheet.close()
    with pytest.raises(ValueError, match="closed file"):
        next(rows)


def test_blank_rows_are_left_out_and_keep_their_numbers() -> None:
    """Empty lines, lines of delimiters and lines of spaces are no rows, but they count."""
    assert [row.number for row in read(trap("blank_rows.csv"))] == [3, 6, 9]


def test_line_breaks_in_cells_do_not_shift_row_numbers() -> None:
    """A row's number is that of its record, as in Excel, not of its line."""
    assert read(trap("line_breaks_in_cells.csv")) == [
        Row(2, ("one\r\ntwo", "x")),
        Row(3, ("three\nfour\n", "y")),
        Row(4, ("last", "z")),
    ]


def test_old_mac_line_ends_are_line_ends() -> None:
    """A carriage return alone ends a line."""
    assert cells(trap("mac_line_ends.csv")) == [("1", "2"), ("3", "4")]


def test_short_rows_of_a_file_that_leaves_out_empty_cells_are_filled() -> None:
    """Missing cells at the end are empty where no row writes an empty last cell."""
    rows = read(trap("ragged_rows.csv"))
    assert [row.cells for row in rows[:5]] == [("1", "", ""), ("1", "2", ""), *[("1", "2", "3")] * 3]
    assert [row.problem for row in rows[:3]] == [None] * 3


def test_a_row_wider_than_its_neighbours_is_a_problem_though_its_surplus_is_empty() -> None:
    """A comma inside of a text moved its values; more empty cells than could have moved are none."""
    rows = read(trap("ragged_rows.csv"))
    assert "4 cells" in (rows[3].problem or "")
    assert rows[4].problem is None


def test_a_surplus_cell_with_content_makes_the_row_a_problem() -> None:
    """Values may have moved to the right: the row cannot be trusted, and the message names the cell."""
    row = read(trap("ragged_rows.csv"))[5]
    assert row.problem is not None
    assert 'Cell E7 holds "surplus"' in row.problem
    assert "column C" in row.problem


def test_headers_are_trimmed_and_may_be_doubled_or_empty() -> None:
    """Which of them are wrong is the mapping's business."""
    with open_sheet(trap("doubled_and_empty_headers.csv")) as sheet:
        assert sheet.header == ("A", "B", "A", "", "C")


def test_empty_headings_at_the_end_are_no_columns() -> None:
    """Content below them is surplus."""
    with open_sheet(trap("empty_headings_at_the_end.csv")) as sheet:
        assert sheet.header == ("A", "B")
        assert [row.problem is None for row in sheet.rows()] == [True, False]


def test_the_header_may_stand_below_title_rows() -> None:
    """`header_row` counts as Excel does; the delimiter is that of the header, not of the titles."""
    with open_sheet(trap("title_rows.csv"), SheetOptions(header_row=4)) as sheet:
        assert sheet.header == ("A", "B", "C")
        assert list(sheet.rows()) == [Row(5, ("1", "2", "3"))]


def test_an_empty_header_row_names_the_first_row_with_content(tmp_path: Path) -> None:
    """A person learns which number to say."""
    path = tmp_path / "blank_on_top.csv"
    path.write_text("\n,,\nA,B\n1,2\n", encoding="utf-8")
    told = refusal(path)
    assert "Row 1, where the headings should be, is empty." in told
    assert "`header_row: 3`" in told
    assert "Row 9" in refusal(path, SheetOptions(header_row=9))


def test_a_header_row_that_no_sheet_has_is_refused() -> None:
    """Rows count from 1."""
    assert "row 0" in refusal(trap("one_column.csv"), SheetOptions(header_row=0))


def test_a_header_alone_is_a_sheet_without_rows() -> None:
    """Whether that is an error is for the command to say."""
    assert read(trap("header_only.csv")) == []


@pytest.mark.parametrize("name", ["bom_only.csv", "blank_lines_only.csv"])
def test_a_file_without_any_text_is_empty(name: str) -> None:
    """Byte order marks and empty lines are no content."""
    assert "The sheet is empty." in refusal(trap(name))


def test_a_file_of_no_bytes_is_empty(tmp_path: Path) -> None:
    """The shortest of all traps."""
    path = tmp_path / "empty.csv"
    path.touch()
    assert "The file is empty." in refusal(path)


def test_an_unclosed_quotation_mark_is_named_where_it_opens() -> None:
    """Without this the rest of the file would be one cell."""
    told = refusal(trap("unclosed_quote.csv"))
    assert "row 3 (line 3), column B" in told
    assert "never closed" in told


def test_an_unclosed_quotation_mark_that_meets_another_is_named_where_it_opens() -> None:
    """The next quoted cell seems to close it; the row and line named are those where it opened."""
    told = refusal(trap("unclosed_quote_meets_another.csv"))
    assert "row 3 (line 4), column B" in told
    assert "(line 5)" in told
    assert '"fine' in told


def test_text_after_a_closing_quotation_mark_is_refused() -> None:
    """`"5" pipe` is a quotation mark that should have been doubled."""
    told = refusal(trap("text_after_quote.csv"))
    assert "row 3 (line 3), column B" in told
    assert '" pipe' in told


def test_an_unclosed_quotation_mark_in_a_long_file_is_found_within_bounds(tmp_path: Path) -> None:
    """The cell that swallows the file is cut off at the size limit and named where it opens."""
    path = tmp_path / "long.csv"
    path.write_text('A,B\n1,2\n3,"x\n' + "some,more\n" * 500_000, encoding="utf-8")
    told = refusal(path)
    assert "row 3 (line 3), column B" in told
    assert "never closed" in told


def test_a_quotation_mark_inside_a_cell_is_a_character(tmp_path: Path) -> None:
    """As in Excel: only one at the cell's beginning quotes."""
    path = tmp_path / "inch.csv"
    path.write_text('A,B\n5" pipe,x\n', encoding="utf-8")
    assert cells(path) == [('5" pipe', "x")]


def test_a_file_that_changes_between_two_readings_is_refused(tmp_path: Path) -> None:
    """What was checked is what is read."""
    path = tmp_path / "visits.csv"
    path.write_text("A,B\n1,2\n", encoding="utf-8")
    with open_sheet(path) as sheet:
        list(sheet.rows())
        path.write_text("A,B\n1,2\n3,4\n", encoding="utf-8")
        with pytest.raises(SheetError, match="changed while it was being read"):
            list(sheet.rows())


def test_a_cell_beyond_any_limit_is_a_problem_of_its_row(tmp_path: Path) -> None:
    """A mail thread in one note does not hold up the other rows."""
    path = tmp_path / "wide.csv"
    path.write_text("A,B\n1,2\n3," + "x" * 140_000 + "\n5,6\n", encoding="utf-8")
    _, long, last = cells(path)
    assert isinstance(long[1], ErrorCell)
    assert "131,072 characters" in long[1].reason
    assert last == ("5", "6")


def test_more_columns_than_excel_has_are_refused(tmp_path: Path) -> None:
    """16,384 columns are the most."""
    path = tmp_path / "wide.csv"
    path.write_text(",".join(["A"] * 16_385) + "\n", encoding="utf-8")
    assert "16,385 columns" in refusal(path)


def test_one_column_is_a_sheet_but_is_questioned() -> None:
    """It may be right; the person is asked to look."""
    with open_sheet(trap("one_column.csv")) as sheet:
        assert sheet.header == ("Account ID",)
        assert [row.cells for row in sheet.rows()] == [("A1",), ("A2",)]
        assert "--delimiter" in sheet.warnings[0]


def test_one_column_that_looks_divided_is_refused() -> None:
    """A heading with a character that divides columns elsewhere: say which it is."""
    told = refusal(trap("unknown_delimiter.csv"))
    assert "Account ID^Note" in told
    assert "--delimiter" in told
    assert cells(trap("unknown_delimiter.csv"), SheetOptions(delimiter="^")) == [("A1", "x")]
