"""Old Excel workbooks (.xls) through xlrd: values, number formats, hidden rows, error cells.

xlrd does not show whether Excel would calculate a formula again. That is in the records of the
sheet ([MS-XLS] Formula, Uncalced), which are walked for it. Most programs other than Excel write no RecalcId;
as in .xlsx, that alone does not ask for a calculation.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import xlrd  # type: ignore[import-untyped]

from importer.errors import SheetError
from importer.sheets.detect import ENCRYPTED
from importer.sheets.numbers import converter, hides, shown_words
from importer.sheets.rows import BooleanCell, ErrorCell, error_cell, sendable
from importer.sheets.sheet import Worksheet
from importer.sheets.workbook import NEVER_CALCULATED, RawRow, nothing_typed, range_name

BOF, EOF, FORMULA_RECORD, UNCALCED, RECALC_ID = 0x809, 0x0A, 0x06, 0x5E, 0x1C1
CALCULATE_ON_OPEN: Final = 0x2
EMPTY_TEXT: Final = b"\x03\x00\x00\x00\x00\x00\xff\xff"
"""The stored result of a formula that gives an empty text, and of every one that xlwt writes."""
ZERO: Final = bytes(8)
ERROR_RESULT: Final = (2, b"\xff\xff")

Places = set[tuple[int, int]]
"""Cells: row and column from 0."""


class XlsBook:
    """An .xls file, opened. Any exception of xlrd's means that the file is damaged."""

    def __init__(self, path: Path) -> None:
        """Raises SheetError if the file is encrypted, and whatever xlrd raises."""
        try:
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                self._book: Any = xlrd.open_workbook(
                    str(path), logfile=nowhere, formatting_info=True, on_demand=True, ragged_rows=True
                )
        except xlrd.XLRDError as error:
            if "encrypted" in str(error):
                raise SheetError(
                    ENCRYPTED,
                    where=path.name,
                    remedy="Open it in Excel and save it as .xlsx without a password.",
                ) from error
            raise
        self.merges: list[str] = []
        visible = (state == 0 for state in self._book._sheet_visibility)  # noqa: SLF001 - no other way
        self.worksheets = [
            Worksheet(name, shown) for name, shown in zip(self._book.sheet_names(), visible, strict=True)
        ]

    def rows(self, name: str) -> Iterator[RawRow]:
        """The rows of that sheet that have cells."""
        sheet = self._book.sheet_by_name(name)
        self.merges = [
            range_name(first, left, end - 1, right - 1) for first, end, left, right in sheet.merged_cells
        ]
        never, again, empty = self._formulas(self._book.sheet_names().index(name))
        for at in range(sheet.nrows):
            cells: dict[int, str] = {}
            unseen: list[int] = []
            for column, cell in enumerate(sheet.row(at)):
                text = ErrorCell("", NEVER_CALCULATED) if (at, column) in never else self._cell(cell)
                if text or isinstance(text, ErrorCell):
                    cells[column] = text
                    if hides(self._code(cell), text):
                        unseen.append(column)
            if cells:
                info = sheet.rowinfo_map.get(at)
                hidden = (
                    bool(sheet.default_row_hidden) if info is None else bool(info.hidden) or not info.height
                )
                formulas = [column for column in cells if (at, column) in again]
                unfilled = nothing_typed(cells, [column for column in cells if (at, column) in empty])
                yield RawRow(at + 1, hidden, cells, None, formulas, unseen, unfilled)

    def _code(self, cell: Any) -> str:  # noqa: ANN401 - xlrd has no types
        """The cell's number format."""
        book = self._book
        return str(book.format_map[book.xf_list[cell.xf_index].format_key].format_str)

    def _cell(self, cell: Any) -> str:  # noqa: ANN401
        text = ""
        match cell.ctype:
            case xlrd.XL_CELL_TEXT:
                text = shown_words(sendable(cell.value), self._code(cell))
            case xlrd.XL_CELL_NUMBER | xlrd.XL_CELL_DATE:
                text = converter(self._code(cell), epoch_1904=bool(self._book.datemode))(repr(cell.value))
            case xlrd.XL_CELL_BOOLEAN:
                text = BooleanCell("TRUE" if cell.value else "FALSE")
            case xlrd.XL_CELL_ERROR:
                text = error_cell(xlrd.error_text_from_code.get(cell.value, "#ERROR!"))
            case _:
                pass
        return text

    def _formulas(self, number: int) -> tuple[Places, Places, Places]:
        """The cells with formulas that were never calculated, with those that Excel will calculate again when
        it opens the workbook, and with those that give 0 or an error."""
        book = self._book
        if book.biff_version < 50:
            return set(), set(), set()
        trusted = any(kind == RECALC_ID for kind, _ in self._records(book.base))
        never: Places = set()
        again: Places = set()
        empty: Places = set()
        uncalced = False
        for kind, content in self._records(book._sh_abs_posn[number]):  # noqa: SLF001
            uncalced = uncalced or kind == UNCALCED
            if kind == FORMULA_RECORD and len(content) >= 16:
                place = struct.unpack_from("<HH", content)
                if not trusted and content[6:14] == EMPTY_TEXT:
                    never.add(place)
                elif uncalced or content[14] & CALCULATE_ON_OPEN:
                    again.add(place)
                if content[6:14] == ZERO or (content[6], content[12:14]) == ERROR_RESULT:
                    empty.add(place)
        return never, again, empty

    def _records(self, at: int) -> Iterator[tuple[int, bytes]]:
        """The records of one part of the stream; those of a chart inside of it are left out."""
        memory, depth = self._book.mem, 0
        while at + 4 <= len(memory):
            kind, length = struct.unpack_from("<HH", memory, at)
            depth += (kind == BOF) - (kind == EOF)
            if depth <= 0:
                return
            if depth == 1:
                yield kind, bytes(memory[at + 4 : at + 4 + length])
            at += 4 + length
