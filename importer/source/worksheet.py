"""A worksheet's XML as a stream of rows, in one pass.

expat is used directly. openpyxl's read-only mode takes about three times as long, holds every shared text as
a `str`, and tells neither hidden rows nor a formula without a stored value from an empty cell (that takes a
second pass); its `dimension` shortcut loses whole sheets that some exporters write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from xml.parsers import expat

from importer.errors import SheetError
from importer.source.dates import iso_cell
from importer.source.numbers import Converter
from importer.source.rows import BooleanCell, ErrorCell
from importer.source.sheet import COLUMNS_MAX, ROWS_MAX
from importer.source.xmlparts import is_true
from importer.source.xmltext import plain_text

CELL_MAX_CHARACTERS: Final = 1 << 20
DIGITS: Final = "0123456789"
REFERENCE: Final = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})\Z")

NEVER_CALCULATED: Final = (
    "The cell holds a formula whose result is not stored. Open the workbook in Excel, which calculates it,"
    " and save it."
)


class RawRow(NamedTuple):
    """number: as Excel shows it. hidden: by filter or by hand. cells: by column index, empty ones absent."""

    number: int
    hidden: bool
    cells: dict[int, str]


def error_cell(text: str) -> ErrorCell:
    """The cell of an error value such as `#N/A`."""
    return ErrorCell(text, f"The cell shows {text}, an error. Mend its formula, or enter the value.")


Damage = Callable[[str], SheetError]


def column_index(letters: str) -> int:
    """The index of a column named by letters: A is 0, AA is 26."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1


class RowReader:
    """Handlers of one expat parser; finished rows gather in `done` until the caller takes them."""

    __slots__ = (
        "_cells",
        "_collecting",
        "_column",
        "_columns",
        "_converters",
        "_damage",
        "_formula",
        "_hidden",
        "_kind",
        "_new_converter",
        "_number",
        "_phonetic",
        "_prefix",
        "_shared",
        "_style",
        "_text",
        "_value",
        "done",
    )

    def __init__(
        self, shared: Callable[[str], str], new_converter: Callable[[str], Converter], damage: Damage
    ) -> None:
        """shared: index text → shared text. new_converter: style index → what converts its numbers."""
        self.done: list[RawRow] = []
        self._shared = shared
        self._new_converter = new_converter
        self._converters: dict[str, Converter] = {}
        self._damage = damage
        self._columns: dict[str, int] = {}
        self._prefix = ""
        self._number = 0
        self._hidden = False
        self._cells: dict[int, str] = {}
        self._column = -1
        self._kind = self._style = self._text = ""
        self._formula = self._value = self._collecting = self._phonetic = False

    def take(self) -> list[RawRow]:
        """The rows finished since the last call."""
        rows, self.done = self.done, []
        return rows

    def attach(self, parser: expat.XMLParserType) -> None:
        """Let the parser call this reader."""
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._prefix:
            tag = tag.removeprefix(self._prefix)
        if tag == "c":
            self._start_cell(attributes)
        elif tag == "v":
            self._collecting = self._value = True
        elif tag == "f":
            self._formula = True
        elif tag == "t":
            self._collecting = not self._phonetic
        elif tag == "row":
            self._start_row(attributes)
        elif tag == "rPh":
            self._phonetic = True
        elif tag.endswith(":worksheet"):
            self._prefix = tag.removesuffix("worksheet")

    def _start_row(self, attributes: dict[str, str]) -> None:
        given = attributes.get("r")
        number = self._number + 1
        if given is not None:
            if not (given.isascii() and given.isdigit()) or int(given) < number:
                raise self._damage(f"row {given[:20]} follows row {self._number}")
            number = int(given)
        if number > ROWS_MAX:
            raise self._damage(f"it has a row {number:,}, and a sheet ends at {ROWS_MAX:,}")
        self._number = number
        self._hidden = is_true(attributes.get("hidden"))
        self._column = -1
        self._cells = {}

    def _start_cell(self, attributes: dict[str, str]) -> None:
        get = attributes.get
        reference = get("r")
        if reference is None:
            self._column += 1
        else:
            letters = reference.rstrip(DIGITS)
            column = self._columns.get(letters)
            self._column = self._new_column(reference) if column is None else column
        self._kind = get("t", "n")
        self._style = get("s", "0")
        self._text = ""
        self._formula = self._value = False

    def _new_column(self, reference: str) -> int:
        match = REFERENCE.match(reference.upper())
        if match is None or column_index(match[1]) >= COLUMNS_MAX:
            raise self._damage(f"there is no cell {reference[:20]}")
        return self._columns.setdefault(reference.rstrip(DIGITS), column_index(match[1]))

    def _characters(self, text: str) -> None:
        if self._collecting:
            self._text = self._text + text if self._text else text
            if len(self._text) > CELL_MAX_CHARACTERS:
                raise self._damage(
                    f"a cell of row {self._number} holds over {CELL_MAX_CHARACTERS:,} characters"
                )

    def _end(self, tag: str) -> None:
        if self._prefix:
            tag = tag.removeprefix(self._prefix)
        if tag == "v" or tag == "t":  # noqa: PLR1714 - measured: this runs four million times
            self._collecting = False
        elif tag == "c":
            if self._text or self._formula:
                self._end_cell()
        elif tag == "row":
            self.done.append(RawRow(self._number, self._hidden, self._cells))
        elif tag == "rPh":
            self._phonetic = False

    def _end_cell(self) -> None:
        text, kind = self._text, self._kind
        try:
            if kind == "s":
                cell = self._shared(text)
            elif kind == "n":
                cell = self._number_cell(text)
            else:
                cell = self._other_cell(text, kind)
        except ValueError as error:
            raise self._damage(f"a cell of row {self._number} cannot be read: {error}") from error
        if cell or isinstance(cell, ErrorCell):
            if self._column in self._cells:
                raise self._damage(f"row {self._number} has a cell twice")
            self._cells[self._column] = cell

    def _number_cell(self, text: str) -> str:
        if not text:
            return ErrorCell("", NEVER_CALCULATED)
        convert = self._converters.get(self._style)
        if convert is None:
            convert = self._converters[self._style] = self._new_converter(self._style)
        return convert(text)

    def _other_cell(self, text: str, kind: str) -> str:
        match kind:
            case "str" | "inlineStr":
                if self._formula and not self._value:
                    return ErrorCell("", NEVER_CALCULATED)
                return plain_text(text)
            case "b" if text:
                return BooleanCell("TRUE" if is_true(text) else "FALSE")
            case "e" if text:
                return error_cell(text)
            case "d" if text:
                return iso_cell(text)
            case "b" | "e" | "d":
                return ErrorCell("", NEVER_CALCULATED)
            case _:
                raise ValueError(f"unknown cell type {kind[:20]}")
