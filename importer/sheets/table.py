"""A two-column table out of a sheet: what a mapping's `values_file` names."""

from __future__ import annotations

from importer.errors import SheetError
from importer.sheets.rows import ErrorCell
from importer.sheets.sheet import Sheet
from importer.text import listed, quoted


def key_value_rows(sheet: Sheet, key: str, value: str) -> list[tuple[int, str, str]]:
    """See `importer.sheets.read_table`."""
    at_key, at_value = _columns(sheet, key, value)
    table: list[tuple[int, str, str]] = []
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
