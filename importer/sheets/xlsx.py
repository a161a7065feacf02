"""Excel workbooks (.xlsx, .xlsm): values, not formulas, each as Excel shows it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from importer.errors import SheetError
from importer.sheets.numbers import Converter, converter, may_hide
from importer.sheets.package import SharedTexts, read_package, tag
from importer.sheets.rows import column_letters
from importer.sheets.scan import Scan, scan_worksheet
from importer.sheets.sheet import BLANK_ROWS_MAX, ROWS_MAX, SheetOptions, unreadable
from importer.sheets.sheet_selection import choose_sheet
from importer.sheets.workbook import RawRow, WorkbookSheet, merged
from importer.sheets.worksheet import RowReader
from importer.sheets.xmlparts import Elements, blocks, parse
from importer.sheets.zip_safety import damaged, open_archive


class XlsxSheet(WorkbookSheet):
    """One worksheet of an .xlsx or .xlsm file; see the module."""

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError for a hostile or damaged file, or if no sheet can be chosen."""
        super().__init__(path, how)
        self._running: set[Generator[int, None, None]] = set()
        self._converters: dict[str, Converter] = {}
        try:
            self._archive = open_archive(path)
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error
        try:
            self._package = read_package(path, self._archive)
            self.sheet_names = tuple(sheet.name for sheet in self._package.sheets if sheet.visible)
            chosen = choose_sheet(path, self._package.sheets, how.sheet)
            self.name, self._part = chosen.name, chosen.part
            self._scan = self._scan_all()
            self._texts = SharedTexts(path, self._archive, self._package.texts_part)
            self._hiding = frozenset(at for at, code in enumerate(self._package.codes) if may_hide(code))
            self.read_header(self._scan.header_merges)
            self._warn_of_merged_rows()
            if self._scan.hidden:
                self.hidden_rows = sum(raw.hidden for raw in self.table())
        except (OSError, MemoryError) as error:
            self.close()
            raise unreadable(path, error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        while self._running:
            self._running.pop().close()
        self._archive.close()

    def _scan_all(self) -> Scan:
        found = scan_worksheet(blocks(self.path, self._archive, self._part), self.header_row)
        if found.rows > ROWS_MAX:
            raise self._damage(f"it has a row {ROWS_MAX + 1:,}, and a sheet ends at {ROWS_MAX:,}")
        return found

    def raw_rows(self) -> Iterator[RawRow]:
        for _, batch in self._batches():
            yield from batch

    def _batches(self) -> Iterator[tuple[int, list[RawRow]]]:
        """The number of bytes read after each block of the part, with the rows that it completes."""
        reader = RowReader(
            self._texts,
            self._converter_of,
            self._damage,
            recalculated=self._package.recalculated,
            hiding=self._hiding,
        )
        found = Elements((tag("sheetData"), tag("row")))
        parsing = parse(self.path, self._archive, self._part, found)
        self._running.add(parsing)
        try:
            for position in parsing:
                yield position, [reader.read(row) for row in found.take()]
        finally:
            self._running.discard(parsing)
            parsing.close()

    def table(self) -> Iterator[RawRow]:
        """As that of every workbook, but the blank rows below the last content are not read to their end."""
        return merged(self._filled_rows())

    def _filled_rows(self) -> Iterator[RawRow]:
        last = self.header_row
        content_end_bytes = self._scan.content_end_bytes
        for position, batch in self._batches():
            number = 0
            for raw in batch:
                number = raw.number
                if number <= self.header_row or raw.is_blank:
                    continue
                if number - last > BLANK_ROWS_MAX:
                    raise self.far_below(
                        last, f"cell {column_letters(min(raw.cells, default=0))}{number} holds something"
                    )
                last = number
                yield raw
            if number - last > BLANK_ROWS_MAX:
                if content_end_bytes > position:
                    raise self.far_below(last, "there is something further down")
                if content_end_bytes < position:
                    return

    def _damage(self, reason: str) -> SheetError:
        return damaged(self.path, f'sheet "{self.name}": {reason}')

    def _converter_of(self, style: int) -> Converter:
        """The converter of a style's number format, of which thousands of styles may have the same."""
        codes = self._package.codes
        code = codes[style] if 0 <= style < len(codes) else "General"
        found = self._converters.get(code)
        if found is None:
            found = self._converters[code] = converter(code, epoch_1904=self._package.epoch_1904)
        return found

    def _warn_of_merged_rows(self) -> None:
        found = self._scan
        if found.merged_below:
            more = found.merged_below - len(found.examples)
            shown = ", ".join(found.examples) + (f" and {more} more" if more else "")
            self.warnings.append(
                f"Cells below the headings are merged ({shown}): the value counts for the first cell only,"
                " the others are empty. Unmerge them in Excel and fill the value in where it belongs."
            )
