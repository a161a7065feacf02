"""Spreadsheets: whatever the format, a header and a stream of rows, exactly as a person sees them.

`open_sheet` looks at a file's contents first and its name second, and gives a `Sheet`. Every failure is a
`SheetError` that names the file, the sheet, the row as Excel numbers it and the column.
"""

from __future__ import annotations

from pathlib import Path

from importer.errors import SheetError
from importer.sheets.detect import Kind, find_kind
from importer.sheets.encoding import UnknownEncodingError
from importer.sheets.rows import ErrorCell, Row
from importer.sheets.sheet import Sheet, SheetOptions
from importer.sheets.text import TextSheet
from importer.text import listed, quoted

__all__ = ["Row", "Sheet", "SheetOptions", "UnknownEncodingError", "open_sheet", "read_table"]


def open_sheet(path: Path, how: SheetOptions | None = None) -> Sheet:
    """The sheet in `path`, opened and checked as far as that goes without reading every row.

    Raises SheetError for anything that is not a spreadsheet, that would have to be guessed at, or that would
    take unreasonable time or memory. The modules of workbooks load openpyxl, and only when one is opened.
    """
    options = how or SheetOptions()
    kind = find_kind(path)
    if kind is Kind.TEXT:
        return TextSheet(path, options)
    if kind is Kind.XLSX:
        from importer.sheets.xlsx import XlsxSheet

        return XlsxSheet(path, options)
    from importer.sheets.legacy import LegacySheet

    return LegacySheet(path, options)


def read_table(
    path: Path, how: SheetOptions | None = None, *, key: str = "key", value: str = "value"
) -> list[tuple[int, str, str]]:
    """The (row number, key, value) of each row of a table in a CSV or workbook, texts exactly as shown.

    The columns are those headed `key` and `value` (without regard to case); a sheet of exactly two columns
    may call them anything. Raises SheetError for missing or repeated columns and for cells without a value.
    """
    table: list[tuple[int, str, str]] = []
    with open_sheet(path, how) as sheet:
        at_key, at_value = _columns(sheet, key, value)
        for row in sheet.rows():
            if row.problem is not None:
                raise SheetError(row.problem, where=sheet.place(row.number))
            for index in (at_key, at_value):
                cell = row.cells[index]
                if isinstance(cell, ErrorCell):
                    raise SheetError(cell.reason, where=sheet.place(row.number, index))
            if not row.cells[at_key].strip():
                raise SheetError(
                    f"The value {quoted(row.cells[at_value])} has no key.",
                    where=sheet.place(row.number, at_key),
                    remedy="Fill in the key, or delete the row.",
                )
            table.append((row.number, str(row.cells[at_key]), str(row.cells[at_value])))
    return table


def _columns(sheet: Sheet, key: str, value: str) -> tuple[int, int]:
    headings = [heading.casefold() for heading in sheet.header]
    at_key = [index for index, heading in enumerate(headings) if heading == key.casefold()]
    at_value = [index for index, heading in enumerate(headings) if heading == value.casefold()]
    if len(at_key) == len(at_value) == 1:
        return at_key[0], at_value[0]
    if len(headings) == 2 and not at_key and not at_value:
        return 0, 1
    doubled = len(at_key) > 1 or len(at_value) > 1
    named = listed([quoted(heading) for heading in sheet.header])
    raise SheetError(
        f"The table needs one column headed `{key}` and one headed `{value}`;"
        f" {'one of them is there twice' if doubled else 'its headings are ' + named}.",
        where=sheet.place(sheet.header_row),
        remedy="Name its two columns like that, or keep no other columns in it.",
    )
