"""A worksheet's rows, cell by cell.

openpyxl's read-only rows leave out rows and cells that are not in order without a word, keep the last of two
cells in one place, show neither hidden rows nor a formula without a stored value from an empty cell, and end
over one bad date. So the elements are read here, and openpyxl reads what is in them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container
from functools import lru_cache
from typing import Final
from xml.etree.ElementTree import Element

from openpyxl.cell.text import Text
from openpyxl.utils.cell import column_index_from_string
from openpyxl.utils.datetime import from_ISO8601

from importer.errors import SheetError
from importer.sheets.numbers import Converter, is_unseen
from importer.sheets.package import SharedTexts, tag
from importer.sheets.rows import BooleanCell, ErrorCell, NumberCell, column_letters
from importer.sheets.serial_dates import date_cell_of, duration_cell
from importer.sheets.sheet import COLUMNS_MAX, ROWS_MAX
from importer.sheets.workbook import RawRow
from importer.sheets.xmltext import error_cell, plain_text
from importer.text import quoted, shown

NEVER_CALCULATED: Final = (
    "The cell holds a formula whose result is not stored. Open the workbook in Excel, which calculates it,"
    " and save it."
)
RICH_VALUE: Final = (
    "The cell holds a picture or a linked data type (such as Stocks or Geography), which is not a text."
    " Enter the value as text."
)
CELL: Final = tag("c")
FORMULA: Final = tag("f")
INLINE: Final = tag("is")
TEXT: Final = tag("t")
VALUE: Final = tag("v")
BOOLEANS: Final = {"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}
DIGITS: Final = "0123456789"

Damage = Callable[[str], SheetError]


class RowReader:
    """Reads one `<row>` after the other."""

    def __init__(
        self,
        texts: SharedTexts,
        converter_of: Callable[[int], Converter],
        damage: Damage,
        *,
        recalculated: bool,
        hiding: Container[int],
    ) -> None:
        """texts: the shared ones. converter_of: style index → what converts its numbers. recalculated:
        formulas
        will be calculated when the workbook is opened. hiding: styles whose format may show nothing."""
        self._texts = texts
        self._converter_of = converter_of
        self._converters: dict[str, Converter] = {}
        self._damage = damage
        self._recalculated = recalculated
        self._hiding = hiding
        self._number = 0

    def read(self, row: Element) -> RawRow:
        """The row; what makes no sense in one of its cells is a problem of it. Raises SheetError for a row
        that
        is where no row can be."""
        before = self._number
        number = self._number = self._row_number(row.get("r"), before)
        if number < before:
            raise self._damage(f"row {number} follows row {before}")
        if number > ROWS_MAX:
            raise self._damage(f"it has a row {number:,}, and a sheet ends at {ROWS_MAX:,}")
        cells: dict[int, str] = {}
        formulas: list[int] = []
        unseen: list[int] = []
        problem: str | None = None
        column = -1
        for element in row:
            if element.tag != CELL:
                continue
            column = self._column(element.get("r"), number, column)
            try:
                text = self._text(element)
            except (ValueError, ArithmeticError):
                problem = _unreadable(column, number, element)
                continue
            if not text and not isinstance(text, ErrorCell):
                continue
            if column in cells:
                raise self._damage(f"row {number} cannot be read: it has a cell twice")
            cells[column] = text
            if self._recalculated and element.find(FORMULA) is not None:
                formulas.append(column)
            if self._hides(element, text):
                unseen.append(column)
        return RawRow(number, _is_hidden(row), cells, problem, formulas, unseen)

    def _row_number(self, text: str | None, before: int) -> int:
        if text is None:
            return before + 1
        try:
            return int(text)
        except ValueError:
            raise self._damage(f"row {shown(text, 20)} cannot be read") from None

    def _column(self, place: str | None, number: int, before: int) -> int:
        """The index of a cell's column. Raises SheetError for a place that is none in this row."""
        if place is None:
            return before + 1
        letters = place.rstrip(DIGITS)
        column = _column_index(letters) if place[len(letters) :] == str(number) else None
        if column is None:
            raise self._damage(f"row {number} cannot be read: there is no cell {shown(place, 20)} in it")
        return column

    def _text(self, cell: Element) -> str:
        value = cell.findtext(VALUE)
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _inline_text(cell.find(INLINE))
        if not value:
            return self._without_value(cell, kind, value)
        match kind:
            case "s":
                text = plain_text(self._shared_text(value))
            case "n":
                style = cell.get("s") or "0"
                convert = self._converters.get(style)
                if convert is None:
                    convert = self._converters[style] = self._converter_of(int(style))
                text = convert(value.strip())
            case "str":
                text = plain_text(value)
            case "b":
                text = _boolean(value.strip())
            case "e":
                text = ErrorCell("", RICH_VALUE) if cell.get("vm") else error_cell(value.strip())
            case "d":
                text = _iso_cell(value.strip())
            case _:
                raise self._damage(f"row {self._number} cannot be read: unknown cell type {shown(kind, 20)}")
        return text

    def _shared_text(self, value: str) -> str:
        try:
            return self._texts[int(value)]
        except (ValueError, LookupError) as error:
            raise self._damage(f"row {self._number} cannot be read: {error}") from None

    @staticmethod
    def _without_value(cell: Element, kind: str, value: str | None) -> str:
        if kind == "e" and cell.get("vm"):
            return ErrorCell("", RICH_VALUE)
        stored = value is not None and kind in ("s", "str")
        return ErrorCell("", NEVER_CALCULATED) if not stored and cell.find(FORMULA) is not None else ""

    def _hides(self, cell: Element, text: str) -> bool:
        """Whether the cell's format shows nothing of what is in it."""
        style = cell.get("s")
        if not style or int(style) not in self._hiding:
            return False
        return is_unseen(text) if isinstance(text, NumberCell) else type(text) is str


@lru_cache(maxsize=20_000)
def _column_index(letters: str) -> int | None:
    """None if there is no such column."""
    try:
        number = column_index_from_string(letters)
    except ValueError:
        return None
    return number - 1 if number <= COLUMNS_MAX else None


def _is_hidden(row: Element) -> bool:
    height = row.get("ht")
    return row.get("hidden") in ("1", "true", "on") or (
        height is not None and height[:1] == "0" and not height.strip("0.")
    )


def _boolean(text: str) -> BooleanCell:
    found = BOOLEANS.get(text)
    if found is None:
        raise ValueError(f"{text} is neither TRUE nor FALSE")
    return BooleanCell(found)


def _unreadable(column: int, number: int, cell: Element) -> str:
    what = {"b": "TRUE or FALSE", "d": "a date"}.get(cell.get("t", "n"), "a number")
    return (
        f"Cell {column_letters(column)}{number} is stored as {what}, but holds"
        f" {quoted(cell.findtext(VALUE) or '')}: the workbook is damaged there. Enter the value again in"
        " Excel and"
        " save it."
    )


def _inline_text(inside: Element | None) -> str:
    if inside is None:
        return ""
    if len(inside) == 1 and inside[0].tag == TEXT:
        # One text without runs: openpyxl makes six objects of it, a third of the time that such a sheet
        # takes.
        return plain_text(inside[0].text or "")
    rich = Text.from_tree(inside)  # type: ignore[arg-type]  # the stubs want lxml's
    return "" if rich is None else plain_text(rich.content or "")


def _iso_cell(text: str) -> str:
    """The cell of a date written as ISO 8601. Raises ValueError."""
    value = from_ISO8601(text)  # type: ignore[no-untyped-call]
    if isinstance(value, dt.timedelta):
        return duration_cell(value / dt.timedelta(days=1), "[h]:mm:ss")
    if not isinstance(value, (dt.date, dt.time)):
        raise ValueError(f"{text} is not a date")  # noqa: TRY004 - it is the text that is wrong
    return date_cell_of(value)
