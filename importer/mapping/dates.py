"""Dates: how they are written, and what sheets hold → `YYYY-MM-DD`, or `YYYY-MM-DD HH:MM:SS` in UTC.

The formats are those of `strptime`, without its traps: month names are English or those of the mapping's
`locale`, whatever the system's; digits that touch (`%d%m%Y`) have their full width, so that `1072026` is not
read as 10 July; `%H` with `%p`, a format without a month, text that is left over: all of these are faults.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from importer.mapping.month_names import ENGLISH, folded_name, locales_of, month_numbers
from importer.mapping.values import BLANKS, Fault, ValueType
from importer.sheets.rows import DateCell, DurationCell, NumberCell
from importer.text import quoted

CACHE_SIZE: Final = 20_000
YEAR_PLAUSIBLE: Final = range(1950, 2101)
"""Activities are of our days; Excel shows a stray 5 that is formatted as a date as 5 January 1900."""
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORD: Final = r"[^\W\d_]+\.?"
_HALF: Final = r"am|pm|a\.m\.|p\.m\."
_OFFSET: Final = r"z|utc|gmt|[+-]\d{1,2}:\d{2}|[+-]\d{2}(?:\d{2})?"

Order = Literal["day", "month"]


class _Directive(NamedTuple):
    """group: what it tells. loose, tight: its digits alone and touching others. example: for messages."""

    group: str
    loose: str
    tight: str
    example: str


_DIRECTIVES: Final = {
    "d": _Directive("day", r"\d{1,2}", r"\d{2}", "31"),
    "m": _Directive("month", r"\d{1,2}", r"\d{2}", "07"),
    "Y": _Directive("year", r"\d{4}", r"\d{4}", "2026"),
    "y": _Directive("short_year", r"\d{2}", r"\d{2}", "26"),
    "b": _Directive("month_name", _WORD, _WORD, "Jul"),
    "B": _Directive("month_name", _WORD, _WORD, "July"),
    "a": _Directive("weekday", _WORD, _WORD, "Fri"),
    "A": _Directive("weekday", _WORD, _WORD, "Friday"),
    "j": _Directive("day_of_year", r"\d{1,3}", r"\d{3}", "212"),
    "H": _Directive("hour", r"\d{1,2}", r"\d{2}", "14"),
    "I": _Directive("hour12", r"\d{1,2}", r"\d{2}", "02"),
    "p": _Directive("half", _HALF, _HALF, "PM"),
    "M": _Directive("minute", r"\d{1,2}", r"\d{2}", "05"),
    "S": _Directive("second", r"\d{1,2}", r"\d{2}", "09"),
    "f": _Directive("fraction", r"\d{1,9}", r"\d{6}", "000000"),
    "z": _Directive("offset", _OFFSET, _OFFSET, "+0530"),
}
_SHORTHANDS: Final = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%e": "%d"}
_TOKEN: Final = re.compile(r"%-?(.)|(\s+)|(.)", re.DOTALL)
_FRACTION: Final = r"(?:[.,]\d{1,9})?"
"""Databases write seconds with a fraction, which is dropped, whether or not the format says %f."""
_LITERAL_ZONE: Final = re.compile(r"(?<![A-Za-z])(?:Z|UTC|GMT)(?![A-Za-z])|[+-]\d{2}:?\d{2}", re.IGNORECASE)
_TIME_DIRECTIVE: Final = re.compile(r"%-?[HIpMSfzTR]")


class WrittenDate(NamedTuple):
    """local: as written, whole seconds. offset: from UTC, if the text gives it. has_time: a time was written.
    order: whether day or month was written first, both as numbers; None where neither could be the other.
    swappable: day and month could change places and give another date."""

    local: dt.datetime
    offset: dt.timedelta | None
    has_time: bool
    order: Order | None = None
    swappable: bool = False


class FormatError(ValueError):
    """The format cannot be used; `str()` is the sentence for a person."""


class DateFormat:
    """One `strptime` format, compiled. Raises FormatError if it cannot give a whole date (time_only: a time
    of day)."""

    __slots__ = ("_months", "_order", "_regex", "example", "has_time", "text")

    def __init__(self, text: str, locale: str = ENGLISH, *, time_only: bool = False) -> None:
        self.text = text
        self._months = month_numbers(locale)
        expanded = text
        for short, long in _SHORTHANDS.items():
            expanded = expanded.replace(short, long)
        tokens = _tokens(expanded, text)
        groups = [token[0].group for token in tokens if isinstance(token[0], _Directive)]
        _demand_whole(groups, text, time_only=time_only)
        self._regex = re.compile("".join(pattern for _, pattern in tokens), re.IGNORECASE)
        self.example = "".join(part.example if isinstance(part, _Directive) else part for part, _ in tokens)
        self.has_time = "hour" in groups or "hour12" in groups
        numeric = [group for group in groups if group in {"year", "short_year", "month", "day"}]
        self._order: Order | None = None
        if "month" in numeric and "day" in numeric and numeric[0] != "year":
            self._order = "day" if numeric.index("day") < numeric.index("month") else "month"

    def __repr__(self) -> str:
        return f"DateFormat({self.text!r})"

    @property
    def names_months(self) -> bool:
        """Whether months are written by name."""
        return "?P<month_name>" in self._regex.pattern

    def parse(self, text: str) -> WrittenDate | Fault | None:
        """The moment; None if the text has another form; a Fault if it has, but there is no such date."""
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        found = match.groupdict()
        if found.get("month_name") and folded_name(found["month_name"]) not in self._months:
            return None
        try:
            return self._moment(found)
        except (ValueError, OverflowError):
            return self._no_such_date(text, found)

    def parse_time(self, text: str) -> tuple[dt.time, dt.timedelta | None] | None:
        """The time of day, and its offset if it has one, of a format without a date; None for other texts."""
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        found = match.groupdict()
        try:
            return _time(found), _offset(found.get("offset"))
        except ValueError:
            return None

    def is_other_order(self, text: str) -> bool:
        """Whether the text is a date only with day and month exchanged."""
        match = None if self._order is None else self._regex.fullmatch(text)
        if match is None:
            return False
        found = match.groupdict()
        return int(found["month"] or 0) > 12 and 1 <= int(found["day"] or 0) <= 12

    def _moment(self, found: dict[str, str | None]) -> WrittenDate:
        year = _year(found)
        if found.get("day_of_year"):
            day = dt.date(year, 1, 1) + dt.timedelta(days=int(found["day_of_year"] or 0) - 1)
            if day.year != year:
                raise ValueError
        else:
            day = dt.date(year, self._month(found), int(found["day"] or 0))
        weekday = (found.get("weekday") or "").rstrip(".").lower()
        english = self._months is month_numbers(ENGLISH)
        if weekday and english and _WEEKDAYS[day.weekday()][: max(3, len(weekday))] != weekday:
            raise ValueError
        local = dt.datetime.combine(day, _time(found))
        swappable = self._order is not None and local.day <= 12 and local.day != local.month
        return WrittenDate(local, _offset(found.get("offset")), self.has_time, self._order, swappable)

    def _month(self, found: dict[str, str | None]) -> int:
        name = found.get("month_name")
        return self._months[folded_name(name)] if name else int(found["month"] or 0)

    def _no_such_date(self, text: str, found: dict[str, str | None]) -> Fault:
        """What of the date does not exist."""
        month = 0 if found.get("day_of_year") else self._month(found)
        day, year, remedy = int(found.get("day") or 0), _year(found), "Correct the cell."
        what = f"{quoted(text)} names a day or time that does not exist (read as {self.text})."
        if self._order is not None and month > 12 and 1 <= day <= 12:
            what = f"{quoted(text)} has no month {month} (read as {self.text})."
            remedy = "Correct it; if day and month are the other way round, correct `format` in the mapping."
        elif 1 <= month <= 12 and year and day > calendar.monthrange(year, month)[1]:
            of_year = f" {year}" if month == 2 else ""
            what = f"{quoted(text)}: {day} {MONTHS[month - 1]}{of_year} does not exist."
        return Fault("no-such-date", what, remedy)


def literal_zone(text: str) -> str | None:
    """A time zone that stands in a format as plain text (`Z`, `UTC`, `+05:30`); None if there is none."""
    text = re.sub(r"(?:GMT|UTC) ?(?=%z)", "", text)  # GMT+0530: the offset is read
    found = _LITERAL_ZONE.search(re.sub(r"%-?.", "\0", text))
    return None if found is None else found.group()


def parted(text: str) -> tuple[str, str]:
    """A format of date and time as one of the date and one of the time. Raises FormatError if they are not
    apart."""
    first = _TIME_DIRECTIVE.search(text)
    if first is None or not first.start():
        raise FormatError(f'The format "{text}" does not begin with a date and go on with a time.')
    date, time = text[: first.start()], text[first.start() :]
    bare = date.rstrip("T") if date.endswith("T") and not date.endswith("%T") else date
    return bare.strip(" ,"), time.strip()


def _tokens(expanded: str, text: str) -> list[tuple[_Directive | str, str]]:
    """The format's parts, each with its regular expression."""
    parts: list[_Directive | str] = []
    for letter, space, literal in _TOKEN.findall(expanded):
        if letter == "%":
            parts.append("%")
        elif letter:
            directive = _DIRECTIVES.get(letter)
            if directive is None:
                known = ", ".join(f"%{known}" for known in _DIRECTIVES)
                raise FormatError(
                    f'The format "{text}" has %{letter}, which is not known here. Known are {known}.'
                )
            parts.append(directive)
        else:
            parts.append(" " if space else literal)
    if expanded.endswith("%") and (not parts or parts[-1] == "%") and not expanded.endswith("%%"):
        raise FormatError(f'The format "{text}" ends with a single %.')
    tokens: list[tuple[_Directive | str, str]] = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            tokens.append((part, r"\s+" if part == " " else re.escape(part)))
            continue
        before = parts[index - 1] if index else ""
        after = parts[index + 1] if index + 1 < len(parts) else ""
        touching = _is_digits(before, -1) or _is_digits(after, 0)
        pattern = f"(?P<{part.group}>{part.tight if touching else part.loose})"
        if part.group == "second" and not touching and after not in {".", ","}:
            pattern += _FRACTION
        tokens.append((part, pattern))
    return tokens


def _is_digits(part: _Directive | str, end: int) -> bool:
    """Whether the neighbour is made of digits, so that widths must be fixed to tell the two apart."""
    if isinstance(part, _Directive):
        return part.tight.startswith(r"\d")
    return part[end:][:1].isdigit()


def _demand_whole(groups: list[str], text: str, *, time_only: bool) -> None:
    """Raise FormatError unless the groups give one whole date (or time of day), without contradictions."""
    has = set(groups)
    year, month = has & {"year", "short_year"}, has & {"month", "month_name"}
    hour, by_day_of_year = has & {"hour", "hour12"}, "day_of_year" in has
    hint = " %M stands for minutes." if "minute" in has else ""
    of_date = (
        (len(year) > 1 or len(month) > 1, "names the year or the month twice."),
        (not year, "has no year (%Y, or %y for two digits)."),
        (not month and not by_day_of_year, f"has no month (%m, or %b for its name).{hint}"),
        ("day" not in has and not by_day_of_year, "has no day (%d)."),
        (by_day_of_year and ("day" in has or month), "has the day of the year beside day or month."),
    )
    twelve = "needs %I and %p together (%H is the 24-hour clock and knows no %p)."
    of_time = (
        (len(groups) > len(has), "names the same thing twice."),
        (len(hour) > 1, "names the hour twice."),
        (("half" in has) != ("hour12" in has), twelve),
        (not hour and has & {"minute", "second"}, "has %M or %S but no hour (%H); months are %m."),
        ("fraction" in has and "second" not in has, "has %f without %S."),
    )
    first = ((not hour, "has no hour (%H, or %I with %p)."),) if time_only else of_date
    for found, what in (*first, *of_time):
        if found:
            raise FormatError(f'The format "{text}" {what}')


def _year(found: dict[str, str | None]) -> int:
    """Two digits are read as Excel does: 30 to 99 are 1930 to 1999, 00 to 29 are 2000 to 2029."""
    if found.get("year"):
        return int(found["year"] or 0)
    short = int(found["short_year"] or 0)
    return short + (1900 if short >= 30 else 2000)


def _time(found: dict[str, str | None]) -> dt.time:
    hour = int(found.get("hour") or found.get("hour12") or 0)
    if found.get("hour12") is not None:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if (found.get("half") or "").lower().startswith("p") else 0)
    return dt.time(hour, int(found.get("minute") or 0), int(found.get("second") or 0))


def _offset(text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    if text[0].isalpha():
        return dt.timedelta()
    written = text[1:].partition(":") if ":" in text else (text[1:3], "", text[3:])
    hours, minutes = int(written[0]), int(written[2] or 0)
    if hours > 14 or minutes > 59:
        raise ValueError
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return -offset if text[0] == "-" else offset


_ISO_TIMES: Final = tuple(
    f"{mark}{time}{zone}"
    for mark in (" ", "T")
    for time in ("%H:%M:%S", "%H:%M")
    for zone in ("", "%z", " %z")
)
ISO_FORMATS: Final = tuple(DateFormat(f"%Y-%m-%d{time}") for time in ("", *_ISO_TIMES))
"""Year first is the one order that nobody misreads: what is understood when a mapping names no format."""


_DAY_S: Final = 86_400
_LETTERS: Final = re.compile(r"[^\W\d_][^\s\d_,;:/()-]{2,}")
_DAY_COUNTS: Final = range(32_874, 73_051)
"""Excel's numbers of the days from 1990 to 2099."""
_SECOND_COUNTS: Final = range(946_684_800, 4_102_444_800)
"""Seconds since 1970 of the same days, from 2000 on."""
_ANY_TIME: Final = tuple(
    DateFormat(text, time_only=True) for text in ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
)
_COUNT: Final = re.compile(r"(\d{5,13})(?:[.,]\d+)?")
_ZONE_NAME: Final = re.compile(r":\d\d(?: ?[AaPp][Mm])? ([A-Z]{3,4})$")


class DatedValue(ValueType):
    """What dates and date-times share: formats, tried in order; each distinct text is parsed once.

    given: those of the mapping; without any, dates are read in the ISO form. example: of that form. locale:
    of the month names.
    """

    example: str

    def __init__(self, formats: Iterable[str] = (), locale: str = ENGLISH) -> None:
        self.given = tuple(DateFormat(text, locale) for text in formats)
        self.locale = locale
        self.parse = lru_cache(maxsize=CACHE_SIZE)(self._parse)

    def _parse(self, text: str) -> WrittenDate | Fault:
        fault: Fault | None = None
        for one in self.given or ISO_FORMATS:
            found = one.parse(text)
            if isinstance(found, WrittenDate):
                return found
            fault = fault or found
        return fault or self._not_a_date(text)

    def moment(self, cell: str) -> WrittenDate | Fault:
        """What a cell of a workbook or a text holds."""
        if type(cell) is str:
            return self.parse(cell)
        if not isinstance(cell, DateCell):
            text = str(cell)
            if isinstance(cell, NumberCell) and not self.given:
                return Fault(
                    "not-a-date",
                    f"{quoted(text)} is a number, not a date.",
                    "Format the cell as a date in Excel, or type the date again.",
                )
            return self.parse(text)
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

    def _not_a_date(self, text: str) -> Fault:
        number = _COUNT.fullmatch(text)
        if number is not None and (count := count_of(int(number[1]))):
            return Fault("not-a-date", f"{quoted(text)} is not a date: it is {count[0]}.", count[1])
        remedy = (
            self._month_remedy(text) or "Write it in that form, or add its form to `format` in the mapping."
        )
        if not self.given:
            remedy = 'Set in the mapping how dates are written, such as format: "%d/%m/%Y".'
        zone = _ZONE_NAME.search(text)
        if zone is not None:
            remedy = f"End the `format` with {zone[1]} as here; `timezone` says which time zone that is."
        forms = _forms(self.given) or self.example
        return Fault("not-a-date", f"{quoted(text)} is not a date of the form {forms}.", remedy)

    def _month_remedy(self, text: str) -> str:
        """What to do where a month's name is not one of the locale's."""
        words = _LETTERS.findall(text)
        known = month_numbers(self.locale)
        named = any(one.names_months for one in self.given)
        if not words or not named or any(folded_name(word) in known for word in words):
            return ""
        hints = dict.fromkeys(f"locale: {locale}" for word in words for locale in locales_of(word))
        language = "English" if self.locale == ENGLISH else f"`locale: {self.locale}`"
        return (
            f"Month names are read in {language}. For another language set `locale` beside `format` in the"
            f" mapping: {' or '.join(list(hints)[:2]) or 'for example locale: fr'}."
        )


def _forms(formats: Sequence[DateFormat]) -> str:
    return " or ".join(f"{one.text} (such as {one.example})" for one in formats[:3])


def count_of(number: int) -> tuple[str, str] | None:
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


def _nearest_second(value: dt.datetime) -> dt.datetime:
    """Excel keeps 10:30:00 as 10:29:59.999997; what it shows is the rounded second."""
    rounded = value.replace(microsecond=0, tzinfo=None)
    if value.microsecond < 500_000 or value.year == dt.MAXYEAR:
        return rounded
    return rounded + dt.timedelta(seconds=1)


class DateValue(DatedValue):
    """A day: `YYYY-MM-DD`. A time of day that rides along in a workbook's cell is not sent."""

    name: Final = "date"
    example = "2026-07-31"

    def read(self, cell: str) -> str | Fault:
        found = self.moment(cell)
        if isinstance(found, Fault):
            return found
        if type(cell) is str and found.has_time and found.local.time() != dt.time() and not self.given:
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


class DateTimeValue(DatedValue):
    """An instant: `YYYY-MM-DD HH:MM:SS` in UTC. `zone` is the time zone of the sheet's dates, unless the text
    has an offset of its own. A time that the zone skips or has twice (clock changes) is a fault."""

    name: Final = "datetime"
    example = "2026-07-31 14:05"

    def __init__(self, zone: ZoneInfo, formats: Iterable[str] = (), locale: str = ENGLISH) -> None:
        super().__init__(formats, locale)
        self._zone = zone
        self._sent = lru_cache(maxsize=CACHE_SIZE)(self._read)

    def read(self, cell: str) -> str | Fault:
        return self._sent(cell) if type(cell) is str else self._read(cell)

    def _read(self, cell: str) -> str | Fault:
        moment = self.moment(cell)
        return moment if isinstance(moment, Fault) else self.sent(moment, str(cell))

    def sent(self, moment: WrittenDate, text: str) -> str | Fault:
        """The moment as it is sent; a day without a time begins at its first existing instant. text: how the
        sheet writes it, for messages."""
        early = moment.local.replace(tzinfo=self._zone)
        try:
            offset, later = (
                each.utcoffset() if moment.offset is None else moment.offset
                for each in (early, early.replace(fold=1))
            )
            assert offset is not None, "a ZoneInfo always knows its offset"
            assert later is not None, "a ZoneInfo always knows its offset"
            instant = moment.local - offset
        except OverflowError:
            return Fault("no-such-date", f"{quoted(text)} lies outside of the calendar.", "Check the year.")
        if offset == later or not moment.has_time:
            return instant.isoformat(sep=" ", timespec="seconds")
        if offset > later:
            return Fault(
                "ambiguous-time",
                f"{quoted(text)} occurs twice in {self._zone.key}: the clocks went back that day.",
                "Write the offset from UTC behind it, such as +0200, and %z at the end of `format`.",
            )
        return Fault(
            "no-such-time",
            f"{quoted(text)} does not exist in {self._zone.key}: the clocks went forward over it.",
            "Correct the time, or `timezone` in the mapping.",
        )


class DateAndTime:
    """A date and a time of day in two cells → one value, sent as `value` sends it.

    value: the type of the field; its formats are those of date and time together.
    """

    def __init__(self, value: DateTimeValue) -> None:
        """Raises FormatError for a format that does not have its date before its time."""
        self._value = value
        pairs = [parted(one.text) for one in value.given]
        self.date = DateValue([date for date, _ in pairs], value.locale)
        self._times = [DateFormat(time, time_only=True) for time in dict.fromkeys(t for _, t in pairs)]

    def read(self, cells: Sequence[str]) -> str | tuple[int, Fault]:
        """What is sent for a date cell and a time cell, not both empty, texts without outer blanks; else
        which of the two (0 or 1) is wrong, and why."""
        date, time = cells
        if not date or not time:
            what = "time" if date else "date"
            return int(bool(date)), Fault("missing", f"The {what} is missing.", "Fill it in.")
        day = self.date.moment(date)
        if isinstance(day, Fault):
            return 0, day
        clock = self._clock(time)
        if isinstance(clock, Fault):
            return 1, clock
        moment = WrittenDate(dt.datetime.combine(day.local.date(), clock[0]), clock[1], has_time=True)
        sent = self._value.sent(moment, f"{date} {time}")
        return (1, sent) if isinstance(sent, Fault) else sent

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
        for one in self._times or _ANY_TIME:
            found = one.parse_time(text)
            if found is not None:
                return found
        return Fault(
            "not-a-date",
            f"{quoted(text)} is not a time of day of the form {_forms(self._times) or '14:05'}.",
            "Correct the cell, or add its form to `format` in the mapping.",
        )
