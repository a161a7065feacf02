"""Rows whose shape shows that values moved, were cut or were swallowed; and files that only look so."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.errors import SheetError
from importer.sheets import open_sheet
from importer.sheets.rows import Row

IDS = (
    "a1a29588-2f59-54d1-9629-6139d9c8f18c",
    "0acae861-7f7b-5701-a0a2-722269b33a89",
    "631d09e5-f1c2-5c3a-842e-e7ea9332dd4c",
    "96e99aa1-40df-54ae-abf0-83952fa0ee78",
)


def rows_of(path: Path, text: str, name: str = "visits.csv") -> list[Row]:
    """The rows of a file with this text; `ID1` to `ID4` are written out as account Ids."""
    for at, value in enumerate(IDS, 1):
        text = text.replace(f"ID{at}", value)
    file = path / name
    file.write_bytes(text.encode("utf-8"))
    with open_sheet(file) as sheet:
        return list(sheet.rows())


BROKEN = {
    "a comma that is not quoted, and an empty last cell": (
        "A,B,C\nID1,Met, wants demo,\nID2,fine,Won\nID3,fine,\n",
        [2],
        "moved",
    ),
    "a short row where empty cells are written": ("A,B,C\nID1,x,\nID2,y\nID3,z,Won\n", [3], "2 cells"),
    "CR inside of a row": (
        "A,B,C\r\nID1,Met\rwants demo,Won\r\nID2,fine,Lost\r\n",
        [2, 3],
        "one half",
    ),
    "CR inside of the last cell": (
        "A,B,C\r\nID1,Won,Met\rwants demo\r\nID2,Lost,fine\r\n",
        [2, 3],
        "one half",
    ),
    "LF inside of a row": ("A,B,C\r\nID1,Met\ndemo,Won\r\nID2,fine,Lost\r\n", [2, 3], "one half"),
    "a line break like any other": ("A,B,C\nID1,Met\ndemo,Won\nID2,fine,Lost\n", [2, 3], "one half"),
    "quotation marks after a backslash": (
        '"A","B","C","D"\n"ID1","5\\", 2 m","Won",""\n"ID2","x","Lost","y"\n',
        [2],
        "backslash",
    ),
    "quotation marks after a backslash, and as many cells as elsewhere": (
        'A,B,C\n"ID1","5\\", 2 m"\n"ID2","x","Lost"\n',
        [2],
        "backslash",
    ),
    "a blank before a quotation mark": (
        'A, B, C\nID1, "Met, demo", Won\nID2, "All well", "Lost"\n',
        [2, 3],
        "blank before",
    ),
    "a line quoted as a whole": ('A,B,C\n"ID1,""Met, demo"",Won"\nID2,All well,Lost\n', [2], "whole line"),
}


@pytest.mark.parametrize("trap", BROKEN)
def test_a_row_of_another_shape_is_a_problem(tmp_path: Path, trap: str) -> None:
    """Its values may be under other headings: the row says why it cannot be trusted."""
    text, wrong, reason = BROKEN[trap]
    problems = {row.number: row.problem for row in rows_of(tmp_path, text) if row.problem}
    assert list(problems) == wrong
    assert all(reason in problem for problem in problems.values())


SWALLOWED = {
    "tabs": 'A\tB\tC\nID1\tfirst\tWon\nID2\t"Urgent: call\tWon\nID3\tsecond\tLost\nID4\tPanel 24"\tOpen\n',
    "commas, and no other row": 'A,B,C\r\nID1,"Urgent,Won\r\nID2,second,Lost\r\nID3,Panel 24",Open\r\n',
    "codes": 'Code,Note,Day\nC-1,x,31/07/26\nC-2,"Urgent,30/07/26\nC-3,y,29/07/26\nC-4,24",28/07/26\n',
}


@pytest.mark.parametrize("trap", SWALLOWED)
def test_rows_inside_of_a_quoted_cell_are_a_question(tmp_path: Path, trap: str) -> None:
    """A quotation mark that was only a character swallowed the rows after it, up to the next one."""
    found = [finding for row in rows_of(tmp_path, SWALLOWED[trap]) for finding in row.findings]
    assert [finding.kind for finding in found] == ["rows-swallowed"]
    assert "Cell B" in found[0].message
    assert "--accept rows-swallowed" in found[0].remedy


SILENT = {
    "notes of several lines, with commas": (
        'A,B,C\nID1,"Dear Sir,\nthanks, for all\n\nRegards, Bob",Won\nID2,x,Lost\n'
    ),
    "a note as wide as the table": 'A,B,C\nID1,"Met, agreed\nSend, offer",Won\nID2,"a,b\nc,d",Lost\n',
    "a diary in the last cell": 'Date,City,Note\n31/07/26,Pune,"01/07/26, called, no\n02/07/26, met"\n',
    "empty cells at the end left out throughout": "A,B,C,D\nID1,x\nID2,y,z\nID3\nID4,a,b,c\n",
    "a delimiter behind every row": "A,B,C\nID1,x,y,\nID2,,z,\nID3,v,w,\n",
    "a delimiter behind the headings, too": "A,B,C,\nID1,x,y,\nID2,,,\n",
    "CR LF between rows, LF inside of cells": 'A,B,C\r\nID1,"x\ny",z\r\nID2,"v\r\nw",\r\n',
    "old Mac line ends": "A,B,C\rID1,x,y\rID2,v,\r",
    "inches": 'A,B,C\nID1,"5"" pipe, 2 m",x\nID2,5" pipe,y\n',
    "a path that ends with a backslash": 'A,B,C\nID1,"C:\\temp\\","a ""b"""\nID2,D:\\x\\,y\n',
    "a quotation after a comma and a blank": ('A,B,C\nID1,"He said, ""go"", and left",x\nID2," ""so"" ",y\n'),
}


@pytest.mark.parametrize("habit", SILENT)
def test_usual_shapes_are_silent(tmp_path: Path, habit: str) -> None:
    """No problem and no finding where a program wrote the file in its own way."""
    rows = rows_of(tmp_path, SILENT[habit])
    assert [(row.problem, row.findings) for row in rows] == [(None, ())] * len(rows)


def test_the_blocks_in_which_excel_leaves_out_columns_are_silent(tmp_path: Path) -> None:
    """Excel writes the empty last cells of sixteen rows only if one of them is filled."""
    first = [f"{n},x,{'' if n % 2 else 'y'}" for n in range(2, 17)]
    second = [f"{n},x" for n in range(17, 33)]
    assert [row.problem for row in rows_of(tmp_path, "\n".join(["A,B,C", *first, *second]))] == [None] * 31


def test_a_header_quoted_as_a_whole_is_refused_for_what_it_is(tmp_path: Path) -> None:
    """Another delimiter would not help."""
    with pytest.raises(SheetError) as caught:
        rows_of(tmp_path, '\ufeff"A,B,C"\r\n"ID1,""x, y"",z"\r\n')
    assert "whole line stands in quotation marks" in str(caught.value)
    assert "--delimiter" not in str(caught.value)


def test_an_escaped_quotation_mark_that_breaks_the_file_is_named(tmp_path: Path) -> None:
    """MySQL and Hive write `\\"`; the reason is not an unclosed quotation mark."""
    with pytest.raises(SheetError, match="escaped by a backslash"):
        rows_of(tmp_path, '"A","B"\n"ID1","a \\"big\\" one"\n')
