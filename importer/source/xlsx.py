"""Excel workbooks (.xlsx, .xlsm): values, not formulas, each as Excel shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from importer.errors import SheetError
from importer.source.choice import choose_sheet
from importer.source.hostile import damaged, open_archive
from importer.source.numbers import Converter, converter
from importer.source.package import Package, SharedTexts, read_package
from importer.source.rows import Row, column_letters
from importer.source.sheet import Sheet, SheetOptions, unreadable
from importer.source.worksheet import RawRow, RowReader, column_index, read_rows
from importer.source.xmlparts import Blocks, blocks, feed, new_parser

BLANK_ROWS_MAX: Final = 10_000
"""So many blank rows on end are the end of the table."""

BLANK_HEADINGS_MAX: Final = 256
TAIL_MAX_BYTES: Final = 4096

HIDDEN_ROW: Final = re.compile(rb"<(?:\w+:)?row\s[^<>]*?\bhidden\s*=\s*[\"'](?:1|true)[\"']")
MERGE: Final = re.compile(
    rb"<(?:\w+:)?mergeCell\s[^<>]*?\bref\s*=\s*[\"']([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"
)
CONTENT: Final = re.compile(rb"<(?:\w+:)?[vt](?:\s[^<>]*)?>[^<]")


@dataclass(frozen=True, slots=True)
class Merge:
    """A merged range; its text stands in the first column of the first row. Column indexes, row numbers."""

    first_column: int
    first_row: int
    last_column: int
    last_row: int


class XlsxSheet(Sheet):
    """One worksheet of an .xlsx or .xlsm file; see the module."""

    family: Literal["text", "workbook"] = "workbook"

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError for a hostile or damaged file, or if no sheet can be chosen."""
        super().__init__(path, how)
        try:
            self._archive = open_archive(path)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            self._package: Package = read_package(path, self._archive)
            self.sheet_names = tuple(sheet.name for sheet in self._package.sheets if sheet.visible)
            chosen = choose_sheet(path, self._package.sheets, how.sheet)
            self.name, self._part = chosen.name, chosen.part
            merges, hidden = self._scan()
            self._texts = SharedTexts(path, self._archive, self._package.texts_part)
            self._read_header(merges)
            if hidden:
                self.hidden_rows = sum(raw.hidden for raw in self._table())
        except OSError as error:
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
                problem = None if max(cells) in columns else self._surplus(number, cells)
                yield Row(number, row, problem)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def close(self) -> None:
        self._archive.close()

    def _surplus(self, number: int, cells: dict[int, str]) -> str | None:
        widest = max(cells)
        return self.surplus(
            number, [cells.get(index, "") or " " * (index in cells) for index in range(widest + 1)]
        )

    def _raw_rows(self, part_blocks: Blocks) -> Iterator[RawRow]:
        parser = new_parser(self.path)
        reader = RowReader(self._texts, self._new_converter, self._damage)
        reader.attach(parser)

        def run(block: bytes) -> None:
            feed(self.path, self._part, parser, block, final=not block)

        return read_rows(part_blocks, run, reader)

    def _table(self) -> Iterator[RawRow]:
        """The rows with content below the header. Raises SheetError for content far below the table's end."""
        part_blocks = blocks(self.path, self._archive, self._part)
        last = self.header_row
        blank = 0
        try:
            for raw in self._raw_rows(part_blocks):
                if raw.number <= self.header_row:
                    continue
                if _is_blank(raw.cells):
                    blank += 1
                    if blank >= BLANK_ROWS_MAX:
                        self._check_rest(part_blocks, last)
                        return
                    continue
                if raw.number - last > BLANK_ROWS_MAX:
                    raise self._far(
                        last, f"cell {column_letters(min(raw.cells))}{raw.number} holds something"
                    )
                last, blank = raw.number, 0
                yield raw
        finally:
            part_blocks.close()

    def _check_rest(self, part_blocks: Blocks, last: int) -> None:
        """Nothing may stand below the assumed end: a raw search, since it can be a million formatted rows."""
        tail = b""
        for block in part_blocks:
            window = tail + block
            if CONTENT.search(window):
                raise self._far(last, "there is something further down")
            tail = window[window.rfind(b"<") :][-TAIL_MAX_BYTES:]

    def _far(self, last: int, what: str) -> SheetError:
        return SheetError(
            f"The table ends in row {last}, but {what}, over {BLANK_ROWS_MAX:,} blank rows below it.",
            where=self.place(),
            remedy="Delete it if it is there by mistake (Ctrl+End shows it);"
            " if it belongs to the table, delete the blank rows.",
        )

    def _damage(self, reason: str) -> SheetError:
        return damaged(self.path, f'sheet "{self.name}": {reason}')

    def _new_converter(self, style: str) -> Converter:
        codes = self._package.codes
        index = int(style)
        code = codes[index] if 0 <= index < len(codes) else "General"
        return converter(code, epoch_1904=self._package.epoch_1904)

    def _scan(self) -> tuple[list[Merge], bool]:
        """Merged ranges that touch the header's row, and whether any row is hidden, from the unparsed XML.

        Reads the whole part, so that a damaged file is refused at once.
        """
        merges: list[Merge] = []
        hidden = False
        tail = b""
        for block in blocks(self.path, self._archive, self._part):
            window = tail + block
            if not hidden and b"hidden" in window:
                hidden = HIDDEN_ROW.search(window) is not None
            if b"mergeCell" in window:
                merges += [
                    merge for merge in map(_merge, MERGE.findall(window)) if self._touches_header(merge)
                ]
            tail = window[window.rfind(b"<") :][-TAIL_MAX_BYTES:]
        return merges, hidden

    def _touches_header(self, merge: Merge) -> bool:
        return merge.first_row <= self.header_row <= merge.last_row

    def _read_header(self, merges: list[Merge]) -> None:
        """The header's texts; one merged from above counts, one merged to the right names one column."""
        tops = {(merge.first_row, merge.first_column) for merge in merges}
        kept: dict[tuple[int, int], str] = {}
        header: dict[int, str] = {}
        first_filled: int | None = None
        part_blocks = blocks(self.path, self._archive, self._part)
        try:
            for raw in self._raw_rows(part_blocks):
                if first_filled is None and not _is_blank(raw.cells):
                    first_filled = raw.number
                kept |= {at: raw.cells[at[1]] for at in tops if at[0] == raw.number and at[1] in raw.cells}
                if raw.number == self.header_row:
                    header = dict(raw.cells)
                if raw.number >= self.header_row and first_filled is not None:
                    break
        finally:
            part_blocks.close()
        for merge in merges:
            text = kept.get((merge.first_row, merge.first_column), "")
            header.setdefault(merge.first_column, text)
            if merge.last_column > merge.first_column and text:
                self._warn_of_wide_heading(merge, text)
        self._check_gaps(header)
        width = max(header, default=-1) + 1
        self.adopt_header([header.get(index, "") for index in range(width)], first_filled)
        if len(self.header) == 1:
            self.warnings.append(
                f'Row {self.header_row} holds one heading only, "{self.header[0]}". If that is a title, say'
                " with `header_row:` in the mapping which row holds the headings."
            )

    def _warn_of_wide_heading(self, merge: Merge, text: str) -> None:
        first, last = column_letters(merge.first_column), column_letters(merge.last_column)
        self.warnings.append(
            f'The heading "{text.strip()}" is merged over columns {first} to {last}: it names column {first}'
            " only; the others have no heading."
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


def _merge(found: tuple[bytes, bytes, bytes, bytes]) -> Merge:
    first_column, first_row, last_column, last_row = found
    return Merge(
        column_index(first_column.decode()), int(first_row), column_index(last_column.decode()), int(last_row)
    )


def _is_blank(cells: dict[int, str]) -> bool:
    return all(cell.isspace() for cell in cells.values())
