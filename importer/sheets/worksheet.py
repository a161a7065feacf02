"""A worksheet's rows, cell by cell through openpyxl's parser.

The parser is called row by row instead of through `ReadOnlyWorksheet.iter_rows`, which without a word leaves
out rows and cells that are not in order and keeps the last of two cells in one place, tells neither hidden
rows nor, without reading all again, a formula without a stored value from an empty cell, and reads a
worksheet's `dimension`, which some exporters write wrong.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import Element

from openpyxl.worksheet._reader import FORMULA_TAG, INLINE_STRING, VALUE_TAG, WorkSheetParser
from openpyxl.xml.constants import SHEET_MAIN_NS

from importer.errors import SheetError
from importer.sheets.numbers import Converter
from importer.sheets.package import SharedTexts
from importer.sheets.rows import BooleanCell, ErrorCell, column_letters
from importer.sheets.serial_dates import date_cell_of, duration_cell
from importer.sheets.sheet import COLUMNS_MAX, ROWS_MAX
from importer.sheets.xmltext import error_cell, plain_text

NEVER_CALCULATED: Final = (
    "The cell holds a formula whose result is not stored. Open the workbook in Excel, which calculates it,"
    " and save it."
)

TEXT_TAG: Final = f"{{{SHEET_MAIN_NS}}}t"
Damage = Callable[[str], SheetError]


class RawRow(NamedTuple):
    """number: as Excel shows it. hidden: by filter or by hand. cells: by column index, empty ones absent."""

    number: int
    hidden: bool
    cells: dict[int, str]


class RowReader(WorkSheetParser):
    """openpyxl's parser, for one `<row>` after the other."""

    def __init__(self, texts: SharedTexts, new_converter: Callable[[int], Converter], damage: Damage) -> None:
        """texts: the shared ones. new_converter: style index → what converts its numbers.

        The parser is told of no date formats: what a day count shows is the converter's to say.
        """
        super().__init__(io.BytesIO(), texts, data_only=True)
        self._new_converter = new_converter
        self._converters: dict[int, Converter] = {}
        self._damage = damage

    def read(self, row: Element) -> RawRow:
        """The row. Raises SheetError where it makes no sense."""
        before = self.row_counter
        try:
            number, found = self.parse_row(row)  # type: ignore[arg-type]  # the stubs take no Element
            cells = self._cells(found)
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            shown = row.get("r", str(before + 1))[:20]
            raise self._damage(f"row {shown} cannot be read: {error}") from error
        self.row_dimensions.clear()  # openpyxl would keep every row's height
        if number <= before:
            raise self._damage(f"row {number} follows row {before}")
        if number > ROWS_MAX:
            raise self._damage(f"it has a row {number:,}, and a sheet ends at {ROWS_MAX:,}")
        return RawRow(number, row.get("hidden") in ("1", "true", "on"), cells)

    def parse_cell(self, element: Element) -> dict[str, Any]:
        """openpyxl's view of a cell; one whose formula has no stored result is of type `f` with no value."""
        if element.get("t") == "inlineStr" and len(element) == 1:
            inside = element[0]
            if inside.tag == INLINE_STRING and len(inside) == 1 and inside[0].tag == TEXT_TAG:
                # One text without runs. As a stored one it is read at once; as an inline one openpyxl makes
                # six objects of it, which is a third of the time that a sheet of such texts takes.
                element.set("t", "str")
                element[0] = inside[0]
                inside[0].tag = VALUE_TAG
        cell = super().parse_cell(element)
        if cell["value"] is None and element.find(FORMULA_TAG) is not None:
            stored = cell["data_type"] in ("s", "str") and element.find(VALUE_TAG) is not None
            cell["data_type"] = "s" if stored else "f"
        return cell

    def _cells(self, found: list[dict[str, Any]]) -> dict[int, str]:
        cells: dict[int, str] = {}
        for cell in found:
            text = self._text(cell)
            if text or isinstance(text, ErrorCell):
                row, column = cell["row"], cell["column"]
                if row != self.row_counter or column > COLUMNS_MAX:
                    raise ValueError(f"there is no cell {column_letters(column - 1)}{row} in it")
                if column - 1 in cells:
                    raise ValueError("it has a cell twice")
                cells[column - 1] = text
        return cells

    def _text(self, cell: dict[str, Any]) -> str:
        value, kind = cell["value"], cell["data_type"]
        if value is None:
            return ErrorCell("", NEVER_CALCULATED) if kind == "f" else ""
        match kind:
            case "s":
                text = plain_text(value)
            case "n":
                style = cell["style_id"]
                convert = self._converters.get(style)
                if convert is None:
                    convert = self._converters[style] = self._new_converter(style)
                text = convert(repr(value))
            case "b":
                text = BooleanCell("TRUE" if value else "FALSE")
            case "e":
                text = error_cell(value)
            case "d" if isinstance(value, dt.timedelta):
                text = duration_cell(value / dt.timedelta(days=1), "[h]:mm:ss")
            case "d":
                text = date_cell_of(value)
            case _:
                raise ValueError(f"unknown cell type {kind[:20]}")
        return text
