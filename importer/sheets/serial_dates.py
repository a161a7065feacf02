"""Stored day counts as dates, times and durations, in the text that is sent from a text column."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import math
import re
from typing import Final

from importer.sheets.rows import DateCell, DurationCell, ErrorCell

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
