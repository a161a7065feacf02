"""How a stored number becomes the text that is sent.

15 significant digits, as Excel shows (0.1 + 0.2 is 0.3), never in exponent form, whole numbers without
`.0`. Only a format of zeros (`00000`) changes the text: its leading zeros belong to the value that people
see. Percent, currency and rounding formats do not: the number itself is sent, and `check` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from openpyxl.styles.numbers import BUILTIN_FORMATS

from importer.sheets.rows import ErrorCell, NumberCell
from importer.sheets.serial_dates import FormatKind, date_cell, duration_cell, moment_kind

DIGITS_LIMIT: Final = 1e15
"""From here on a number has 16 digits, of which Excel keeps 15."""

PIECE: Final = re.compile(r'"[^"]*"?|\\.?|_.?|\*.?|\[[^\]]*\]?|.', re.DOTALL)
SAFE_LITERALS: Final = frozenset(" -()")
LOCALE_DATES: Final = dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy-mm-dd")
LOCALE_TIMES: Final = dict.fromkeys((32, 33, 34, 35, 55, 56), "h:mm:ss")
"""Formats of East Asian Excel that a file names by number only (ECMA-376 part 1, 18.8.30)."""

Converter = Callable[[str], str]


def builtin_code(number: str) -> str:
    """The code of a number format that a style names without spelling it out."""
    if not number.isdecimal():
        return "General"
    key = int(number)
    return str(BUILTIN_FORMATS.get(key) or LOCALE_DATES.get(key) or LOCALE_TIMES.get(key) or "General")


def number_text(value: float) -> str:
    """The number in full: `1234.5`, `0.3`, `0.00000015`, `1500`."""
    if value == int(value) and abs(value) < DIGITS_LIMIT:
        return str(int(value))
    text = format(value, ".15g")
    return format(Decimal(text), "f") if "e" in text else text


def too_long(value: float) -> ErrorCell:
    """The cell of a number that has lost digits in Excel already."""
    text = number_text(value)
    return ErrorCell(
        text,
        "A number of 16 digits or more has lost digits in Excel, which keeps 15 and makes the others 0."
        " Format the column as Text and enter the number again.",
    )


def sections(code: str) -> list[list[str]]:
    """The parts of a format between semicolons, each as pieces (quoted texts and escapes are one each)."""
    parts: list[list[str]] = [[]]
    for piece in PIECE.findall(code):
        if piece == ";":
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


def zeros_layout(code: str) -> list[str] | None:
    """`0` for each digit's place, else a text to show: the layout of a format of two zeros or more.

    None for any other format. `00000`, `000-00-0000` and `"INV-"0000` have one; `0.00` and `#,##0` do not.
    """
    layout: list[str] = []
    for piece in sections(code)[0]:
        if piece == "0" or piece in SAFE_LITERALS:
            layout.append(piece)
        elif piece[0] == '"':
            layout.append(piece.strip('"'))
        elif piece[0] == "\\" and len(piece) == 2:
            layout.append(piece[1])
        elif piece[0] == "_":
            layout.append(" ")
        elif piece[0] == "*" or re.fullmatch(r"\[(\$-[^\]]*|[A-Za-z]+\d*)\]", piece):
            continue
        else:
            return None
    return layout if layout.count("0") >= 2 else None


def zeros_text(value: float, layout: list[str], *, alone: bool) -> str | None:
    """The number in a layout; None where the format would not show it in full. alone: one section only."""
    if value != int(value) or (value <= 0 and not alone and value != 0):
        return None
    digits = str(abs(int(value))).zfill(layout.count("0"))
    shown: list[str] = []
    places = layout.count("0")
    for item in reversed(layout):
        if item != "0":
            shown.append(item)
            continue
        places -= 1
        if places:
            shown.append(digits[-1])
            digits = digits[:-1]
        else:
            shown.append(digits)
    text = "".join(reversed(shown)).strip()
    return f"-{text}" if value < 0 else text


def converter(code: str, *, epoch_1904: bool) -> Converter:
    """What turns the stored text of a number with this format into a cell."""
    kind = moment_kind(code)
    if kind is FormatKind.DURATION:
        return lambda text: duration_cell(float(text), code)
    if kind is not FormatKind.NUMBER:
        return lambda text: date_cell(float(text), code, kind, epoch_1904=epoch_1904)
    layout = zeros_layout(code)
    if layout is None:
        return lambda text: number_cell(text, code)
    alone = len(sections(code)) == 1
    return lambda text: _zeros_cell(text, code, layout, alone=alone)


def number_cell(stored: str, code: str) -> str:
    """A NumberCell, or an ErrorCell for what is no number a person could mean. Raises ValueError."""
    if stored.isascii() and stored.isdigit() and len(stored) < 16 and (stored[0] != "0" or stored == "0"):
        return NumberCell(stored, float(stored), code)
    value = float(stored)
    if abs(value) < DIGITS_LIMIT:
        return NumberCell(number_text(value), value, code)
    if value - value != 0:  # infinite, or not a number
        return ErrorCell(
            stored, f"The workbook stores {stored} here, which is no number. Enter the value again."
        )
    return too_long(value)


def _zeros_cell(stored: str, code: str, layout: list[str], *, alone: bool) -> str:
    cell = number_cell(stored, code)
    if not isinstance(cell, NumberCell):
        return cell
    text = zeros_text(cell.value, layout, alone=alone)
    return cell if text is None else NumberCell(text, cell.value, code)
