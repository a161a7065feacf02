"""Excel workbooks (.xlsx, .xlsm): values, not formulas, each as Excel shows it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final, Literal

from openpyxl.worksheet.cell_range import CellRange

from importer.errors import SheetError
from importer.sheets.numbers import Converter, converter
from importer.sheets.package import SharedTexts, read_package, tag
from importer.sheets.rows import Row, column_letters
from importer.sheets.scan import Glance, glance_at
from importer.sheets.sheet import BLANK_ROWS_MAX, ROWS_MAX, Sheet, SheetOptions, unreadable
from importer.sheets.sheet_selection import choose_sheet
from importer.sheets.worksheet import RawRow, RowReader
from importer.sheets.xmlparts import Elements, blocks, parse
from importer.sheets.zip_safety import damaged, open_archive

BLANK_HEADINGS_MAX: Final = 256


class XlsxSheet(Sheet):
    """One worksheet of an .xlsx or .xlsm file; see the module."""

    family: Literal["text", "workbook"] = "workbook"

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError for a hostile or damaged file, or if no sheet can be chosen."""
        super().__init__(path, how)
        self._running: set[Generator[int, None, None]] = set()
        try:
            self._archive = open_archive(path)
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error
        try:
            self._package = read_package(path, self._archive)
            self.sheet_names = tuple(sheet.name for sheet in self._package.sheets if sheet.visible)
            chosen = choose_sheet(path, self._package.sheets, how.sheet)
            self.name, self._part = chosen.name, chosen.part
            self._glance = self._glance_at_all()
            self._texts = SharedTexts(path, self._archive, self._package.texts_part)
            self._read_header()
            if self._glance.hidden:
                self.hidden_rows = sum(raw.hidden for raw in self._table())
        except (OSError, MemoryError) as error:
            self.close()
            raise unreadable(path, error) from error
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        self.check_unchanged()
        columns = range(len(self.header))
        skip_hidden = self.how.hidden == "skip"
        try:
            for number, hidden, cells in self._table():
                if hidden and skip_hidden:
                    continue
                get = cells.get
                row = tuple([get(index, "") for index in columns])
                yield Row(number, row, None if max(cells) in columns else self._surplus(number, cells))
        except (OSError, MemoryError) as error:
            raise unreadable(self.path, error) from error

    def close(self) -> None:
        while self._running:
            self._running.pop().close()
        self._archive.close()

    def _surplus(self, number: int, cells: dict[int, str]) -> str | None:
        surplus = min(index for index in cells if index >= len(self.header))
        return None if cells[surplus].isspace() else self.surplus(number, surplus, cells[surplus])

    def _glance_at_all(self) -> Glance:
        glance = glance_at(blocks(self.path, self._archive, self._part), self.header_row)
        if glance.rows > ROWS_MAX:
            raise self._damage(f"it has a row {ROWS_MAX + 1:,}, and a sheet ends at {ROWS_MAX:,}")
        return glance

    def _batches(self) -> Iterator[tuple[int, list[RawRow]]]:
        """The number of bytes read after each block of the part, with the rows that it completes."""
        reader = RowReader(self._texts, self._new_converter, self._damage)
        found = Elements((tag("sheetData"), tag("row")))
        parsing = parse(self.path, self._archive, self._part, found)
        self._running.add(parsing)
        try:
            for position in parsing:
                yield position, [reader.read(row) for row in found.take()]
        finally:
            self._running.discard(parsing)
            parsing.close()

    def _table(self) -> Iterator[RawRow]:
        """The rows with content below the header. Raises SheetError for content far below the table's end."""
        last = self.header_row
        content_end_bytes = self._glance.content_end_bytes
        for position, batch in self._batches():
            number = 0
            for raw in batch:
                number, cells = raw.number, raw.cells
                if number <= self.header_row or _is_blank(cells):
                    continue
                if number - last > BLANK_ROWS_MAX:
                    raise self.far_below(last, f"cell {column_letters(min(cells))}{number} holds something")
                last = number
                yield raw
            if number - last > BLANK_ROWS_MAX:
                if content_end_bytes > position:
                    raise self.far_below(last, "there is something further down")
                if content_end_bytes < position:
                    return

    def _damage(self, reason: str) -> SheetError:
        return damaged(self.path, f'sheet "{self.name}": {reason}')

    def _new_converter(self, style: int) -> Converter:
        codes = self._package.codes
        code = codes[style] if 0 <= style < len(codes) else "General"
        return converter(code, epoch_1904=self._package.epoch_1904)

    def _read_header(self) -> None:
        """The header's texts; one merged from above counts, one merged to the right names one column."""
        merges = self._glance.header_merges
        tops = {(merge.min_row, merge.min_col - 1) for merge in merges}
        merged: dict[tuple[int, int], str] = {}
        header: dict[int, str] = {}
        first_filled: int | None = None
        for raw in (raw for _, batch in self._batches() for raw in batch):
            if first_filled is None and not _is_blank(raw.cells):
                first_filled = raw.number
            if raw.number <= self.header_row and tops:
                merged |= {top: raw.cells.get(top[1], "") for top in tops if top[0] == raw.number}
            if raw.number == self.header_row:
                header = dict(raw.cells)
            if raw.number >= self.header_row and first_filled is not None:
                break
        for merge in merges:
            text = merged.get((merge.min_row, merge.min_col - 1), "").strip()
            if text:
                header.setdefault(merge.min_col - 1, text)
                self._warn_of_wide_heading(merge, text)
        self._check_gaps(header)
        width = max(header, default=-1) + 1
        self.adopt_header([header.get(index, "") for index in range(width)], first_filled)
        self._warn_of_title()
        self._warn_of_merged_rows()

    def _warn_of_title(self) -> None:
        if len(self.header) == 1:
            self.warnings.append(
                f'Row {self.header_row} holds one heading only, "{self.header[0]}". If that is a title, say'
                " with `header_row:` in the mapping which row holds the headings."
            )

    def _warn_of_wide_heading(self, merge: CellRange, text: str) -> None:
        if merge.max_col > merge.min_col:
            first, last = column_letters(merge.min_col - 1), column_letters(merge.max_col - 1)
            self.warnings.append(
                f'The heading "{text}" is merged over columns {first} to {last}: it names {first} only,'
                " the others have no heading."
            )

    def _warn_of_merged_rows(self) -> None:
        glance = self._glance
        if glance.merged_below:
            more = glance.merged_below - len(glance.examples)
            shown = ", ".join(glance.examples) + (f" and {more} more" if more else "")
            self.warnings.append(
                f"Cells below the headings are merged ({shown}): the value counts for the first cell only,"
                " the others are empty. Unmerge them in Excel and fill the value in where it belongs."
            )

    def _check_gaps(self, header: dict[int, str]) -> None:
        before = -1
        for column in sorted(header):
            if column - before > BLANK_HEADINGS_MAX:
                raise SheetError(
                    f"Cell {column_letters(column)}{self.header_row} stands {column - before - 1:,}"
                    " blank columns right of the other headings.",
                    where=self.place(),
                    remedy="Delete it if it is there by mistake (Ctrl+End shows it).",
                )
            before = column


def _is_blank(cells: dict[int, str]) -> bool:
    return all(cell.isspace() for cell in cells.values())
