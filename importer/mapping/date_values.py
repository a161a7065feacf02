"""Dates and date-times: what sheets hold → `YYYY-MM-DD`, or `YYYY-MM-DD HH:MM:SS` in UTC."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from importer.mapping.date_formats import ISO_FORMATS, MONTHS, DateFormat, WrittenDate, parted
from importer.mapping.month_names import ENGLISH, folded_name, locales_of, month_numbers
from importer.mapping.values import BLANKS, Fault
from importer.sheets.rows import DateCell, DurationCell, NumberCell
from importer.text import quoted

CACHE_SIZE: Final = 20_000
YEAR_PLAUSIBLE: Final = range(1950, 2101)
"""Activities are of our days; Excel shows a stray 5 that is formatted as a date as 5 January 1900."""
_DAY_S: Final = 86_400
_WORD: Final = re.compile(r"[^\W\d_][^\s\d_,;:/()-]{2,}")
_DAY_COUNTS: Final = range(32_874, 73_051)
"""Excel's numbers of the days from 1990 to 2099."""
_SECOND_COUNTS: Final = range(946_684_800, 4_102_444_800)
"""Seconds since 1970 of the same days, from 2000 on."""
_TIMES: Final = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")


class _Formats:
    """The formats of one field, tried in order; each distinct text is parsed once."""

    def __init__(self, formats: Iterable[str], example: str, locale: str = ENGLISH) -> None:
        self.given = tuple(DateFormat(text, locale) for text in formats)
        self.tried = self.given or ISO_FORMATS
        self.example = example
        self.locale = locale
        self.parse = lru_cache(maxsize=CACHE_SIZE)(self._parse)

    def _parse(self, text: str) -> WrittenDate | Fault:
        fault: Fault | None = None
        for one in self.tried:
            found = one.parse(text)
            if isinstance(found, WrittenDate):
                return found
            fault = fault or found
        return fault or self.not_a_date(text)

    def is_other_order(self, text: str) -> bool:
        """Whether the text is a date only with day and month exchanged."""
        return any(one.is_other_order(text) for one in self.given)

    def not_a_date(self, text: str) -> Fault:
        if text.isdecimal() and (count := _count_of(int(text))):
            return Fault("not-a-date", f"{quoted(text)} is not a date: it is {count[0]}.", count[1])
        if not self.given:
            return Fault(
                "not-a-date",
                f"{quoted(text)} is not a date of the form {self.example}.",
                'Set in the mapping how dates are written, such as format: "%d/%m/%Y".',
            )
        shapes = " or ".join(f"{one.text} (such as {one.example})" for one in self.given[:3])
        return Fault(
            "not-a-date",
            f"{quoted(text)} is not a date of the form {shapes}.",
            self._month_remedy(text) or "Write it in that form, or add its form to `format` in the mapping.",
        )

    def _month_remedy(self, text: str) -> str:
        """What to do where a month's name is not one of the locale's."""
        words = _WORD.findall(text)
        if not words or not any(one.names_months for one in self.given):
            return ""
        known = month_numbers(self.locale)
        if any(folded_name(word) in known for word in words):
            return ""
        found = [locale for word in words for locale in locales_of(word)]
        shown = found or ["fr"]
        hint = " or ".join(f"locale: {locale}" for locale in dict.fromkeys(shown[:2]))
        example = hint if found else f"for example {hint}"
        return (
            f"Month names are read in {'English' if self.locale == ENGLISH else f'`locale: {self.locale}`'}."
            f" For another language set `locale` beside `format` in the mapping: {example}."
        )


def _count_of(number: int) -> tuple[str, str] | None:
    """(what a number counts that stands for a date, what to do); None for any other number."""
    if number in _DAY_COUNTS:
        day = dt.date(1899, 12, 30) + dt.timedelta(days=number)
        return (
            f"the number under which Excel keeps {day.day} {MONTHS[day.month - 1]} {day.year}",
            "Format the column as a date in the workbook and export it again.",
        )
    if number in _SECOND_COUNTS or number // 1000 in _SECOND_COUNTS:
        what = "seconds" if number in _SECOND_COUNTS else "milliseconds"
        return f"a count of {what} since 1970", "Export the column as dates from where it comes from."
    return None


def _cell_moment(cell: str, formats: _Formats) -> WrittenDate | Fault:
    """What a cell of a workbook or a text holds."""
    if type(cell) is str:
        return formats.parse(cell)
    if not isinstance(cell, DateCell):
        text = str(cell)
        if isinstance(cell, NumberCell) and not formats.given:
            return Fault(
                "not-a-date",
                f"{quoted(text)} is a number, not a date.",
                "Format the cell as a date in Excel, or type the date again.",
            )
        return formats.parse(text)
    value = cell.value
    if isinstance(value, dt.datetime):
        whole = _nearest_second(value)
        return WrittenDate(whole, None, whole.time() != dt.time())
    if isinstance(value, dt.date):
        return WrittenDate(dt.datetime.combine(value, dt.time()), None, has_time=False)
    return Fault(
        "not-a-date",
        f"{quoted(str(cell))} is a time of day without a date.",
        'Put date and time into one cell, or combine two columns: template: "{Date} {Time}".',
    )


def _nearest_second(value: dt.datetime) -> dt.datetime:
    """Excel keeps 10:30:00 as 10:29:59.999997; what it shows is the rounded second."""
    rounded = value.replace(microsecond=0, tzinfo=None)
    if value.microsecond < 500_000 or value.year == dt.MAXYEAR:
        return rounded
    return rounded + dt.timedelta(seconds=1)


class DateValue:
    """A day: `YYYY-MM-DD`. A time of day that rides along in a workbook's cell is not sent."""

    name: Final = "date"

    def __init__(self, formats: Iterable[str] = (), locale: str = ENGLISH) -> None:
        self.formats = _Formats(formats, "2026-07-31", locale)

    def read(self, cell: str) -> str | Fault:
        found = _cell_moment(cell, self.formats)
        if isinstance(found, Fault):
            return found
        if (
            type(cell) is str
            and found.has_time
            and found.local.time() != dt.time()
            and not self.formats.given
        ):
            return Fault(
                "not-a-date",
                f"{quoted(cell)} has a time of day, but the field takes a date.",
                "Use `type: datetime`, or give a `format`: the time is then left out.",
            )
        return found.local.date().isoformat()

    def notice(self, cell: str) -> Fault | None:
        value = cell.value if isinstance(cell, DateCell) else None
        timed = isinstance(value, dt.datetime) and _nearest_second(value).time() != dt.time()
        if isinstance(cell, DateCell) and timed and "h" in cell.code.lower():
            return Fault(
                "time-dropped",
                f"{quoted(str(cell))} has a time of day; only the date is sent.",
                "Use `type: datetime` if the time matters.",
            )
        return None


@dataclass(frozen=True, slots=True)
class _Unclear:
    """A wall-clock time that the zone has never or twice."""

    twice: bool


def to_utc(moment: WrittenDate, zone: ZoneInfo) -> dt.datetime | _Unclear:
    """The moment in UTC, naive. A day without a time begins at its first existing instant.

    Raises OverflowError at the ends of the calendar.
    """
    if moment.offset is not None:
        return moment.local - moment.offset
    early = moment.local.replace(tzinfo=zone)
    offset, later_offset = early.utcoffset(), early.replace(fold=1).utcoffset()
    if offset is None or later_offset is None:
        raise OverflowError
    if offset != later_offset and moment.has_time:
        return _Unclear(twice=offset > later_offset)
    return moment.local - offset


class DateTimeValue:
    """An instant: `YYYY-MM-DD HH:MM:SS` in UTC. `zone` is the time zone of the sheet's dates, unless the text
    has an offset of its own. A time that the zone skips or has twice (clock changes) is a fault."""

    name: Final = "datetime"

    def __init__(self, zone: ZoneInfo, formats: Iterable[str] = (), locale: str = ENGLISH) -> None:
        self._zone = zone
        self.formats = _Formats(formats, "2026-07-31 14:05", locale)
        self._sent = lru_cache(maxsize=CACHE_SIZE)(self._read)

    def read(self, cell: str) -> str | Fault:
        return self._sent(cell) if type(cell) is str else self._read(cell)

    def _read(self, cell: str) -> str | Fault:
        moment = _cell_moment(cell, self.formats)
        return moment if isinstance(moment, Fault) else self.sent(moment, str(cell))

    def sent(self, moment: WrittenDate, text: str) -> str | Fault:
        """The moment as it is sent; text: how the sheet writes it, for messages."""
        shown = quoted(text)
        try:
            instant = to_utc(moment, self._zone)
        except OverflowError:
            return Fault("no-such-date", f"{shown} lies outside of the calendar.", "Check the year.")
        if isinstance(instant, dt.datetime):
            return instant.isoformat(sep=" ", timespec="seconds")
        if instant.twice:
            return Fault(
                "ambiguous-time",
                f"{shown} occurs twice in {self._zone.key}: the clocks went back that day.",
                "Write the offset from UTC behind it, such as +0200, and %z at the end of `format`.",
            )
        return Fault(
            "no-such-time",
            f"{shown} does not exist in {self._zone.key}: the clocks went forward over it.",
            "Correct the time, or `timezone` in the mapping.",
        )

    def notice(self, cell: str) -> Fault | None:
        return None


class PartFault(NamedTuple):
    """What is wrong with one of the cells that make up a value. part: which of them, from 0."""

    part: int
    fault: Fault


class DateAndTime:
    """A date and a time of day in two cells → one value, sent as `value` sends it.

    value: the type of the field. formats: how date and time are written together, in that order.
    """

    def __init__(self, value: DateTimeValue, formats: Sequence[str], locale: str = ENGLISH) -> None:
        """Raises FormatError for a format that does not have its date before its time."""
        self._value = value
        pairs = [pair for pair in map(parted, formats) if pair is not None]
        self.date = DateValue([date for date, _ in pairs], locale)
        self._times = [DateFormat(time, time_only=True) for time in dict.fromkeys(t for _, t in pairs)]
        self._any_time = self._times or [DateFormat(time, time_only=True) for time in _TIMES]

    def read(self, cells: Sequence[str]) -> str | PartFault:
        """What is sent for a date cell and a time cell, not both empty; texts without outer blanks."""
        date, time = cells
        for part, (cell, what) in enumerate(((date, "date"), (time, "time"))):
            if not cell:
                return PartFault(part, Fault("missing", f"The {what} is missing.", "Fill it in."))
        day = _cell_moment(date, self.date.formats)
        if isinstance(day, Fault):
            return PartFault(0, day)
        clock = self._clock(time)
        if isinstance(clock, Fault):
            return PartFault(1, clock)
        moment = WrittenDate(dt.datetime.combine(day.local.date(), clock[0]), clock[1], has_time=True)
        sent = self._value.sent(moment, f"{date} {time}")
        return PartFault(1, sent) if isinstance(sent, Fault) else sent

    def _clock(self, cell: str) -> tuple[dt.time, dt.timedelta | None] | Fault:
        """The time of day, and its offset from UTC if the cell gives one."""
        value = getattr(cell, "value", None)
        if isinstance(value, dt.time):
            value = dt.datetime.combine(dt.date(2000, 1, 1), value)
        elif isinstance(cell, DurationCell) and 0 <= round(cell.seconds) < _DAY_S:
            value = dt.datetime(2000, 1, 1) + dt.timedelta(seconds=cell.seconds)  # noqa: DTZ001 - a clock's
        if isinstance(value, dt.datetime):
            return _nearest_second(value).time(), None
        text = str(cell).strip(BLANKS)
        for one in self._any_time:
            found = one.parse_time(text)
            if found is not None:
                return found
        shapes = " or ".join(f"{one.text} (such as {one.example})" for one in self._times[:3])
        return Fault(
            "not-a-date",
            f"{quoted(text)} is not a time of day of the form {shapes or '14:05'}.",
            "Correct the cell, or add its form to `format` in the mapping.",
        )
