"""OpenDocument spreadsheets (.ods), streamed: values, what is shown of numbers, hidden rows, error cells.

odfpy, the library for the format, builds the whole document: 20,000 rows of ten cells took it 8.8 seconds and
539 MB (measured), beyond what one file may take here. So `content.xml` is read row by row.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from importer.errors import SheetError
from importer.sheets.detect import damaged, open_archive
from importer.sheets.numbers import (
    DAY_S,
    GENERAL_DIGITS_MAX,
    FormatKind,
    converter,
    date_cell,
    date_cell_of,
    duration_cell,
)
from importer.sheets.package import DEPTH_MAX, parse
from importer.sheets.rows import BooleanCell, ErrorCell, NumberCell, column_letters, error_cell, sendable
from importer.sheets.sheet import COLUMNS_MAX, Worksheet
from importer.sheets.text_damage import ERRORS, OFFICE_ERROR
from importer.sheets.workbook import NEVER_CALCULATED, RawRow, nothing_typed, range_name
from importer.text import quoted

REPEATED_CELLS_MAX: Final = 2_000_000
"""A row element for so many cells with content is not one that a person made."""
MANIFEST_MAX_BYTES: Final = 1 << 20
SHOWN_MAX_CHARACTERS: Final = 100
OTHERWISE: Final = "?"
"""A number format that shows something else than the number, and is not read."""
TEXT_MAX_CHARACTERS: Final = 4 << 20

_SPACES: Final = {
    name: f"{{urn:oasis:names:tc:opendocument:xmlns:{uri}:1.0}}"
    for name, uri in {
        "office": "office", "table": "table", "text": "text", "style": "style", "number": "datastyle",
        "calcext": "calcext",
    }.items()
}  # fmt: skip


def _name(short: str) -> str:
    """`table:table-row` as the parser names it."""
    space, _, local = short.partition(":")
    return f"{_SPACES[space]}{local}"


TABLE, ROW, GROUP = _name("table:table"), _name("table:table-row"), _name("table:table-row-group")
CELL_TAGS: Final = frozenset((_name("table:table-cell"), _name("table:covered-table-cell")))
COLUMN: Final = _name("table:table-column")
PARENTS: Final = (TABLE, GROUP, _name("table:table-header-rows"), _name("table:table-rows"))
WANTED: Final = (
    *((parent, ROW) for parent in PARENTS), (TABLE, COLUMN), (_name("table:table-columns"), COLUMN)
)  # fmt: skip
SUBTABLE: Final = _name("table:is-sub-table")
STYLE, TABLE_NAME, STYLE_NAME = _name("style:style"), _name("table:name"), _name("style:name")
CELL_STYLE, DISPLAY = _name("table:style-name"), _name("table:display")
ROWS_REPEATED, COLUMNS_REPEATED = _name("table:number-rows-repeated"), _name("table:number-columns-repeated")
ROWS_SPANNED, COLUMNS_SPANNED = _name("table:number-rows-spanned"), _name("table:number-columns-spanned")
VALUE, VALUE_TYPE = _name("office:value"), _name("office:value-type")
FORMULA_ATTRIBUTE: Final = _name("table:formula")
PARAGRAPH, SPACE = _name("text:p"), _name("text:s")
UNSHOWN: Final = frozenset((_name("office:annotation"), _name("text:note"), _name("text:ruby-text")))
"""What is inside of a text and not part of it: comments above all."""

_LITERALS: Final = {SPACE: "\ufdd0", _name("text:tab"): "\ufdd1", _name("text:line-break"): "\ufdd2"}
_TO_TEXT: Final = str.maketrans({"\ufdd0": " ", "\ufdd1": "\t", "\ufdd2": "\n"})
FLAT: Final = re.compile(r"0(\.0*)?[a-z]*", re.ASCII)
_DURATION: Final = re.compile(r"(-?)P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.ASCII)
_BY_THOUSANDS: Final = re.compile(r"\d{1,3}(?:[.,'\s]\d{3})+", re.ASCII)
_SHOWN_NUMBER: Final = re.compile(r"([^0-9+-]*)([+-]?)([0-9](?:[0-9.,'\s]*[0-9])?)([^0-9]*)", re.DOTALL)


class OdsBook:
    """An .ods file, looked over once."""

    def __init__(self, path: Path) -> None:
        """Raises SheetError if it is damaged or encrypted."""
        self._path = path
        self.merges: list[str] = []
        self._archive = open_archive(path)
        self._refuse_encrypted()
        self._flat: set[str] = set()
        """Styles of rows of no height."""
        self._durations: set[str] = set()
        """Styles of cells that show hours beyond a day."""
        self.worksheets = list(self._outline())
        if not self.worksheets:
            raise damaged(path, "it has no sheet")

    def _refuse_encrypted(self) -> None:
        names = {name.lower() for name in self._archive.namelist()}
        manifest = b""
        if "meta-inf/manifest.xml" in names:
            with self._archive.open("META-INF/manifest.xml") as stream:
                manifest = stream.read(MANIFEST_MAX_BYTES)
        if b"encryption-data" in manifest or "encrypted-package" in names:
            raise SheetError(
                "The workbook is encrypted with a password.",
                where=self._path.name,
                remedy="Open it in LibreOffice and save it without a password.",
            )

    def _outline(self) -> Iterator[Worksheet]:
        """A first look: which tables there are, and the styles that matter."""
        style = ""
        endless: set[str | None] = set()
        hidden: set[str | None] = set()
        shared = ["styles.xml"] if "styles.xml" in self._archive.namelist() else []
        # Cell formats of converted workbooks are in the first.
        parts = (parse(self._path, self._archive, part) for part in (*shared, "content.xml"))
        for parsed in itertools.chain.from_iterable(parts):
            for element in parsed.begun:
                if (
                    element.tag == TABLE
                    and element.get(TABLE_NAME) is not None
                    and element.get(SUBTABLE) != "true"
                ):
                    yield Worksheet(element.get(TABLE_NAME, ""), element.get(CELL_STYLE) not in hidden)
                elif element.tag == _name("number:time-style"):
                    if element.get(_name("number:truncate-on-overflow")) == "false":
                        endless.add(element.get(STYLE_NAME))
                elif element.tag == STYLE:
                    style = element.get(STYLE_NAME, "")
                    if element.get(_name("style:data-style-name")) in endless:
                        self._durations.add(style)
                elif element.tag == _name("style:table-properties") and element.get(DISPLAY) == "false":
                    hidden.add(style)
                elif element.tag == _name("style:table-row-properties") and FLAT.fullmatch(
                    element.get(_name("style:row-height"), "")
                ):
                    self._flat.add(style)

    def rows(self, name: str) -> Iterator[RawRow]:
        """The rows of that sheet that have cells. Raises SheetError."""
        defaults: list[str] = []
        number = 1
        for parsed in parse(self._path, self._archive, "content.xml", *WANTED):
            for around, element in parsed.found:
                if not any(each.tag == TABLE and each.get(TABLE_NAME) == name for each in around):
                    continue
                if element.tag == COLUMN:
                    style = element.get(_name("table:default-cell-style-name"), "")
                    defaults += [style] * min(
                        _repeated(element, COLUMNS_REPEATED), COLUMNS_MAX - len(defaults)
                    )
                    continue
                repeated = _repeated(element, ROWS_REPEATED)
                folded = any(each.tag == GROUP and each.get(DISPLAY) == "false" for each in around)
                raw = self._row(element, number, defaults, hidden=folded or self._is_hidden(element))
                if len(raw.cells) * repeated > REPEATED_CELLS_MAX:
                    raise damaged(self._path, f"its row {number} is repeated {repeated:,} times")
                if raw.cells or raw.problem:
                    for at in range(number, number + repeated):
                        yield raw._replace(number=at)
                number += repeated

    def _is_hidden(self, row: Element) -> bool:
        return row.get(_name("table:visibility"), "visible") != "visible" or row.get(CELL_STYLE) in self._flat

    def _row(self, row: Element, number: int, defaults: list[str], *, hidden: bool) -> RawRow:
        """The row, and its merged ranges into `merges`. Raises SheetError."""
        cells: dict[int, str] = {}
        formulas: list[int] = []
        unseen: list[int] = []
        column = 0
        problem = None
        for element in row:
            if element.tag not in CELL_TAGS:
                continue
            repeated = _repeated(element, COLUMNS_REPEATED)
            if len(element) or element.attrib.keys() - {COLUMNS_REPEATED, CELL_STYLE}:
                below, right = _repeated(element, ROWS_SPANNED) - 1, _repeated(element, COLUMNS_SPANNED) - 1
                if below or right:
                    self.merges.append(range_name(number - 1, column, number - 1 + below, column + right))
                style = element.get(CELL_STYLE) or (defaults[column] if column < len(defaults) else "")
                try:
                    text = _cell(element, endless=style in self._durations)
                except (ValueError, ArithmeticError):
                    text, problem = "", _unreadable(column, element)
                if text or isinstance(text, ErrorCell):
                    if column + repeated > COLUMNS_MAX:
                        raise damaged(self._path, f"it has more than {COLUMNS_MAX:,} columns")
                    places = range(column, column + repeated)
                    cells.update(dict.fromkeys(places, text))
                    if element.get(FORMULA_ATTRIBUTE) is not None:
                        formulas += places
                    paragraph = element.find(PARAGRAPH)  # programs that do not calculate write none
                    if isinstance(text, NumberCell) and paragraph is not None and not _text(paragraph):
                        unseen += places
            column += repeated
        unfilled = nothing_typed(cells, formulas)
        return RawRow(number, hidden, cells, problem, (), unseen, unfilled)


def _unreadable(column: int, cell: Element) -> str:
    stored = next((text for name, text in cell.attrib.items() if name.endswith("value")), "")
    return (
        f"The cell in column {column_letters(column)} is stored as {cell.get(VALUE_TYPE)}, but holds"
        f" {quoted(stored)}: the file is damaged there. Enter the value again and save it."
    )


def _repeated(element: Element, name: str) -> int:
    """How many rows or cells an element is for."""
    text = element.get(name, "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


def _cell(cell: Element, *, endless: bool) -> str:
    """One of our cells. endless: its format shows hours beyond a day. Raises ValueError."""
    kind = cell.get(VALUE_TYPE, "")
    paragraphs = [_text(child) for child in cell if child.tag == PARAGRAPH]
    text = "\n".join(paragraphs)
    formula = cell.get(FORMULA_ATTRIBUTE) is not None
    if cell.get(_name("calcext:value-type")) == "error" or (formula and _is_error(text)):
        return error_cell(text or "#ERROR!")
    match kind:
        case "float" | "percentage" | "currency":
            stored = cell.get(VALUE, "")
            code = _code_of(text, float(stored), kind, cell.get(_name("office:currency"), ""))
            found = converter(code, epoch_1904=False)(repr(float(stored)))
        case "date":
            found = _date(cell.get(_name("office:date-value"), ""))
        case "time":
            found = _time(cell.get(_name("office:time-value"), ""), text, endless=endless)
        case "boolean":
            found = BooleanCell("TRUE" if cell.get(_name("office:boolean-value")) == "true" else "FALSE")
        case "" if formula:
            found = ErrorCell("", NEVER_CALCULATED)
        case _:
            stored = cell.get(_name("office:string-value"), "")
            # LibreOffice writes blanks that follow each other as they are, and the value beside them.
            found = sendable(stored if not paragraphs or stored.split() == text.split() else text)
    return found


def _is_error(text: str) -> bool:
    return text in ERRORS or OFFICE_ERROR.fullmatch(text) is not None


def _text(element: Element) -> str:
    """A paragraph's text: white space of the file is one blank, what its tags mean is kept. Raises ValueError
    for one that few tags make endless."""
    pieces: list[str] = []
    length = 0
    for piece in _pieces(element):
        length += len(piece)
        if length > TEXT_MAX_CHARACTERS:
            raise ValueError("a text without end")
        pieces.append(piece)
    return re.sub(r"[ \t\r\n]+", " ", "".join(pieces)).strip(" ").translate(_TO_TEXT)


def _pieces(element: Element, depth: int = 0) -> Iterator[str]:
    if depth > DEPTH_MAX:
        raise ValueError("tags in tags without end")
    yield element.text or ""
    for child in element:
        if child.tag in _LITERALS:
            blanks = child.get(_name("text:c"), "1")
            yield _LITERALS[child.tag] * (min(int(blanks), 32_767) if blanks.isdecimal() else 1)
        elif child.tag not in UNSHOWN:
            yield from _pieces(child, depth + 1)
        yield child.tail or ""


def _code_of(text: str, value: float, kind: str, currency: str) -> str:
    """The number format that shows the number as the file says; `General` where that is not clear."""
    match = _SHOWN_NUMBER.fullmatch(text.strip()) if len(text) <= SHOWN_MAX_CHARACTERS else None
    places = (
        None
        if match is None
        else _places(match[3].strip(), abs(value) * (100 if kind == "percentage" else 1))
    )
    digits = "0" if places is None else places
    if kind == "percentage":
        return f"{digits}%"
    if kind == "currency":
        return f"[${currency or '¤'}] {digits}"
    if text.strip() and '"' not in text and not any(map(str.isdecimal, text)) and text.strip("#"):
        return f'"{text.strip()}"'  # TRUE, as LibreOffice writes it for 1; Yes, or a sign
    if match is None or places is None or '"' in text or (value < 0 and match[2] != "-"):
        return OTHERWISE if text.strip("# ") and not _is_general(text.strip(), value) else "General"
    prefix = match[1] + (match[2] if value >= 0 else "")
    before, after = (f'"{part}"' if part.strip() else "" for part in (prefix, match[4]))
    plain = not before and not after and _is_general(match[3], abs(value))
    return "General" if plain and len(match[3]) <= GENERAL_DIGITS_MAX else f"{before}{digits}{after}"


def _is_general(shown: str, value: float) -> bool:
    return shown.strip().replace(",", ".") == format(value, ".15g")


def _places(shown: str, value: float) -> str | None:
    """`#,##0.00` for `1,234.50`: the digits of a format that shows the value so, whichever mark is the
    decimal
    one; None if it is shown in another way."""
    for mark in ".,":
        whole, _, decimals = shown.rpartition(mark) if mark in shown else (shown, "", "")
        digits = re.sub(r"\D", "", whole)
        if not digits or not (decimals == "" or decimals.isdecimal()) or mark in whole:
            continue
        off = abs(float(f"{digits}.{decimals or 0}") - value)
        if off <= 0.5000001 * 10.0 ** -len(decimals):
            if len(digits) == len(whole):
                least = "0" * (len(digits) if digits.startswith("0") else 1)
            elif _BY_THOUSANDS.fullmatch(whole):
                least = "#,##0"
            else:  # 12,75,000, or a telephone number: each digit in its place
                least = "".join("0" if sign.isdecimal() else f'"{sign}"' for sign in whole)
            return f"{least}.{'0' * len(decimals)}" if decimals else least
    return None


def _date(text: str) -> str:
    """The cell of an ISO date or date-time. Raises ValueError."""
    if len(text) <= 10:
        return date_cell_of(dt.date.fromisoformat(text))
    return date_cell_of(dt.datetime.fromisoformat(text))


def _time(text: str, shown: str, *, endless: bool) -> str:
    """The cell of an ISO duration: a time of day, or a duration. shown: what is seen, if that is known; of a
    date with a time, only the time. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:30]} is not a time")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups()[1:])
    total_s = days * DAY_S + hours * 3600 + minutes * 60 + seconds
    all_hours = f"{int(total_s + 0.5) // 3600}:".lstrip("0")
    as_hours = not shown or shown.lstrip("-0").startswith(all_hours)
    if total_s >= DAY_S and not (match[1] or endless or as_hours):
        return date_cell(total_s / DAY_S, "h:mm:ss", FormatKind.TIME, epoch_1904=False)
    if match[1] or total_s >= DAY_S or endless:
        return duration_cell((-total_s if match[1] else total_s) / DAY_S, "[h]:mm:ss" if as_hours else "[s]")
    whole = int(total_s + 0.5) % DAY_S
    return date_cell_of(dt.time(whole // 3600, whole // 60 % 60, whole % 60))
