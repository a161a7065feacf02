"""Workbooks: sheets, headers, rows and what hides in them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
from sheets import MAIN, RELATIONS, raw_workbook, sheet_xml, text_rows, written_workbook
from test_sheets_text import EXACT, cells, read, refusal

from importer.errors import SheetError
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import ErrorCell

TABLE = [["Id", "Note"], ["1", "one"], ["2", "two"]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's workbook goes."""
    return tmp_path / "visits.xlsx"


def test_texts_arrive_as_they_stand(path: Path) -> None:
    """The same texts as in a text file, through shared strings."""
    written_workbook(path, [["Id", "Text"], *[["x", text] for text in EXACT]])
    assert tuple(row[1] for row in cells(path)) == EXACT


def test_inline_texts_arrive_too(path: Path) -> None:
    """As streaming exporters write them."""
    raw_workbook(path, sheet_xml(text_rows([["Id", "Text"], *[["x", text] for text in EXACT]])))
    assert tuple(row[1] for row in cells(path)) == EXACT


def test_rich_and_phonetic_texts(path: Path) -> None:
    """The runs of a rich text belong together; its reading aid for Japanese is not shown in the cell."""
    shared = (
        "<si><t>Name</t></si><si><r><t>ri</t></r><r><rPr><b/></rPr><t xml:space='preserve'>ch"
        " </t></r><r><t>text</t></r></si><si><t>東京</t><rPh sb='0' eb='2'><t>トウキョウ</t></rPh><phoneticPr"
        " fontId='1'/></si>"
    )
    rows = "".join(f'<row r="{at + 1}"><c r="A{at + 1}" t="s"><v>{at}</v></c></row>' for at in range(3))
    raw_workbook(path, sheet_xml(rows), shared=shared)
    assert cells(path) == [("rich text",), ("東京",)]


def test_rich_inline_texts(path: Path) -> None:
    """Beside plain ones, empty ones, and one with nothing in it at all."""
    texts = (
        "<t>Name</t>",
        "<r><t>ri</t></r><r><rPr><b/></rPr><t xml:space='preserve'>ch </t></r><r><t>text</t></r>",
        "<t>東京</t><rPh sb='0' eb='2'><t>トウキョウ</t></rPh>",
        "<t>plain</t>",
        "<t/>",
        "",
    )
    rows = "".join(
        f'<row r="{at}"><c r="A{at}" t="inlineStr"><is>{text}</is></c><c r="B{at}"><v>{at}</v></c></row>'
        for at, text in enumerate(texts, 1)
    )
    raw_workbook(path, sheet_xml(rows))
    assert [row[0] for row in cells(path)] == ["rich text", "東京", "plain", "", ""]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("one_x000D_\ntwo", "one\r\ntwo"),
        ("_x005F_x000D_", "_x000D_"),
        ("_x0041_b", "Ab"),
        ("_x00e9_", "é"),
        ("_xD83D__xDE00_", "😀"),
        ("_x00", "_x00"),
        ("a_xb_c", "a_xb_c"),
    ],
)
def test_escapes_are_decoded(path: Path, stored: str, shown: str) -> None:
    """Excel writes characters that XML cannot hold as `_xHHHH_`."""
    raw_workbook(path, sheet_xml(text_rows([["Text"], [stored]])))
    assert cells(path) == [(shown,)]


@pytest.mark.parametrize("stored", ["x_xD800_y", "_xDC00__xD800_", "x_x0000_y"])
def test_half_characters_do_not_get_through(path: Path, stored: str) -> None:
    """They could not be sent as UTF-8: the cell is a problem of its row."""
    raw_workbook(path, sheet_xml(text_rows([["Text"], [stored]])))
    (cell,) = cells(path)[0]
    assert isinstance(cell, ErrorCell)
    assert "\ufffd" in cell
    cell.encode("utf-8")


def test_a_half_character_in_a_heading_is_replaced(path: Path) -> None:
    """Headings are always plain text."""
    raw_workbook(path, sheet_xml(text_rows([["Te_xD800_xt", "B"], ["1", "2"]])))
    with open_sheet(path) as sheet:
        assert sheet.header == ("Te\ufffdxt", "B")
        assert {type(heading) for heading in sheet.header} == {str}


def test_line_ends_and_spaces_in_cells_are_kept(path: Path) -> None:
    """Trimming is the mapping's choice."""
    written_workbook(path, [["Text", "B"], ["  two  \n\n lines ", "x"]])
    assert cells(path)[0][0] == "  two  \n\n lines "


def test_a_prefixed_namespace_is_read(path: Path) -> None:
    """Some exporters write `x:row`."""
    prefixed = re.sub(r"<(/?)", r"<\1x:", sheet_xml(text_rows(TABLE))).replace(" xmlns=", " xmlns:x=")
    raw_workbook(path, prefixed)
    assert cells(path) == [("1", "one"), ("2", "two")]


def test_a_strict_workbook_is_read(path: Path) -> None:
    """Excel's `Strict Open XML Spreadsheet` has the same tags in other namespaces."""

    def make_strict(parts: dict[str, str]) -> None:
        for part, xml in parts.items():
            if part.startswith("xl/"):
                parts[part] = (
                    xml.replace(MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main")
                    .replace(f'="{RELATIONS}', '="http://purl.oclc.org/ooxml/officeDocument/relationships')
                    .replace("<workbook ", '<workbook conformance="strict" ')
                )

    raw_workbook(path, sheet_xml(text_rows(TABLE)), change=make_strict)
    assert cells(path) == [("1", "one"), ("2", "two")]


def test_cells_out_of_order_keep_their_columns(path: Path) -> None:
    """Their references say where they stand."""
    rows = '<row r="1"><c r="B1" t="str"><v>B</v></c><c r="A1" t="str"><v>A</v></c></row>'
    rows += '<row r="2"><c r="B2"><v>2</v></c><c r="A2"><v>1</v></c></row>'
    raw_workbook(path, sheet_xml(rows))
    assert cells(path) == [("1", "2")]


def test_a_wrong_dimension_loses_nothing(path: Path) -> None:
    """The sheet says A1 and holds three rows of two columns."""
    raw_workbook(path, sheet_xml(text_rows(TABLE), before='<dimension ref="A1"/>'))
    assert cells(path) == [("1", "one"), ("2", "two")]
    raw_workbook(path, sheet_xml(text_rows(TABLE), before='<dimension ref="A1:XFD1048576"/>'))
    assert cells(path) == [("1", "one"), ("2", "two")]


def test_rows_and_cells_without_references_count_from_the_one_before(path: Path) -> None:
    """References are optional in the format."""
    rows = (
        "<row><c t='str'><v>A</v></c><c t='str'><v>B</v></c></row><row r='4'><c"
        " r='B4'><v>1</v></c><c><v>2</v></c></row><row><c/><c><v>3</v></c></row>"
    )
    raw_workbook(path, sheet_xml(rows))
    found = read(path)
    assert [(row.number, row.cells) for row in found] == [(4, ("", "1")), (5, ("", "3"))]
    assert "C4" in (found[0].problem or "")


def test_blank_and_formatted_rows_are_left_out_and_keep_their_numbers(path: Path) -> None:
    """Also cells of spaces only."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        bold = book.add_format({"bold": True})
        tab.write_row(0, 0, ["A", "B"])
        tab.write_row(2, 0, ["1", "2"])
        tab.write_blank(3, 0, None, bold)
        tab.write_row(4, 0, ["  ", "\t"])
        tab.write_row(9, 0, ["3", ""])
    assert [row.number for row in read(path)] == [3, 10]


def test_columns_keep_their_place_when_the_first_is_empty(path: Path) -> None:
    """Index 1 is column B: references in messages are right."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        tab.write_row("B1", ["Id", "Note"])
        tab.write_row("B2", ["1", "one"])
    with open_sheet(path) as sheet:
        assert sheet.header == ("", "Id", "Note")
        assert next(sheet.rows()).cells == ("", "1", "one")


def test_content_right_of_the_headings_is_a_problem_of_the_row(path: Path) -> None:
    """With the cell named."""
    written_workbook(path, [["A", "B"], ["1", "2"], ["1", "2", "", "", "x"]])
    assert [row.problem and row.problem[:30] for row in read(path)] == [
        None,
        'Cell E3 holds "x", but the hea',
    ]


def test_hidden_rows_are_counted_and_can_be_left_out(path: Path) -> None:
    """Rows with content below the header; a hidden blank row is none."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        for number in range(6):
            if number != 4:
                tab.write_row(number, 0, ["Id", "B"] if not number else [str(number), "x"])
            tab.set_row(number, None, None, {"hidden": number in (0, 2, 4, 5)})
    with open_sheet(path) as sheet:
        assert sheet.hidden_rows == 2
        assert [row.number for row in sheet.rows()] == [2, 3, 4, 6]
    assert [row.number for row in read(path, SheetOptions(hidden="include"))] == [2, 3, 4, 6]
    assert [row.number for row in read(path, SheetOptions(hidden="skip"))] == [2, 4]


def test_hidden_columns_are_not_hidden_rows(path: Path) -> None:
    """Only rows are asked about."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        tab.set_column(0, 0, None, None, {"hidden": True})
        tab.write_row(0, 0, ["A", "B"])
        tab.write_row(1, 0, ["1", 'hidden="1"'])
    with open_sheet(path) as sheet:
        assert sheet.hidden_rows == 0


def test_the_only_visible_sheet_is_chosen(path: Path) -> None:
    """Hidden ones are read only if named, very hidden ones too."""
    sheets = {name: sheet_xml(text_rows([["Id", "Of"], ["1", name]])) for name in ("Old", "Visits", "Lists")}
    raw_workbook(path, sheets, states={"Old": "hidden", "Lists": "veryHidden"})
    with open_sheet(path) as sheet:
        assert (sheet.name, sheet.sheet_names) == ("Visits", ("Visits",))
        assert [row.cells for row in sheet.rows()] == [("1", "Visits")]
    assert cells(path, SheetOptions(sheet="Old")) == [("1", "Old")]


def test_several_visible_sheets_are_listed(path: Path) -> None:
    """Choosing the first would be a guess."""
    sheets = {name: sheet_xml(text_rows([["Id", "Of"], ["1", name]])) for name in ("Visits", "Calls & more")}
    raw_workbook(path, sheets)
    told = refusal(path)
    assert '2 visible sheets: "Visits", "Calls & more"' in told
    assert "--sheet" in told
    assert cells(path, SheetOptions(sheet="calls & MORE ")) == [("1", "Calls & more")]


def test_an_unknown_sheet_gets_the_nearest_name(path: Path) -> None:
    """With those there are."""
    written_workbook(path, TABLE)
    told = refusal(path, SheetOptions(sheet="Visit"))
    assert 'The workbook has no sheet "Visit", but "Visits". Did you mean "Visits"?' in told


def test_all_sheets_hidden(path: Path) -> None:
    """Nothing is chosen; the names are told."""
    raw_workbook(path, sheet_xml(text_rows(TABLE)), states={"Visits": "hidden"})
    assert 'Every sheet of the workbook is hidden: "Visits"' in refusal(path)


def test_chart_sheets_are_no_sheets(path: Path) -> None:
    """They hold no rows."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet("Visits")
        tab.write_row(0, 0, ["A", "B"])
        tab.write_row(1, 0, [1, 2])
        chart = book.add_chart({"type": "bar"})
        chart.add_series({"values": "=Visits!$A$2:$B$2"})
        book.add_chartsheet("Chart").set_chart(chart)
    with open_sheet(path) as sheet:
        assert sheet.sheet_names == ("Visits",)


def test_the_header_may_stand_below_title_rows(path: Path) -> None:
    """And the titles may be wider than the table."""
    written_workbook(path, [["Visits", "", "", "July"], [], ["A", "B"], ["1", "2"]])
    with open_sheet(path, SheetOptions(header_row=3)) as sheet:
        assert sheet.header == ("A", "B")
        assert [(row.number, row.cells) for row in sheet.rows()] == [(4, ("1", "2"))]


def test_a_title_taken_for_the_header_is_questioned(path: Path) -> None:
    """One heading only is rarely a header."""
    written_workbook(path, [["Visits, July"], ["A", "B"], ["1", "2"]])
    with open_sheet(path) as sheet:
        assert "`header_row:`" in sheet.warnings[0]


def test_an_empty_header_row_names_the_first_row_with_content(path: Path) -> None:
    """A person learns which number to say."""
    written_workbook(path, [[], [], ["A", "B"], ["1", "2"]])
    told = refusal(path)
    assert 'sheet "Visits": Row 1, where the headings should be, is empty.' in told
    assert "`header_row: 3`" in told


def test_headings_merged_downwards_count_in_the_lower_row(path: Path) -> None:
    """A header of two rows: `Id` spans both, `Visit` stands above its two parts."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        tab.merge_range("A1:A2", "Id")
        tab.merge_range("B1:C1", "Visit")
        tab.write_row("B2", ["Date", "Note"])
        tab.write_row("A3", ["1", "today", "x"])
    with open_sheet(path, SheetOptions(header_row=2)) as sheet:
        assert sheet.header == ("Id", "Date", "Note")
        assert sheet.warnings == []
        assert [row.cells for row in sheet.rows()] == [("1", "today", "x")]


def test_a_heading_merged_over_several_columns_names_the_first(path: Path) -> None:
    """The others have no heading, and the person is told."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        tab.write("A1", "Id")
        tab.merge_range("B1:C1", "Visit")
        tab.write("D1", "Note")
        tab.write_row("A2", ["1", "today", "noon", "x"])
    with open_sheet(path) as sheet:
        assert sheet.header == ("Id", "Visit", "", "Note")
        assert "merged over columns B to C" in sheet.warnings[0]


def test_cells_merged_below_the_header_are_told(path: Path) -> None:
    """A person sees the value beside every row; only the first has it."""
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet()
        tab.write_row("A1", ["Owner", "Note"])
        tab.merge_range("A2:A4", "Anna")
        for number in range(2, 5):
            tab.write(f"B{number}", "x")
    with open_sheet(path) as sheet:
        assert "(A2:A4)" in sheet.warnings[0]
        assert [row.cells[0] for row in sheet.rows()] == ["Anna", "", ""]


def test_a_merged_range_that_ends_below_any_sheet_is_merged_cells(path: Path) -> None:
    """Another program's row 9,999,999; not a traceback."""
    merges = '<mergeCells><mergeCell ref="A2:A9999999"/></mergeCells>'
    raw_workbook(path, sheet_xml(text_rows([["A"], ["x"]]), after=merges))
    with open_sheet(path) as sheet:
        assert any("(A2:A9999999)" in warning for warning in sheet.warnings)


def test_headings_of_other_types_are_texts(path: Path) -> None:
    """A year as a number is a heading like any other."""
    written_workbook(path, [["Id", 2026, True, " trimmed "], ["1", 2, 3, 4]])
    with open_sheet(path) as sheet:
        assert sheet.header == ("Id", "2026", "TRUE", "trimmed")
        assert {type(heading) for heading in sheet.header} == {str}


def test_a_far_cell_below_the_table_is_refused(path: Path) -> None:
    """It cannot be told whether it belongs to the table; nothing is lost without a word."""
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    raw_workbook(path, sheet_xml(text_rows(TABLE) + far))
    told = refusal(path)
    assert "The table ends in row 3" in told
    assert "cell XFD1048576 holds something" in told


def test_a_far_heading_is_refused(path: Path) -> None:
    """A header of 16,384 columns, two of them filled."""
    far = '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>1</v></c></row>'
    raw_workbook(path, sheet_xml(far))
    assert "Cell XFD1 is 16,382 blank columns right" in refusal(path)


def test_ten_thousand_formatted_rows_are_the_end(path: Path) -> None:
    """A formatted but empty sheet down to its last row is read to where its content ends."""
    blank = "".join(
        f'<row r="{number}" spans="1:2"><c r="A{number}" s="0"/></row>' for number in range(4, 30_000)
    )
    raw_workbook(path, sheet_xml(text_rows(TABLE) + blank))
    assert cells(path) == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize("gap", [9_999, 10_000, 10_001, 12_345, 50_000])
def test_content_below_formatted_rows_is_read_or_refused(path: Path, gap: int) -> None:
    """Wherever it stands: up to 10,000 blank rows below it is a row, further down an error."""
    last = 3 + gap + 1
    blank = "".join(f'<row r="{number}"><c r="A{number}" s="0"/></row>' for number in range(4, last))
    raw_workbook(path, sheet_xml(text_rows(TABLE) + blank + text_rows([["9", "late"]], last)))
    if gap < 10_000:
        assert read(path)[-1].number == last
    else:
        assert "The table ends in row 3" in refusal(path)


def test_a_workbook_without_styles_or_shared_texts_is_read(path: Path) -> None:
    """Both are optional."""

    def drop(parts: dict[str, str]) -> None:
        del parts["xl/styles.xml"]

    raw_workbook(
        path, sheet_xml('<row><c t="str"><v>A</v></c></row><row><c s="7"><v>1.5</v></c></row>'), change=drop
    )
    assert cells(path) == [("1.5",)]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('<row r="3"/><row r="2"/>', "row 2 follows row 3"),
        ('<row r="x"/>', "row x cannot be read"),
        ('<row r="1048577"/>', "1,048,577"),
        ('<row r="1"><c r="XFE1"><v>1</v></c></row>', "no cell XFE1"),
        ('<row r="1"><c r="1A"><v>1</v></c></row>', "no cell 1A in it"),
        ('<row r="1"><c r="A2"><v>1</v></c></row>', "no cell A2 in it"),
        ('<row r="1"><c r="A1"><v>1</v></c><c r="A1"><v>2</v></c></row>', "a cell twice"),
        ('<row r="1"><c r="A1" t="s"><v>99</v></c></row>', "text 99 of 0"),
        ('<row r="1"><c r="A1" t="s"><v>-1</v></c></row>', "text -1"),
        ('<row r="1"><c r="A1"><v>one</v></c></row>', 'A1 is stored as a number, but holds "one"'),
        ('<row r="1"><c r="A1" t="b"><v>maybe</v></c></row>', "maybe"),
        ('<row r="1"><c r="A1" t="d"><v>yesterday</v></c></row>', "yesterday"),
        ('<row r="1"><c r="A1" t="new"><v>one</v></c></row>', "unknown cell type new"),
        ('<row r="1"><c r="A1"><v>1</c></row>', "mismatched tag"),
        ("<row>&nbsp;</row>", "undefined entity"),
    ],
)
def test_what_makes_no_sense_is_damage(path: Path, rows: str, reason: str) -> None:
    """Nothing is skipped; the message says what was found."""
    raw_workbook(path, sheet_xml(rows))
    told = refusal(path)
    assert "damaged or incomplete" in told
    assert reason in told


def test_damage_after_thousands_of_rows_is_an_error_of_the_iterator(path: Path) -> None:
    """The rows before it were given; the caller posts nothing until all were read."""
    rows = text_rows([["A", "B"], *[["1", "2"]] * 5000]) + '<row r="6000"><c r="A6001"/></row>'
    raw_workbook(path, sheet_xml(rows))
    given: list[int] = []
    with open_sheet(path) as sheet, pytest.raises(SheetError, match="damaged"):
        given.extend(row.number for row in sheet.rows())
    assert len(given) > 1000


def test_missing_parts_are_damage(path: Path) -> None:
    """A sheet that the workbook names but does not hold."""

    def drop(parts: dict[str, str]) -> None:
        del parts["xl/worksheets/sheet1.xml"]

    raw_workbook(path, sheet_xml(""), change=drop)
    assert "damaged" in refusal(path)


def test_no_worksheet_at_all(path: Path) -> None:
    """The workbook's list is empty."""
    raw_workbook(path, {})
    assert "no worksheet" in refusal(path)


def test_rows_can_be_read_side_by_side_and_closed_half_way(path: Path) -> None:
    """As with text; afterwards the file can be deleted, also on Windows."""
    written_workbook(path, [["A", "B"], *[[str(at), "x"] for at in range(3000)]])
    sheet = open_sheet(path)
    one, two = sheet.rows(), sheet.rows()
    assert next(one) == next(two)
    next(one)
    assert len(list(two)) == 2999
    sheet.close()
    sheet.close()
    path.unlink()


def test_a_workbook_saved_by_openpyxl_is_read(path: Path) -> None:
    """The other library that people's scripts write with."""
    book = openpyxl.Workbook()
    tab = book.active
    assert tab is not None
    for row in TABLE:
        tab.append(row)
    book.save(path)
    assert cells(path) == [("1", "one"), ("2", "two")]


def test_a_macro_workbook_is_read_like_any_other(tmp_path: Path) -> None:
    """Macros are not looked at."""
    written = written_workbook(tmp_path / "visits.xlsx", TABLE)
    path = written.rename(tmp_path / "visits.xlsm")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"\xd0\xcf\x11\xe0")
    assert cells(path) == [("1", "one"), ("2", "two")]
