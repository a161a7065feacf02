"""What a spreadsheet gives, whatever its format: a header and a stream of rows of cells.

A cell *is* the text that the person sees, so everything downstream treats it as `str`. Cells of a
workbook that hold something other than text are one of the `str` subclasses below: the text stays what
is seen, and what the workbook stored rides along (a date needs no parsing; the results file can write
a number as a number).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import json.encoder
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

from importer.errors import damaged
from importer.findings import CellFinding

DIGITS_LIMIT: Final = 1e15
"""From here on a number has 16 digits, of which Excel keeps 15."""


def number_text(value: float) -> str:
    """The number in full: `1234.5`, `0.3`, `0.00000015`, `1500`."""
    if value == int(value) and abs(value) < DIGITS_LIMIT:
        return str(int(value))
    text = format(value, ".15g")
    return format(Decimal(text), "f") if "e" in text else text


class NumberCell(str):
    """A number. The text is what its format shows, where that is digits, zeros, decimal places, grouping or
    literal texts, else the number in full; `value` is what the workbook stores, `code` its number format."""

    __slots__ = ("code", "value")
    value: float
    code: str

    def __new__(cls, text: str, value: float, code: str = "General") -> Self:
        cell = super().__new__(cls, text)
        cell.value, cell.code = value, code
        return cell

    @property
    def plain(self) -> str:
        """The number in full, whatever its format shows: 15 significant digits, no exponent."""
        return number_text(self.value)


class DateCell(str):
    """A date, date-time or time of day. The text is ISO (`YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS`, `HH:MM:SS`)."""

    __slots__ = ("code", "value")
    value: dt.date | dt.datetime | dt.time
    code: str

    def __new__(cls, text: str, value: dt.date | dt.datetime | dt.time, code: str = "") -> Self:
        cell = super().__new__(cls, text)
        cell.value, cell.code = value, code
        return cell


class DurationCell(str):
    """A duration, text `h:mm:ss`; `seconds` as stored."""

    __slots__ = ("code", "seconds")
    seconds: float
    code: str

    def __new__(cls, text: str, seconds: float, code: str = "[h]:mm:ss") -> Self:
        cell = super().__new__(cls, text)
        cell.seconds, cell.code = seconds, code
        return cell


class BooleanCell(str):
    """`TRUE` or `FALSE`, as Excel shows it."""

    __slots__ = ()


ERROR_WORDS: Final = frozenset(("#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"))
"""The errors that any workbook may hold; newer Excels know more."""


class ErrorCell(str):
    """A cell without a usable value: the text is what is seen (`#N/A`, or empty for a formula that was
    never calculated), `reason` says for a person why it cannot be sent and what to do."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, text: str, reason: str) -> Self:
        cell = super().__new__(cls, text)
        cell.reason = reason
        return cell


Cells = tuple[str, ...]


class Row(NamedTuple):
    """One record. `number` is the row number that Excel shows. `cells` is as long as the header;
    `problem` is set when the record cannot be trusted as a whole (content beyond the last heading).
    `findings`: what the file itself shows about single cells, whatever the mapping says of them."""

    number: int
    cells: Cells
    problem: str | None = None
    findings: tuple[CellFinding, ...] = ()


COLUMN_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def column_letters(index: int) -> str:
    """Excel's name of the column at `index` (0 is A, 26 is AA)."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = COLUMN_LETTERS[rest] + letters
    return letters


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()
quote: Final = json.encoder.encode_basestring


def encode_cells(cells: Iterable[str]) -> str:
    """Cells as one line of JSON, types kept; `decode_cells` gives equal cells back."""
    quoted = [quote(cell) if type(cell) is str else _ENCODER.encode(_encode_typed(cell)) for cell in cells]
    return f"[{','.join(quoted)}]"


class CellsDigest:
    """The identity of a sheet's contents: its cells' texts in order, whatever the format and row numbers.

    Types do not count, so that a workbook and the CSV saved from it agree where they show the same.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def add(self, cells: Iterable[str], line: str | None = None) -> None:
        """The next row. line: what `encode_cells` made of it, if it is at hand."""
        # Without a further bracket there are plain texts only, and they are quoted already.
        texts = ",".join(map(quote, cells)) if line is None or "[" in line[1:] else line[1:-1]
        self._hash.update(f"\n{texts}".encode("utf-8", "surrogatepass"))

    def hexdigest(self) -> str:
        """64 characters for what was added so far."""
        return self._hash.hexdigest()


def decode_cells(line: str) -> Cells:
    """The cells that `encode_cells` wrote. Raises StoreError for anything else."""
    try:
        cells, _ = _DECODER.raw_decode(line)
        if line.find("[", 1) < 0:  # plain texts all of them, as of a CSV file
            return tuple(cells)
        return tuple(cell if isinstance(cell, str) else _decode_typed(cell) for cell in cells)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged("a row's cells") from None


def _encode_typed(cell: str) -> list[Any]:
    text = str(cell)
    if isinstance(cell, NumberCell):
        return ["n", text, cell.value, cell.code]
    if isinstance(cell, DateCell):
        return ["d", text, type(cell.value).__name__, cell.value.isoformat(), cell.code]
    if isinstance(cell, DurationCell):
        return ["t", text, cell.seconds, cell.code]
    if isinstance(cell, BooleanCell):
        return ["b", text]
    if isinstance(cell, ErrorCell):
        return ["e", text, cell.reason]
    return ["s", text]


def _decode_typed(item: list[Any]) -> str:
    match item:
        case ["n", text, value, code]:
            return NumberCell(text, value, code)
        case ["d", text, kind, iso, code]:
            readers: dict[str, Any] = {"date": dt.date, "datetime": dt.datetime, "time": dt.time}
            return DateCell(text, readers[kind].fromisoformat(iso), code)
        case ["t", text, seconds, code]:
            return DurationCell(text, seconds, code)
        case ["b", text]:
            return BooleanCell(text)
        case ["e", text, reason]:
            return ErrorCell(text, reason)
        case ["s", text]:
            return str(text)
        case _:
            raise ValueError(f"not a cell: {item!r}")


ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
NO_TEXT: Final = (
    "The cell holds a character that is not text (NUL, or half of another one). Enter the value again."
)


def error_cell(text: str) -> ErrorCell:
    """The cell of an error value such as `#N/A`."""
    return ErrorCell(text, f"The cell shows {text}, an error. Correct its formula, or enter the value.")


def plain_text(text: str) -> str:
    """The text as Excel shows it, `_x000D_` and the like decoded; an ErrorCell if it could not be sent.

    >>> plain_text("one_x000A_two _x005F_x000A_")
    'one\\ntwo _x000A_'
    """
    if "_x" not in text:
        return text
    return sendable(ESCAPE.sub(lambda match: chr(int(match[1], 16)), text))


def sendable(text: str) -> str:
    """The text, halves of characters joined; an ErrorCell if it holds what no message could carry."""
    if NO_CHARACTER.search(text) is None:
        return text
    try:
        joined = text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        joined = None
    if joined is None or "\0" in joined:
        return ErrorCell(NO_CHARACTER.sub("\ufffd", text), NO_TEXT)
    return joined
