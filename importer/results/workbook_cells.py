"""Cells as Excel stores them: texts as text, numbers as numbers, each in the format that the source gave it.

Whatever is written into a workbook of ours goes through here, so that the results file and the marked copy
agree: opened, saved and read again, a cell shows what the source showed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from importer.sheets.rows import BooleanCell, DateCell, DurationCell, ErrorCell, NumberCell

CELL_MAX_CHARACTERS: Final = 32_767
FORMATS_MAX: Final = 200
"""Excel refuses workbooks with more than some 250 number formats of their own."""
FITTED_ROWS: Final = 100
"""Columns are as wide as the first rows need; looking at all of them would cost more than it gives."""
ERROR_WORDS: Final = frozenset(("#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"))

_WIDTH_LEAST: Final = 16  # a formatted amount is wider than its number, and a column too narrow shows ####
_WIDTH_MOST: Final = 42
_GENERAL: Final = ("", "General")
_SECONDS_A_DAY: Final = 86_400
_FIRST_DAY: Final = dt.date(1900, 1, 1)
_LOCAL_DATE: Final = "mm-dd-yy"
"""What openpyxl calls Excel's built-in format 14: the short date of the person's country."""


class ColumnWidths:
    """How wide columns have to be for the texts that were seen in them."""

    def __init__(self) -> None:
        self._widest: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<ColumnWidths {self._widest}>"

    def see(self, cells: Iterable[str], first: int = 0) -> None:
        """The texts of one row, from column `first` on."""
        for column, cell in enumerate(cells, first):
            needed = len(cell.partition("\n")[0])
            if needed > self._widest.get(column, 0):
                self._widest[column] = needed

    def apply(self, sheet: Any) -> None:  # noqa: ANN401 - xlsxwriter has no types
        """Set them; a worksheet of xlsxwriter's takes widths until it is closed."""
        for column, widest in self._widest.items():
            sheet.set_column(column, column, min(max(widest + 2, _WIDTH_LEAST), _WIDTH_MOST))


class CellWriter:
    """Writes cells into one worksheet of xlsxwriter's.

    Every method that writes gives xlsxwriter's own code: 0, -1 for a place off the sheet, -2 for a text that
    was cut. look: a background colour (`#FFC7CE`), or none.
    """

    def __init__(self, book: Any, sheet: Any) -> None:  # noqa: ANN401 - xlsxwriter has no types
        self._book = book
        self._sheet = sheet
        self._formats: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"<CellWriter {self._sheet.name}, {len(self._formats)} formats>"

    def write(self, row: int, column: int, cell: str, look: str = "") -> int:
        """The cell by its type; an error, or a date before 1900, as the text that is seen."""
        if type(cell) is str and not look:  # most are
            return self.text(row, column, cell)
        match cell:
            case NumberCell():
                form = self.format(cell.code, "General", look)
                return int(self._sheet.write_number(row, column, cell.value, form))
            case DateCell() if _in_excels_calendar(cell.value):
                plain = _date_code(cell.value)
                form = self.format(cell.code or plain, plain, look)
                return int(self._sheet.write_datetime(row, column, cell.value, form))
            case DurationCell():
                form = self.format(cell.code or "[h]:mm:ss", "[h]:mm:ss", look)
                return int(self._sheet.write_number(row, column, cell.seconds / _SECONDS_A_DAY, form))
            case BooleanCell():
                form = self.format("", "General", look)
                return int(self._sheet.write_boolean(row, column, cell == "TRUE", form))
            case _:
                return self.text(row, column, str(cell), self.format("", "General", look))

    def error(self, row: int, column: int, cell: ErrorCell, look: str = "") -> int:
        """The error as an error, so that no reader takes its word for a text. A number that Excel has rounded
        stays a number of too many digits; a formula that was never calculated becomes `#N/A`."""
        form = self.format("", "General", look)
        number = _number(cell)
        if number is not None:
            return int(self._sheet.write_number(row, column, number, form))
        word = str(cell) if cell in ERROR_WORDS else "#N/A"
        return int(self._sheet.write_formula(row, column, f"={word}", form, word))

    def text(self, row: int, column: int, text: str, form: object = None) -> int:
        """A text as text, whatever it looks like."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")  # half surrogates cannot be written
        if text.startswith("<r>") and text.endswith("</r>"):
            # xlsxwriter takes such a text for finished XML: given as two runs it is escaped like any other
            plain = self._made("General", "")
            runs = (plain, text[:2], plain, text[2:], *(() if form is None else (form,)))
            return int(self._sheet.write_rich_string(row, column, *runs))
        return int(self._sheet.write_string(row, column, text, form))

    def format(self, code: str, plain: str, look: str = "") -> Any:  # noqa: ANN401 - xlsxwriter has no types
        """The format for a number format's code, made once; beyond the limit that for the code `plain`. None
        for a cell without any."""
        if code in _GENERAL:
            return self._made("General", look) if look else None
        if (code, look) not in self._formats and len(self._formats) >= FORMATS_MAX:
            code = plain
        return self._made(code, look)

    def _made(self, code: str, look: str) -> Any:  # noqa: ANN401 - xlsxwriter has no types
        key = (code, look)
        if key not in self._formats:
            shown: dict[str, object] = {"num_format": 14 if code == _LOCAL_DATE else code}
            self._formats[key] = self._book.add_format(shown | ({"bg_color": look} if look else {}))
        return self._formats[key]


def _number(cell: str) -> float | None:
    """The number of a cell that shows one."""
    return float(cell) if cell and cell.lstrip("-").isdecimal() and cell.isascii() else None


def _in_excels_calendar(value: dt.date | dt.datetime | dt.time) -> bool:
    if isinstance(value, dt.time):
        return True
    return (value.date() if isinstance(value, dt.datetime) else value) >= _FIRST_DAY


def _date_code(value: dt.date | dt.datetime | dt.time) -> str:
    if isinstance(value, dt.time):
        return "hh:mm:ss"
    return "yyyy-mm-dd hh:mm:ss" if isinstance(value, dt.datetime) else "yyyy-mm-dd"
