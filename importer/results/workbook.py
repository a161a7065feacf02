"""Workbooks of ours: cells as Excel stores them, texts as text, numbers as numbers, each in the format that
the source gave it, so Excel changes nothing on save. The results file, and what the marked copy shares."""

from __future__ import annotations

import datetime as dt
import io
import tempfile
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError, FileSizeError

from importer.errors import ResultsError
from importer.sheets.rows import (
    ERROR_WORDS,
    BooleanCell,
    DateCell,
    DurationCell,
    ErrorCell,
    NumberCell,
    column_letters,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

Record = tuple[int | str, ...]
"""The cells of a row."""
WORKSHEET_ROWS_MAX: Final = 1_048_575
CELL_MAX_CHARACTERS: Final = 32_767
FORMATS_MAX: Final = 200
"""Excel refuses workbooks with more than some 250 number formats of their own."""
FITTED_ROWS: Final = 100
"""Columns are as wide as the first rows need; looking at all of them would cost more than it gives."""

_WIDTHS: Final = (12, 15, 38, 26, 60, 17, 26, 32)
_WIDTH_LEAST: Final = 16  # a formatted amount is wider than its number, and a column too narrow shows ####
_WIDTH_MOST: Final = 42
_GENERAL: Final = ("", "General")
_SECONDS_A_DAY: Final = 86_400
_FIRST_DAY: Final = dt.date(1900, 1, 1)
_LOCAL_DATE: Final = "mm-dd-yy"
"""What openpyxl calls Excel's built-in format 14: the short date of the person's country."""


def write_workbook(
    stream: BinaryIO, name: str, headings: Sequence[str], records: Iterable[Record], rows: int
) -> None:
    """Writes a results file to an empty file. rows: how many `records` there are, each our columns' cells and
    then the source's.

    Raises ResultsError for what no worksheet can hold, OSError from the disk. Temporary files of xlsxwriter's
    own are in a folder that goes in any case.
    """
    if rows > WORKSHEET_ROWS_MAX:
        raise _too_big(f"{rows:,} rows are more than the {WORKSHEET_ROWS_MAX:,} that a worksheet holds.")
    with tempfile.TemporaryDirectory(prefix="importer-") as folder, _Target(stream) as target:
        book = xlsxwriter.Workbook(target, {"constant_memory": True, "tmpdir": folder})
        try:
            _fill(book, name, headings, records, rows)
        except FileSizeError as error:
            raise _too_big("The rows are more than a workbook file can hold (2 GB).") from error
        except FileCreateError as error:
            raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from error
        finally:
            for sheet in book.worksheets():
                sheet._opt_close()  # noqa: SLF001 - nothing public closes its file after a failure


class _Target(io.FileIO):
    """The file that `zipfile` writes to. After a failure it takes everything in silence: the archive, which
    nobody can close then, tries to write its directory once more when it is collected."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream.fileno(), "r+", closefd=False)
        self.failed = False

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.failed = self.failed or error is not None
        self.close()

    def write(self, data: Buffer, /) -> int:
        rest = memoryview(data).cast("B")
        length = len(rest)
        while rest and not self.failed:  # a nearly full disk takes a part, and refuses the next call
            try:
                rest = rest[super().write(rest) or 0 :]
            except OSError:
                self.failed = True
                raise
        return length

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return 0 if self.failed else super().seek(offset, whence)

    def tell(self) -> int:
        return 0 if self.failed else super().tell()

    def flush(self) -> None:
        if not self.failed:
            super().flush()


def _too_big(what: str, where: str = "") -> ResultsError:
    return ResultsError(
        what,
        where=where,
        remedy="Have the results written as text: --results NAME.csv. Nothing was sent for it.",
    )


def _fill(
    book: Any,  # noqa: ANN401 - xlsxwriter has no types
    name: str,
    headings: Sequence[str],
    records: Iterable[Record],
    rows: int,
) -> None:
    """The one worksheet, row by row, and closed."""
    sheet = book.add_worksheet(name)
    ours = len(_WIDTHS)
    cells, widths, bold = CellWriter(book, sheet), ColumnWidths(), book.add_format({"bold": True})
    for index, width in enumerate(_WIDTHS):
        sheet.set_column(index, index, width)
    widths.see(headings[ours:], ours)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(rows, 1), len(headings) - 1)
    for column, heading in enumerate(headings):
        _check(cells.text(0, column, heading, bold), 0, column, len(headings))
    for row, record in enumerate(records, 1):
        if row <= FITTED_ROWS:
            widths.see(map(str, record[ours:]), ours)
        for column, value in enumerate(record):
            if isinstance(value, int):
                sheet.write_number(row, column, value)
            elif value:
                _check(cells.write(row, column, value), row, column, len(headings))
    widths.apply(sheet)
    book.close()


def _check(code: int, row: int, column: int, columns: int) -> None:
    """What xlsxwriter says instead of raising: -1 off the sheet, -2 cut at 32,767 characters."""
    if code >= 0:
        return
    where = f"results, cell {column_letters(column)}{row + 1}"
    if code == -1:
        raise _too_big(f"{columns:,} columns are more than a worksheet holds.", where)
    raise _too_big(f"The cell has more than the {CELL_MAX_CHARACTERS:,} characters that Excel holds.", where)


class ColumnWidths:
    """How wide columns have to be for the texts that were seen in them."""

    def __init__(self) -> None:
        self._widest: dict[int, int] = {}

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

    def write(self, row: int, column: int, cell: str, look: str = "") -> int:
        """The cell by its type; an error, or a date before 1900, as the text that is seen."""
        sheet = self._sheet
        write: Any
        value: object
        match cell:
            case NumberCell():
                write, value, code, plain = sheet.write_number, cell.value, cell.code, "General"
            case DateCell() if _in_excels_calendar(cell.value):
                plain = _date_code(cell.value)
                write, value, code = sheet.write_datetime, cell.value, cell.code or plain
            case DurationCell():
                plain = "[h]:mm:ss"
                write, value, code = sheet.write_number, cell.seconds / _SECONDS_A_DAY, cell.code or plain
            case BooleanCell():
                write, value, code, plain = sheet.write_boolean, cell == "TRUE", "", "General"
            case _:
                return self.text(row, column, str(cell), self.format("", "General", look))
        return int(write(row, column, value, self.format(code, plain, look)))

    def error(self, row: int, column: int, cell: ErrorCell, look: str = "") -> int:
        """The error as an error, so that no reader takes its word for a text. A number that Excel has rounded
        stays a number of too many digits; a formula that was never calculated becomes `#N/A`."""
        form = self.format("", "General", look)
        if cell and cell.lstrip("-").isdecimal() and cell.isascii():
            return int(self._sheet.write_number(row, column, float(cell), form))
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


def _in_excels_calendar(value: dt.date | dt.datetime | dt.time) -> bool:
    if isinstance(value, dt.time):
        return True
    return (value.date() if isinstance(value, dt.datetime) else value) >= _FIRST_DAY


def _date_code(value: dt.date | dt.datetime | dt.time) -> str:
    if isinstance(value, dt.time):
        return "hh:mm:ss"
    return "yyyy-mm-dd hh:mm:ss" if isinstance(value, dt.datetime) else "yyyy-mm-dd"
