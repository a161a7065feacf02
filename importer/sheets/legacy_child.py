"""The process that reads an .xls, .xlsb or .ods workbook.

Called as `python -m importer.sheets.legacy_child FILE [SHEET]`.

Standard output: one JSON object (`name`, `visible` sheets, `hidden` rows, and whether these are known as
`marks`; or an error's `what`, `where` and `remedy`), then each row from row 1 on as `encode_cells` writes it.
Any exit code but 0 means that the output is worthless.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import warnings
from pathlib import Path
from typing import IO, Any, Final

from importer.errors import SheetError
from importer.sheets.marked import read_marks
from importer.sheets.numbers import number_cell
from importer.sheets.rows import BooleanCell, encode_cells
from importer.sheets.serial_dates import date_cell_of, duration_cell
from importer.sheets.sheet_selection import Worksheet, choose_sheet
from importer.sheets.xmltext import error_cell, sendable

MEMORY_LIMIT_BYTES: Final = 320 << 20
"""What reading may take beyond what the libraries take: enough for .xls files of any size people make."""

CPU_LIMIT_S: Final = 30
OUTPUT_LIMIT_BYTES: Final = 2 << 30


def limit_resources() -> None:
    """Have the system end this process rather than let it fill the memory. Linux only: others cannot."""
    if sys.platform != "linux":
        return
    import resource

    pages = Path("/proc/self/statm").read_text("ascii").split()
    data_bytes = int(pages[5]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_DATA, data_bytes + MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_CPU, CPU_LIMIT_S),
        (resource.RLIMIT_FSIZE, OUTPUT_LIMIT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))


def cell_of(value: object) -> str:
    """One of our cells for a value as calamine gives it."""
    cell = ""
    match value:
        case str():
            cell = sendable(value)
        case bool():
            cell = BooleanCell("TRUE" if value else "FALSE")
        case int() | float() if value == value:  # noqa: PLR0124 - NaN, which pads, differs from itself
            cell = number_cell(repr(value), "General")
        case dt.datetime() | dt.date() | dt.time():
            cell = date_cell_of(value)
        case dt.timedelta():
            cell = duration_cell(value / dt.timedelta(days=1), "[h]:mm:ss")
        case None | float():
            pass
        case _:
            cell = sendable(str(value))
    return cell


def write_sheet(path: Path, wanted: str | None, out: IO[bytes]) -> None:
    """Read one worksheet and write it out. Raises SheetError if there is none to choose."""
    import pandas as pd
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    limit_resources()
    with pd.ExcelFile(path, engine="calamine") as book:
        workbook: Any = book.book  # calamine's, of which pandas' types know nothing
        sheets = [
            Worksheet(sheet.name, sheet.visible == SheetVisibleEnum.Visible)
            for sheet in workbook.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
        ]
        chosen = choose_sheet(path, sheets, wanted)
        visible = [sheet.name for sheet in sheets if sheet.visible]
        marks = read_marks(path, chosen.name)
        hidden = sorted(row + 1 for row in marks.hidden)
        about = {"name": chosen.name, "visible": visible, "hidden": hidden, "marks": marks.known}
        _write_line(out, json.dumps(about))
        frame = pd.read_excel(book, sheet_name=chosen.name, header=None, dtype=object, na_filter=False)
        for row, values in enumerate(frame.itertuples(index=False, name=None)):
            cells = [cell_of(value) for value in values]
            for column in range(len(cells) if marks.errors else 0):
                if (row, column) in marks.errors:
                    cells[column] = error_cell(marks.errors[row, column])
            _write_line(out, encode_cells(cells))


def _write_line(out: IO[bytes], line: str) -> None:
    out.write(line.encode("utf-8") + b"\n")


def main(arguments: list[str]) -> int:
    """Read `arguments` (file, and perhaps sheet) to standard output; the exit code."""
    warnings.simplefilter("ignore")
    path, wanted = Path(arguments[0]), arguments[1] if len(arguments) > 1 else None
    out = sys.stdout.buffer
    try:
        write_sheet(path, wanted, out)
    except SheetError as error:
        about = {"what": error.what, "where": error.where, "remedy": error.remedy}
        _write_line(out, json.dumps(about))
    except BaseException as error:  # noqa: BLE001 - a panic in calamine derives from BaseException
        if type(error).__name__ != "PasswordError":
            return 1
        _write_line(
            out,
            json.dumps(
                {
                    "what": "The workbook is encrypted with a password.",
                    "where": "",
                    "remedy": "Open it in Excel and save it as .xlsx without a password.",
                }
            ),
        )
    out.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
