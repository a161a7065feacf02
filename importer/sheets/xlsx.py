"""Excel workbooks (.xlsx, .xlsm): values, not formulas, each as Excel shows it.

openpyxl's read-only rows leave out rows and cells that are not in order without a word, keep the last of two
cells in one place, show neither hidden rows nor a formula without a stored value from an empty cell, and end
over one bad date. So the elements are read here, and openpyxl reads what is in them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from openpyxl.utils.cell import column_index_from_string
from openpyxl.utils.datetime import from_ISO8601

from importer.errors import SheetError
from importer.sheets.detect import damaged, open_archive
from importer.sheets.numbers import Converter, converter, date_cell_of, duration_cell, hides, shown_words
from importer.sheets.package import STRUCK, Parsed, SharedTexts, blocks, item_text, parse, read_package, tag
from importer.sheets.rows import BooleanCell, ErrorCell, column_letters, error_cell, plain_text
from importer.sheets.sheet import (
    BLANK_ROWS_MAX,
    COLUMNS_MAX,
    ROWS_MAX,
    SheetOptions,
    choose_sheet,
    unreadable,
)
from importer.sheets.workbook import NEVER_CALCULATED, Merges, RawRow, WorkbookSheet, nothing_typed
from importer.text import quoted, shown

TAIL_MAX_BYTES: Final = 4096

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
    """hidden: some row may be hidden. content_end_bytes: the end of the last block that holds a value; rows:
    how many it and those before hold.
    """

    hidden: bool = False
    merges: Merges = field(default_factory=Merges)
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
                found.merges.add(match[1].decode("ascii"), header_row)
                searched = match.end()
        if not tail and block.startswith(UTF16_MARKS):
            found.hidden = True  # nothing can be found in it this way: have the rows counted
        # The tag that the window breaks off in is searched with what follows it.
        tail = window[max(searched, window.rfind(b"<")) :][:TAIL_MAX_BYTES]
    return found


RICH_VALUE: Final = (
    "The cell holds a picture or a linked data type (such as Stocks or Geography), which is not a text."
    " Enter the value as text."
)
CELL: Final = tag("c")
FORMULA: Final = tag("f")
INLINE: Final = tag("is")
VALUE: Final = tag("v")
BOOLEANS: Final = {"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}


class XlsxSheet(WorkbookSheet):
    """One worksheet of an .xlsx or .xlsm file; see the module."""

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError for a hostile or damaged file, or if no sheet can be chosen."""
        super().__init__(path, how)
        self._running: set[Generator[Parsed, None, None]] = set()
        try:
            self._archive = open_archive(path)
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error
        try:
            self._package = read_package(path, self._archive)
            codes, epoch_1904 = ("General", *self._package.codes), self._package.epoch_1904
            self._general, *self._styles = [(code, converter(code, epoch_1904=epoch_1904)) for code in codes]
            self.sheet_names = tuple(sheet.name for sheet in self._package.sheets if sheet.visible)
            chosen = choose_sheet(path, self._package.sheets, how.sheet)
            self.name, self._part = chosen.name, chosen.part
            self._scan = self._scanned()
            self._texts = SharedTexts(path, self._archive, self._package.texts_part)
            self.read_header(self._scan.merges)
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

    def _scanned(self) -> Scan:
        found = scan_worksheet(blocks(self.path, self._archive, self._part), self.header_row)
        if found.rows > ROWS_MAX:
            raise self._damage(f"it has a row {ROWS_MAX + 1:,}, and a sheet ends at {ROWS_MAX:,}")
        return found

    def stored_rows(self) -> Iterator[RawRow]:
        """Below the header only as far as there is content: blank rows after it are not read to their end."""
        parsing = parse(self.path, self._archive, self._part, (tag("sheetData"), tag("row")))
        self._running.add(parsing)
        number, last = 0, self.header_row
        try:
            for position, _, found in parsing:
                for _, element in found:
                    raw = self._row(element, number)
                    number = raw.number
                    last = max(last, number) if raw.cells else last
                    yield raw
                blank = number - last > BLANK_ROWS_MAX
                if found and blank and self.header and self._scan.content_end_bytes <= position:
                    return
        finally:
            self._running.discard(parsing)
            parsing.close()

    def _damage(self, reason: str) -> SheetError:
        return damaged(self.path, f'sheet "{self.name}": {reason}')

    def _unreadable_row(self, number: int, reason: str) -> SheetError:
        return self._damage(f"row {number} cannot be read: {reason}")

    def _row(self, row: Element, before: int) -> RawRow:
        """The row; what makes no sense in one of its cells is a problem of it. before: the last row's number.
        Raises SheetError for a row that is where no row can be."""
        number = self._row_number(row.get("r"), before)
        ending = str(number)
        cells: dict[int, str] = {}
        formulas: list[int] = []
        struck: list[int] = []
        unseen: list[int] = []
        problem: str | None = None
        column = -1
        for element in row:
            if element.tag != CELL:
                continue
            place = element.get("r")
            column = column + 1 if place is None else self._column(place, number, ending)
            try:
                style = int(element.get("s") or 0)
                code, convert = self._styles[style] if 0 <= style < len(self._styles) else self._general
                text = self._text(element, convert, number)
                if text[:1] == STRUCK and type(text) is str:
                    text = text[1:]
                    struck.append(column)
                text = shown_words(text, code) if "@" in code else text
            except LookupError as error:
                raise self._unreadable_row(number, str(error)) from None
            except (ValueError, ArithmeticError):
                problem = _unreadable(column, number, element)
                continue
            if not text and not isinstance(text, ErrorCell):
                continue
            if column in cells:
                raise self._unreadable_row(number, "it has a cell twice")
            cells[column] = text
            if element.find(FORMULA) is not None:
                formulas.append(column)
            if (";" in code or "#" in code) and hides(code, text):
                unseen.append(column)
        unfilled = nothing_typed(cells, formulas)
        again = formulas if self._package.recalculated else ()
        return RawRow(number, _is_hidden(row), cells, problem, again, unseen, unfilled, struck)

    def _row_number(self, text: str | None, before: int) -> int:
        if text is None:
            number = before + 1
        elif text.isdecimal() and len(text) < 20:
            number = int(text)
        else:
            raise self._damage(f"row {shown(text, 20)} cannot be read")
        if number > ROWS_MAX:
            raise self._damage(f"it has a row {number:,}, and a sheet ends at {ROWS_MAX:,}")
        return number

    def _column(self, place: str, number: int, ending: str) -> int:
        """The index of a cell's column. ending: the row's number as text. Raises SheetError."""
        column = _column_index(place.removesuffix(ending))
        if column is None:
            raise self._unreadable_row(number, f"there is no cell {shown(place, 20)} in it")
        return column

    def _text(self, cell: Element, convert: Converter, number: int) -> str:
        value = cell.findtext(VALUE)
        kind = cell.get("t", "n")
        inside = cell.find(INLINE)
        if inside is not None and (kind == "inlineStr" or not value):
            return plain_text(item_text(inside))
        if not value:
            return _without_value(cell, kind, value)
        match "str" if kind == "inlineStr" else kind:  # some programs write one way and name the other
            case "s":
                text = plain_text(self._texts[int(value)])
            case "n":
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
                raise self._unreadable_row(number, f"unknown cell type {shown(kind, 20)}")
        return text


def _without_value(cell: Element, kind: str, value: str | None) -> str:
    if kind == "e" and cell.get("vm"):
        return ErrorCell("", RICH_VALUE)
    stored = value is not None and kind in ("s", "str")
    return ErrorCell("", NEVER_CALCULATED) if not stored and cell.find(FORMULA) is not None else ""


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


def _iso_cell(text: str) -> str:
    """The cell of a date written as ISO 8601. Raises ValueError."""
    value = from_ISO8601(text)  # type: ignore[no-untyped-call]
    if isinstance(value, dt.timedelta):
        return duration_cell(value / dt.timedelta(days=1), "[h]:mm:ss")
    if not isinstance(value, (dt.date, dt.time)):
        raise ValueError(f"{text} is not a date")  # noqa: TRY004 - it is the text that is wrong
    return date_cell_of(value)
