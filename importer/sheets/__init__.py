"""Spreadsheets: whatever the format, a header and a stream of rows, exactly as a person sees them.

`open_sheet` looks at a file's contents first and its name second, and gives a `Sheet`. Every failure is a
`SheetError` that names the file, the sheet, the row as Excel numbers it and the column.
"""

from __future__ import annotations

from pathlib import Path

from importer.sheets.detect import Kind, find_kind
from importer.sheets.encoding import UnknownEncodingError
from importer.sheets.rows import Row
from importer.sheets.sheet import Sheet, SheetOptions
from importer.sheets.table import key_value_rows
from importer.sheets.text import TextSheet

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
    with open_sheet(path, how) as sheet:
        return key_value_rows(sheet, key, value)
