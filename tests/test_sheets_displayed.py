"""What we send is what a person sees: LibreOffice's own view of the same cells, where it is at hand."""

from __future__ import annotations

import csv
import datetime as dt
import shutil
import subprocess
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter

from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import ErrorCell

OFFICE = shutil.which("soffice") or shutil.which("libreoffice")
pytestmark = pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed")

TEXTS = (
    "00123",
    "NA",
    "null",
    "1e5",
    "1.10",
    "12345678901234567890",
    "=1+1",
    "TRUE",
    "“smart” €",
    "a\nb",
    "日本語",
    "'",
    " x",
)
PLAIN = (
    0,
    1,
    -1,
    5.0,
    123456,
    0.1 + 0.2,
    1.1,
    0.5,
    -0.25,
    1234.5,
    99999999,
    0.001,
    123456.789,
    1 / 3,
    2 / 3,
    100.1,
)
ZEROS = (
    "00",
    "00000",
    "0000000000",
    "000-00-0000",
    '"INV-"0000',
    "0000\\/00",
    "(000) 000-0000",
    '"0"0000',
    "\\#00",
)
SHOWN = ("0", "0.00", "#,##0", "#,##0.00", "0.0#", "\\+0", '"INV-"0', '0.00" kg"', "#,##0.00;(#,##0.00)")
DATES = ("yyyy-mm-dd",)
MOMENTS = ("yyyy-mm-dd hh:mm:ss",)
CLOCKS = ("hh:mm:ss",)
LENGTHS = ("[h]:mm:ss",)


def convert(path: Path, to: str, folder: Path) -> Path:
    """Have LibreOffice save the file in another format."""
    assert OFFICE is not None
    profile = (folder / "profile").as_uri()
    command = [
        OFFICE,
        f"-env:UserInstallation={profile}",
        "--headless",
        "--convert-to",
        to,
        "--outdir",
        str(folder),
    ]
    subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=120)
    return folder / f"{path.stem}.{to.partition(':')[0]}"


def varied_cells() -> list[tuple[object, str]]:
    """Over two hundred values with number formats whose displayed text is the value."""
    cells: list[tuple[object, str]] = [(text, "General") for text in TEXTS]
    cells += [(text, "@") for text in TEXTS]
    cells += [("5", code) for code in ('@" kg"', '"Lead: "@', 'General;General;General;"Lead: "@')]
    cells += [(number, "General") for number in PLAIN if len(f"{number:.15g}") < 10]
    cells += [(number, code) for code in ZEROS for number in (0, 7, 42, 123, 99999, 123456789, -5)]
    cells += [(number, code) for code in SHOWN for number in (0, 5, 1234.5, 1.005, -7.25, 1234567, 0.125)]
    days = [dt.datetime(2026, 7, 31) + dt.timedelta(days=37 * at, seconds=4321 * at) for at in range(14)]  # noqa: DTZ001
    for codes, shown in ((DATES, days), (MOMENTS, days), (CLOCKS, days)):
        cells += [(day, code) for code in codes for day in shown]
    cells += [(length / 7, code) for code in LENGTHS for length in range(20)]
    cells += [(day.time(), "hh:mm:ss") for day in days]
    cells += [(dt.date(1900, 3, 1) + dt.timedelta(days=999 * at), "yyyy-mm-dd") for at in range(40)]
    cells += [(True, "General"), (False, "General")]
    return cells


def test_the_displayed_text_of_varied_cells_is_what_is_sent(tmp_path: Path) -> None:
    """Saved as CSV by LibreOffice `as shown`, cell by cell."""
    path = tmp_path / "varied.xlsx"
    cells = varied_cells()
    assert len(cells) >= 200
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet("Visits")
        tab.set_column(0, 0, 40)
        tab.write_row(0, 0, ["Value", "Format"])
        for row, (value, code) in enumerate(cells, 1):
            style = book.add_format({"num_format": code})
            write = tab.write_string if isinstance(value, str) else tab.write
            write(row, 0, value, style)
            tab.write_string(row, 1, code)
    # 44 comma, 34 quote, 76 UTF-8, from line 1, column formats none, en-US, quote text cells no, as shown yes
    shown_path = convert(path, "csv:Text - txt - csv (StarCalc):44,34,76,1,,1033,false,true", tmp_path)
    with shown_path.open(encoding="utf-8", newline="") as stream:
        shown = [row[:2] for row in csv.reader(stream)][1:]
    aligned = "_(@_)"  # its blanks have the width of a bracket, and are no text
    shown = [[text.strip() if code == aligned else text, code] for text, code in shown]
    with open_sheet(path) as sheet:
        sent = [list(row.cells) for row in sheet.rows()]
    assert sent == shown


@pytest.mark.parametrize("suffix", ["ods", "xls"])
def test_sheets_saved_in_other_formats_read_alike(tmp_path: Path, suffix: str) -> None:
    """Texts, numbers as they are shown, and dates come through every format."""
    path = tmp_path / "visits.xlsx"
    table: list[tuple[str, object]] = [
        ("Id", "Value"),
        *[("x", text) for text in TEXTS],
        ("x", 1.5),
        ("x", 5),
    ]
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet("Visits")
        for row, values in enumerate(table):
            for column, value in enumerate(values):
                write = tab.write_string if isinstance(value, str) else tab.write
                write(row, column, value)
        for row, code in enumerate(("00000", "0.00", "#,##0", '"INV-"0', "0%"), 21):
            tab.write(row, 0, "x")
            tab.write_number(row, 1, 1234.5, book.add_format({"num_format": code}))
        tab.write_datetime(20, 1, dt.datetime(2026, 7, 31), book.add_format({"num_format": "yyyy-mm-dd"}))  # noqa: DTZ001
    with open_sheet(path) as sheet:
        before = [row.cells for row in sheet.rows()]
    with open_sheet(convert(path, suffix, tmp_path)) as sheet:
        assert [row.cells for row in sheet.rows()] == before


@pytest.mark.parametrize("suffix", ["xlsx", "xls", "ods"])
def test_errors_and_hidden_rows_saved_by_another_program(tmp_path: Path, suffix: str) -> None:
    """Calculated and written by LibreOffice, not by our builders."""
    path = tmp_path / "first.xlsx"
    book = openpyxl.Workbook()  # stores no results, so that LibreOffice calculates them
    tab = book.worksheets[0]
    for row in (["Id", "Value"], ["1", "=1/0"], ["2", "=NA()"], ["3", "=1+1"]):
        tab.append(row)
    tab.row_dimensions[4].hidden = True
    book.save(path)
    (tmp_path / "saved").mkdir()
    saved = convert(path, suffix, tmp_path / "saved")
    with open_sheet(saved, SheetOptions(hidden="skip")) as sheet:
        assert sheet.hidden_rows == 1
        rows = [row.cells for row in sheet.rows()]
    assert rows == [("1", "#DIV/0!"), ("2", "#N/A")]
    assert all(isinstance(row[1], ErrorCell) for row in rows)
