"""Any table of text, written in any of the ways that are read, is read back as it was."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Literal

import openpyxl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sheets import written_workbook

from importer.sheets import SheetOptions, open_sheet

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "shift_jis", "gb18030")
Table = list[list[str]]
Quoting = Literal[0, 1]  # csv.QUOTE_MINIMAL, csv.QUOTE_ALL

relaxed = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def tables(draw: st.DrawFn, alphabet: st.SearchStrategy[str]) -> Table:
    """A header of plain words, and rows of any text, none of them blank or with unticked checkboxes alone
    (at the end of a sheet those are no rows)."""
    width = draw(st.integers(2, 5))
    cell = st.text(alphabet, max_size=20)
    row = st.lists(cell, min_size=width, max_size=width).filter(
        lambda cells: bool("".join(cells).replace("FALSE", "").strip())
    )
    return [[f"Column {at}" for at in range(width)], *draw(st.lists(row, max_size=8))]


characters = st.characters(exclude_characters="\0\x0b\x1a", exclude_categories=["Cs"])
"""NUL is refused; a vertical tab is read as a line break, Ctrl-Z as the end of the file."""
in_xml = st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\t\n _x")


def as_read(path: Path, how: SheetOptions | None = None) -> Table:
    """The header and the cells of all rows."""
    with open_sheet(path, how) as sheet:
        return [list(sheet.header), *[list(row.cells) for row in sheet.rows() if row.problem is None]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@relaxed
@given(table=tables(characters), quoting=st.sampled_from([0, 1]))
def test_any_table_survives_csv(
    tmp_path: Path, delimiter: str, line_end: str, table: Table, quoting: Quoting
) -> None:
    """In any dialect, with the delimiter found from the header."""
    if line_end == "\n":
        quoting = 1  # before 3.13 the writer leaves a carriage return bare then
    path = tmp_path / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
        writer.writerow(table[0])
        csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(table[1:])
    assert as_read(path) == table


@pytest.mark.parametrize("encoding", ENCODINGS)
@relaxed
@given(table=tables(characters))
def test_any_table_survives_any_encoding(tmp_path: Path, encoding: str, table: Table) -> None:
    """Announced, or by its byte order mark."""
    try:
        assume(all("".join(row).encode(encoding).decode(encoding) == "".join(row) for row in table))
    except UnicodeEncodeError:
        table = [table[0], *[["x" * len(cell) + "y" for cell in row] for row in table[1:]]]
    path = tmp_path / "table.csv"
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows(table)
    marked = encoding in ("utf-8", "utf-8-sig", "utf-16")
    assert as_read(path, SheetOptions(encoding=None if marked else encoding)) == table


@relaxed
@given(table=tables(in_xml))
def test_any_table_survives_a_workbook_by_xlsxwriter(tmp_path: Path, table: Table) -> None:
    """Texts that look like escapes included."""
    assert as_read(written_workbook(tmp_path / "table.xlsx", table)) == table


@relaxed
@given(table=tables(in_xml))
def test_any_table_survives_a_workbook_by_openpyxl(tmp_path: Path, table: Table) -> None:
    """Which does not escape what looks like an escape: such texts are another's."""
    assume(not any(re.search("_x[0-9A-Fa-f]{4}_", cell) for row in table for cell in row))
    book = openpyxl.Workbook()
    tab = book.active
    assert tab is not None
    for number, row in enumerate(table, 1):
        for column, text in enumerate(row, 1):
            cell = tab.cell(number, column)
            cell.value = text or None
            if text:
                cell.data_type = "s"
    path = tmp_path / "table.xlsx"
    book.save(path)
    assert as_read(path) == table


NAMES = st.sampled_from(
    ["Meena Kumari", "José Núñez", "O'Brien, Sean", 'Ravi "RK" Kumar', "Smith & Sons", "李雷"]
)
WORDS = st.sampled_from(
    ["Met owner", "wants demo", "call back, please", 'said "go"', "5\" pipe", "C:\\temp\\", "it's fine", ""]
)  # fmt: skip
CODES = st.from_regex(r"(C-[0-9]{3}|0[0-9]{4}|INV/[0-9]{2}/[A-Z]{2})", fullmatch=True)
DAYS = st.dates().map(lambda day: day.strftime("%d/%m/%Y"))


@st.composite
def clean_tables(draw: st.DrawFn) -> Table:
    """Accounts, names, notes of several lines with commas, codes and dates; some cells are empty."""
    notes = st.lists(WORDS, min_size=1, max_size=4).map("\n".join) | st.lists(WORDS, max_size=3).map(
        ", ".join
    )
    cell = {"Name": NAMES, "Note": notes, "Code": CODES | st.just(""), "Day": DAYS | st.just("")}
    headings = draw(st.permutations(list(cell)))
    rows = draw(st.lists(st.tuples(st.uuids(), *(cell[heading] for heading in headings)), max_size=25))
    return [["Account", *headings], *[[str(part) for part in row] for row in rows]]


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    table=clean_tables(),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\r\n", "\n"]),
    habit=st.sampled_from(["plain", "trailing delimiter", "empty cells left out"]),
)
def test_what_is_clean_stays_silent(
    tmp_path: Path, table: Table, delimiter: str, end: str, habit: str
) -> None:
    """However a program writes it: no row is a problem, and nothing is found."""
    path = tmp_path / "clean.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
        for number, cells in enumerate(table):
            row = list(cells)
            if habit == "trailing delimiter" and number:
                row.append("")
            while habit == "empty cells left out" and not row[-1]:
                row.pop()
            writer.writerow(row)
    with open_sheet(path) as sheet:
        rows = list(sheet.rows())
        assert [(row.problem, row.findings) for row in rows] == [(None, ())] * len(rows)
        assert [list(row.cells) for row in rows] == table[1:]
        assert (sheet.warnings, sheet.closing_findings()) == ([], [])
