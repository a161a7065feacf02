"""Binary Excel workbooks (.xlsb): sheets and shared texts through pandas and calamine, everything else from
the file's records ([MS-XLSB] 2.1.4).

calamine gives no number formats, so that dates are day counts, takes error cells for empty ones, and leaves
out rich texts in cells.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
from openpyxl.packaging.relationship import get_dependents
from python_calamine import SheetTypeEnum, SheetVisibleEnum

from importer.sheets.detect import open_archive
from importer.sheets.numbers import converter, hides, shown_words
from importer.sheets.package import builtin_code
from importer.sheets.rows import BooleanCell, error_cell, sendable
from importer.sheets.sheet import Worksheet
from importer.sheets.workbook import RawRow, nothing_typed, range_name

ERROR_TEXTS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
ROW, RK, ERROR, BOOLEAN, REAL, TEXT = 0, 2, 3, 4, 5, 6
SHARED_TEXT, RICH_TEXT = 7, 62
FORMULA_TEXT, FORMULA_NUMBER, FORMULA_BOOLEAN, FORMULA_ERROR = 8, 9, 10, 11
CELL_RECORDS: Final = frozenset((1, *range(RK, FORMULA_ERROR + 1), RICH_TEXT))
FORMULAS: Final = frozenset((FORMULA_TEXT, FORMULA_NUMBER, FORMULA_BOOLEAN, FORMULA_ERROR))
FORMAT, STYLE, STYLES_BEGIN, STYLES_END = 44, 47, 617, 618
SHEET, PROPERTIES, CALCULATION, MERGE = 156, 153, 157, 176
DATE_1904, FULL_CALCULATION = 0x1, 0x1
HIDDEN: Final = 0x10

Record = tuple[int, bytes]


class XlsbBook:
    """An .xlsb file, opened. Any exception but SheetError means that the file is damaged."""

    def __init__(self, path: Path) -> None:
        self._archive = open_archive(path)
        self._excel = pd.ExcelFile(path, engine="calamine")
        book: Any = self._excel.book  # calamine's, of which pandas' types know nothing
        self.worksheets = [
            Worksheet(sheet.name, sheet.visible == SheetVisibleEnum.Visible)
            for sheet in book.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
        ]
        self.merges: list[str] = []
        self._epoch_1904 = self._recalculated = False
        self._parts: dict[str, str] = {}
        self._read_workbook()
        self._codes = list(self._style_codes())

    def rows(self, name: str) -> Iterator[RawRow]:
        """The rows of that sheet that have cells."""
        frame = pd.read_excel(self._excel, sheet_name=name, header=None, dtype=object, na_filter=False)
        for row in self._rows(name, frame.to_numpy()):
            if row.cells:
                yield row._replace(
                    formulas=row.formulas if self._recalculated else (),
                    unfilled=nothing_typed(row.cells, row.formulas),
                )

    def _rows(self, name: str, seen: Any) -> Iterator[RawRow]:  # noqa: ANN401 - numpy's arrays of objects
        """Every row of the sheet, and all its formulas. seen: what calamine makes of the cells."""
        row = RawRow(0, hidden=False, cells={})
        formulas: list[int] = []
        unseen: list[int] = []
        shared: Any = ()
        for kind, content in _records(self._archive.read(self._parts[name])):
            if kind == ROW:
                if row.number:
                    yield row
                number, _, height = struct.unpack_from("<LLH", content)
                hidden = bool(content[11] & HIDDEN) or not height
                formulas, unseen = [], []
                shared = seen[number] if number < len(seen) else ()
                row = RawRow(number + 1, hidden, {}, None, formulas, unseen)
            elif kind in CELL_RECORDS:
                column, style = struct.unpack_from("<LL", content)
                style &= 0xFFFFFF
                code = self._codes[style] if style < len(self._codes) else "General"
                text = shown_words(self._cell(kind, content, code, shared), code)
                if text:
                    row.cells[column] = text
                if kind in FORMULAS:
                    formulas.append(column)
                if text and hides(code, text):
                    unseen.append(column)
            elif kind == MERGE:
                first, last, left, right = struct.unpack_from("<4L", content)
                self.merges.append(range_name(first, left, last, right))
        if row.number:
            yield row

    def _cell(self, kind: int, content: bytes, code: str, shared: Any) -> str:  # noqa: ANN401
        """One of our cells. shared: the row's texts that are kept once."""
        text = ""
        if kind in (ERROR, FORMULA_ERROR):
            text = error_cell(ERROR_TEXTS.get(content[8], "#ERROR!"))
        elif kind in (BOOLEAN, FORMULA_BOOLEAN):
            text = BooleanCell("TRUE" if content[8] else "FALSE")
        elif kind in (RK, REAL, FORMULA_NUMBER):
            value = _rk_number(content) if kind == RK else struct.unpack_from("<d", content, 8)[0]
            text = converter(code, epoch_1904=self._epoch_1904)(repr(value))
        elif kind in (TEXT, FORMULA_TEXT, RICH_TEXT):
            text = sendable(_wide_text(content, 9 if kind == RICH_TEXT else 8)[0])
        elif kind == SHARED_TEXT:
            (column,) = struct.unpack_from("<L", content)
            text = shared[column] if column < len(shared) else ""
            text = sendable(text) if isinstance(text, str) else ""
        return text

    def _read_workbook(self) -> None:
        names = {name.lower(): name for name in self._archive.namelist()}
        relations = get_dependents(self._archive, names["xl/_rels/workbook.bin.rels"]).to_dict()
        for kind, content in _records(self._archive.read("xl/workbook.bin")):
            if kind == PROPERTIES:
                self._epoch_1904 = bool(content[0] & DATE_1904)
            elif kind == CALCULATION and len(content) > 24:
                self._recalculated = bool(content[24] & FULL_CALCULATION)
            elif kind == SHEET:
                relation, at = _wide_text(content, 8)
                if relation in relations:
                    self._parts[_wide_text(content, at)[0]] = relations[relation].target

    def _style_codes(self) -> Iterator[str]:
        """The number format of each style."""
        if "xl/styles.bin" not in {name.lower() for name in self._archive.namelist()}:
            return
        own: dict[int, str] = {}
        styles = False
        for kind, content in _records(self._archive.read("xl/styles.bin")):
            if kind == FORMAT:
                own[struct.unpack_from("<H", content)[0]] = _wide_text(content, 2)[0]
            elif kind in (STYLES_BEGIN, STYLES_END):
                styles = kind == STYLES_BEGIN
            elif kind == STYLE and styles:
                number = struct.unpack_from("<H", content, 2)[0]
                yield own.get(number) or builtin_code(str(number))


def _rk_number(content: bytes) -> float:
    """A number in 30 bits ([MS-XLSB] 2.5.123)."""
    (packed,) = struct.unpack_from("<L", content, 8)
    if packed & 0x2:
        value = float(struct.unpack("<l", struct.pack("<L", packed & 0xFFFFFFFC))[0] >> 2)
    else:
        (value,) = struct.unpack("<d", struct.pack("<Q", (packed & 0xFFFFFFFC) << 32))
    return value / 100 if packed & 0x1 else value


def _records(raw: bytes) -> Iterator[Record]:
    """The records of a part: kind and content."""
    at = 0
    while at < len(raw):
        kind = raw[at]
        at += 1
        if kind & 0x80:
            kind, at = kind & 0x7F | (raw[at] & 0x7F) << 7, at + 1
        length = shift = 0
        for _ in range(4):
            byte, at = raw[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield kind, raw[at : at + length]
        at += length


def _wide_text(content: bytes, at: int) -> tuple[str, int]:
    """The text at that place, and the place behind it."""
    (length,) = struct.unpack_from("<L", content, at)
    if length == 0xFFFFFFFF:
        return "", at + 4
    end = at + 4 + 2 * length
    return content[at + 4 : end].decode("utf-16-le", "surrogatepass"), end
