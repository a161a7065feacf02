"""Excel workbooks (.xlsx, .xlsm): values, not formulas, each as Excel shows it.

openpyxl's read-only rows leave out rows and cells that are not in order without a word, keep the last of two
cells in one place, show neither hidden rows nor a formula without a stored value from an empty cell, and end
over one bad date. So the elements are read here, and openpyxl reads what is in them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from openpyxl.cell.text import Text
from openpyxl.utils.cell import column_index_from_string
from openpyxl.utils.datetime import from_ISO8601
from openpyxl.worksheet.cell_range import CellRange

from importer.errors import SheetError
from importer.sheets.numbers import Converter, converter, date_cell_of, duration_cell, is_unseen, may_hide
from importer.sheets.package import Elements, SharedTexts, blocks, parse, read_package, tag
from importer.sheets.rows import BooleanCell, ErrorCell, NumberCell, column_letters, error_cell, plain_text
from importer.sheets.sheet import (
    BLANK_ROWS_MAX,
    COLUMNS_MAX,
    ROWS_MAX,
    SheetOptions,
    choose_sheet,
    unreadable,
)
from importer.sheets.workbook import NEVER_CALCULATED, RawRow, WorkbookSheet, merged
from importer.sheets.zip_safety import damaged, open_archive
from importer.text import quoted, shown

TAIL_MAX_BYTES: Final = 4096
HEADER_MERGES_MAX: Final = 20_000
EXAMPLES_MAX: Final = 3

HIDDEN_ROW: Final = re.compile(
    rb"<(?:\w+:)?row\s[^<>]*?\b(?:hidden\s*=\s*[\"'](?:1|true|on)|ht\s*=\s*[\"']0[.0]*)[\"']"
)
MERGE: Final = re.compile(
    rb"<(?:\w+:)?mergeCell\s[^<>]*?\bref\s*=\s*[\"']([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})[\"'][^<>]*>"
)
CONTENT: Final = re.compile(rb"<(?:\w+:)?[vt](?:\s[^<>]*)?>[^<]")
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(slots=True)
class Scan:
    """hidden: some row may be hidden. header_merges: those that touch the header's row. merged_below: how
    many ranges below it span several rows or columns, `examples` the first of them as Excel writes them.
    content_end_bytes: the end of the last block that holds a value; rows: how many it and those before hold.
    """

    hidden: bool = False
    header_merges: list[CellRange] = field(default_factory=list)
    merged_below: int = 0
    examples: list[str] = field(default_factory=list)
    content_end_bytes: int = 0
    rows: int = 0


def scan_worksheet(blocks: Iterable[bytes], header_row: int) -> Scan:
    """Search all of a worksheet's XML."""
    found = Scan()
    tail = b""
    position = rows = 0
    for block in blocks:
        window = tail + block
        position += len(block)
        rows += block.count(b"<row")
        if CONTENT.search(window):
            found.content_end_bytes, found.rows = position, rows
        if not found.hidden and (b"hidden" in window or b"ht=" in window):
            found.hidden = HIDDEN_ROW.search(window) is not None
        searched = 0
        if b"mergeCell" in window:
            for match in MERGE.finditer(window):
                _note_merge(found, match[1].decode("ascii"), header_row)
                searched = match.end()
        if not tail and block.startswith(UTF16_MARKS):
            found.hidden = True  # nothing can be found in it this way: have the rows counted
        # The tag that the window breaks off in is searched with what follows it.
        tail = window[max(searched, window.rfind(b"<")) :][:TAIL_MAX_BYTES]
    return found


def _note_merge(found: Scan, ref: str, header_row: int) -> None:
    merge = CellRange(ref)
    if merge.min_row <= header_row <= merge.max_row:
        if len(found.header_merges) < HEADER_MERGES_MAX:
            found.header_merges.append(merge)
    elif merge.min_row > header_row:
        found.merged_below += 1
        if len(found.examples) < EXAMPLES_MAX:
            found.examples.append(ref)


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
