"""The results file as a workbook: texts as text, numbers as numbers, so Excel changes nothing on save."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError, FileSizeError

from importer.errors import ResultsError
from importer.results.results_reader import COLUMNS, SHEET_NAME, shown_code, shown_error
from importer.results.workbook_cells import CELL_MAX_CHARACTERS, FITTED_ROWS, CellWriter, ColumnWidths
from importer.sheets.rows import Cells, column_letters, decode_cells
from importer.store.records import StoredRow

if TYPE_CHECKING:
    from typing_extensions import Buffer

WORKSHEET_ROWS_MAX: Final = 1_048_575

_WIDTHS: Final = (12, 15, 38, 26, 60, 17, 26, 32)


def write_workbook(stream: BinaryIO, lines: Iterable[StoredRow], batch: str, header: Cells, rows: int) -> int:
    """Writes the workbook to an empty file and gives the number of rows written.

    Raises ResultsError for what no worksheet can hold, OSError from the disk. Temporary files of xlsxwriter's
    own are in a folder that goes in any case.
    """
    if rows > WORKSHEET_ROWS_MAX:
        raise _too_big(f"{rows:,} rows are more than the {WORKSHEET_ROWS_MAX:,} that a worksheet holds.")
    with tempfile.TemporaryDirectory(prefix="importer-") as folder, _Target(stream) as target:
        book = xlsxwriter.Workbook(target, {"constant_memory": True, "tmpdir": folder})
        try:
            return _Worksheet(book, header, rows).fill(lines, batch)
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


class _Worksheet:
    """One worksheet while it is filled, row by row."""

    def __init__(self, book: Any, header: Cells, rows: int) -> None:  # noqa: ANN401 - xlsxwriter has no types
        self._book = book
        self._sheet = book.add_worksheet(SHEET_NAME)
        self._cells = CellWriter(book, self._sheet)
        self._header = header
        headings = (*COLUMNS, *header)
        bold = book.add_format({"bold": True})
        for index, width in enumerate(_WIDTHS):
            self._sheet.set_column(index, index, width)
        self._widths = ColumnWidths()
        self._widths.see(header, len(COLUMNS))
        self._sheet.freeze_panes(1, 0)
        self._sheet.autofilter(0, 0, max(rows, 1), len(headings) - 1)
        for column, heading in enumerate(headings):
            self._check(self._cells.text(0, column, heading, bold), 0, column)

    def fill(self, lines: Iterable[StoredRow], batch: str) -> int:
        row = 0
        plain, number, typed, ours = (
            self._sheet.write_string,
            self._sheet.write_number,
            self._cells.write,
            len(COLUMNS),
        )
        for row, line in enumerate(lines, 1):
            cells = decode_cells(line.cells)
            if row <= FITTED_ROWS:
                self._widths.see(cells, ours)
            number(row, 0, line.number)
            plain(row, 1, line.status.shown)
            ours_text = (line.activity_id or "", shown_code(line.error_code), shown_error(line.error))
            for column, text in enumerate(ours_text, 2):
                if text:
                    self._check(self._cells.text(row, column, text), row, column)
            number(row, 5, line.attempts)
            plain(row, 6, line.changed_at)
            self._check(plain(row, 7, batch), row, 7)
            for column, cell in enumerate(cells, ours):
                if cell:  # most are plain text that needs no second look, and this is the innermost loop
                    simple = type(cell) is str and cell[0] != "<" and cell.isascii()
                    code = plain(row, column, cell) if simple else typed(row, column, cell)
                    if code:
                        self._check(code, row, column)
        self._widths.apply(self._sheet)
        self._book.close()
        return row

    def _check(self, code: int, row: int, column: int) -> None:
        """What xlsxwriter says instead of raising: -1 off the sheet, -2 cut at 32,767 characters."""
        if code >= 0:
            return
        where = f"results, cell {column_letters(column)}{row + 1}"
        if code == -1:
            raise _too_big(
                f"{len(COLUMNS) + len(self._header):,} columns are more than a worksheet holds.", where
            )
        raise _too_big(
            f"The cell has more than the {CELL_MAX_CHARACTERS:,} characters that Excel holds.", where
        )
