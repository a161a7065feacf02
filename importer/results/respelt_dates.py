"""How a spreadsheet writes a date or time that it read from a CSV, or that a workbook held. Pure.

Excel reads and writes dates in the computer's own order, so both texts are read in the same order (day,
month, year, or month before day): `01/02/2026` → `2/1/2026` is not a respelling in either and so a person's
edit, while `2026-02-01` may come back as `1/2/2026` or `2/1/2026`. Seconds are lost (`7/31/2026 5:33`), a
year that was not there is added, and `1.10` or `Mar-5` become days (`01. Okt`, `5-Mar`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from importer.sheets.rows import DateCell, DurationCell

DATE_LENGTH_MAX: Final = 40

Order = Literal["day first", "month first"]

_FULL_MONTHS: Final = (
    "january february march april may june july august september october november december",
    "januar februar marz april mai juni juli august september oktober november dezember",
    "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro",
)
_SHORT_MONTHS: Final = {"mrz": 3, "set": 9}
_MONTHS: Final = tuple((name, n) for names in _FULL_MONTHS for n, name in enumerate(names.split(), 1))

_TIME: Final = re.compile(
    r"(?:^|[ T,]+)(\d{1,4}):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?(?:\s*([ap])\.?\s?m\.?)?$",
    re.ASCII | re.IGNORECASE,
)
_NUMERIC: Final = re.compile(r"(\d{1,4})\s?([./\- ])\s?(\d{1,2})(?:\s?\2\s?(\d{1,4}))?\.?", re.ASCII)
_DAY_MONTH: Final = re.compile(r"(\d{1,2})[ .\-/]*([^\W\d_]{3,})\.?(?:[ .\-/,]*(\d{4}|\d{2}))?")
_MONTH_DAY: Final = re.compile(r"([^\W\d_]{3,})\.?[ .\-/]*(\d{1,2})(?:[ .\-/,]+(\d{4}|\d{2}))?")
_MONTH_YEAR: Final = re.compile(r"([^\W\d_]{3,})\.?[ .\-/,]*(\d{4}|\d{2})")
_YEAR_MONTH: Final = re.compile(r"(\d{4})[./-](\d{1,2})|(\d{1,2})[./-](\d{4})", re.ASCII)
_PARTIAL: Final = re.compile(r"\d{1,2}[./-]\d{1,2}\.?", re.ASCII)
_NAMED_OR_WHOLE: Final = re.compile(r"[^\W\d_]{3}|\d{4}")
_MINUTES: Final = re.compile(r"(\d\d):(\d\d)[.,]\d", re.ASCII)


class Moment(NamedTuple):
    """A date, a time, or both; None for what a text does not say."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None


def dates_respelt(before: str, after: str) -> bool:
    """Whether both are dates or times, and `after` is how a spreadsheet in some locale writes `before`."""
    old, new = before.strip(), after.strip()
    if len(old) > DATE_LENGTH_MAX or len(new) > DATE_LENGTH_MAX or not any(map(str.isdigit, new)):
        return False
    if match := _MINUTES.fullmatch(new):  # Excel's `mm:ss.0`, for a time with a fraction of a second
        return f":{match.group(1)}:{match.group(2)}." in old.replace(",", ".")
    if _PARTIAL.fullmatch(old) and not _NAMED_OR_WHOLE.search(new):
        return False
    loose = isinstance(before, DateCell | DurationCell)
    orders: tuple[Order, ...] = ("day first", "month first")
    return any(
        _same(one, two, loose=loose)
        for order in orders
        for one in moments(old, order)
        for two in moments(new, order)
    )


def unambiguous(text: str) -> bool:
    """Whether `text` is a whole date that every locale reads as the same day."""
    readings = {*moments(text, "day first"), *moments(text, "month first")}
    return len(readings) == 1 and None not in next(iter(readings))[:3]


@lru_cache(maxsize=2048)
def moments(text: str, order: Order) -> tuple[Moment, ...]:
    """Everything that `text` may say where dates are written in `order`; () if it is not a date or time."""
    match = _TIME.search(text)
    clock = _clock(match) if match else None
    if match and clock is None:
        return ()
    rest = text[: match.start()].strip().rstrip(",") if match else text
    hour, minute, second = clock or (None, None, None)
    if not rest:
        return (Moment(hour=hour, minute=minute, second=second),) if clock else ()
    found = dict.fromkeys(_dates(rest, order))
    return tuple(Moment(*date, hour, minute, second) for date in found if _possible(date))


def _clock(match: re.Match[str]) -> tuple[int, int, int | None] | None:
    hour, minute, second = int(match.group(1)), int(match.group(2)), match.group(3)
    if match.group(4):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match.group(4).lower() == "p" else 0)
    if minute > 59 or (second is not None and int(second) > 59):
        return None
    return hour, minute, None if second is None else int(second)


_Date = tuple[int | None, int | None, int | None]


def _dates(text: str, order: Order) -> Iterator[_Date]:
    """(year, month, day) in every shape that fits."""
    if match := _NUMERIC.fullmatch(text):
        one, two, three = match.group(1), match.group(3), match.group(4)
        if len(one) > 2:
            if three is None or len(three) <= 2:
                yield _year(one), int(two), int(three) if three else None
        else:
            day, month = (one, two) if order == "day first" else (two, one)
            yield _year(three), int(month), int(day)
    if match := _YEAR_MONTH.fullmatch(text):
        year, month = match.group(1) or match.group(4), match.group(2) or match.group(3)
        yield int(year), int(month), None
    if match := _DAY_MONTH.fullmatch(text):
        yield _year(match.group(3)), _month(match.group(2)), int(match.group(1))
    if match := _MONTH_DAY.fullmatch(text):
        yield _year(match.group(3)), _month(match.group(1)), int(match.group(2))
    if match := _MONTH_YEAR.fullmatch(text):
        yield _year(match.group(2)), _month(match.group(1)), None


def _year(text: str | None) -> int | None:
    if text is None:
        return None
    year = int(text)
    if len(text) > 2:
        return year
    return year + (2000 if year < 30 else 1900)  # as Excel does


def _month(name: str) -> int | None:
    """The month that a word, whole or from its third letter on, names in one of the common languages."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name.casefold()) if char.isalpha())
    if plain in _SHORT_MONTHS:
        return _SHORT_MONTHS[plain]
    return next((number for month, number in _MONTHS if month.startswith(plain)), None)


def _possible(date: _Date) -> bool:
    _, month, day = date
    return month is not None and 1 <= month <= 12 and (day is None or 1 <= day <= 31)


def _same(old: Moment, new: Moment, *, loose: bool) -> bool:
    """Whether `new` says what `old` says, less what spreadsheets leave out. loose: any format's choice."""
    if (old.month is None) != (new.month is None) and not loose:
        return False
    if old.month is not None and new.month is not None:
        if old.month != new.month:
            return False
        if (
            old.day != new.day
            and not (old.day in (None, 1) and new.day in (None, 1))
            and not (loose and new.day is None)
        ):
            return False
        if old.year != new.year and old.year is not None and not (loose and new.year is None):
            return False
    return _same_clock(old, new, loose=loose)


def _same_clock(old: Moment, new: Moment, *, loose: bool) -> bool:
    if new.hour is None:
        return loose or not (old.hour or old.minute or old.second)
    hours = {old.hour or 0, (old.hour or 0) % 24} if loose else {old.hour or 0}
    if new.hour not in hours or new.minute != (old.minute or 0):
        return False
    return new.second is None or new.second == (old.second or 0)
