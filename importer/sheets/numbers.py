"""How a stored number becomes the text that is sent: a number, a date, a time, or a duration.

A number has 15 significant digits, as Excel shows (0.1 + 0.2 is 0.3), never in exponent form, whole numbers
without `.0`. A format of digits, zeros, decimal places, grouping and literal texts (`00000`, `0.00`, `#,##0`,
`"INV-"0`, `\\+0`) shows another text, and that is what people see. Of any other format (percent, currency,
fractions, conditions) the number in full is taken, and `is_shown` says that it looks otherwise.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from importer.sheets.rows import DIGITS_LIMIT, DateCell, DurationCell, ErrorCell, NumberCell, number_text

DAY_S: Final = 86_400
LAST_SERIAL: Final = 2_958_466
"""The day after 9999-12-31, Excel's last date."""

LITERALS: Final = re.compile(r'"[^"]*"?|\\.?|_.?|\*.?|\[(?!h+\]|m+\]|s+\])[^\]]*\]?', re.IGNORECASE)
NO_DATE: Final = (
    "The cell is formatted as a date, but no date exists for its number. Enter the date again, or format the"
    " cell as a number."
)


class FormatKind(enum.Enum):
    """What a number format shows."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    DATETIME = "date-time"
    DURATION = "duration"


def moment_kind(code: str) -> FormatKind:
    """Whether a format shows days, hours, both, or a number (the rule of ECMA-376 part 1, 18.8.31)."""
    first = LITERALS.sub("", code).split(";")[0].lower()
    if first == "general" or not re.search(r"[dmhsy]", first):
        return FormatKind.NUMBER
    if re.search(r"\[(h+|m+|s+)\]", first):
        return FormatKind.DURATION
    first = re.sub(r"am/pm|a/p", "", first)
    has_time = bool(re.search(r"[hs]", first))
    has_date = bool(re.search(r"[dy]", first)) or ("m" in first and not has_time)
    if has_date and has_time:
        return FormatKind.DATETIME
    return FormatKind.DATE if has_date else FormatKind.TIME


def moment(serial: float, *, epoch_1904: bool) -> dt.datetime | None:
    """The date-time of a day count, to the second; None if there is none (29 February 1900 included)."""
    if not 0 <= serial < LAST_SERIAL:
        return None
    if epoch_1904:
        base = dt.datetime(1904, 1, 1)  # noqa: DTZ001 - sheets know no time zones
    elif serial >= 61:
        base = dt.datetime(1899, 12, 30)  # noqa: DTZ001
    elif 1 <= serial < 60:
        base = dt.datetime(1899, 12, 31)  # noqa: DTZ001
    else:
        return None
    try:
        return base + dt.timedelta(seconds=math.floor(serial * DAY_S + 0.5))
    except OverflowError:
        return None


def date_cell(serial: float, code: str, kind: FormatKind, *, epoch_1904: bool) -> str:
    """A DateCell with the text of what the format shows, or an ErrorCell where Excel shows no date."""
    when = moment(serial, epoch_1904=epoch_1904)
    if kind is FormatKind.TIME and 0 <= serial < LAST_SERIAL:
        seconds = math.floor(serial * DAY_S + 0.5) % DAY_S
        clock = dt.time(seconds // 3600, seconds // 60 % 60, seconds % 60)
        value = clock if when is None or serial < 1 else when
        return DateCell(clock.isoformat(), value, code)
    if when is None:
        return ErrorCell("#####", NO_DATE)
    if kind is FormatKind.DATETIME:
        return DateCell(when.isoformat(" "), when, code)
    return DateCell(when.date().isoformat(), when if when.time() != dt.time() else when.date(), code)


def date_cell_of(value: dt.date | dt.datetime | dt.time) -> DateCell:
    """The cell of a date whose format is not known: a date-time at midnight is a date."""
    if isinstance(value, dt.time):
        clock = value.replace(microsecond=0)
        return DateCell(clock.isoformat(), clock)
    if not isinstance(value, dt.datetime):
        return DateCell(value.isoformat(), value)
    with contextlib.suppress(OverflowError):
        value += dt.timedelta(microseconds=500_000)
    when = value.replace(microsecond=0, tzinfo=None)
    if when.time() == dt.time():
        return DateCell(when.date().isoformat(), when.date())
    return DateCell(when.isoformat(" "), when)


def duration_cell(serial: float, code: str) -> str:
    """A DurationCell `h:mm:ss`, hours unbounded."""
    if not abs(serial) < LAST_SERIAL:
        return ErrorCell("#####", NO_DATE)
    seconds = math.floor(abs(serial) * DAY_S + 0.5)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    sign = "-" if serial < 0 and seconds else ""
    return DurationCell(f"{sign}{hours}:{minute:02}:{second:02}", serial * DAY_S, code)


PIECE: Final = re.compile(r'"[^"]*"?|\\.?|_.?|\*.?|\[[^\]]*\]?|.', re.DOTALL)
SAFE_LITERALS: Final = frozenset(" -+():")
CODE_MAX_CHARACTERS: Final = 255
"""Excel's own limit of a number format."""
GENERAL_DIGITS_MAX: Final = 11
"""Of a number without a format Excel shows so many characters."""

_CONDITION: Final = re.compile(r"\[[<>=]")
_PLACES: Final = {"0": 1, "#": 0}
_CODE_TOO_LONG: Final = (
    "The cell's number format is longer than Excel allows: the workbook is damaged. Format the cell again."
)
_DIGITS_LOST: Final = (
    "A number of 16 digits or more has lost digits in Excel, which keeps 15 and makes the others 0. Format"
    " the column as Text and enter the number again."
)
Converter = Callable[[str], str]


def sections(code: str) -> list[list[str]]:
    """The parts of a format between semicolons, each as pieces (quoted texts and escapes are one each)."""
    parts: list[list[str]] = [[]]
    for piece in PIECE.findall(code):
        if piece == ";":
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


@dataclass(frozen=True, slots=True)
class Layout:
    """How one section of a number format shows a number.

    pieces: the places of whole digits, 1 for those that are always shown (`0`) and 0 for others (`#`), and
    texts between and around them. suffix: the text behind the digits. decimals_least, decimals_most: places
    after the mark. grouped: by thousands.
    """

    pieces: tuple[str | int, ...]
    suffix: str = ""
    decimals_least: int = 0
    decimals_most: int = 0
    grouped: bool = False

    @property
    def has_digits(self) -> bool:
        return not all(isinstance(piece, str) for piece in self.pieces)

    def text(self, value: float) -> str:
        """What is shown of a number that is not negative."""
        exact = Decimal(format(value, ".15g")).quantize(Decimal(1).scaleb(-self.decimals_most), ROUND_HALF_UP)
        whole, _, fraction = format(exact, "f").partition(".")
        fraction = fraction[: self.decimals_least] + fraction[self.decimals_least :].rstrip("0")
        digits = whole.lstrip("0").zfill(self.pieces.count(1))
        if self.grouped and digits:
            digits = f"{int(digits):,}".zfill(self.pieces.count(1))
        mark = "." if self.decimals_most else ""
        return f"{self._whole(digits)}{mark}{fraction}{self.suffix}"

    def _whole(self, digits: str) -> str:
        """The digits in their places, from the right; the first place takes all that are left."""
        places = sum(isinstance(piece, int) for piece in self.pieces)
        shown: list[str] = []
        for piece in reversed(self.pieces):
            if isinstance(piece, str):
                shown.append(piece)
                continue
            places -= 1
            shown.append(digits[-1:] if places else digits)
            digits = digits[:-1]
        return "".join(reversed(shown))


def _layout(pieces: list[str]) -> Layout | None:
    """The layout of a section; None if it shows more than digits and texts."""
    before: list[str | int] = []
    after: list[str] = []
    places: list[int] = []
    mark = grouped = False
    for piece in pieces:
        if piece in _PLACES:
            if any(after):
                return None
            (places if mark else before).append(_PLACES[piece])
        elif piece == "." and not mark:
            mark = True
        elif piece == "," and not mark and any(isinstance(each, int) for each in before):
            grouped = True
        elif (text := _literal(piece)) is not None:
            (after if mark else before).append(text)
        else:
            return None
    whole = [each for each in before if isinstance(each, int)]
    # Programs differ about `0#`.
    if (grouped and not _is_grouped(pieces)) or (places and not any(places)) or whole != sorted(whole):
        return None
    while not mark and before and isinstance(last := before[-1], str):
        after.insert(0, last)
        before.pop()
    if not mark and not before:
        return Layout((), "".join(after))
    return Layout(tuple(before), "".join(after), places.count(1), len(places), grouped)


def _literal(piece: str) -> str | None:
    """The text that a piece shows; None if it means something else."""
    if piece[0] == '"':
        return piece.strip('"')
    if piece[0] == "\\" and len(piece) == 2:
        return piece[1]
    if piece[0] == "_":
        return " "
    if piece[0] == "*" or re.fullmatch(
        r"\[(\$-(?:0?1\w\w)?\w{1,4}|(?i:black|blue|cyan|green|magenta|red|white|yellow|color\d+))\]", piece
    ):
        return ""
    return piece if piece in SAFE_LITERALS else None


def _is_grouped(pieces: list[str]) -> bool:
    """Whether the commas are between digits: behind the last one they divide by a thousand."""
    digits = "".join(piece for piece in pieces if piece in "0#,.").partition(".")[0]
    return re.fullmatch(r"#+(,#+)*(,#*0)|#+(,#+)+", digits) is not None


@lru_cache(maxsize=4096)
def layouts(code: str) -> tuple[Layout | None, ...]:
    """The layouts for numbers above, below and at zero, as far as the code has sections for them."""
    if code.strip().lower() in ("", "general", "@"):
        return ()
    if _CONDITION.search(code):  # which section counts is not a matter of the sign
        return (None,)
    return tuple(_layout(section) for section in sections(code)[:3])


def shown_text(value: float, code: str) -> str | None:
    """The number as a format shows it, without outer blanks; None for a format that shows it otherwise, and
    `""` for one that hides it."""
    found = layouts(code)
    if not found:
        return number_text(value)
    at = 1 if value < 0 < len(found) - 1 else 2 if value == 0 and len(found) > 2 else 0
    layout = found[at]
    if layout is None or abs(value) >= DIGITS_LIMIT:
        return None
    text = layout.text(abs(value)) if layout.has_digits else layout.suffix
    sign = "-" if value < 0 and at == 0 and layout.has_digits else ""
    return f"{sign}{text.strip()}"


def is_shown(cell: NumberCell) -> bool:
    """Whether the cell's text is what Excel shows: else its format does something else with the number."""
    if cell.code in ("", "General", "@"):
        return len(cell) <= GENERAL_DIGITS_MAX
    return bool(cell) and shown_text(cell.value, cell.code) == cell


def is_unseen(cell: NumberCell) -> bool:
    """Whether the number's format hides it, as `;;;` does."""
    return shown_text(cell.value, cell.code) == ""


@lru_cache(maxsize=4096)
def _may_hide(code: str) -> bool:
    """Whether a format has a section that shows nothing (of a text: a fourth one)."""
    found = sections(code[:CODE_MAX_CHARACTERS]) if ";" in code or "#" in code else []
    if moment_kind(code) is not FormatKind.NUMBER:
        return False
    return any(not "".join(section).strip(" #,") for section in found)  # `#,###` shows nothing of 0


def hides(code: str, cell: str) -> bool:
    """Whether a format shows nothing of a cell."""
    return _may_hide(code) and (is_unseen(cell) if isinstance(cell, NumberCell) else type(cell) is str)


@lru_cache(maxsize=4096)
def _around_text(code: str) -> tuple[str, str] | None:
    """What a format shows before and behind a text (`@" kg"`); None if nothing, or more than that."""
    found = sections(code[:CODE_MAX_CHARACTERS])
    section = found[3] if len(found) > 3 else found[-1]
    shown = ["\0" if piece == "@" else _literal(piece) for piece in section]
    before, at, after = "".join(piece or "" for piece in shown).partition("\0")
    return (before, after) if at and None not in shown and f"{before}{after}".strip() else None


def shown_words(text: str, code: str) -> str:
    """The text of a cell as its number format shows it."""
    around = _around_text(code) if type(text) is str and "@" in code else None
    return text if around is None else f"{around[0]}{text}{around[1]}".strip()


@lru_cache(maxsize=4096)
def converter(code: str, *, epoch_1904: bool) -> Converter:
    """What turns the stored text of a number with this format into a cell."""
    kind = moment_kind(code[:CODE_MAX_CHARACTERS])
    if kind is FormatKind.DURATION:
        return lambda text: duration_cell(float(text), code)
    if kind is not FormatKind.NUMBER:
        return lambda text: date_cell(float(text), code, kind, epoch_1904=epoch_1904)
    if len(code) > CODE_MAX_CHARACTERS:
        return lambda text: ErrorCell(text, _CODE_TOO_LONG)
    if not layouts(code):
        return lambda text: number_cell(text, code)
    return lambda text: _shown_cell(text, code)


def number_cell(stored: str, code: str) -> str:
    """A NumberCell, or an ErrorCell for what is not a number a person could mean. Raises ValueError."""
    if stored.isascii() and stored.isdigit() and len(stored) < 16 and (stored[0] != "0" or stored == "0"):
        return NumberCell(stored, float(stored), code)
    if "_" in stored:
        raise ValueError(f"{stored[:20]} is not a number")
    value = float(stored)
    if abs(value) < DIGITS_LIMIT:
        return NumberCell(number_text(value), value, code)
    if value - value != 0:  # infinite, or not a number
        return ErrorCell(
            stored, f"The workbook stores {stored} here, which is not a number. Enter the value again."
        )
    return ErrorCell(number_text(value), _DIGITS_LOST)


def _shown_cell(stored: str, code: str) -> str:
    cell = number_cell(stored, code)
    if not isinstance(cell, NumberCell):
        return cell
    return NumberCell(shown_text(cell.value, code) or cell, cell.value, code)
